"""What encoders were trained on: every spec that ships is read and built, with weights of the published names; a model
that was built by one reads a scan as its spec says."""

from pathlib import Path

import build_model
import nibabel as nib
import numpy as np
import pytest
import torch
import yaml
from families import build_tokenizer
from monai.networks.nets import SwinUNETR
from transformers import AutoModelForCausalLM, AutoModelForImageTextToText, AutoProcessor, LlamaConfig

from umbrella.models.building.encoder_towers import build_encoder_tower
from umbrella.models.volumes.dense import build_net
from umbrella.options.build_arguments import BuildArguments
from umbrella.options.input_spec import InputSpec, read_input_spec
from umbrella.records.training_data import read_training_data
from umbrella.scans.volumes import ScanError
from umbrella.views.intensity_steps import parse_intensity
from umbrella.views.loading import load_view

SPECS = sorted((Path(__file__).parents[2] / "recipes/configs/encoders").glob("*.yaml"))
# Of each spec: options that make its network small, and how its published weights name and nest those of the network.
RESNET = {"widen_factor": 0.0625}
PUBLISHED = {
    "medicalnet_resnet18": (RESNET, ("state_dict",), "module."),
    "sfcn_brain_age": ({"channels": [1, 1, 1, 1, 1, 2]}, (), "module."),
    "brainiac": ({"hidden_size": 12, "mlp_dim": 8, "num_layers": 1, "num_heads": 2}, ("state_dict",), "backbone."),
    "brainiac_resnet50": (RESNET, ("state_dict",), "backbone."),
    "neuro_simclr": (RESNET, ("model_state_dict",), "module.encoder."),
    "hlip_brain_mri": ({"depth": 1, "embed_dim": 12, "num_heads": 2}, ("state_dict",), "module.visual.trunk."),
    "swinunetr_ssl": ({"feature_size": 12}, ("state_dict",), "module."),
}
HEADS = {
    "sfcn_brain_age": ["module.classifier.conv_6.weight"],
    "brainiac": ["projection_head.0.weight", "backbone.blocks.0.norm_cross_attn.weight"],
    "brainiac_resnet50": ["projection_head.0.weight"],
    "neuro_simclr": ["module.projector.0.weight", "module.projector.2.weight"],
    "hlip_brain_mri": ["module.logit_scale", "module.text.proj.weight", "module.visual.head.proj.weight"],
    "swinunetr_ssl": ["module.rotation_head.weight", "module.contrastive_head.weight", "module.conv.0.weight"],
}


def shrink(path, folder):
    """A copy of a spec whose network is small."""
    spec = yaml.safe_load(path.read_text())
    spec["options"] = (spec.get("options") or {}) | PUBLISHED[path.stem][0]
    (folder / path.name).write_text(yaml.safe_dump(spec, sort_keys=False))
    return folder / path.name


def make_weights(path, folder):
    """Random weights as the encoder's own program would have saved them, and the network that they are of."""
    spec, (_, nests, prefix) = read_input_spec(path), PUBLISHED[path.stem]
    torch.manual_seed(5)
    x, y, z = (int(n) for n in (spec.size or "96x112x96").split("x"))
    net = build_net(spec.vision_tower, spec.options, [z, y, x] if "hlip" in path.stem else [x, y, z], 1)
    state = {key.replace("linear", "fc") if "swin" in path.stem else key: v for key, v in net.net.state_dict().items()}
    if "hlip" in path.stem:
        state["spatial_posemb"] = state.pop("pos_embed").unflatten(1, (6, 14, 14))
        state["sequential_posemb"] = torch.zeros(1, 40, 12)
    state = {prefix + key: value for key, value in state.items()} | {
        name: torch.ones(2) for name in HEADS.get(path.stem, ())
    }
    for nest in reversed(nests):
        state = {nest: state, "epoch": 1}
    torch.save(state, folder / "weights.pt")
    return net


def build(path, **flags):
    return build_encoder_tower(BuildArguments(language_model="lm", input_spec=str(path), output_dir="new", **flags))


@pytest.mark.parametrize("path", SPECS, ids=lambda path: path.stem)
def test_a_spec_says_where_its_encoder_is_from_and_under_which_licence(path):
    spec = read_input_spec(path)
    assert spec.name and spec.licence and spec.download and spec.checked and spec.notes
    assert spec.source.startswith("https://github.com/")
    parse_intensity(spec.intensity)


@pytest.mark.parametrize("path", [path for path in SPECS if path.stem in PUBLISHED], ids=lambda path: path.stem)
def test_a_spec_takes_weights_of_the_published_names(path, tmp_path):
    path = shrink(path, tmp_path)
    expected = make_weights(path, tmp_path)
    tower, shown, notes = build(path, vision_weights=str(tmp_path / "weights.pt"))
    found = tower.encoder.net.net.state_dict()
    assert all(torch.equal(found[key], value.float()) or value.dtype == torch.int64
               for key, value in expected.net.state_dict().items())  # fmt: skip
    spec = read_input_spec(path)
    assert shown["intensity"] == spec.intensity and tower.config.orientation == spec.orientation
    assert shown["expects"] == spec.expects and "one_volume" in spec.expects
    assert any(note.startswith(f"{spec.name}: licence {spec.licence}") for note in notes)
    lost = [name.split(".")[-2] for name in HEADS.get(path.stem, ())]
    assert all(any(name in note for note in notes if note.startswith("left out")) for name in lost)


def test_all_specs_are_tried_and_one_whose_network_is_not_built_says_so():
    assert {path.stem for path in SPECS} == {*PUBLISHED, "openmind"}
    with pytest.raises(ValueError, match=r"openmind.yaml: its preprocessing is known, but its networks .* not built"):
        build(next(path for path in SPECS if path.stem == "openmind"))


@pytest.mark.slow
def test_monai_itself_loads_the_same_weights_into_swinunetr(tmp_path):
    path = shrink(next(path for path in SPECS if path.stem == "swinunetr_ssl"), tmp_path)
    make_weights(path, tmp_path)
    theirs = SwinUNETR(1, 2, feature_size=12)
    theirs.load_from(torch.load(tmp_path / "weights.pt", weights_only=True))
    tower, _, _ = build(path, vision_weights=str(tmp_path / "weights.pt"))
    ours = tower.encoder.net.net.state_dict()
    assert all(torch.equal(ours[key], value) for key, value in theirs.swinViT.state_dict().items())


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("- a\n", "expected a mapping with name and vision_tower, found list"),
        ("vision_tower: sfcn\nsizes: 3\n", "expected keys out of name, vision_tower, .* found sizes"),
        ("name: a\n", "expected vision_tower, or not_built with the reason why there is none, found neither"),
        ("vision_tower: sfcn\nnot_built: no\n", "found both"),
        ("vision_tower: sfcn\nchannels: many\n", "channels: expected a whole number, found 'many'"),
        ("vision_tower: sfcn\nskull_stripped: perhaps\n", "skull_stripped: expected true or false, found 'perhaps'"),
        ("vision_tower: sfcn\nnotes: one\n", "notes: expected a list, found 'one'"),
        ("vision_tower: sfcn\nspacing: 1x1x1.5\n", "spacing: expected mm along X, Y, Z that are whole multiples"),
        ("vision_tower: sfcn\nspacing: 0\n", "spacing: expected mm along X, Y, Z"),
        ("vision_tower: sfcn\nsize: 33x32x32\n", "size: expected a multiple of 32x32x32 voxels.* Take 64x32x32"),
        ("vision_tower: sfcn\nsize: 32\norientation: RAX\n", "orientation: expected one letter each"),
        ("vision_tower: sfcn\nsize: 32\nintensity: loud\n", "intensity: expected steps"),
        ("vision_tower: sfcn\nsize: 32\noptions:\n  depth: 3\n", "sfcn: expected other options than"),
    ],
)
def test_a_spec_that_is_none_is_refused(text, message, tmp_path):
    (tmp_path / "spec.yaml").write_text(text)
    with pytest.raises(ValueError, match=message):
        build(tmp_path / "spec.yaml")


def test_flags_contradict_a_spec_only_where_it_is_said(tmp_path):
    (tmp_path / "spec.yaml").write_text("vision_tower: sfcn\nsize: 32x32x32\nspacing: 1x1x2\none_volume: true\n")
    with pytest.raises(ValueError, match=r"expected sfcn, as .*spec.yaml has it, found monai:ResNet18"):
        build(tmp_path / "spec.yaml", vision_tower="monai:ResNet18")
    with pytest.raises(FileNotFoundError, match=r"--input_spec nowhere.yaml: expected a file, found none"):
        build("nowhere.yaml")
    tower, shown, _ = build(tmp_path / "spec.yaml")
    assert (shown["volume_size"], shown["volume_spacing"], tower.config.voxel_pool) == ("32x32x64", 1.0, [1, 1, 2])
    _, shown, notes = build(tmp_path / "spec.yaml", volume_size="64x32x64", volume_spacing=1.5, frames="4")
    assert shown["volume_size"] == "64x32x64" and shown["expects"] == "field"
    assert "volume_size: 64x32x64 as asked for, though the encoder was trained on 32x32x64" in notes
    assert "volume_spacing: 1.5 as asked for, though the encoder was trained on 1" in notes
    assert any(note.startswith("--frames 4: each frame is shown as the one volume") for note in notes)
    assert InputSpec("x", "sfcn").expects == "none"


@pytest.mark.slow
def test_a_model_of_a_spec_reads_a_scan_as_the_spec_says(call, tmp_path):
    sizes = {"hidden_size": 32, "intermediate_size": 48, "num_hidden_layers": 1, "num_attention_heads": 4}
    AutoModelForCausalLM.from_config(
        LlamaConfig(vocab_size=520, max_position_embeddings=256, **sizes)
    ).save_pretrained(tmp_path / "lm")
    build_tokenizer("bytelevel", [], eos="<|im_end|>", pad=None).save_pretrained(tmp_path / "lm")
    text = (
        "name: Small\nvision_tower: monai:ViT\noptions: {patch_size: 16, hidden_size: 12, mlp_dim: 8, num_layers: 1,"
    )
    text += (
        " num_heads: 2}\nsize: 32x48x32\nspacing: 4\norientation: IPR\nintensity: zscore nonzero\none_volume: true\n"
    )
    (tmp_path / "spec.yaml").write_text(text)
    flags = ("--language_model", "lm", "--input_spec", "spec.yaml", "--output_dir", "new")
    weights = build_net("monai:ViT", read_input_spec(tmp_path / "spec.yaml").options, [32, 48, 32], 1)
    torch.save({f"module.{key}": value for key, value in weights.net.state_dict().items()}, tmp_path / "w.pt")
    with pytest.raises(SystemExit, match=r"no part of the encoder: .*Map them with --key_map"):
        call(build_model, *flags, "--vision_weights", "w.pt")
    said = call(build_model, *flags, "--vision_weights", "w.pt", "--key_map", "module.=")
    assert "Small: licence not stated" in said and "tokens: 12 a scan (volume, 32x48x32 voxels of 4 mm)" in said
    assert "w.pt" in read_training_data(tmp_path / "new").unknown  # what it was trained on is not known

    model = AutoModelForImageTextToText.from_pretrained(tmp_path / "new", dtype=torch.float32).eval()
    processor = AutoProcessor.from_pretrained(tmp_path / "new")
    volume = np.random.default_rng(0).gamma(2, 9, (30, 40, 30)).astype(np.float32)
    volume[:, :9] = 0
    nib.save(nib.Nifti1Image(volume, np.diag([4.0, 4, 4, 1])), tmp_path / "scan.nii")
    batch = processor(images=[str(tmp_path / "scan.nii")], text=f"{processor.image_token} a", return_tensors="pt")
    plain = {"modality": "sMRI", "view": "volume", "volume_size": "32x48x32", "volume_spacing": 4.0}
    shown = torch.from_numpy(load_view(tmp_path / "scan.nii", intensity="zscore nonzero", **plain))
    with torch.no_grad():
        features = model.model.vision_tower(batch["pixel_values"], batch["image_sizes"]).last_hidden_state[0]
        along = shown.permute(0, 3, 2, 1).flip((1, 2))[None]  # IPR: Z, Y, X, the first two reversed
        expected = weights.eval()(along)[0].flip((1, 2)).permute(0, 3, 2, 1)
        torch.testing.assert_close(features, expected.flatten(1).T, atol=1e-5, rtol=1e-4)
        assert model(**batch).logits.isfinite().all()
    nib.save(nib.Nifti1Image(np.stack([volume] * 2, -1), np.diag([4.0, 4, 4, 1])), tmp_path / "series.nii")
    with pytest.raises(ScanError, match=r"series.nii: expected one volume"):
        processor(images=[str(tmp_path / "series.nii")], text=f"{processor.image_token} a")
    assert processor.image_processor.only_size is True
