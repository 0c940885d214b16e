"""Short runs of train.py on a GPU: their flags, and what they came to."""

import json
from pathlib import Path
from typing import NamedTuple

# Eight rows a model, so a run of these steps sees each ten times.
STEPS = 20
FLAGS = {
    "batch_size": 4,
    "max_steps": STEPS,
    "learning_rate": "1e-3",
    "lr_scheduler_type": "constant",
    "warmup_steps": 0,
    "max_length": 256,
    "logging_steps": 1,
    "save_strategy": "no",
    "report_to": "none",
    "disable_tqdm": "true",
}
SHOWN = {"tiny": {}, "tiny3d": {"view": "volume", "volume_size": "24x32x24", "volume_spacing": 8}}


class Fit(NamedTuple):
    """What a run came to: the loss and the norm of the gradient of each step, GiB of the GPU at most, its folder."""

    losses: list
    norms: list
    peak: float
    folder: Path


def make_command(model, data, output, **flags):
    """train.py's flags for a run of `model`; those given here win."""
    given = {"model_name_or_path": model, "json_dir": data, "output_dir": output, **SHOWN[model], **FLAGS, **flags}
    return [str(part) for flag, value in given.items() for part in (f"--{flag}", value)]


def read_fit(folder):
    """Of a finished run."""
    history = json.loads((folder / "trainer_state.json").read_text())["log_history"]
    steps = [entry for entry in history if "loss" in entry]
    measured = json.loads((folder / "train_results.json").read_text())
    losses, norms = [step["loss"] for step in steps], [step["grad_norm"] for step in steps]
    return Fit(losses, norms, measured.get("peak_gpu_memory_gib", 0.0), folder)
