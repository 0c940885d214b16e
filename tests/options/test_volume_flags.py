"""What of volumes cannot be: each is one sentence with the remedy, before a model is loaded or a step taken."""

import estimate_memory
import eval
import inspect_labels
import predict
import preview
import pytest
import train
from conversation_folder import write_folder
from volume_rows import write_series_folder

from umbrella.options.data.volume_flags import parse_frames, parse_volume_size, write_volume_size

NO_SIZE = "--volume_size: expected voxels along X, Y and Z as 96x112x96, or one number for all three, found "
NO_FRAMES = "--frames: expected K, window:K or b0+K (K a whole number from 1 up), found "
OF_FLAGS = {
    "--volume_size 0x1x2": f"{NO_SIZE}'0x1x2'",
    "--volume_size 96x112": f"{NO_SIZE}'96x112'",
    "--volume_size -8": f"{NO_SIZE}'-8'",
    "--volume_size 9.5": f"{NO_SIZE}'9.5'",
    "--frames 0": f"{NO_FRAMES}'0'",
    "--frames window:": f"{NO_FRAMES}'window:'",
    "--frames b0": f"{NO_FRAMES}'b0'",
    "--volume_spacing -2": "--volume_spacing: expected more than 0, found -2",
    "--volume_spacing nan": "--volume_spacing: expected more than 0, found nan",
    "--view axial --frames 3": "--view axial: expected flags of pictures alone, or of volumes alone, found --frames 3",
    "--view volume --image_size 64": "--image_size 64: expected flags of pictures alone, or of volumes alone",
}


@pytest.mark.parametrize("recipe", [train, eval, preview, estimate_memory], ids=lambda recipe: recipe.__name__)
def test_flags_that_cannot_be_are_answered_in_one_sentence(recipe, call, capsys):
    data = [] if recipe is estimate_memory else ["--json_dir", "data"]
    output = ["--output_dir", "run"] if recipe in (train, eval) else []
    for flags, message in OF_FLAGS.items():
        with pytest.raises(SystemExit) as stop:
            call(recipe, *data, *output, *flags.split())
        assert stop.value.code == 2
        assert message in capsys.readouterr().err, flags


def test_sizes_and_frames_are_read_as_they_are_written():
    assert [parse_volume_size(text) for text in ("96x112x96", "64", "8X16×24")] == [
        (96, 112, 96), (64, 64, 64), (8, 16, 24)
    ]  # fmt: skip
    assert write_volume_size((8, 16, 24)) == "8x16x24"
    frames = [parse_frames(text) for text in ("8", "window:8", "b0+8")]
    assert frames == [("even", 8), ("window", 8), ("b0", 8)]


# Of a model's kind, of the tower's patches, of the data: flags, what is said.
TINY3D = ["--model_name_or_path", "tiny3d", "--volume_size", "16", "--volume_spacing", "8"]
OF_MODEL_AND_DATA = {
    "pictures": (["--view", "volume"], "expected one of the views of pictures, as this model takes them, found"),
    "frames of pictures": (["--frames", "3"], "found --frames. Leave it out, or take a model for volumes: tiny3d"),
    "volumes": (["--model_name_or_path", "tiny3d", "--view", "axial"], "expected --view volume, as this model takes"),
    "a size of volumes": (["--model_name_or_path", "tiny3d", "--image_size", "64"], "found --image_size 64"),
    "no multiple": ([*TINY3D, "--volume_size", "44"], "expected a multiple of 8x8x8 voxels"),
    "too short": ([*TINY3D, "--frames", "7"], "expected a series of at least 7 volumes, as --frames 7 takes, found 6"),
    "no b-values": ([*TINY3D, "--frames", "b0+2"], "no .bval beside it"),
    "too many tokens": ([*TINY3D, "--max_length", "8"], "expected rows that fit into --max_length 8, found"),
}


@pytest.fixture(scope="module")
def series(tmp_path_factory):
    return write_series_folder(tmp_path_factory.mktemp("series") / "data", {"train": 2, "test": 2})


@pytest.mark.parametrize("recipe", [train, eval], ids=lambda recipe: recipe.__name__)
@pytest.mark.parametrize("case", OF_MODEL_AND_DATA)
def test_what_does_not_fit_is_said_before_a_model_is_loaded(recipe, case, series, call, tmp_path, monkeypatch):
    flags, message = OF_MODEL_AND_DATA[case]
    for name in ("load_for_training", "load_model"):
        monkeypatch.setattr(recipe, name, lambda *_, **__: pytest.fail("a model was loaded"), raising=False)
    more = ["--report_to", "none"] if recipe is train else ["--split", "test"]
    with pytest.raises(SystemExit) as stop:
        call(recipe, "--json_dir", series, "--output_dir", tmp_path / "run", *more, *flags)
    said = str(stop.value.code)
    assert said.startswith("error: ") and message in said and "Traceback" not in said
    assert not (tmp_path / "run" / "model.safetensors").exists()


def test_structural_scans_have_one_frame_whatever_is_asked_for(tmp_path, call):
    folder = write_folder(tmp_path / "data", {"train": [1]})
    out = call(inspect_labels, "--json_dir", folder, *TINY3D, "--frames", 7)
    assert out.startswith("sMRI scan: volume, 16x16x16 voxels of 8 mm: 8 tokens, one for each cube of 64 mm\n")


def test_predict_says_what_a_scan_lacks(series, call, tmp_path):
    flags = ["--image", series / "train_0.nii", "--question", "?", "--modality", "sMRI"]
    with pytest.raises(SystemExit, match="expected one 3-D volume"):
        call(predict, "--model_name_or_path", "tiny3d", *flags)
