"""The recipes for volumes: their YAML is run as it stands, and by night to the figures that are claimed of it."""

import html
import json
from pathlib import Path

import eval as evaluation
import generate_activation_conversations as activation
import generate_lesion_conversations as lesion
import pytest
import train
import yaml

CONFIGS = Path(__file__).parents[2] / "recipes" / "configs"
LESION, ACTIVATION = CONFIGS / "lesion3d.yaml", CONFIGS / "activation4d.yaml"
FRAME_CONTROLS = {"frames_shuffled", "frames_reversed", "frame_repeated"}
BRIEFLY = ("--max_steps", 2, "--per_device_train_batch_size", 2, "--dataloader_num_workers", 0)
SHOWN_AS_PICTURES = {"model_name_or_path": "tiny", "view": "axial", "volume_size": None, "volume_spacing": None}
SEEDS = [0, 1, 2]


def run_recipe(call, recipe, data, output, *flags):
    call(train, recipe, "--json_dir", data, "--output_dir", output, "--eval_strategy", "no", *flags)


def evaluate(call, data, output, *flags):
    """metrics.json of a run on the split `test`, with the controls."""
    flags = ("--json_dir", data, "--split", "test", "--baselines", "false", *flags)
    call(evaluation, "--model_name_or_path", output, "--bootstrap", 20, *flags)
    return json.loads((Path(output) / "eval" / "metrics.json").read_text())


def change_recipe(recipe, folder, changes):
    """A copy of a YAML with other values, and without those that are None."""
    values = {**yaml.safe_load(recipe.read_text()), **changes}
    path = folder / f"changed_{recipe.name}"
    path.write_text(yaml.safe_dump({name: value for name, value in values.items() if value is not None}))
    return path


@pytest.mark.slow
@pytest.mark.parametrize(
    ("recipe", "name", "controls"), [(LESION, "lesion", set()), (ACTIVATION, "activation", FRAME_CONTROLS)]
)
def test_recipe_trains_and_is_evaluated_with_the_controls_of_what_it_shows(
    recipe, name, controls, volume_data, call, tmp_path
):
    """Two steps; then all that is changed of a volume, and of frames where there are several."""
    run_recipe(call, recipe, volume_data[name], "run", *BRIEFLY)
    history = json.loads((tmp_path / "run/trainer_state.json").read_text())["log_history"]
    assert history[-1]["step"] == 2
    stated = yaml.safe_load(recipe.read_text())
    kept = json.loads((tmp_path / "run/umbrella_recipe.json").read_text())
    frames = str(stated["frames"]) if controls else None
    expected = ("volume", stated["volume_size"], float(stated["volume_spacing"]), frames)
    assert tuple(kept.get(name) for name in ("view", "volume_size", "volume_spacing", "frames")) == expected
    metrics = evaluate(call, volume_data[name], "run")
    of_volumes = {control for control in metrics["controls"] if control.startswith(("frame", "mirror"))}
    assert of_volumes == {"mirrored"} | controls
    assert metrics["controls"]["mirrored"]["n"] == metrics["n"]
    page = html.unescape((tmp_path / "run/eval/report.html").read_text(encoding="utf-8"))
    for control in of_volumes:
        assert f"<td>{metrics['controls'][control]['title']}</td>" in page
    for verdict in metrics["verdicts"].values():
        assert verdict["sentence"] in page
    assert ("what changes from frame to frame, are judged likewise" in page) == bool(controls)


@pytest.mark.nightly
@pytest.mark.slow
@pytest.mark.parametrize("seed", SEEDS)
def test_the_lesion_recipe_reaches_its_figures(seed, default_run, call, tmp_path):
    """Presence and side are told of held-out heads by the volume, not by the middle axial slice; where the volume is
    mirrored, the side turns."""
    data = default_run("lesion")[0]
    run_recipe(call, LESION, data, "run", "--seed", seed, "--volume_cache", tmp_path / "cache")
    metrics = evaluate(call, data, "run", "--by", "task", "--controls_n", 1000)
    groups = score_of_groups(metrics)
    assert groups["lesion_presence"] >= 0.90 and groups["lesion_side"] >= 0.90
    turns = metrics["controls"]["mirrored"]["turns"]["sides"]
    assert turns["n"] >= 40 and turns["share"] >= 0.85
    assert metrics["verdicts"]["sides"]["verdict"] == "turn"

    pictures = change_recipe(LESION, tmp_path, SHOWN_AS_PICTURES)
    run_recipe(call, pictures, data, "axial", "--seed", seed)
    of_slice = score_of_groups(evaluate(call, data, "axial", "--by", "task", "--controls", "false"))
    assert of_slice["lesion_presence"] <= 0.65 and of_slice["lesion_side"] <= 0.65


@pytest.mark.nightly
@pytest.mark.slow
@pytest.mark.parametrize("seed", SEEDS)
def test_the_activation_recipe_reaches_its_figures(seed, default_run, call, tmp_path):
    """The order of the frames tells the answer; neither their mean does, nor the frames in another order."""
    data = default_run("activation")[0]
    run_recipe(call, ACTIVATION, data, "run", "--seed", seed, "--volume_cache", tmp_path / "cache")
    metrics = evaluate(call, data, "run", "--controls_n", 1000)
    assert metrics["accuracy"] >= 0.90
    assert metrics["accuracy_frames_shuffled"] <= 0.65
    assert metrics["verdicts"]["order"]["verdict"] == "uses"

    still = change_recipe(ACTIVATION, tmp_path, {"frames": None})
    run_recipe(call, still, data, "mean", "--seed", seed)
    assert evaluate(call, data, "mean", "--controls", "false")["accuracy"] <= 0.6


def score_of_groups(metrics):
    """Accuracy by the question that was asked."""
    return {name: group["accuracy"] for name, group in metrics["by"]["task"].items()}


def test_generators_of_the_recipes_write_where_they_read():
    """By their own defaults, beside the generator."""
    for recipe, generator in ((LESION, lesion), (ACTIVATION, activation)):
        default = Path(generator.__file__).with_name(Path(generator.__file__).stem.removeprefix("generate_"))
        assert (CONFIGS.parents[1] / yaml.safe_load(recipe.read_text())["json_dir"]) == default
