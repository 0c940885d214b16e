"""A LLaVA of about 0.7 M parameters with its own tokenizer, built offline from a seed, for the quickstart and tests.

Its parts are the real ones (LlavaForConditionalGeneration, LlavaProcessor, a CLIP tower, a Qwen2 language model), so
whatever runs on it runs on a published LLaVA. It is saved and loaded like any other model.
"""

import torch
from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers
from transformers import (
    CLIPImageProcessor,
    CLIPVisionConfig,
    GenerationConfig,
    LlavaConfig,
    LlavaForConditionalGeneration,
    LlavaProcessor,
    PreTrainedTokenizerFast,
    Qwen2Config,
)
from transformers.modeling_utils import set_zero3_state

from umbrella.files.data_format import IMAGE_TOKEN

PATCH_SIZE = 16  # pixels
VISION_HIDDEN_SIZE = 64
TEXT_HIDDEN_SIZE = 128
NUM_LAYERS = 2  # of the vision tower, and of the language model
NUM_HEADS = 4
MAX_POSITIONS = 4096  # tokens; twice the default max_length of the data loaders

VOCABULARY_SIZE = 600
PAD_TOKEN = "<|endoftext|>"
TURN_START = "<|im_start|>"
TURN_END = "<|im_end|>"

# ChatML as Qwen2 has it, a line break after the role and after the turn; an image keeps its place among the items.
CHAT_TEMPLATE = (
    "{% for message in messages %}"
    "{{ '<|im_start|>' + message['role'] + '\\n' }}"
    "{% if message['content'] is string %}{{ message['content'] }}{% else %}"
    "{% for item in message['content'] %}"
    "{% if not loop.first %}{{ '\\n' }}{% endif %}"
    "{% if item['type'] == 'image' %}{{ '" + IMAGE_TOKEN + "' }}{% else %}{{ item['text'] }}{% endif %}"
    "{% endfor %}{% endif %}"
    "{{ '<|im_end|>\\n' }}"
    "{% endfor %}"
    "{% if add_generation_prompt %}{{ '<|im_start|>assistant\\n' }}{% endif %}"
)

# What the tokenizer learns its merges from. Any other text falls back to shorter pieces, down to single bytes.
CORPUS = (
    "user\nThis is the reference brain scan of a male participant. Study it before you look at the next one.",
    "user\nThis is the reference brain scan of a female participant. Study it before you look at the next one.",
    "assistant\nI have examined the reference scan of the male subject and compare it with the following image.",
    "assistant\nI have examined the reference scan of the female subject and compare it with the following image.",
    "user\nCompare this second scan with the reference. Is the biological sex of this subject male or female?",
    "user\nHere is a structural MRI of another person. Determine whether the sex is the same or different.",
    "assistant\nThe subject is female. The sex is the same as that of the reference.",
    "assistant\nThe subject is male. The sex is different from that of the reference.",
    "assistant\nBased on the comparison, this scan shows a male brain. Answer: male",
    "assistant\nBased on the comparison, this scan shows a female brain. Answer: female",
    "user\nThis is the first scan of the subject, taken at baseline. Note the size of the ventricles.",
    "assistant\nUnderstood. I will use the first scan as the baseline and measure the lateral ventricles.",
    "user\nThis is a later scan of the same subject. Have the ventricles grown or shrunk since the first visit?",
    "assistant\nThe ventricles have grown since the first scan; they are larger than before. Answer: grown",
    "assistant\nThe ventricles have shrunk since the first scan; they are smaller than before. Answer: shrunk",
    "user\nDescribe the T1-weighted volume, the diffusion image (dMRI) and the functional image (fMRI) shown above.",
    "assistant\nThe head, skull, grey matter, white matter and cerebrospinal fluid appear normal for an age of 45.",
    "system\nYou are a radiology assistant who answers questions about sMRI, dMRI and fMRI scans of the brain.",
    "user\nPlease tell me which group the patient belongs to, how old they are, and give a diagnosis. Yes or no?",
    "assistant\nNo, I see no lesion. Yes, both images show a healthy control, scores 0 1 2 3 4 5 6 7 8 9.",
)


def build_tiny_tokenizer() -> PreTrainedTokenizerFast:
    """Train a byte-level BPE of at most VOCABULARY_SIZE tokens on CORPUS; the same tokenizer at every call."""
    backend = Tokenizer(models.BPE())
    backend.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    backend.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=VOCABULARY_SIZE,
        special_tokens=[PAD_TOKEN, TURN_START, TURN_END, IMAGE_TOKEN],
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    backend.train_from_iterator(CORPUS, trainer)
    return PreTrainedTokenizerFast(
        tokenizer_object=backend,
        pad_token=PAD_TOKEN,
        eos_token=TURN_END,
        extra_special_tokens={"image_token": IMAGE_TOKEN},
        padding_side="right",
        model_max_length=MAX_POSITIONS,
        clean_up_tokenization_spaces=False,
    )


def build_tiny_processor(image_size: int = 64) -> LlavaProcessor:
    """The processor of `build_tiny_llava` alone. One image becomes (image_size / PATCH_SIZE)² tokens."""
    if image_size < PATCH_SIZE or image_size % PATCH_SIZE:
        raise ValueError(f"image_size: expected a multiple of the patch size {PATCH_SIZE}, found {image_size}.")
    return LlavaProcessor(
        image_processor=CLIPImageProcessor(
            size={"shortest_edge": image_size}, crop_size={"height": image_size, "width": image_size}
        ),
        tokenizer=build_tiny_tokenizer(),
        patch_size=PATCH_SIZE,
        vision_feature_select_strategy="default",
        num_additional_image_tokens=1,  # CLIP's class token, which the strategy "default" takes off again
        chat_template=CHAT_TEMPLATE,
    )


def build_tiny_llava(seed: int = 0, image_size: int = 64) -> tuple[LlavaForConditionalGeneration, LlavaProcessor]:
    """Build the model (float32, about 0.7 M parameters, random weights drawn from `seed`) and its processor.

    Args:
        seed: of the weights. The caller's random state is left as it was.
        image_size: side of the square image in pixels, a multiple of PATCH_SIZE (else ValueError).
    """
    processor = build_tiny_processor(image_size)
    tokenizer = processor.tokenizer
    config = LlavaConfig(
        vision_config=CLIPVisionConfig(
            image_size=image_size,
            patch_size=PATCH_SIZE,
            hidden_size=VISION_HIDDEN_SIZE,
            intermediate_size=4 * VISION_HIDDEN_SIZE,
            num_hidden_layers=NUM_LAYERS,
            num_attention_heads=NUM_HEADS,
            projection_dim=VISION_HIDDEN_SIZE,
        ),
        text_config=make_tiny_text_config(tokenizer),
        image_token_index=processor.image_token_id,
        image_seq_length=(image_size // PATCH_SIZE) ** 2,
        vision_feature_select_strategy=processor.vision_feature_select_strategy,
        vision_feature_layer=-1,
        tie_word_embeddings=True,
        dtype=torch.float32,
    )
    return draw_tiny_model(config, seed), processor


def make_tiny_text_config(tokenizer: PreTrainedTokenizerFast) -> Qwen2Config:
    """The language model of the small LLaVAs."""
    return Qwen2Config(
        vocab_size=len(tokenizer),
        hidden_size=TEXT_HIDDEN_SIZE,
        intermediate_size=3 * TEXT_HIDDEN_SIZE,
        num_hidden_layers=NUM_LAYERS,
        num_attention_heads=NUM_HEADS,
        num_key_value_heads=NUM_HEADS,
        max_position_embeddings=MAX_POSITIONS,
        eos_token_id=tokenizer.eos_token_id,
        pad_token_id=tokenizer.pad_token_id,
        tie_word_embeddings=True,
    )


def draw_tiny_model(config: LlavaConfig, seed: int) -> LlavaForConditionalGeneration:
    """A model of this config whose weights are drawn from `seed`; the caller's random state is left as it was."""
    # Whole on each process also under ZeRO-3, which otherwise shards the vision tower before its weights are drawn.
    with torch.random.fork_rng(devices=[]), set_zero3_state():
        torch.manual_seed(seed)
        model = LlavaForConditionalGeneration(config)
    text = config.text_config
    model.generation_config = GenerationConfig(
        eos_token_id=text.eos_token_id, pad_token_id=text.pad_token_id, do_sample=False
    )
    return model
