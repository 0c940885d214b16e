"""train.py as the training guide starts it: by `python`, and by `torchrun` as two processes on a CPU.

accelerate, deepspeed and the files of ds_configs/ are started in test_ds_configs.
"""

import json
import sys

import pytest
from launching import BIN, ROOT, launch

pytestmark = pytest.mark.slow

GUIDE_FLAGS = "--batch_size 2 --epochs 1 --learning_rate 1e-3 --max_length 256 --report_to none".split(" ")


@pytest.mark.parametrize(
    ("starter", "n_processes"), [([sys.executable], 1), ([BIN / "torchrun", "--nproc_per_node", "2"], 2)]
)
def test_the_guides_flags_start_it(starter, n_processes, small_data, tmp_path):
    flags = ["--json_dir", small_data, "--output_dir", "run", *GUIDE_FLAGS]
    out = launch([*starter, ROOT / "recipes/train.py", *flags], tmp_path)
    assert out.count(f"world size: {n_processes}") == n_processes
    assert json.loads((tmp_path / "run/trainer_state.json").read_text())["global_step"] == 4 // n_processes
    assert (tmp_path / "run/model.safetensors").is_file()
