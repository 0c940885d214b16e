"""train.py as the training guide starts it: as one process, and by `torchrun` as two on a CPU.

accelerate and the files of ds_configs/ are started in test_ds_configs, one process of a fresh Python among them.
"""

import json

import pytest
from forking import launch_forked
from launching import BIN, ROOT

pytestmark = pytest.mark.slow

GUIDE_FLAGS = "--batch_size 2 --epochs 1 --learning_rate 1e-3 --max_length 256 --report_to none".split(" ")


@pytest.mark.parametrize(("starter", "n_processes"), [([], 1), ([BIN / "torchrun", "--nproc_per_node", "2"], 2)])
def test_the_guides_flags_start_it(starter, n_processes, small_data, tmp_path):
    flags = ["--json_dir", small_data, "--output_dir", "run", *GUIDE_FLAGS]
    out = launch_forked([*starter, ROOT / "recipes/train.py", *flags], tmp_path)
    assert out.count(f"world size: {n_processes}") == n_processes
    assert json.loads((tmp_path / "run/trainer_state.json").read_text())["global_step"] == 4 // n_processes
    assert (tmp_path / "run/model.safetensors").is_file()
