"""Rows → examples: views, overflow, rows without scans, errors that name the row."""

import copy
import itertools
from concurrent.futures import ThreadPoolExecutor
from functools import lru_cache
from unittest import mock

import nibabel
import numpy as np
import pytest
import torch
from families import FAMILIES, build_llava
from hypothesis import given
from hypothesis import strategies as st
from properties import examples

from umbrella.conversations.encoder import ConversationError
from umbrella.models.image_size import resolve_image_size, state_image_size
from umbrella.models.tiny_llava import build_tiny_processor
from umbrella.rows import transform as transform_module
from umbrella.rows.transform import ConversationTransform
from umbrella.scans.volumes import ScanError, load_image, load_volume
from umbrella.views.loading import load_view
from umbrella.views.planes import make_view

SPACING_MM = (2.0, 1.5, 3.0)


def make_row(*turns, scans=(), task_id="row 1", source="train/a.json"):
    """A row of (user items, answer) turns; None among the items is the next scan, a path or a file's bytes."""
    conversations = []
    for items, answer in turns:
        content = [{"type": "image"} if item is None else {"type": "text", "text": item} for item in items]
        conversations.append({"role": "user", "content": content})
        conversations.append({"role": "assistant", "content": [{"type": "text", "text": answer}]})
    images = [
        {"path": "", "bytes": scan, "modality": "sMRI"}
        if isinstance(scan, bytes)
        else {"path": str(scan), "modality": "sMRI"}
        for scan in scans
    ]
    return {
        "task_id": task_id,
        "images": images,
        "conversations": conversations,
        "metadata": {"subject_id": "s1"},
        "source": source,
    }


def transform_rows(transform, *rows):
    return transform({key: [row[key] for row in rows] for key in rows[0]})


@pytest.fixture(scope="module")
def scans(tmp_path_factory):
    """Three scans of different shapes, one of them stored with flipped axes."""
    folder, paths = tmp_path_factory.mktemp("scans"), []
    for seed, shape in enumerate([(9, 11, 7), (12, 8, 10), (10, 10, 9)]):
        voxels = np.random.default_rng(seed).integers(0, 1000, shape).astype(np.int16)
        affine = np.diag([(-1) ** seed * SPACING_MM[0], *SPACING_MM[1:], 1])
        paths.append(folder / f"scan_{seed}.nii.gz")
        nibabel.Nifti1Image(voxels, affine).to_filename(paths[-1])
    return paths


# ------------------------------------------------------------------------------------------------ what comes out


def test_a_row_becomes_tokens_labels_and_the_view_of_each_scan(scans):
    transform = ConversationTransform(build_llava())
    row = make_row(([None, "The reference."], "Understood."), (["And this?", None], "A female."), scans=scans[:2])
    examples = transform_rows(transform, row)
    assert {key: len(values) for key, values in examples.items()} == dict.fromkeys(
        ("input_ids", "attention_mask", "labels", "pixel_values", "metadata", "task_id"), 1
    )
    assert examples["task_id"] == ["row 1"] and examples["metadata"] == [{"subject_id": "s1"}]
    expected = np.concatenate([make_view(load_image(scan), "axial", 32, np.array(SPACING_MM)) for scan in scans[:2]])
    np.testing.assert_allclose(examples["pixel_values"][0], expected, atol=1e-5)
    assert set(examples["attention_mask"][0]) == {1}
    supervised = [label for label in examples["labels"][0] if label != -100]
    assert transform.processor.tokenizer.decode(supervised) == "Understood.</s>A female.</s>"


def test_bytes_in_a_row_go_before_its_path(scans):
    transform = ConversationTransform(build_llava())
    question = ([None, "Sex?"], "male")
    from_path, from_bytes = (
        transform_rows(transform, make_row(question, scans=[scan]))["pixel_values"][0]
        for scan in (scans[0], scans[0].read_bytes())
    )
    assert torch.equal(from_path, from_bytes)


def test_scans_stand_in_the_order_of_their_placeholders(scans):
    transform = ConversationTransform(build_llava())
    question = ([None, "then", None], "Two.")
    forth = transform_rows(transform, make_row(question, scans=scans[:2]))["pixel_values"][0]
    back = transform_rows(transform, make_row(question, scans=scans[1::-1]))["pixel_values"][0]
    assert torch.equal(forth, back.flip(0))
    assert not torch.equal(forth, back)


@pytest.mark.parametrize("family", FAMILIES)
def test_rows_with_and_without_scans_make_lists_of_one_length(family, scans):
    """So that datasets can cut them into rows again; None stands where a row has no scan."""
    transform = ConversationTransform(FAMILIES[family](), image_size=56 if family == "qwen2_5_vl" else None)
    rows = [make_row((["Sex?"], "male")), make_row(([None, "Sex?"], "male"), scans=scans[:1])]
    examples = transform_rows(transform, *rows)
    assert {len(values) for values in examples.values()} == {2}
    assert examples["pixel_values"][0] is None
    assert torch.isfinite(examples["pixel_values"][1]).all()


@pytest.mark.parametrize("family", FAMILIES)
def test_rows_without_scans_have_no_image_keys(family):
    examples = transform_rows(ConversationTransform(FAMILIES[family]()), make_row((["Sex?"], "male")))
    tokens = {"input_ids", "attention_mask", "labels", "token_type_ids", "mm_token_type_ids"}
    assert set(examples) - tokens == {"metadata", "task_id"}


@pytest.mark.parametrize("view, images", [("slices:3", 3), ("montage:2", 1), ("triplanar", 1)])
def test_each_image_of_a_view_has_its_placeholder(view, images, scans):
    processor = build_llava()
    row = make_row(([None, "Compare", None], "Done."), scans=scans[:2])
    examples = transform_rows(ConversationTransform(processor, view=view), row)
    assert examples["pixel_values"][0].shape == (2 * images, 3, 32, 32)
    assert examples["input_ids"][0].count(processor.image_token_id) == 2 * images * 16
    volume, spacing_mm = load_volume(scans[1])
    np.testing.assert_allclose(
        examples["pixel_values"][0][images:], make_view(volume, view, 32, spacing_mm), atol=1e-5
    )


def test_without_standardize_the_processors_mean_and_std_are_applied(scans):
    processor = build_llava()
    row = make_row(([None, "Sex?"], "male"), scans=scans[:1])
    pixel_values = transform_rows(ConversationTransform(processor, standardize=False), row)["pixel_values"][0]
    plain = make_view(load_image(scans[0], standardize=False), "axial", 32, np.array(SPACING_MM))[0]
    mean, std = (np.array(getattr(processor.image_processor, name)) for name in ("image_mean", "image_std"))
    expected = (plain - mean[:, None, None]) / std[:, None, None]
    np.testing.assert_allclose(pixel_values[0], expected, atol=1e-5)


def test_the_prompt_for_evaluation_leaves_the_last_answer_out(scans):
    row = make_row(([None, "The reference."], "Understood."), (["And this?", None], "A female."), scans=scans[:2])
    examples = transform_rows(ConversationTransform(build_llava(), add_generation_prompt=True), row)
    words = build_llava().tokenizer.decode(examples["input_ids"][0])
    assert "Understood." in words and words.rstrip().endswith("ASSISTANT:") and "A female." not in words
    assert set(examples["labels"][0]) == {-100}
    assert examples["pixel_values"][0].shape == (2, 3, 32, 32)


def test_rows_are_not_changed(scans):
    row = make_row(([None, "The reference."], "Understood."), (["And this?", None], "A female."), scans=scans[:2])
    before = copy.deepcopy(row)
    transform_rows(ConversationTransform(build_llava(), view="slices:2", max_length=70), row)
    assert row == before


# ------------------------------------------------------------------------------------------------ errors


def test_an_unreadable_scan_is_an_error_with_the_rows_source_in_front(tmp_path):
    row = make_row(([None, "Sex?"], "male"), scans=[tmp_path / "gone.nii"], source="train/x.jsonl:12")
    with pytest.raises(ScanError, match=r"^train/x\.jsonl:12: .*gone\.nii"):
        transform_rows(ConversationTransform(build_llava()), row)


def test_a_row_that_does_not_fit_is_an_error_with_its_source_in_front(scans):
    row = make_row(([None, "Sex?"], "male"), scans=scans[:1], source="test/y.json")
    with pytest.raises(ConversationError, match=r"^test/y\.json: expected at most max_length=10 tokens"):
        transform_rows(ConversationTransform(build_llava(), max_length=10), row)


def test_a_row_without_a_supervised_token_is_an_error():
    with pytest.raises(ConversationError, match=r"^train/a\.json: expected at least one supervised token, found none"):
        transform_rows(ConversationTransform(build_llava()), make_row((["Sex?"], " ")))


def test_an_unknown_way_to_overflow_is_an_error():
    with pytest.raises(ValueError, match="on_overflow: expected one of drop_turns, raise, found 'cut'"):
        ConversationTransform(build_llava(), on_overflow="cut")


@pytest.mark.parametrize("family, size", [("llava_1_5", 32), ("idefics3", 32), ("gemma3", 32), ("llava_next", 32)])
def test_another_size_than_the_processor_states_is_an_error_that_names_the_right_one(family, size):
    processor = FAMILIES[family]()
    assert state_image_size(processor) == resolve_image_size(processor, None) == size
    with pytest.raises(ValueError, match=r"image_size: expected 32, .* found 48"):
        ConversationTransform(processor, image_size=48)


def test_a_processor_that_states_no_size_takes_any_multiple_of_its_patches():
    processor = FAMILIES["qwen2_5_vl"]()
    assert [resolve_image_size(processor, size) for size in (None, 56, 280)] == [224, 56, 280]
    for wrong in (0, -28, 60):
        with pytest.raises(ValueError, match=f"expected a multiple of 28 .* found {wrong}. Set it to (28|56)"):
            resolve_image_size(processor, wrong)


# ------------------------------------------------------------------------------------------------ properties

# Without "<", which every control token of the families has: text that spells one is refused, see test_conversations.
WORDS = st.text(st.characters(codec="utf-8", exclude_categories=("Cs", "Cc"), exclude_characters="<"), max_size=12)
USER_ITEMS = st.lists(st.one_of(st.none(), WORDS), min_size=1, max_size=4)
TURNS = st.lists(st.tuples(USER_ITEMS, WORDS.filter(str.strip)), min_size=1, max_size=4)


@lru_cache
def get_processor(family):
    return build_tiny_processor(32) if family == "tiny" else FAMILIES[family]()


def draw_view(path, modality, view, image_size, normalize, standardize):
    """Instead of a file: views in which every pixel is the scan's number, so that it can be told which were kept."""
    return np.full((transform_module.n_images(view), 3, image_size, image_size), float(path), np.float32)


# Family → (image size, tokens that stand for one image).
TOKENS_OF_AN_IMAGE = {"tiny": (32, 4), "qwen2_5_vl": (56, 4), "idefics3": (32, 4), "gemma3": (32, 16)}


@pytest.mark.slow
@pytest.mark.parametrize("family", TOKENS_OF_AN_IMAGE)
@examples(40)
@given(turns=TURNS, max_length=st.integers(1, 160), images=st.sampled_from([1, 2]))
def test_whatever_the_row_the_newest_exchanges_stay_whole_or_the_error_names_the_row(
    family, turns, max_length, images
):
    """Never a cut image run, as many image tokens as features, the last exchange kept, something supervised."""
    size, tokens_of_an_image = TOKENS_OF_AN_IMAGE[family]
    view = {1: "axial", 2: "slices:2"}[images]
    options = {"processor": get_processor(family), "view": view, "image_size": size}
    transform, unbounded = (ConversationTransform(**options, max_length=n) for n in (max_length, 10**6))
    scans = list(range(1, 1 + sum(item is None for items, _ in turns for item in items)))
    with mock.patch.object(transform_module, "load_view", draw_view):
        # The row with its oldest exchange gone, and the next, ... down to the last exchange alone.
        shorter = []
        for first in range(len(turns)):
            n = sum(item is None for items, _ in turns[first:] for item in items)
            shorter.append(unbounded.encode_row(make_row(*turns[first:], scans=scans[len(scans) - n :])))
        fitting = [example for example in shorter if len(example["input_ids"]) <= max_length]
        row = make_row(*turns, scans=scans)
        if not fitting:
            needed = len(shorter[-1]["input_ids"])
            with pytest.raises(ConversationError, match=rf"^train/a\.json: .* Set --max_length to {needed} or more"):
                transform.encode_row(row)
            return
        example = transform.encode_row(row)

    assert example["input_ids"] == fitting[0]["input_ids"]
    assert example["labels"] == fitting[0]["labels"]
    assert any(label != -100 for label in example["labels"])
    kept = turns[len(turns) - len(fitting) :]
    shown = scans[len(scans) - sum(i is None for items, _ in kept for i in items) :]
    features = [] if not shown else example["pixel_values"].reshape(len(shown) * images, -1)[:, 0].tolist()
    assert features == [number for number in shown for _ in range(images)]
    is_image = [token in transform.encoder.image_token_ids for token in example["input_ids"]]
    runs = [len(list(run)) for of_image, run in itertools.groupby(is_image) if of_image]
    assert sum(runs) == len(features) * tokens_of_an_image
    assert all(run % tokens_of_an_image == 0 for run in runs)


def test_views_loaded_after_one_another_and_in_threads_do_not_disturb_each_other(tmp_path):
    paths = []
    for seed, shape in enumerate([(9, 11, 7), (20, 6, 15), (5, 5, 5), (16, 16, 16)]):
        voxels = np.random.default_rng(seed).integers(0, 500, shape).astype([np.int16, np.float32, np.uint8][seed % 3])
        paths.append(tmp_path / f"{seed}.nii")
        nibabel.Nifti1Image(voxels, np.diag([2.0, 1.5, 3.0, 1.0])).to_filename(paths[-1])
    expected = []
    for path in paths:
        volume, spacing_mm = load_volume(path)
        expected.append(make_view(volume, "triplanar", 32, spacing_mm))
    with ThreadPoolExecutor(4) as pool:
        views = list(pool.map(lambda path: load_view(path, "sMRI", "triplanar", 32), paths * 25))
    for i, view in enumerate(views):
        np.testing.assert_allclose(view, expected[i % 4], atol=1e-5)
