"""Processors of nine model families, built from their transformers classes with small settings and own tokenizers.

The chat templates write the same text as the published checkpoints of each family do (roles, marks, white space, where
images go), so a test on them is a test of what a user will meet. Nothing is downloaded.
"""

import json
from functools import lru_cache

from tokenizers import Tokenizer, decoders, models, pre_tokenizers, processors, trainers
from transformers import (
    CLIPImageProcessor,
    Gemma3ImageProcessor,
    Gemma3Processor,
    Idefics3ImageProcessor,
    Idefics3Processor,
    LlavaNextImageProcessor,
    LlavaNextProcessor,
    LlavaOnevisionImageProcessor,
    LlavaOnevisionProcessor,
    LlavaOnevisionVideoProcessor,
    LlavaProcessor,
    PreTrainedTokenizerFast,
    Qwen2_5_VLProcessor,
    Qwen2VLImageProcessor,
    Qwen2VLVideoProcessor,
    Qwen3VLProcessor,
    Qwen3VLVideoProcessor,
    SmolVLMImageProcessor,
    SmolVLMProcessor,
    SmolVLMVideoProcessor,
)

from umbrella.models.volumes.processor import VolumeImageProcessor, VolumeProcessor

CORPUS = [
    "user assistant system USER: ASSISTANT: You are a helpful assistant.",
    "This is the T1-weighted scan of a reference subject, who is male. Understood: the reference is female.",
    "Is the second subject male or female? Compare the size of the ventricles with the scan before.",
    "The subject is most likely female. Ventricles have grown since the first scan.",
    "Ein Gehirn, ein Bild. 大脑 扫描 🧠 naïve café – 1.5 mm³",
] * 3

# Images first, each followed by a new line; then the texts; no mark ends the assistant's turn.
VICUNA = (
    "{% for m in messages %}{% if m['role'] != 'system' %}{{ m['role'] | upper }}: {% endif %}"
    "{% for c in m['content'] if c['type'] == 'image' %}{{ '<image>\n' }}{% endfor %}"
    "{% for c in m['content'] if c['type'] == 'text' %}{{ c['text'] + ' ' }}{% endfor %}"
    "{% endfor %}{% if add_generation_prompt %}{{ 'ASSISTANT:' }}{% endif %}"
)
MISTRAL = (
    "{{ bos_token }}{% for m in messages %}{% if m['role'] == 'assistant' %}"
    "{{ ' ' }}{% for c in m['content'] %}{{ c['text'] }}{% endfor %}{{ eos_token + ' ' }}"
    "{% else %}{{ '[INST] ' }}{% for c in m['content'] if c['type'] == 'image' %}{{ '<image>\n' }}{% endfor %}"
    "{% for c in m['content'] if c['type'] == 'text' %}{{ c['text'] }}{% endfor %}{{ ' [/INST]' }}"
    "{% endif %}{% endfor %}"
)
ONEVISION = (
    "{% for m in messages %}{{ '<|im_start|>' + m['role'] + ' ' }}"
    "{% for c in m['content'] if c['type'] == 'image' %}{{ '<image>' }}{% endfor %}"
    "{% for c in m['content'] if c['type'] == 'text' %}{{ '\n' + c['text'] }}{% endfor %}"
    "{{ '<|im_end|>' }}{% endfor %}{% if add_generation_prompt %}{{ '<|im_start|>assistant\n' }}{% endif %}"
)
QWEN2_5 = (
    "{% for m in messages %}{% if loop.first and m['role'] != 'system' %}"
    "{{ '<|im_start|>system\nYou are a helpful assistant.<|im_end|>\n' }}{% endif %}"
    "{{ '<|im_start|>' + m['role'] + '\n' }}{% for c in m['content'] %}"
    "{% if c['type'] == 'image' %}{{ '<|vision_start|><|image_pad|><|vision_end|>' }}"
    "{% else %}{{ c['text'] }}{% endif %}"
    "{% endfor %}{{ '<|im_end|>\n' }}{% endfor %}"
    "{% if add_generation_prompt %}{{ '<|im_start|>assistant\n' }}{% endif %}"
)
# As Qwen3's: an empty think block opens the last assistant turn.
QWEN3 = QWEN2_5.replace(
    "{{ '<|im_start|>' + m['role'] + '\n' }}",
    "{{ '<|im_start|>' + m['role'] + '\n' }}{% if loop.last and m['role'] == 'assistant' %}"
    "{{ '<think>\n\n</think>\n\n' }}{% endif %}",
).replace("{{ '<|im_start|>system\nYou are a helpful assistant.<|im_end|>\n' }}", "")
IDEFICS3 = (
    "{{ '<|im_start|>' }}{% for m in messages %}{{ m['role'] | capitalize }}"
    "{% if m['content'] and m['content'][0]['type'] == 'image' %}{{ ':' }}{% else %}{{ ': ' }}{% endif %}"
    "{% for c in m['content'] %}{% if c['type'] == 'image' %}{{ '<image>' }}{% else %}{{ c['text'] }}{% endif %}"
    "{% endfor %}{{ '<end_of_utterance>\n' }}{% endfor %}{% if add_generation_prompt %}{{ 'Assistant:' }}{% endif %}"
)
GEMMA3 = (
    "{{ bos_token }}{% if messages[0]['role'] == 'system' %}"
    "{% set first = messages[0]['content'][0]['text'] + '\n\n' %}"
    "{% set rest = messages[1:] %}{% else %}{% set first = '' %}{% set rest = messages %}{% endif %}"
    "{% for m in rest %}{{ '<start_of_turn>' + ('model' if m['role'] == 'assistant' else m['role']) + '\n' }}"
    "{% if loop.first %}{{ first }}{% endif %}{% for c in m['content'] %}"
    "{% if c['type'] == 'image' %}{{ '<start_of_image>' }}{% else %}{{ c['text'] | trim }}{% endif %}{% endfor %}"
    "{{ '<end_of_turn>\n' }}{% endfor %}{% if add_generation_prompt %}{{ '<start_of_turn>model\n' }}{% endif %}"
)


@lru_cache
def train_tokenizer(kind: str) -> str:
    """A tokenizer trained on CORPUS, as JSON: "bytelevel" (GPT-2 style) or "metaspace" (sentencepiece style, with a
    prefix space and byte fallback)."""
    if kind == "bytelevel":
        tokenizer = Tokenizer(models.BPE())
        tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
        tokenizer.decoder = decoders.ByteLevel()
        trainer = trainers.BpeTrainer(vocab_size=500, initial_alphabet=pre_tokenizers.ByteLevel.alphabet())
    else:
        tokenizer = Tokenizer(models.BPE(byte_fallback=True, unk_token="<unk>", fuse_unk=True))
        tokenizer.pre_tokenizer = pre_tokenizers.Metaspace(prepend_scheme="first")
        tokenizer.decoder = decoders.Sequence(
            [decoders.Replace("▁", " "), decoders.ByteFallback(), decoders.Fuse(), decoders.Strip(" ", 1, 0)]
        )
        trainer = trainers.BpeTrainer(
            vocab_size=700, special_tokens=["<unk>"] + [f"<0x{b:02X}>" for b in range(256)], max_token_length=12
        )
    tokenizer.train_from_iterator(CORPUS, trainer)
    as_json = json.loads(tokenizer.to_str())
    # Byte tokens are plain entries, as in a sentencepiece model, not special ones.
    as_json["added_tokens"] = [t for t in as_json["added_tokens"] if t["content"] == "<unk>"]
    return json.dumps(as_json)


def build_tokenizer(kind, specials=(), *, bos=None, eos="<|im_end|>", pad="<pad>", adds_bos=False, **attributes):
    """A fast tokenizer of `kind` with special tokens; `adds_bos` makes it put bos in front, as Llama's does."""
    backend = Tokenizer.from_str(train_tokenizer(kind))
    tokenizer = PreTrainedTokenizerFast(
        tokenizer_object=backend,
        bos_token=bos,
        eos_token=eos,
        pad_token=pad,
        extra_special_tokens=attributes,
    )
    tokenizer.add_special_tokens({"extra_special_tokens": list(specials)})
    if adds_bos:
        tokenizer.backend_tokenizer.post_processor = processors.TemplateProcessing(
            single=f"{bos} $A", special_tokens=[(bos, tokenizer.convert_tokens_to_ids(bos))]
        )
    return tokenizer


def clip_image_processor(size=32, **options):
    return CLIPImageProcessor(size={"shortest_edge": size}, crop_size={"height": size, "width": size}, **options)


def build_llava(kind="metaspace", template=VICUNA):
    if kind == "metaspace":
        tokenizer = build_tokenizer(kind, ["<image>"], bos="<s>", eos="</s>", adds_bos=True)
    else:
        tokenizer = build_tokenizer(kind, ["<image>"], eos="</s>")
    return LlavaProcessor(
        clip_image_processor(),
        tokenizer,
        patch_size=8,
        vision_feature_select_strategy="default",
        num_additional_image_tokens=1,
        chat_template=template,
    )


def build_chatml(kind="bytelevel"):
    """A processor without a chat template: our ChatML text is used."""
    tokenizer = build_tokenizer(kind, ["<image>", "<|im_start|>", "<|im_end|>"])
    return LlavaProcessor(
        clip_image_processor(),
        tokenizer,
        patch_size=8,
        vision_feature_select_strategy="default",
        num_additional_image_tokens=1,
    )


def build_llava_next(kind="metaspace"):
    tokenizer = build_tokenizer(kind, ["<image>"], bos="<s>", eos="</s>", adds_bos=True)
    image_processor = LlavaNextImageProcessor(
        size={"shortest_edge": 32},
        crop_size={"height": 32, "width": 32},
        image_grid_pinpoints=[[32, 64], [64, 32], [64, 64]],
    )
    return LlavaNextProcessor(
        image_processor,
        tokenizer,
        patch_size=8,
        vision_feature_select_strategy="default",
        num_additional_image_tokens=1,
        chat_template=MISTRAL,
    )


def build_llava_onevision(kind="bytelevel"):
    tokenizer = build_tokenizer(kind, ["<image>", "<video>", "<|im_start|>", "<|im_end|>"])
    image_processor = LlavaOnevisionImageProcessor(
        size={"height": 32, "width": 32}, image_grid_pinpoints=[[32, 32], [32, 64], [64, 64]]
    )
    return LlavaOnevisionProcessor(
        image_processor,
        tokenizer,
        LlavaOnevisionVideoProcessor(size={"height": 32, "width": 32}),
        num_image_tokens=16,
        vision_feature_select_strategy="full",
        chat_template=ONEVISION,
        vision_aspect_ratio="anyres_max_9",
    )


QWEN_SPECIALS = ["<|im_start|>", "<|im_end|>", "<|vision_start|>", "<|vision_end|>", "<|image_pad|>", "<|video_pad|>"]


def build_qwen2_5_vl(kind="bytelevel"):
    tokenizer = build_tokenizer(kind, QWEN_SPECIALS)
    sizes = {"min_pixels": 28 * 28, "max_pixels": 28 * 28 * 64}
    return Qwen2_5_VLProcessor(
        Qwen2VLImageProcessor(**sizes), tokenizer, Qwen2VLVideoProcessor(), chat_template=QWEN2_5
    )


def build_qwen3_vl(kind="bytelevel"):
    tokenizer = build_tokenizer(kind, [*QWEN_SPECIALS, "<think>", "</think>"])
    image_processor = Qwen2VLImageProcessor(min_pixels=32 * 32, max_pixels=32 * 32 * 64, patch_size=16, merge_size=2)
    return Qwen3VLProcessor(image_processor, tokenizer, Qwen3VLVideoProcessor(), chat_template=QWEN3)


def _idefics_tokenizer(kind):
    tags = ["<fake_token_around_image>", "<image>", "<end_of_utterance>", "<global-img>", "<|im_start|>", "<video>"]
    tags += [f"<row_{i}_col_{j}>" for i in range(1, 7) for j in range(1, 7)]
    return build_tokenizer(kind, tags, eos="<end_of_utterance>")


def build_idefics3(kind="bytelevel"):
    image_processor = Idefics3ImageProcessor(size={"longest_edge": 64}, max_image_size={"longest_edge": 32})
    return Idefics3Processor(image_processor, _idefics_tokenizer(kind), image_seq_len=4, chat_template=IDEFICS3)


def build_smolvlm(kind="bytelevel"):
    image_processor = SmolVLMImageProcessor(size={"longest_edge": 64}, max_image_size={"longest_edge": 32})
    return SmolVLMProcessor(
        image_processor, _idefics_tokenizer(kind), SmolVLMVideoProcessor(), image_seq_len=4, chat_template=IDEFICS3
    )


def build_gemma3(kind="metaspace"):
    specials = ["<start_of_turn>", "<end_of_turn>", "<start_of_image>", "<end_of_image>", "<image_soft_token>"]
    tokenizer = build_tokenizer(
        kind,
        specials,
        bos="<bos>",
        eos="<end_of_turn>",
        adds_bos=True,
        image_token="<image_soft_token>",
        boi_token="<start_of_image>",
        eoi_token="<end_of_image>",
    )
    image_processor = Gemma3ImageProcessor(size={"height": 32, "width": 32})
    return Gemma3Processor(image_processor, tokenizer, chat_template=GEMMA3, image_seq_length=16)


def build_volumes(kind="bytelevel"):
    """Of whole volumes, (1, 32, 32, 32) where no frames are asked for; each becomes 8 tokens."""
    tokenizer = build_tokenizer(kind, QWEN_SPECIALS, image_token="<|image_pad|>")
    image_processor = VolumeImageProcessor(volume_size="32x32x32", volume_spacing=2.0)
    return VolumeProcessor(image_processor, tokenizer, chat_template=QWEN2_5)


FAMILIES = {
    "llava_1_5": build_llava,
    "llava_next": build_llava_next,
    "llava_onevision": build_llava_onevision,
    "qwen2_5_vl": build_qwen2_5_vl,
    "qwen3_vl": build_qwen3_vl,
    "idefics3": build_idefics3,
    "smolvlm": build_smolvlm,
    "gemma3": build_gemma3,
    "volumes": build_volumes,
    "chatml": build_chatml,
}


def image_shape(family):
    """Of one image as the family's processor takes it: (3, size, size), or a volume (1, 32, 32, 32)."""
    size = {"qwen2_5_vl": 56, "qwen3_vl": 64}.get(family, 32)
    return (1, 32, 32, 32) if family == "volumes" else (3, size, size)
