"""MONAI's, timm's and SFCN's encoders as towers. The oracles are MONAI's own forward passes, timm's on a picture, and
torch.nn alone."""

import dataclasses
import itertools

import pytest
import torch
from monai.networks.nets import SwinUNETR, ViT, resnet18
from monai.networks.nets.resnet import ResNetFeatures
from transformers import AutoModel

import umbrella  # noqa: F401  # makes the towers known
from umbrella.models.building.encoder_towers import build_encoder_tower, join_net
from umbrella.models.volumes.axes import Axes
from umbrella.models.volumes.dense import DenseTowerConfig, build_net
from umbrella.models.volumes.patches import POOLED_TIME, pack_patches
from umbrella.options.build_arguments import BuildArguments

NARROW = {"widen_factor": 0.125, "conv1_t_stride": 2}  # a ResNet's channels: 8 to 64
SMALL_VIT = {"patch_size": [8, 16, 4], "hidden_size": 24, "mlp_dim": 32, "num_layers": 2, "num_heads": 2}
ORDERS = [*itertools.permutations(("RL", "AP", "SI"))]
DIRECTIONS = [*itertools.product((0, 1), repeat=3)]
ALL_AXES = ["".join(pair[i] for pair, i in zip(pairs, ends, strict=True)) for pairs in ORDERS for ends in DIRECTIONS]


def build_tower(encoder, options, size, orientation="RAS", **config):
    """A tower with weights of its own, and the norms' statistics as if trained."""
    torch.manual_seed(0)
    axes, factors = Axes(orientation), config.get("voxel_pool", (1, 1, 1))
    net = build_net(encoder, options, axes.sizes_from_ras([n // f for n, f in zip(size, factors, strict=True)]), 1)
    for module in net.modules():
        if isinstance(module, torch.nn.BatchNorm3d):
            module.running_mean.normal_(0, 0.2)
            module.running_var.uniform_(0.5, 2)
    cell = [n * f for n, f in zip(axes.sizes_to_ras(net.stride), factors, strict=True)]
    named = {"volume_size": size, "orientation": orientation, "hidden_size": net.hidden_size, "patch_size": [1, *cell]}
    return join_net(DenseTowerConfig(encoder, options, **named, **config), net)


def run(tower, scans):
    """Features (n, C) of each of some scans (T, X, Y, Z), shown in one batch."""
    added = POOLED_TIME if tower.config.pools_time else 0
    sizes = torch.tensor([[added + len(scan), *scan.shape[1:]] for scan in scans])
    patches = torch.cat([pack_patches(scan, tower.config.patch_size) for scan in scans])
    features = tower(patches, sizes).last_hidden_state[0]
    return features.split([int((size // torch.tensor(tower.patch_size)).prod()) for size in sizes])


def flatten(features):
    """(1, C, x, y, z) → (cells, C)."""
    return features[0].flatten(1).T


@pytest.fixture(autouse=True)
def no_grad():
    with torch.no_grad():
        yield


@pytest.mark.parametrize("orientation", ALL_AXES)
def test_axes_are_turned_as_nibabel_turns_them_and_back(orientation):
    nibabel = pytest.importorskip("nibabel")
    volume = torch.arange(24).reshape(2, 3, 4)
    ornt = nibabel.orientations.ornt_transform(
        nibabel.orientations.axcodes2ornt("RAS"), nibabel.orientations.axcodes2ornt(orientation)
    )
    axes = Axes(orientation)
    turned = axes.from_ras(volume)
    assert (turned.numpy() == nibabel.orientations.apply_orientation(volume.numpy(), ornt)).all()
    assert torch.equal(axes.to_ras(turned), volume)
    assert axes.sizes_from_ras((2, 3, 4)) == list(turned.shape) and axes.sizes_to_ras(turned.shape) == [2, 3, 4]


@pytest.mark.parametrize("orientation", ["RAA", "RA", "XYZ", "RASL"])
def test_other_letters_are_no_axes(orientation):
    with pytest.raises(ValueError, match="orientation: expected one letter each of R or L, A or P, S or I"):
        Axes(orientation)


# ------------------------------------------------------------------------------------------------ MONAI's own forward


def save_monai(name, folder):
    """A network of MONAI's with its options, its saved weights, and its own features of a volume along its axes."""
    torch.manual_seed(3)
    if name == "ResNet18":
        options = NARROW
        net = resnet18(spatial_dims=3, n_input_channels=1, num_classes=5, **options).eval()
        for module in net.modules():
            if isinstance(module, torch.nn.BatchNorm3d):
                module.running_mean.normal_(0, 0.2)
                module.running_var.uniform_(0.5, 2)
        features = lambda volume: ResNetFeatures.forward(net, volume)[-1]  # noqa: E731
    elif name == "ViT":
        options = {**SMALL_VIT, "patch_size": [16, 16, 16]}
        net = ViT(1, [32, 64, 32], **options).eval()
        features = lambda volume: net(volume)[0].transpose(1, 2).unflatten(2, (2, 4, 2))  # noqa: E731
    else:
        options = {"feature_size": 12}
        net = SwinUNETR(1, 2, **options).eval()
        features = lambda volume: net.swinViT(volume, net.normalize)[4]  # noqa: E731
    torch.save(net.state_dict(), folder / "weights.pt")
    return net, options, features


@pytest.mark.parametrize("orientation", ["RAS", "SPL"])
@pytest.mark.parametrize("name", ["ResNet18", "ViT", pytest.param("SwinUNETR", marks=pytest.mark.slow)])
def test_weights_that_monai_saved_give_its_own_features_also_after_a_reload(name, orientation, tmp_path):
    net, options, features = save_monai(name, tmp_path)
    axes = Axes(orientation)
    size = axes.sizes_to_ras([32, 32, 32] if name == "SwinUNETR" else [32, 64, 32])
    listed = "\n".join(f"  {key}: {value}" for key, value in options.items())
    spec = f"name: {name}\nvision_tower: monai:{name}\norientation: {orientation}\nsize: {'x'.join(map(str, size))}\n"
    (tmp_path / "spec.yaml").write_text(f"{spec}options:\n{listed}\n")
    args = BuildArguments(
        language_model="lm",
        input_spec=str(tmp_path / "spec.yaml"),
        vision_weights=str(tmp_path / "weights.pt"),
        output_dir="new",
    )
    tower, shown, _ = build_encoder_tower(args)
    tower.save_pretrained(tmp_path / "tower")
    loaded = AutoModel.from_pretrained(tmp_path / "tower").eval()

    volume = torch.randn(1, *size)
    expected = flatten(axes.to_ras(features(axes.from_ras(volume)[None])))
    for one in (tower, loaded):
        (found,) = run(one, [volume])
        torch.testing.assert_close(found, expected, atol=1e-5, rtol=0)
    assert shown["volume_size"] == "x".join(map(str, size)) and shown["patch_size"] == tower.config.patch_size
    if name == "ResNet18":  # and its whole forward pass: the mean of the features through its last layer
        torch.testing.assert_close(net.fc(found.mean(dim=0)), net(axes.from_ras(volume)[None])[0], atol=1e-5, rtol=0)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("encoder", "options"),
    [
        ("monai:ResNet18", NARROW | {"layer": 2}),
        ("monai:ResNet50", NARROW | {"dilated": True}),
        ("monai:ViT", SMALL_VIT | {"patch_size": [16, 16, 8], "classification": True}),
        ("monai:SwinUNETR", {"feature_size": 12, "layer": 1, "window_size": 3, "use_v2": True}),
        ("timm:vit_tiny_patch16_224", {"patch_size": [8, 16, 16], "depth": 1}),
        ("sfcn", {"channels": [2, 3, 4, 5, 6, 7]}),
    ],
)
def test_a_batch_of_scans_and_series_is_each_of_them_alone_in_training_too(encoder, options):
    size = [32, 32, 32] if "Swin" in encoder else [32, 64, 32]
    tower = build_tower(encoder, options, size, "SAR")
    scans = [torch.randn(n, *size) for n in (1, 2)]
    for mode in (False, True):
        tower.train(mode)
        together = run(tower, scans)
        for found, scan in zip(together, scans, strict=True):
            torch.testing.assert_close(found, run(tower, [scan])[0], atol=1e-5, rtol=1e-5)
            frames = torch.cat([run(tower, [frame[None]])[0] for frame in scan])
            torch.testing.assert_close(found, frames, atol=1e-5, rtol=1e-5)
    with torch.enable_grad():  # nothing in it is idle, as DDP would complain
        tower(
            pack_patches(scans[0], tower.config.patch_size), torch.tensor([[1, *size]])
        ).last_hidden_state.sum().backward()
    assert [name for name, weight in tower.named_parameters() if weight.grad is None] == []


def test_norms_keep_their_statistics_in_training_frozen_or_not():
    tower = build_tower("monai:ResNet18", NARROW, [32, 32, 32]).train()
    before = {name: value.clone() for name, value in tower.state_dict().items() if "running" in name}
    run(tower, [torch.randn(1, 32, 32, 32) * 9])
    tower.requires_grad_(False).train()
    run(tower, [torch.randn(1, 32, 32, 32) * 9])
    assert len(before) == 40 and all(torch.equal(tower.state_dict()[name], value) for name, value in before.items())


def test_frames_and_neighbours_are_pooled():
    options = NARROW | {"layer": 2}
    plain = build_tower("monai:ResNet18", options, [32, 64, 32], "LPI")
    pooling = build_tower("monai:ResNet18", options, [32, 64, 32], "LPI", pool=2, pools_time=True)
    scans = [torch.randn(2, 32, 64, 32), torch.randn(1, 32, 64, 32)]
    for found, full in zip(run(pooling, scans), run(plain, scans), strict=True):
        cells = full.reshape(-1, 2, 2, 4, 2, 2, 2, plain.config.hidden_size).mean(dim=(0, 2, 4, 6)).flatten(0, 2)
        torch.testing.assert_close(found, cells)


def test_an_encoder_with_thick_slices_sees_the_mean_of_thin_ones():
    thick = build_tower("sfcn", {"channels": [2] * 6}, [32, 32, 128], voxel_pool=(1, 1, 4))
    volume = torch.randn(1, 32, 32, 128)
    assert thick.config.patch_size == [1, 32, 32, 128]
    expected = thick.encoder(volume.unflatten(3, (32, 4)).mean(dim=-1)[None])
    torch.testing.assert_close(run(thick, [volume])[0], flatten(expected))


def test_activations_are_computed_again_to_the_same_gradient():
    volume, grads = torch.randn(1, 32, 32, 32), []
    tower = build_tower("monai:ResNet18", NARROW, [32, 32, 32]).train()
    for again in (False, True):
        if again:
            tower.gradient_checkpointing_enable()
        tower.zero_grad()
        with torch.enable_grad():
            run(tower, [volume.requires_grad_()])[0].square().sum().backward()
        grads.append(tower.encoder.net.net.conv1.weight.grad.clone())
    torch.testing.assert_close(*grads)


def test_sizes_that_an_encoder_does_not_take_are_refused():
    resnet = build_tower("monai:ResNet18", NARROW, [32, 32, 32])
    assert len(run(resnet, [torch.randn(1, 64, 32, 32)])[0]) == 2  # a convolution takes any one size
    with pytest.raises(ValueError, match=r"volumes of one size in a batch.* found 32x32x32 and 64x32x32"):
        run(resnet, [torch.randn(1, 32, 32, 32), torch.randn(1, 64, 32, 32)])
    vit = build_tower("monai:ViT", SMALL_VIT | {"patch_size": 16}, [32, 32, 32])
    with pytest.raises(ValueError, match=r"expected volumes of 32x32x32 voxels, the one size .* found 64x32x32"):
        run(vit, [torch.randn(1, 64, 32, 32)])


@pytest.mark.parametrize(
    ("encoder", "options", "message"),
    [
        ("monai:ResNet19", {}, "expected monai: and one of ResNet10, ResNet18"),
        ("monai:ResNet18", {"depth": 3}, "monai:ResNet18: expected other options than"),
        ("monai:ResNet18", {"layer": 5}, "layer: expected 1 to 4, found 5"),
        ("monai:SwinUNETR", {"layer": -1}, "layer: expected 0 to 4, found -1"),
        ("timm:resnet18", {"patch_size": 16}, "timm:resnet18: expected a plain vision transformer"),
        ("timm:vit_tinny", {"patch_size": 16}, "timm:vit_tinny: expected a model of timm"),
        ("sfcn", {"channels": [1, 2]}, "channels: expected 6 numbers"),
        ("other:x", {}, "expected an encoder as monai:NET, timm:NAME or sfcn, found 'other:x'"),
    ],
)
def test_encoders_that_there_are_not_are_refused(encoder, options, message):
    with pytest.raises(ValueError, match=message):
        build_net(encoder, options, [32, 32, 32], 1)


@pytest.mark.parametrize(("package", "encoder"), [("monai", "monai:ResNet18"), ("timm", "timm:vit_tiny_patch16_224")])
def test_a_package_that_is_missing_is_named_with_its_extra(package, encoder, monkeypatch):
    monkeypatch.setattr("umbrella.options.extras.find_spec", lambda name: None)
    with pytest.raises(ImportError, match=rf"expected the package {package}, found none. Install it: .*\[encoders\]"):
        build_net(encoder, {}, [32, 32, 32], 1)


def test_the_flags_of_an_encoder_stand_with_it_alone(tmp_path):
    plain = BuildArguments(language_model="lm", vision_tower="sfcn", output_dir="new")
    assert (plain.kind, plain.pooled) == ("sfcn", 1)
    assert dataclasses.replace(plain, vision_tower="vit3d").pooled == 2
    for flags, message in (
        ({"vision_tower": "vit3d", "vision_weights": "w.pt"}, "--vision_weights: expected --vision_tower monai"),
        ({"key_map": "a=b"}, "--key_map: expected --vision_weights FILE"),
        ({"vision_tower": "monai"}, "--vision_tower: expected one of vit3d"),
    ):
        with pytest.raises(ValueError, match=message):
            dataclasses.replace(plain, **flags)
