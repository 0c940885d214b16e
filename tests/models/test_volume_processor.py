"""Claims about the processor for volumes: whatever form a scan comes in, the model sees what it was trained on."""

import json

import nibabel
import numpy as np
import pytest
import torch
from families import build_tokenizer
from PIL import Image
from transformers import AutoProcessor, pipeline

from umbrella.models.tiny3d import build_tiny3d
from umbrella.models.volumes.processor import VolumeProcessor
from umbrella.rows.transform import ConversationTransform
from umbrella.scans.volumes import ScanError
from umbrella.views.settings import ViewSettings

AFFINE = np.array([[-2.5, 0, 0, 30], [0, 2, 0, -25], [0, 0, 3, -20], [0, 0, 0, 1.0]])  # the first axis is flipped


@pytest.fixture(scope="module")
def scans(tmp_path_factory):
    """A volume, a series, and what is none."""
    folder, rng = tmp_path_factory.mktemp("scans"), np.random.default_rng(0)
    volume = np.zeros((22, 26, 15), np.int16)
    volume[4:18, 5:22, 3:12] = rng.integers(300, 900, (14, 17, 9))
    series = (volume[..., None] * rng.uniform(0.7, 1.3, 6)).astype(np.int16)
    paths = {name: folder / f"{name}.nii.gz" for name in ("volume", "series", "cut")}
    nibabel.save(nibabel.Nifti1Image(volume, AFFINE), paths["volume"])
    nibabel.save(nibabel.Nifti1Image(series, AFFINE), paths["series"])
    paths["cut"].write_bytes(paths["volume"].read_bytes()[:-500])
    paths["picture"] = folder / "picture.png"
    Image.new("RGB", (8, 8)).save(paths["picture"])
    return paths


@pytest.fixture(scope="module")
def built():
    """A model and its processor for small volumes."""
    model, processor = build_tiny3d()
    processor.image_processor.settle(ViewSettings(volume_size="32x32x16", volume_spacing=3.0))
    model.config.vision_config.spacing_mm = 3.0
    return model, processor


@pytest.fixture(scope="module")
def processor(built):
    return built[1]


def ask(*items):
    return [{"role": "user", "content": [*items, {"type": "text", "text": "Male or female?"}]}]


def tokenize(processor, chats, **options):
    return processor.apply_chat_template(
        chats, tokenize=True, return_dict=True, return_tensors="pt", add_generation_prompt=True, **options
    )


@pytest.mark.parametrize("frames", [None, "4", "window:2"])
@pytest.mark.parametrize("name, modality", [("volume", "sMRI"), ("series", "fMRI"), ("series", "dMRI")])
def test_a_path_in_a_chat_is_what_training_makes_of_the_row(name, modality, frames, scans, processor):
    transform = ConversationTransform(processor, frames=frames, add_generation_prompt=True)
    text = {"type": "text", "text": "Male or female?"}
    scan = {"type": "image", "image_path": "", "modality": modality}
    row = {
        "images": [{"path": str(scans[name]), "modality": modality}],
        "conversations": [
            {"role": "user", "content": [scan, text]},
            {"role": "assistant", "content": [{"type": "text", "text": "female"}]},
        ],
        "metadata": {}, "task_id": "a", "source": "here",
    }  # fmt: skip
    expected = transform.encode_row(row)
    processor.image_processor.frames = frames
    found = tokenize(processor, ask({"type": "image", "path": str(scans[name])}))
    processor.image_processor.frames = None
    assert found["input_ids"][0].tolist() == expected["input_ids"]
    for key in ("pixel_values", "image_sizes"):
        assert torch.equal(found[key], expected[key])
    assert len(found["pixel_values"]) == 4 * 4 * 2  # up to 8 frames fill a patch


def test_a_transform_that_is_told_nothing_of_intensities_takes_the_processors():
    processor = build_tiny3d()[1]
    processor.image_processor.standardize = False
    transform = ConversationTransform(processor)
    assert (transform.settings.normalize, transform.settings.standardize) == (True, False)
    assert processor.image_processor.standardize is False


@pytest.mark.parametrize("key", ["path", "url", "image"])
def test_each_key_that_names_a_file_is_read(key, scans, processor):
    expected = processor.image_processor(str(scans["volume"]))
    found = tokenize(processor, ask({"type": "image", key: str(scans["volume"])}))
    assert torch.equal(found["pixel_values"], expected["pixel_values"])


def test_every_form_of_one_scan_is_one_view(scans, processor):
    path = scans["series"]
    read = processor.image_processor
    expected = read(str(path))["pixel_values"]
    loaded = nibabel.load(path)
    in_memory = nibabel.Nifti1Image(np.asarray(loaded.dataobj), loaded.affine)
    for scan in (path, path.read_bytes(), loaded, in_memory, [[path]]):
        assert torch.equal(read(scan)["pixel_values"], expected)
    scaled = nibabel.Nifti1Image(loaded.get_fdata() * 1e-3, loaded.affine)  # float64, another unit
    assert torch.allclose(read(scaled)["pixel_values"], expected, atol=1e-4)
    freesurfer = nibabel.MGHImage(np.asarray(nibabel.load(scans["volume"]).dataobj), AFFINE)
    assert torch.allclose(read(freesurfer)["pixel_values"], read(scans["volume"])["pixel_values"], atol=1e-4)
    view = read.read(path)
    for given in (view, view.numpy(), view[0].numpy().astype(np.float64), view[0]):
        assert torch.equal(read(given)["pixel_values"], expected)
    assert torch.equal(read(view[:1].numpy()[::-1])["pixel_values"], expected)  # one frame, a negative stride
    turned_twice = view.flip(1).contiguous().numpy()[:, ::-1]
    assert torch.equal(read(turned_twice)["pixel_values"], expected)


def test_a_batch_of_chats_has_several_scans_and_none(scans, processor):
    volume, series = ({"type": "image", "path": str(scans[name])} for name in ("volume", "series"))
    chats = [ask(volume, series), [{"role": "user", "content": "Hello"}], ask(series)]
    batch = tokenize(processor, chats, processor_kwargs={"padding": True, "padding_side": "left"})
    assert batch["image_sizes"].shape == (3, 4)
    n_tokens = (batch["input_ids"] == processor.image_token_id).sum(dim=1).tolist()
    assert n_tokens == [64, 0, 32]
    alone = [tokenize(processor, chat)["input_ids"][0].tolist() for chat in chats]
    for ids, mask, expected in zip(batch["input_ids"], batch["attention_mask"], alone, strict=True):
        assert ids[mask.bool()].tolist() == expected
    assert set(tokenize(processor, chats[1])) == {"input_ids", "attention_mask"}


@pytest.mark.parametrize(
    "given, message",
    [
        (Image.new("RGB", (8, 8)), r"expected scans .*found Image\. This model takes whole volumes, no pictures"),
        (None, r"images: expected scans .*found NoneType"),
        ("https://a.org/x.nii.gz", r"found an address \(https://a.org/x.nii.gz\).*Download it, and give the path"),
        (np.zeros((32, 32, 32)), r"of 32x32x16 voxels of 3 mm, found shape \(32, 32, 32\).*Give the scan"),
        (np.full((32, 32, 16), np.nan), r"expected finite numbers in an array, found nan or inf"),
        (np.zeros((3, 64, 64), np.uint8), r"found shape \(3, 64, 64\)"),
    ],
    ids=["picture", "nothing", "address", "array", "nan", "pixels"],
)  # fmt: skip
def test_what_is_no_scan_is_refused_in_one_sentence(given, message, processor):
    with pytest.raises(ValueError, match=message) as error:
        processor.image_processor([given])
    assert "\n" not in str(error.value)


@pytest.mark.parametrize("name", ["cut", "picture"])
def test_a_file_that_is_no_whole_scan_is_named(name, scans, processor):
    with pytest.raises(ScanError, match=rf"{name}\.[\w.]+: expected"):
        tokenize(processor, ask({"type": "image", "path": str(scans[name])}))
    with pytest.raises(ScanError, match=r"absent\.nii: expected a scan, found no such file"):
        processor.image_processor(scans[name].with_name("absent.nii"))


def test_more_marks_than_scans_are_refused(scans, processor):
    with pytest.raises(ValueError, match="Found total 2 <image> tokens and 1 images"):
        processor(text="<image> and <image>", images=[scans["volume"]])


def test_a_server_learns_how_many_tokens_a_scan_takes(processor, scans):
    sizes = processor.image_processor([scans["volume"], scans["series"]])["image_sizes"].tolist()
    # The stock name, though private, by which servers ask.
    told = processor._get_num_multimodal_tokens(image_sizes=sizes)
    assert told.num_image_tokens == [32, 32]
    assert processor._get_num_multimodal_tokens().num_image_tokens is None


def test_a_tokenizer_without_a_token_for_scans_is_refused_and_the_remedy_works(processor):
    tokenizer = build_tokenizer("bytelevel", ["<|im_end|>"])
    with pytest.raises(
        ValueError, match=r"the token '<image>'.*tokenizer\.add_tokens\('<image>', special_tokens=True"
    ):
        VolumeProcessor(processor.image_processor, tokenizer)
    tokenizer.add_tokens("<image>", special_tokens=True)
    assert VolumeProcessor(processor.image_processor, tokenizer).image_token_id == len(tokenizer) - 1


def test_what_it_was_told_is_in_its_own_file(processor, tmp_path):
    told = ViewSettings("volume", None, False, False, "48x32x16", 2.5, "window:3")
    own = build_tiny3d()[1]
    assert own.image_processor.settle(told) == told
    own.save_pretrained(tmp_path)
    stated = json.loads((tmp_path / "processor_config.json").read_text())["image_processor"]
    assert stated["volume_size"] == "48x32x16" and stated["frames"] == "window:3"
    assert AutoProcessor.from_pretrained(tmp_path).image_processor.settings == told


def test_the_pipeline_takes_a_file_in_a_chat_and_answers_as_the_model_does(built, scans):
    model, processor = built
    chat = ask({"type": "image", "path": str(scans["volume"])}, {"type": "image", "path": str(scans["series"])})
    answer = pipeline("image-text-to-text", model=model, processor=processor)
    (found,) = answer(text=chat, max_new_tokens=5, return_full_text=False)
    batch = tokenize(processor, chat)
    expected = model.generate(**batch, max_new_tokens=5)[0, batch["input_ids"].shape[1] :]
    assert found["generated_text"] == processor.tokenizer.decode(expected, skip_special_tokens=True)
