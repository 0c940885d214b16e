"""Transformers for pictures inflated to volumes. The oracle is the transformer for pictures itself, as transformers
runs it."""

from types import SimpleNamespace

import pytest
import torch
from flat_models import CHANNELS, FAMILIES, GRID, PATCH, PREFIX, SIDE, build_flat, encode_picture, to_picture
from transformers import AutoModel, CLIPConfig, CLIPModel, Siglip2ImageProcessor

from umbrella.models.building.pictures import inflate, load_flat, make_config, read_parts
from umbrella.models.volumes.inflated import InflatedTower
from umbrella.models.volumes.patches import POOLED_TIME, pack_patches

DEPTH = 4  # slices of a patch


def inflate_for(flat, size=(SIDE, SIDE, 8), pool=1, pools_time=False):
    """The tower whose picture is the axial slice of a volume of this size."""
    shown = {
        "volume_size": "x".join(map(str, size)),
        "volume_spacing": 2.0,
        "patch_size": [1, PATCH, PATCH, DEPTH],
        "pool": pool,
        "pools_time": pools_time,
    }
    parts = read_parts(flat)
    return inflate(flat, parts, make_config(flat, parts, shown))


def encode(tower, *volumes):
    """The hidden states of each layer and the last one of all, each (1, features of all volumes, C)."""
    patches = torch.cat([pack_patches(volume, tower.config.patch_size) for volume in volumes])
    added = POOLED_TIME if tower.config.pools_time else 0
    sizes = torch.tensor([[added + volume.shape[0], *volume.shape[1:]] for volume in volumes])
    found = tower(patches, sizes)
    return [*found.hidden_states, found.last_hidden_state]


@pytest.fixture(scope="module", params=FAMILIES)
def family(request, tmp_path_factory):
    """A transformer for pictures, loaded from its folder; the tower it becomes."""
    folder = tmp_path_factory.mktemp(request.param)
    build_flat(request.param).save_pretrained(folder)
    flat, _ = load_flat(str(folder), "--vision_tower")
    return SimpleNamespace(name=request.param, folder=folder, flat=flat, tower=inflate_for(flat))


@pytest.fixture(scope="module")
def volumes():
    """Of three sizes, one with three frames."""
    generator = torch.Generator().manual_seed(0)
    shapes = [(1, 32, 32, 8), (1, 24, 40, 12), (3, 32, 24, 4), (1, 32, 32, 8)]
    return [torch.randn(shape, generator=generator) for shape in shapes]


def test_equal_slices_have_the_features_of_the_picture_at_each_layer(family):
    axial = torch.randn(SIDE, SIDE, generator=torch.Generator().manual_seed(1))
    expected = encode_picture(family.flat, to_picture(axial))
    assert family.tower.config.n_prefix == PREFIX[family.name]
    assert all(state.std() > 0.1 for state in expected)
    for n_frames, n_planes in ((1, 1), (1, 2), (1, 5), (3, 2)):
        volume = axial[None, :, :, None].expand(n_frames, SIDE, SIDE, n_planes * DEPTH)
        with torch.no_grad():
            found = encode(family.tower, volume)
        assert len(found) == len(expected) == 5  # before the first of three layers, after each, normalised
        for state, of_picture in zip(found, expected, strict=True):
            each = of_picture[None, :, :, None].expand(n_frames, GRID, GRID, n_planes, CHANNELS)
            torch.testing.assert_close(state.reshape(each.shape), each, atol=2e-5, rtol=0)


@pytest.mark.parametrize("name", ["clip", "siglip"])
def test_places_on_a_larger_slice_are_interpolated_as_transformers_does(name):
    flat = build_flat(name)
    side = SIDE + 2 * PATCH
    axial = torch.randn(side, side, generator=torch.Generator().manual_seed(1))
    expected = encode_picture(flat, to_picture(axial), interpolate_pos_encoding=True)
    with torch.no_grad():
        found = encode(inflate_for(flat, (side, side, DEPTH)), axial[None, :, :, None].expand(1, side, side, DEPTH))
    for state, of_picture in zip(found, expected, strict=True):
        torch.testing.assert_close(state.reshape(of_picture.shape), of_picture, atol=2e-5, rtol=0)


def test_siglip_2_reads_patches_as_its_own_processor_writes_them():
    axial = torch.rand(SIDE, SIDE, generator=torch.Generator().manual_seed(1))
    options = {"do_resize": False, "do_rescale": False, "do_normalize": False, "patch_size": PATCH}
    given = Siglip2ImageProcessor()(list(to_picture(axial)), max_num_patches=GRID**2, return_tensors="pt", **options)
    flat = build_flat("siglip2")
    with torch.no_grad():
        state = flat(**given).last_hidden_state[0].reshape(GRID, GRID, -1)
    torch.testing.assert_close(encode_picture(flat, to_picture(axial))[-1], state.flip(0).transpose(0, 1))


@pytest.mark.parametrize("pools", [False, True])
def test_each_volume_of_a_batch_is_encoded_as_alone(family, volumes, pools):
    tower = inflate_for(family.flat, pool=1, pools_time=pools)
    with torch.no_grad():
        together = encode(tower, *volumes)[-1]
        alone = torch.cat([encode(tower, volume)[-1] for volume in volumes], dim=1)
    assert together.shape[1] == 32 + 45 + (12 if pools else 36) + 32
    torch.testing.assert_close(together, alone, atol=1e-5, rtol=0)


def test_the_same_place_in_mm_has_the_same_position_whatever_the_size(family):
    """A zero volume within a larger one: before the first layer its features are where they were."""
    small, large = torch.zeros(1, SIDE, SIDE, 8), torch.zeros(1, SIDE + 2 * PATCH, SIDE + 2 * PATCH, 8)
    with torch.no_grad():
        of_small, of_large = (encode(family.tower, volume)[0][0] for volume in (small, large))
    of_small, of_large = of_small.reshape(GRID, GRID, 2, -1), of_large.reshape(GRID + 2, GRID + 2, 2, -1)
    torch.testing.assert_close(of_large[1:-1, 1:-1], of_small, atol=1e-6, rtol=0)


def test_a_tower_is_saved_and_loaded_by_its_name(family, volumes, tmp_path):
    family.tower.save_pretrained(tmp_path)
    loaded = AutoModel.from_pretrained(tmp_path).eval()
    assert isinstance(loaded, InflatedTower)
    assert str(family.folder) not in (tmp_path / "config.json").read_text()
    with torch.no_grad():
        assert torch.equal(encode(loaded, *volumes)[-1], encode(family.tower, *volumes)[-1])


def test_gradients_reach_each_weight_and_are_the_same_with_checkpointing(family, volumes):
    tower = inflate_for(family.flat)
    gradients = []
    for checkpointing in (False, True):
        if checkpointing:
            tower.activation_checkpointing_enable()
        tower.train()
        tower.zero_grad()
        encode(tower, *volumes)[-1].square().mean().backward()
        gradients.append({name: parameter.grad.clone() for name, parameter in tower.named_parameters()})
    assert all(gradient.abs().max() > 0 for name, gradient in gradients[0].items() if not name.endswith("k_proj.bias"))
    for name, gradient in gradients[0].items():
        torch.testing.assert_close(gradients[1][name], gradient, msg=lambda text, name=name: f"{name}: {text}")


def test_up_and_down_are_one_until_depth_has_a_place(family, volumes):
    tower = inflate_for(family.flat)
    plain, turned = volumes[1], volumes[1].flip(-1)
    grid = (3, 5, 3, CHANNELS)  # patches along X, Y and Z

    def differ():
        with torch.no_grad():
            up, down = (encode(tower, volume)[-1].reshape(grid) for volume in (plain, turned))
        return (up - down.flip(2)).abs().max().item()

    assert differ() < 1e-5
    torch.nn.init.normal_(tower.patch_embedding.place.weight, std=0.1)
    assert differ() > 1e-2


def test_a_tower_is_taken_out_of_the_model_that_it_is_part_of(tmp_path):
    flat = build_flat("clip")
    text = {"hidden_size": 32, "intermediate_size": 32, "num_hidden_layers": 1, "num_attention_heads": 2}
    whole = CLIPModel(CLIPConfig(text_config=text, vision_config=flat.config.to_dict()))
    whole.vision_model.load_state_dict(flat.state_dict())
    whole.save_pretrained(tmp_path)
    found, layer = load_flat(str(tmp_path), "--vision_tower")
    assert layer == -2
    assert {name: value.tolist() for name, value in found.state_dict().items()} == {
        name: value.tolist() for name, value in flat.state_dict().items()
    }
