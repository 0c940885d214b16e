"""Weights of other programs: opened safely, renamed by rules, every name accounted for."""

import pickle

import pytest
import torch
from safetensors.torch import save_file

from umbrella.models.building.key_map import map_key, parse_key_map
from umbrella.models.building.weight_files import read_weight_file
from umbrella.models.building.weight_loading import WeightChoices, load_weights
from umbrella.models.volumes.dense import build_net

OPTIONS = {"channels": [2, 2, 2, 2, 2, 3]}
FIRST = "feature_extractor.conv_0.0.weight"


class Outer(torch.nn.Module):
    """What a pickle that is not of tensors alone holds."""


@pytest.fixture
def net():
    torch.manual_seed(1)
    return build_net("sfcn", OPTIONS, [32, 32, 32], 1)


@pytest.fixture
def state():
    torch.manual_seed(2)
    return build_net("sfcn", OPTIONS, [32, 32, 32], 1).net.state_dict()


def save(found, tmp_path, name="weights.pt"):
    torch.save(found, tmp_path / name)
    return tmp_path / name


def find_error(net, path, choices=WeightChoices()):  # noqa: B008  # it is frozen
    before = {name: value.clone() for name, value in net.state_dict().items()}
    with pytest.raises(ValueError) as error:
        load_weights(net, path, choices)
    assert all(torch.equal(net.state_dict()[name], value) for name, value in before.items())  # nothing is half loaded
    return str(error.value)


@pytest.mark.parametrize(
    ("text", "key", "expected"),
    [
        ("module.=,backbone.=encoder.", "module.backbone.x", "encoder.x"),
        ("backbone.=encoder.,module.=", "module.backbone.x", "backbone.x"),
        ("*mlp.fc1.=mlp.linear1.", "layers1.0.mlp.fc1.weight", "layers1.0.mlp.linear1.weight"),
        ("fc.=head.", "mlp.fc.x", "mlp.fc.x"),
    ],
)
def test_rules_change_the_beginning_of_a_name_or_with_a_star_any_part(text, key, expected, tmp_path):
    assert map_key(key, parse_key_map(text)) == expected
    (tmp_path / "map.yaml").write_text("".join(f'"{r.split("=")[0]}": "{r.split("=")[1]}"\n' for r in text.split(",")))
    assert parse_key_map(str(tmp_path / "map.yaml")) == parse_key_map(text)


@pytest.mark.parametrize("text", ["", "module.", "=x", "*=x"])
def test_what_is_no_rule_is_refused(text, tmp_path):
    with pytest.raises(ValueError, match=r"--key_map: expected FROM=TO,FROM=TO, or a YAML file"):
        parse_key_map(text)
    (tmp_path / "map.yaml").write_text("- a\n")
    with pytest.raises(ValueError, match=r"map.yaml: expected a key_map of FROM: TO"):
        parse_key_map(str(tmp_path / "map.yaml"))


@pytest.mark.parametrize("nest", [(), ("state_dict",), ("model_state_dict",), ("model", "state_dict")])
def test_weights_are_found_where_they_stand_and_the_place_is_said(nest, net, state, tmp_path):
    found = state
    for name in reversed(nest):
        found = {name: found, "epoch": 3, "optimizer": {"state": {0: {"step": torch.ones(1)}}}}
    notes = load_weights(net, save(found, tmp_path), WeightChoices())
    assert all(torch.equal(net.net.state_dict()[name], value) for name, value in state.items())
    assert notes[0].endswith(f"{len(state)} tensors" + (f", under {'.'.join(nest)}" if nest else ""))
    assert notes[-1] == f"{len(state)} of {len(state)} tensors of the encoder were loaded"


def test_safetensors_older_files_and_half_precision_are_read(net, state, tmp_path):
    save_file(state, tmp_path / "weights.safetensors")
    assert read_weight_file(tmp_path / "weights.safetensors")[0].keys() == state.keys()
    older = {key: value.half() for key, value in state.items() if not key.endswith("num_batches_tracked")}
    torch.save(older, tmp_path / "old.p", _use_new_zipfile_serialization=False)
    load_weights(net, tmp_path / "old.p", WeightChoices())
    torch.testing.assert_close(net.net.state_dict()[FIRST], state[FIRST], atol=1e-3, rtol=1e-3)


def test_names_that_do_not_fit_are_all_listed_and_an_error_unless_allowed(net, state, tmp_path):
    moved = save({f"module.{key}": value for key, value in state.items()}, tmp_path)
    error = find_error(net, moved)
    assert f"missing in the file: {len(state) - 6}, feature_extractor.conv_0.0.bias" in error
    assert f"no part of the encoder: {len(state)}, module.feature_extractor.conv_0.0.bias" in error
    assert "--key_map" in error and "--allow_missing" in error and "--allow_unmatched" in error
    load_weights(net, moved, WeightChoices(parse_key_map("module.=")))  # the remedy

    part = {key: value for key, value in state.items() if key != FIRST} | {"head.weight": torch.ones(2)}
    path, first = save(part, tmp_path), net.net.state_dict()[FIRST].clone()
    assert "no part of the encoder" not in find_error(net, path, WeightChoices(allow_unmatched=True))
    assert "missing" not in find_error(net, path, WeightChoices(allow_missing=True))
    notes = load_weights(net, path, WeightChoices(allow_missing=True, allow_unmatched=True))
    assert f"missing in the file, left as they were drawn: 1, {FIRST}" in notes
    assert "no part of the encoder, left out: 1, head.weight" in notes
    assert torch.equal(net.net.state_dict()[FIRST], first)
    notes = load_weights(net, path, WeightChoices(ignored=("head.*",), allow_missing=True))
    assert any("left out, as the spec" in note and "head.weight" in note for note in notes)


def test_all_but_a_part_of_the_file_can_be_left_out(net, state, tmp_path):
    found = {f"backbone.{key}": value for key, value in state.items()} | {"projection.0.weight": torch.ones(3)}
    notes = load_weights(net, save(found, tmp_path), WeightChoices(parse_key_map("backbone.="), ("!backbone.*",)))
    assert "1, projection.0.weight" in notes[1] and torch.equal(net.net.state_dict()[FIRST], state[FIRST])


def test_another_shape_is_always_an_error_with_both_shapes(net, state, tmp_path):
    path = save(state | {FIRST: torch.ones(4, 1, 3, 3, 3)}, tmp_path)
    error = find_error(net, path, WeightChoices(allow_missing=True, allow_unmatched=True))
    assert f"of another shape: 1, {FIRST} (expected 2x1x3x3x3, found 4x1x3x3x3)" in error


def test_two_names_that_become_one_are_refused(net, state, tmp_path):
    path = save(state | {f"module.{FIRST}": state[FIRST]}, tmp_path)
    assert "expected one tensor of the name" in find_error(net, path, WeightChoices(parse_key_map("module.=")))


def test_files_that_are_no_weights_are_refused_and_run_nothing(net, tmp_path):
    ran = tmp_path / "ran"

    class Runs:
        def __reduce__(self):
            return open, (str(ran), "w")

    for content in (Runs(), {"state_dict": Outer()}):
        assert "could run code as it is opened. It was not opened" in find_error(net, save(content, tmp_path))
    (tmp_path / "bare.pkl").write_bytes(pickle.dumps(Runs()))
    assert "bare.pkl: expected" in find_error(net, tmp_path / "bare.pkl")
    assert not ran.exists()
    (tmp_path / "text.pt").write_text("no weights")
    assert "text.pt: expected" in find_error(net, tmp_path / "text.pt")
    (tmp_path / "text.safetensors").write_text("no weights at all")
    assert "expected safetensors, found" in find_error(net, tmp_path / "text.safetensors")
    for content in ({"epoch": 3}, [torch.ones(1)], torch.ones(2)):
        assert "expected weights by their names, at the top or under state_dict" in find_error(
            net, save(content, tmp_path)
        )
    with pytest.raises(FileNotFoundError, match=r"--vision_weights .*nowhere.pt: expected a file, found none"):
        read_weight_file(tmp_path / "nowhere.pt")


def test_a_picture_s_transformer_is_inflated_and_hlip_s_places_are_joined():
    timm = pytest.importorskip("timm")
    torch.manual_seed(0)
    narrow = {"depth": 1, "embed_dim": 24, "num_heads": 2}
    options = {"patch_size": [4, 16, 16], **narrow}
    name = "vit_base_patch16_siglip_224"  # without a class token, so that equal slices are exactly the picture
    flat = timm.create_model(name, num_classes=0, img_size=64, **narrow).eval()
    net = build_net(f"timm:{name}", options, [8, 64, 64], 1).eval()
    state, notes = net.adapt(flat.state_dict())
    net.net.load_state_dict({key: value for key, value in state.items() if not key.startswith("attn_pool")})
    picture = torch.randn(1, 1, 64, 64)
    with torch.no_grad():
        expected = flat.forward_features(picture.expand(1, 3, 64, 64)).transpose(1, 2).unflatten(2, (4, 4))
        found = net(picture[:, :, None].expand(1, 1, 8, 64, 64))
    assert len(notes) == 2 and found.shape[2] == 2
    for plane in found.unbind(2):
        torch.testing.assert_close(plane, expected, atol=1e-4, rtol=1e-4)

    places, scans = torch.randn(1, 2, 4, 4, 24), torch.randn(1, 40, 24)
    joined = net.adapt({"spatial_posemb": places, "sequential_posemb": scans})[0]["pos_embed"]
    torch.testing.assert_close(joined, (places + scans[0, 0]).flatten(1, 3))
