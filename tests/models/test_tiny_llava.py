"""Claims about the tiny LLaVA: its parts, that it is reproducible, that it is saved and loaded like any other."""

import pytest
import torch
from transformers import AutoModelForImageTextToText, AutoProcessor

from umbrella.models.tiny_llava import build_tiny_llava, build_tiny_processor

CONVERSATION = [
    {
        "role": "user",
        "content": [
            {"type": "text", "text": "Compare:"},
            {"type": "image"},
            {"type": "text", "text": "with"},
            {"type": "image"},
        ],
    },
    {"role": "assistant", "content": [{"type": "text", "text": "female"}]},
]
TEXT = "<|im_start|>user\nCompare:\n<image>\nwith\n<image><|im_end|>\n<|im_start|>assistant\nfemale<|im_end|>\n"


@pytest.fixture(scope="module")
def tiny():
    return build_tiny_llava(seed=0)


def to_batch(processor, image_size=64, text=TEXT):
    images = [torch.full((3, image_size, image_size), value) for value in (0.25, 0.75)]
    return processor(text=[text], images=images, do_rescale=False, return_tensors="pt")


def test_template_is_chatml_with_images_where_they_stand(tiny):
    _, processor = tiny
    assert processor.apply_chat_template(CONVERSATION) == TEXT
    prompt = processor.apply_chat_template(CONVERSATION[:1], add_generation_prompt=True)
    assert prompt == TEXT.removesuffix("female<|im_end|>\n")
    assert processor.apply_chat_template([{"role": "system", "content": "Hi"}]) == "<|im_start|>system\nHi<|im_end|>\n"


@pytest.mark.parametrize(("image_size", "tokens_an_image"), [(64, 16), (32, 4)])
def test_image_tokens_equal_image_features(image_size, tokens_an_image):
    model, processor = build_tiny_llava(image_size=image_size)
    batch = to_batch(processor, image_size)
    assert (batch["input_ids"] == model.config.image_token_id).sum() == 2 * tokens_an_image
    assert batch["pixel_values"].shape == (2, 3, image_size, image_size)
    assert torch.isfinite(model(**batch, labels=batch["input_ids"]).loss)


def test_prompt_ids_are_a_prefix_of_the_whole_conversation(tiny):
    _, processor = tiny
    prompt = processor.apply_chat_template(CONVERSATION[:1], add_generation_prompt=True)
    ids, prompt_ids = processor.tokenizer(TEXT).input_ids, processor.tokenizer(prompt).input_ids
    assert ids[: len(prompt_ids)] == prompt_ids


def test_tokenizer_keeps_the_answers_whole_and_any_text_lossless(tiny):
    _, processor = tiny
    tokenizer = processor.tokenizer
    for word in (" male", " female", " grown", " shrunk"):
        assert len(tokenizer(word).input_ids) == 1
    text = "Größe 12,5 µm\n\t☃ <|im_end|>"
    assert tokenizer.decode(tokenizer(text).input_ids) == text
    assert tokenizer.decode(tokenizer(TEXT).input_ids, skip_special_tokens=True).split()[-1] == "female"


def test_turn_end_stops_generation_and_every_id_has_an_embedding(tiny):
    model, processor = tiny
    turn_end = processor.tokenizer.convert_tokens_to_ids("<|im_end|>")
    assert processor.tokenizer.eos_token_id == model.generation_config.eos_token_id == turn_end
    assert processor.tokenizer.pad_token_id == model.generation_config.pad_token_id != turn_end
    assert model.get_input_embeddings().num_embeddings == len(processor.tokenizer) == 600


def test_same_seed_same_weights_and_the_random_state_of_the_caller_stays(tiny):
    state = torch.get_rng_state()
    again, processor = build_tiny_llava(seed=0)
    other, _ = build_tiny_llava(seed=1)
    assert torch.equal(state, torch.get_rng_state())
    weights = tiny[0].state_dict()
    assert all(torch.equal(weights[name], tensor) for name, tensor in again.state_dict().items())
    assert not all(torch.equal(weights[name], tensor) for name, tensor in other.state_dict().items())
    assert processor.tokenizer.get_vocab() == tiny[1].tokenizer.get_vocab()


def test_it_is_float32_and_of_about_0_7_million_parameters(tiny):
    assert 0.6e6 < tiny[0].num_parameters() < 0.8e6
    assert {parameter.dtype for parameter in tiny[0].parameters()} == {torch.float32}


def test_saved_and_loaded_by_the_auto_classes_it_is_the_same(tiny, tmp_path):
    model, processor = tiny
    model.save_pretrained(tmp_path)
    processor.save_pretrained(tmp_path)
    model_again = AutoModelForImageTextToText.from_pretrained(tmp_path)
    processor_again = AutoProcessor.from_pretrained(tmp_path)
    assert type(model_again) is type(model)
    assert type(processor_again) is type(processor)
    assert processor_again.apply_chat_template(CONVERSATION) == TEXT
    assert processor_again.tokenizer.eos_token == "<|im_end|>"
    assert model_again.generation_config.eos_token_id == model.generation_config.eos_token_id
    batch, batch_again = to_batch(processor), to_batch(processor_again)
    assert {name: tensor.tolist() for name, tensor in batch.items()} == {
        name: tensor.tolist() for name, tensor in batch_again.items()
    }
    with torch.no_grad():
        assert torch.equal(model.eval()(**batch).logits, model_again.eval()(**batch).logits)


def test_an_image_size_that_the_patches_do_not_fill_is_refused():
    with pytest.raises(ValueError, match="multiple of the patch size 16, found 70"):
        build_tiny_processor(image_size=70)
