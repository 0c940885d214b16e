"""How a fold is trained and evaluated: the commands of train.py and eval.py, and what tells that each has come to its
end."""

import os
import shlex
import shutil
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from umbrella.evaluation.folds.data_folder import write_data
from umbrella.evaluation.folds.division import Fold
from umbrella.evaluation.folds.plan import Plan
from umbrella.files.json_files import write_json
from umbrella.records.evaluations import METRICS
from umbrella.training.checkpoints import find_whole_checkpoint

TRAINED = "trained.json"  # written when train.py has ended well: a model's files may be of one that was killed
TRAIN, EVAL = "train", "eval"


@dataclass(frozen=True)
class FoldRun:
    """A fold in its folder: data/, model/, eval/, and a log of each command."""

    plan: Plan
    fold: Fold
    recipes: Path

    @property
    def folder(self) -> Path:
        return self.plan.folder_of(self.fold)

    @property
    def evaluation(self) -> Path:
        return self.folder / EVAL

    def is_done(self) -> bool:
        return (self.evaluation / METRICS).is_file()

    def next_step(self) -> str | None:
        """TRAIN or EVAL; None where both are done."""
        if self.is_done():
            return None
        return EVAL if (self.folder / TRAINED).is_file() else TRAIN

    def prepare(self, step: str) -> list[str]:
        """Make ready for a step: the fold's data, and a folder without what a killed training left there that none can
        go on from. Returns the step's command."""
        model = self.folder / "model"
        write_data(self.folder / "data", self.plan.rows, self.fold)
        if step == TRAIN and model.is_dir() and find_whole_checkpoint(str(model)) is None:
            shutil.rmtree(model)
        data = ["--json_dir", str(self.folder / "data")]
        if self.plan.image_root is not None:
            data += ["--image_root", self.plan.image_root]
        start = shlex.split(self.plan.asked.launcher) if self.plan.asked.launcher else [sys.executable]
        if step == TRAIN:
            seed = ["--seed", str(self.plan.seed + self.fold.repeat - 1)]
            go_on = ["--resume_from_checkpoint", "auto"]
            script = [str(self.recipes / "train.py"), *self.plan.flags.recipe]
            return [*start, *script, *data, "--output_dir", str(model), *seed, *go_on]
        asked = ["--split", "test", "--output_dir", str(self.evaluation)]
        script = [str(self.recipes / "eval.py"), "--model_name_or_path", str(model)]
        return [*start, *script, *data, *asked, *self.plan.flags.asked]

    def finish(self, step: str) -> None:
        """Note that a step has ended well."""
        if step == TRAIN:
            write_json(self.folder / TRAINED, {"trained": True})
        elif self.plan.asked.drop_models:
            shutil.rmtree(self.folder / "model")


def choose_gpu(slot: int, environment: Mapping[str, str], n_gpus: int, launcher: str | None) -> dict[str, str]:
    """The variables that give a run the GPU of its slot, where there are several and no launcher divides them."""
    if launcher or n_gpus < 2:
        return {}
    visible = environment.get("CUDA_VISIBLE_DEVICES") or ",".join(map(str, range(n_gpus)))
    gpus = visible.split(",")
    return {"CUDA_VISIBLE_DEVICES": gpus[slot % len(gpus)]}


def without_launcher(environment: Mapping[str, str]) -> dict[str, str]:
    """An environment for a run of its own: what srun and torchrun say of their processes is not of the run's."""
    theirs = ("RANK", "LOCAL_RANK", "WORLD_SIZE", "MASTER_ADDR", "MASTER_PORT", "ACCELERATE_MIXED_PRECISION")
    return {name: value for name, value in environment.items() if name not in theirs} | {
        "PYTHONUNBUFFERED": os.environ.get("PYTHONUNBUFFERED", "1")
    }
