"""Batches: padding and joining, for every family, up to the loss of its stock model."""

import copy
from functools import lru_cache

import numpy as np
import pytest
import torch
from families import FAMILIES, build_llava, image_shape
from family_models import MODELS, build_model

from umbrella.conversations.encoder import ConversationEncoder
from umbrella.rows.collator import ConversationCollator

FLOAT_IMAGES = {"do_resize": False, "do_rescale": False, "do_normalize": False, "input_data_format": "channels_first"}
# What stands where, in the words that each row holds; None is a scan.
ROWS = {
    "one scan": [([None, "Male or female?"], "The subject is female.")],
    "no scan": [(["Is anyone there?"], "No.")],
    "three scans": [(["The reference:", None], "Understood."), ([None, None, "These two?"], "Both are male.")],
    "another one scan": [(["Has it grown?", None], "It has shrunk.")],
}


@lru_cache
def get_processor(family):
    return FAMILIES[family]()


@lru_cache
def make_example(family, row):
    """A row of ROWS, encoded by a family's processor, its scans drawn from the row's name."""
    turns = []
    for items, answer in ROWS[row]:
        content = [{"type": "image"} if item is None else {"type": "text", "text": item} for item in items]
        turns += [{"role": "user", "content": content}, {"role": "assistant", "content": answer}]
    n = sum(item is None for items, _ in ROWS[row] for item in items)
    images = np.random.default_rng(len(row)).standard_normal((n, *image_shape(family)), dtype=np.float32)
    encoded = ConversationEncoder(get_processor(family), **FLOAT_IMAGES).encode(turns, list(images))
    return encoded | {"metadata": {"subject_id": row}, "task_id": f"task {row}"}


def make_examples(family, *rows):
    return [copy.deepcopy(make_example(family, row)) for row in rows]


def test_rows_are_padded_on_the_right_to_a_multiple_of_8():
    examples = [
        {"input_ids": [5, 6, 7], "attention_mask": [1, 1, 1], "labels": [-100, 6, 7], "token_type_ids": [0, 1, 1]},
        {"input_ids": [8], "attention_mask": [1], "labels": [8], "token_type_ids": [1]},
    ]
    processor = build_llava()
    pad = processor.tokenizer.pad_token_id
    batch = ConversationCollator(processor)(examples)
    assert {key: value.tolist() for key, value in batch.items()} == {
        "input_ids": [[5, 6, 7] + [pad] * 5, [8] + [pad] * 7],
        "attention_mask": [[1, 1, 1, 0, 0, 0, 0, 0], [1, 0, 0, 0, 0, 0, 0, 0]],
        "labels": [[-100, 6, 7] + [-100] * 5, [8] + [-100] * 7],
        "token_type_ids": [[0, 1, 1, 0, 0, 0, 0, 0], [1, 0, 0, 0, 0, 0, 0, 0]],
    }
    assert all(value.dtype == torch.int64 for value in batch.values())


def test_rows_are_padded_on_the_left_for_generation():
    examples = [
        {"input_ids": [5, 6, 7], "attention_mask": [1, 1, 1], "labels": [-100] * 3},
        {"input_ids": [8], "attention_mask": [1], "labels": [-100]},
    ]
    processor = build_llava()
    pad = processor.tokenizer.pad_token_id
    batch = ConversationCollator(processor, padding_side="left")(examples)
    assert batch["input_ids"].tolist() == [[pad] * 5 + [5, 6, 7], [pad] * 7 + [8]]
    assert batch["attention_mask"].tolist() == [[0] * 5 + [1, 1, 1], [0] * 7 + [1]]


def test_a_fixed_width_is_kept_and_a_longer_row_is_an_error():
    example = {"input_ids": [5, 6, 7], "attention_mask": [1, 1, 1], "labels": [5, 6, 7]}
    assert ConversationCollator(build_llava(), padding=5)([example])["input_ids"].shape == (1, 5)
    with pytest.raises(ValueError, match="expected rows of at most 2 tokens, found one of 3"):
        ConversationCollator(build_llava(), padding=2)([example])


@pytest.mark.parametrize("option", [{"padding": "max_length"}, {"padding_side": "middle"}])
def test_an_unknown_option_is_an_error(option):
    with pytest.raises(ValueError, match=f"{next(iter(option))}: expected"):
        ConversationCollator(build_llava(), **option)


def test_mask_does_not_come_from_the_pad_token():
    """A tokenizer whose pad token is its eos: the eos that ends an answer stays attended and supervised."""
    processor = build_llava()
    eos = processor.tokenizer.eos_token_id
    processor.tokenizer.pad_token = processor.tokenizer.eos_token
    batch = ConversationCollator(processor)([{"input_ids": [5, eos], "attention_mask": [1, 1], "labels": [-100, eos]}])
    assert batch["attention_mask"].tolist() == [[1, 1, 0, 0, 0, 0, 0, 0]]
    assert batch["labels"].tolist() == [[-100, eos] + [-100] * 6]


def test_a_tokenizer_without_a_pad_token_pads_with_eos():
    processor = build_llava()
    processor.tokenizer.pad_token = None
    batch = ConversationCollator(processor)([{"input_ids": [5], "attention_mask": [1], "labels": [5]}])
    assert batch["input_ids"].tolist() == [[5] + [processor.tokenizer.eos_token_id] * 7]


@pytest.mark.parametrize(
    "family, key, shape",
    [
        ("llava_1_5", "pixel_values", (5, 3, 32, 32)),
        ("llava_next", "pixel_values", (5, 3, 3, 32, 32)),
        ("llava_next", "image_sizes", (5, 2)),
        # The only image of a row is two tiles, each of several is one.
        ("llava_onevision", "pixel_values", (5, 2, 3, 32, 32)),
        ("llava_onevision", "batch_num_images", (3,)),
        ("qwen2_5_vl", "pixel_values", (5 * 16, 1176)),
        ("qwen3_vl", "image_grid_thw", (5, 3)),
        ("idefics3", "pixel_values", (1, 5, 3, 32, 32)),
        ("smolvlm", "pixel_attention_mask", (1, 5, 32, 32)),
        ("gemma3", "pixel_values", (5, 3, 32, 32)),
        ("chatml", "pixel_values", (5, 3, 32, 32)),
    ],
)
def test_images_of_all_rows_are_joined_in_their_order(family, key, shape):
    rows = ("one scan", "no scan", "three scans", "another one scan")
    batch = ConversationCollator(get_processor(family))(make_examples(family, *rows))
    assert tuple(batch[key].shape) == shape
    own = [make_example(family, row).get(key) for row in rows]
    axis = 1 if family in ("idefics3", "smolvlm") else 0
    joined, start = batch[key].transpose(0, axis), 0
    for value in (value.transpose(0, axis) for value in own if value is not None):
        part = joined[start : start + len(value)]
        assert torch.equal(part[tuple(slice(n) for n in value.shape)], value)
        start += len(value)
    assert start == len(joined)


@pytest.mark.parametrize("family, shape", [("idefics3", (1, 2, 3, 32, 32)), ("llava_next", (2, 3, 3, 32, 32))])
def test_rows_of_one_image_are_joined_on_the_same_axis_as_rows_of_many(family, shape):
    """From (1, 1, 3, H, W) and (1, tiles, 3, H, W) alone one cannot tell the axis of rows from that of images."""
    batch = ConversationCollator(get_processor(family))(make_examples(family, "one scan", "another one scan"))
    assert tuple(batch["pixel_values"].shape) == shape


@pytest.mark.parametrize("family", FAMILIES)
def test_a_batch_without_scans_has_no_image_keys(family):
    (example,) = make_examples(family, "no scan")
    absent = example | {"pixel_values": None}  # as datasets hands it where another row of the fetch has a scan
    batch = ConversationCollator(get_processor(family))([example, absent])
    assert set(batch) <= {"input_ids", "attention_mask", "labels", "token_type_ids", "mm_token_type_ids"}
    assert len({tuple(value.shape) for value in batch.values()}) == 1


@pytest.mark.parametrize("family", FAMILIES)
def test_the_collator_does_not_change_its_inputs(family):
    examples = make_examples(family, "one scan", "no scan", "three scans")
    before = copy.deepcopy(examples)
    ConversationCollator(get_processor(family), keep_metadata=True)(examples)
    for example, old in zip(examples, before, strict=True):
        assert example.keys() == old.keys()
        for key, value in example.items():
            assert torch.equal(value, old[key]) if isinstance(value, torch.Tensor) else value == old[key]


def test_names_of_the_rows_are_kept_only_when_asked_for():
    examples = make_examples("llava_1_5", "one scan", "no scan")
    assert set(ConversationCollator(build_llava())(examples)) == {
        "input_ids",
        "attention_mask",
        "labels",
        "pixel_values",
    }
    batch = ConversationCollator(build_llava(), keep_metadata=True)(examples)
    assert batch["task_ids"] == ["task one scan", "task no scan"]
    assert batch["metadata"] == [{"subject_id": "one scan"}, {"subject_id": "no scan"}]


@pytest.mark.parametrize("padding_side", ["right", "left"])
@pytest.mark.parametrize("family", MODELS)
def test_a_stock_models_loss_of_a_batch_is_the_mean_over_the_tokens_of_its_rows_alone(family, padding_side):
    """So neither padding nor joining lets one row see another, or an image stand in another's place."""
    processor = get_processor(family)
    model, collate = build_model(family, processor), ConversationCollator(processor, padding_side=padding_side)
    examples = make_examples(family, "one scan", "no scan", "three scans", "another one scan")
    with torch.inference_mode():
        alone = torch.stack([model(**collate([example])).loss for example in examples])
        batch = collate(examples)
        together = model(**batch)
        brighter = model(**batch | {"pixel_values": batch["pixel_values"] + 1})
    supervised = torch.tensor([sum(label != -100 for label in example["labels"][1:]) for example in examples])
    torch.testing.assert_close(together.loss, (alone * supervised).sum() / supervised.sum(), rtol=1e-5, atol=1e-5)
    assert (together.logits - brighter.logits).abs().max() > 0.01  # it does depend on the images


@pytest.mark.parametrize("family", MODELS)
def test_a_stock_model_takes_a_batch_without_scans(family):
    processor = get_processor(family)
    batch = ConversationCollator(processor)(make_examples(family, "no scan", "no scan"))
    with torch.inference_mode():
        assert torch.isfinite(build_model(family, processor)(**batch).loss)
