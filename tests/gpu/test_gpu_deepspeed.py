"""DeepSpeed on one GPU, in processes of its own: weights in 16 bits, and checkpoints that load again."""

import math
import shutil

import pytest
from launching import ROOT, find_free_port

from umbrella.models.loading import load_model

pytestmark = [pytest.mark.gpu, pytest.mark.slow]


@pytest.fixture
def spread(fit_apart):
    """(stage, model, run=name of its folder, flag=value, ...) → `Fit` of train.py."""
    pytest.importorskip("deepspeed")

    def spread(stage, model, run="run", **flags):
        torchrun = ("-m", "torch.distributed.run", "--nproc_per_node", "1", "--master_port", find_free_port())
        return fit_apart(model, run, torchrun, deepspeed=ROOT / f"ds_configs/zero{stage}.json", **flags)

    return spread


@pytest.mark.parametrize("number_type", ["bf16", "fp16"])
def test_zero2_learns_and_its_model_loads(number_type, spread):
    run = spread(2, "tiny", **{number_type: "true"})
    assert all(map(math.isfinite, run.losses))
    assert sum(run.losses[-4:]) < 0.8 * sum(run.losses[:4])
    load_model(str(run.folder))


def test_zero3_goes_on_from_its_checkpoint(spread, tmp_path):
    flags = {"bf16": "true", "max_steps": 8, "save_strategy": "steps", "save_steps": 4}
    whole = spread(3, "tiny3d", "whole", **flags)
    shutil.copytree(whole.folder / "checkpoint-4", tmp_path / "run/checkpoint-4")
    resumed = spread(3, "tiny3d", resume_from_checkpoint=tmp_path / "run/checkpoint-4", **flags)
    assert resumed.losses[-4:] == pytest.approx(whole.losses[-4:], rel=2e-2)
    assert whole.losses[-1] < 0.9 * whole.losses[0]
    load_model(str(resumed.folder))
