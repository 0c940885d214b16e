"""train.py under the launchers that users have, as the README and the guide write them. Two processes on a CPU."""

import json
import sys

import pytest
import torch
from launching import BIN, ROOT, launch
from safetensors.torch import load_file

pytestmark = pytest.mark.slow

GUIDE_FLAGS = "--batch_size 2 --epochs 1 --learning_rate 1e-3 --max_length 256 --report_to none".split(" ")
TWO = ["--nproc_per_node", "2"]


def test_accelerate_launch_starts_the_quickstart_recipe(small_data, tmp_path):
    recipe = ROOT / "recipes/configs/quickstart.yaml"
    flags = ["--json_dir", small_data, "--output_dir", "run", "--max_steps", 2, "--batch_size", 2]
    out = launch(
        [BIN / "accelerate", "launch", "--num_processes", 1, ROOT / "recipes/train.py", recipe, *flags], tmp_path
    )
    assert "world size: 1" in out
    assert (tmp_path / "run/model.safetensors").is_file()


def test_python_starts_with_the_guides_flags(small_data, tmp_path):
    flags = ["--json_dir", small_data, "--output_dir", "run", *GUIDE_FLAGS]
    out = launch([sys.executable, ROOT / "recipes/train.py", *flags], tmp_path)
    assert "world size: 1" in out
    assert json.loads((tmp_path / "run/trainer_state.json").read_text())["global_step"] == 4


@pytest.mark.xdist_group("deepspeed")
def test_torchrun_and_zero2_on_two_processes_train_to_the_same_weights(small_data, tmp_path):
    flags = ["--json_dir", small_data, *GUIDE_FLAGS]
    for name, more in {"ddp": [], "zero2": ["--deepspeed", ROOT / "ds_configs/zero2.json"]}.items():
        command = [BIN / "torchrun", *TWO, ROOT / "recipes/train.py", *flags, "--output_dir", name, *more]
        out = launch(command, tmp_path)
        assert out.count("world size: 2") == 2
        assert json.loads((tmp_path / name / "trainer_state.json").read_text())["global_step"] == 2
    ddp, zero2 = (load_file(tmp_path / name / "model.safetensors") for name in ("ddp", "zero2"))
    assert zero2.keys() - ddp.keys() <= {"lm_head.weight"}  # tied to the embedding, which is in both
    for name in ddp:
        torch.testing.assert_close(ddp[name], zero2[name], atol=1e-4, rtol=1e-4)
