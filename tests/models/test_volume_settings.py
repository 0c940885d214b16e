"""Claims about what a run on volumes was told: model, processor and recipe say the same, and what differs is found."""

import json
import shutil

import eval as evaluate
import export
import predict
import pytest
import torch
import train
from conversation_folder import write_folder
from safetensors.torch import load_file

from umbrella.models.loading import load_model, load_processor
from umbrella.records.recipe import load_recipe

SHOWN = ("--volume_size", "32x32x16", "--volume_spacing", "2.5")
OF_EVAL = ("--split", "validation", "--labels", "female,male")
SHORT = ("--max_steps", 2, "--batch_size", 2, "--learning_rate", "1e-2", "--report_to", "none")


@pytest.fixture(scope="module")
def json_dir(tmp_path_factory):
    return write_folder(tmp_path_factory.mktemp("volumes") / "data", {"train": [1, 2, 1, 0], "validation": [1, 1]})


@pytest.fixture
def run(call, json_dir):
    def run(output_dir, *flags, model="tiny3d", shown=SHOWN):
        named = ("--model_name_or_path", model, "--json_dir", json_dir, "--output_dir", output_dir)
        return call(train, *named, *SHORT, *shown, *flags)

    return run


@pytest.fixture(scope="module")
def trained(json_dir, tmp_path_factory):
    """A run whose whole model was trained."""
    import sys
    from unittest.mock import patch

    folder = tmp_path_factory.mktemp("trained") / "run"
    flags = ("--model_name_or_path", "tiny3d", "--json_dir", json_dir, "--output_dir", folder, *SHORT, *SHOWN)
    with patch.object(sys, "argv", ["train.py", *map(str, flags)]):
        train.main()
    return folder


@pytest.fixture
def copied(trained, tmp_path):
    return shutil.copytree(trained, tmp_path / "copied")


def edit(path, change):
    stated = json.loads(path.read_text())
    change(stated)
    path.write_text(json.dumps(stated))


@pytest.mark.slow
def test_model_processor_and_recipe_say_what_the_run_was_told(trained):
    model, processor, recipe = load_model(trained), load_processor(trained), load_recipe(str(trained))
    assert model.config.vision_config.spacing_mm == 2.5
    assert model.model.vision_tower.config.spacing_mm == 2.5
    assert processor.image_processor.settings == recipe.settings
    assert (recipe.view, recipe.volume_size, recipe.volume_spacing) == ("volume", "32x32x16", 2.5)


@pytest.mark.slow
def test_another_spacing_than_the_base_is_kept_by_a_checkpoint_of_parts(run, call, tmp_path):
    out = run("run", "--train", "projector")
    assert "trained: " in out
    assert load_model(tmp_path / "run").config.vision_config.spacing_mm == 2.5
    assert load_model("tiny3d").config.vision_config.spacing_mm == 4.0
    call(export, "--model_name_or_path", "run", "--output_dir", "whole")
    assert json.loads((tmp_path / "whole/config.json").read_text())["vision_config"]["spacing_mm"] == 2.5


@pytest.mark.slow
def test_lora_trains_the_towers_layers_where_they_are_named(run, tmp_path):
    run("run", "--train", "lora", "--lora_target_modules", "self_attn.q_proj", "fc1", "--gradient_checkpointing")
    adapters = load_file(tmp_path / "run/adapter_model.safetensors")
    assert {name.split(".")[3] for name in adapters} == {"vision_tower", "language_model"}
    model, before = load_model(tmp_path / "run"), load_model("tiny3d", seed=42)
    moved = {name for name, value in model.state_dict().items() if not torch.equal(value, before.state_dict()[name])}
    assert moved and all(name.endswith(("q_proj.weight", "fc1.weight")) for name in moved)
    assert any("vision_tower.layers.0.fc1" in name for name in moved)
    assert model.config.vision_config.spacing_mm == 2.5


@pytest.mark.slow
@pytest.mark.parametrize(
    "file, change, message",
    [
        ("umbrella_recipe.json", lambda stated: stated.update(volume_spacing=3.0),
         r"_recipe\.json: expected volume_spacing 2\.5, as processor_config\.json .*found 3\.0: one of the two"),
        ("umbrella_recipe.json", lambda stated: stated.update(frames="4"), r"expected frames None, .*found '4'"),
        ("processor_config.json", lambda stated: stated["image_processor"].update(volume_size="32x32x32"),
         r"expected volume_size '32x32x32', .*found '32x32x16'"),
        ("config.json", lambda stated: stated["vision_config"].update(spacing_mm=2.0),
         r"volume_spacing: expected 2\.0, as the model's vision tower has it .*found 2\.5 in its processor"),
        ("config.json", lambda stated: stated["vision_config"].update(patch_size=[1, 4, 4, 4]),
         r"copied: expected weights of the shapes that its config\.json states, found others"),
        ("config.json", lambda stated: stated["vision_config"].update(pools_time=False),
         r"pools_time: expected False, .*found True in its processor"),
    ],
    ids=["spacing of the recipe", "frames of the recipe", "size of the processor", "spacing of the tower", "shapes",
         "pooling of the tower"],
)  # fmt: skip
def test_what_was_edited_is_found_before_an_answer(file, change, message, copied, call, json_dir):
    edit(copied / file, change)
    with pytest.raises(SystemExit, match=message) as error:
        call(predict, "--model_name_or_path", copied, "--image", json_dir / "train_0_0.nii", "--question", "Male?")
    assert "\n" not in str(error.value)


PICTURES, VOLUMES = "--model_name_or_path tiny".split(), "--model_name_or_path tiny3d".split()


@pytest.mark.parametrize("recipe", [train, evaluate])
@pytest.mark.parametrize(
    "flags, message",
    [
        ([*PICTURES, "--view", "volume"], "tiny: expected one of the views of pictures, .*found --view volume"),
        ([*PICTURES, "--volume_size", "32"], "tiny: expected one of the views of pictures, .*found --volume_size"),
        ([*VOLUMES, "--view", "axial"], "tiny3d: expected --view volume, as .* whole volumes, found --view axial"),
        ([*VOLUMES, "--image_size", "64"], "tiny3d: expected --view volume, .*found --image_size 64"),
        ([*VOLUMES, "--volume_size", "96x100x96"], "multiple of 8x8x8 voxels .*Set --volume_size 96x96x96"),
        (
            [*VOLUMES, "--volume_size", "65536"],
            "--volume_size or --frames: expected views that fit into memory, found",
        ),
        ([*VOLUMES, "--volume_size", "32", "--max_length", 8192], "--max_length: expected at most 4096, .*found 8192"),
        ([*VOLUMES, "--max_length", 64], r"fit into --max_length 64, found .*Set --max_length to \d+ or more"),
    ],
)
def test_what_a_model_does_not_take_is_one_sentence_before_the_first_step(recipe, flags, message, call, json_dir):
    of_recipe = SHORT if recipe is train else OF_EVAL
    with pytest.raises(SystemExit, match=message) as error:
        call(recipe, *flags, "--json_dir", json_dir, "--output_dir", "out", *of_recipe)
    assert "\n" not in str(error.value).strip()


@pytest.mark.slow
def test_an_untrained_model_is_evaluated_at_the_spacing_that_is_asked_for(call, json_dir):
    call(evaluate, *VOLUMES, *SHOWN, "--json_dir", json_dir, "--output_dir", "out", *OF_EVAL)


def test_a_processor_of_another_kind_of_model_is_refused(call):
    from umbrella.models.loading import check_fits

    for model, processor in (("tiny", "tiny3d"), ("tiny3d", "tiny")):
        with pytest.raises(ValueError, match="Load model and processor from one place"):
            check_fits(load_model(model), load_processor(processor))
