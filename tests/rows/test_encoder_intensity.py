"""`--intensity encoder`: a PNG holds what is shown, and the stock processor makes the training's pixels of it."""

import io
from dataclasses import replace

import numpy as np
import pytest
import torch
from conversation_folder import write_scan
from families import FAMILIES
from PIL import Image

from umbrella.answers.serving.messages import build_messages, draw_scans
from umbrella.answers.serving.stock import to_stock_messages
from umbrella.models.image_size import state_image_size
from umbrella.models.tiny_llava import build_tiny_processor
from umbrella.models.view_settings import settle_settings
from umbrella.options.arguments import DataArguments
from umbrella.records.recipe import Recipe, load_recipe, resolve_recipe
from umbrella.rows.transform import ConversationTransform
from umbrella.scans.volumes import load_volume
from umbrella.views.augmentation import Augmentation
from umbrella.views.intensity_steps import round_to_levels, to_levels
from umbrella.views.loading import load_view
from umbrella.views.planes import make_view
from umbrella.views.settings import ViewSettings
from umbrella.views.volume_cache import VolumeCache

PICTURES = sorted(FAMILIES.keys() - {"volumes", "chatml"})
ENCODER = ViewSettings(intensity="encoder")


@pytest.fixture(scope="module")
def scans(tmp_path_factory):
    folder = tmp_path_factory.mktemp("scans")
    for seed in range(2):
        write_scan(folder / f"{seed}.nii", seed)
    return [{"path": str(folder / f"{seed}.nii"), "modality": "sMRI"} for seed in range(2)]


def make_row(scans):
    """A reference in front, then a scan behind its question's first words."""
    ask = [{"type": "text", "text": "Is this "}, {"type": "image"}, {"type": "text", "text": "male?"}]
    reply = [{"type": "text", "text": "Understood."}]
    turns = [
        {"role": "user", "content": ask[1:]},
        {"role": "assistant", "content": reply},
        {"role": "user", "content": ask},
        {"role": "assistant", "content": reply},
    ]
    return {"task_id": "row", "images": scans, "conversations": turns, "metadata": {}, "source": "train/a.json"}


@pytest.mark.parametrize("family", PICTURES)
@pytest.mark.parametrize("view", ["triplanar", "slices:3"])
def test_a_stock_processor_makes_of_a_png_what_training_shows_to_the_bit(family, view, scans):
    """The processor as it is saved, with its own resizing, rescaling, mean and deviation, of messages as `transformers
    serve` hands them on: same tokens, same pixels. Of LLaVA-1.5 one question: its template ends no earlier answer."""
    processor, row = FAMILIES[family](), make_row(scans)
    if family == "llava_1_5":
        row |= {"conversations": row["conversations"][2:], "images": scans[:1]}
    size = {"qwen2_5_vl": 28, "qwen3_vl": 32}.get(family)
    transform = ConversationTransform(processor, view, size, intensity="encoder", add_generation_prompt=True)
    shown = transform.encode_row(row)
    urls = draw_scans(row["images"], transform.settings)
    stock = processor.apply_chat_template(
        to_stock_messages(build_messages(row["conversations"], urls, view)),
        add_generation_prompt=True,
        tokenize=True,
        return_dict=True,
        return_tensors="pt",
    )
    assert stock["input_ids"][0].tolist() == shown["input_ids"]
    assert stock.keys() <= shown.keys()
    for key in stock.keys() - {"input_ids", "attention_mask", "token_type_ids", "mm_token_type_ids"}:
        assert torch.equal(stock[key], shown[key]), key


@pytest.mark.parametrize(
    ("family", "size"), [("qwen2_5_vl", 28 * 12), ("qwen3_vl", 32), ("idefics3", None), ("smolvlm", None)]
)
def test_a_processor_that_would_resize_states_that_it_does_not_also_where_it_is_saved(family, size, tmp_path):
    """12 patches a side are more pixels than the small Qwen's bound; Idefics3 would enlarge each tile to four."""
    processor = FAMILIES[family]()
    settle_settings(replace(ENCODER, image_size=size), processor, "")
    processor.save_pretrained(tmp_path)
    loaded = type(processor).from_pretrained(tmp_path)
    side = size or state_image_size(loaded)
    picture = np.random.default_rng(0).integers(0, 256, (3, side, side), np.uint8)
    found, plain = (
        loaded.image_processor(picture, return_tensors="pt", input_data_format="channels_first", **options)
        for options in ({}, {"do_resize": False})
    )
    assert found.keys() == plain.keys()
    assert all(torch.equal(found[key], plain[key]) for key in found)


def test_a_view_is_the_percentiles_range_in_256_levels_that_a_png_keeps(scans):
    """Against the whole volume's view, rounded by Pillow's own way of 8 bits; each level is one float32."""
    volume, spacing_mm = load_volume(scans[0]["path"], standardize=False)
    expected = np.rint(make_view(volume, "coronal", 24, spacing_mm).clip(0, 1) * 255)
    found = load_view(scans[0]["path"], view="coronal", image_size=24, intensity="encoder")
    assert found.dtype == np.float32 and found.min() == 0 and len(np.unique(found)) > 50
    assert np.abs(found * 255 - expected).max() <= 1  # which way a half goes is float32's
    assert (np.rint(found * 255) == expected).mean() > 0.999
    file = io.BytesIO()
    Image.fromarray(to_levels(found[0]).transpose(1, 2, 0)).save(file, "PNG")
    assert np.array_equal(np.asarray(Image.open(file)).transpose(2, 0, 1) / np.float32(255), found[0])
    levels = np.arange(256) / 255
    assert np.array_equal(to_levels(levels), np.arange(256)) and np.array_equal(
        round_to_levels(levels), levels.astype(np.float32)
    )


@pytest.mark.slow  # MONAI's import
def test_caches_and_augmentation_show_levels_too(scans, tmp_path):
    transform = ConversationTransform(
        build_tiny_processor(),
        **ENCODER.stated(),
        augment=Augmentation(0),
        volume_cache=VolumeCache(tmp_path / "cache"),
    )
    row = make_row(scans)
    moved = transform.load_images(row, 0)
    assert np.array_equal(round_to_levels(moved), moved)
    transform.augment = None
    fresh, kept = (transform.load_images(row, 0) for _ in range(2))
    assert np.array_equal(fresh, kept) and not np.array_equal(fresh, moved)
    plain = ConversationTransform(build_tiny_processor(), standardize=False, volume_cache=transform.volume_cache)
    assert not np.array_equal(plain.load_images(row, 0), kept)  # another setting is another entry


def test_the_recipe_keeps_it_and_refuses_another(tmp_path):
    processor = build_tiny_processor()
    recipe = resolve_recipe(ENCODER, processor, "")
    assert (recipe.intensity, recipe.normalize, recipe.standardize) == ("encoder", True, False)
    recipe.save(tmp_path)
    assert load_recipe(str(tmp_path)) == recipe == resolve_recipe(ENCODER, processor, str(tmp_path))
    assert "8 bits" in recipe.settings.describe()
    with pytest.raises(ValueError, match=r"standardize: .* was trained with False, found True"):
        resolve_recipe(ViewSettings(standardize=True), processor, str(tmp_path))
    Recipe(**(vars(recipe) | {"intensity": None, "standardize": True})).save(tmp_path)
    with pytest.raises(ValueError, match=r"intensity: .* was trained with None, found 'encoder'"):
        resolve_recipe(ENCODER, processor, str(tmp_path))


@pytest.mark.parametrize(
    ("wish", "found"),
    [({"standardize": True}, "--standardize true"), ({"normalize": False}, "--normalize false")],
)
def test_what_contradicts_it_is_refused_as_a_flag_and_in_python(wish, found):
    with pytest.raises(ValueError, match=f"--intensity encoder: .*{found}"):
        DataArguments(json_dir="data", intensity="encoder", **wish)
    with pytest.raises(ValueError, match=f"--intensity encoder: .*{found}"):
        ConversationTransform(build_tiny_processor(), intensity="encoder", **wish)


def test_volumes_have_steps_and_pictures_have_no_others(scans):
    with pytest.raises(ValueError, match=r"--intensity encoder: .*--view volume"):
        DataArguments(json_dir="data", view="volume", intensity="encoder")
    with pytest.raises(ValueError, match="--intensity encoder, which is of pictures"):
        settle_settings(ENCODER, FAMILIES["volumes"](), "model")
    with pytest.raises(ValueError, match="views of pictures, as this model takes them, found --intensity"):
        settle_settings(ViewSettings(intensity="minmax"), build_tiny_processor(), "model")
    with pytest.raises(ValueError, match="intensity: expected encoder"):
        load_view(scans[0]["path"], intensity="minmax")
