"""What a recipe writes where no place is named: nothing among the data, and nothing that a checkout would keep."""

import runpy
import subprocess
import sys
from pathlib import Path

import generate_sex_comparison_conversations
import preview
import pytest

from umbrella.evaluation.run_folder import name_folder
from umbrella.options.tool_arguments import BenchmarkArguments

ROOT = Path(__file__).parents[2]


@pytest.mark.slow
def test_a_preview_lies_below_runs_and_the_data_can_be_made_anew(call, quick_scans, tmp_path):
    again = ["--output_dir", str(tmp_path / "my_data"), "--subjects_per_split", "4"]
    generate_sex_comparison_conversations.main(again)
    before = sorted(path for path in (tmp_path / "my_data").rglob("*"))
    printed = call(preview, "--json_dir", "my_data", "--n", 1, "--most_scans", 1, "--split", "validation")
    assert "wrote runs/preview/my_data_validation.html" in printed
    assert (tmp_path / "runs/preview/my_data_validation.html").is_file()
    assert sorted(path.name for path in tmp_path.iterdir()) == ["my_data", "runs"]
    assert sorted((tmp_path / "my_data").rglob("*")) == before
    generate_sex_comparison_conversations.main(again)


def test_an_evaluation_lies_beside_its_model_or_below_runs_where_that_is_no_folder(tmp_path):
    assert name_folder(str(tmp_path), "test") == tmp_path / "eval"
    assert name_folder(str(tmp_path), "validation") == tmp_path / "eval_validation"
    assert name_folder("llava-hf/llava-1.5-7b-hf", "test") == Path("runs/evaluations/llava-hf--llava-1.5-7b-hf/eval")
    assert name_folder("tiny", "validation") == Path("runs/evaluations/tiny/eval_validation")


def test_git_ignores_what_recipes_and_the_readmes_commands_write():
    if not (ROOT / ".git").exists():
        pytest.skip("no git checkout: what it ignores is not known")
    written = ["runs/preview/my_data_train.html", str(name_folder("tiny", "test") / "report.html"), "wandb/run/x"]
    written += [
        f"{BenchmarkArguments().output_dir}/benchmark.json",
        "my_data/train/a.json",
        "exported/model.safetensors",
    ]
    done = subprocess.run(["git", "check-ignore", *written], cwd=ROOT, capture_output=True, text=True)
    assert done.stdout.split() == written


def test_a_picture_of_ones_own_scan_does_not_take_the_place_of_the_public_one(monkeypatch, capsys, tmp_path):
    before = (ROOT / "docs/views.png").read_bytes()
    monkeypatch.setattr(sys, "argv", ["make_view_picture.py", str(tmp_path / "scan.nii.gz")])
    with pytest.raises(SystemExit):
        runpy.run_path(str(ROOT / "docs/make_view_picture.py"), run_name="__main__")
    assert "expected a picture to write beside the scan" in capsys.readouterr().err
    assert (ROOT / "docs/views.png").read_bytes() == before
