"""What a cross-validation consists of, in plan.json; a folder holds the folds of one recipe on one set of data."""

from dataclasses import asdict, dataclass
from pathlib import Path

from datasets import Dataset

from umbrella.evaluation.folds.arguments import FoldArguments, FoldFlags, read_eval_flags, tell_folds
from umbrella.evaluation.folds.data_folder import pool_splits
from umbrella.evaluation.folds.division import Fold, divide_rows
from umbrella.evaluation.folds.task import Task, find_task
from umbrella.files.json_files import read_json, write_json
from umbrella.options.arguments import DataArguments, ModelArguments
from umbrella.options.training_flags import TrainFlags
from umbrella.records.run import fingerprint

PLAN = "plan.json"
DIVIDED_BY = ("folds", "repeats", "by", "group_by", "splits", "validation", "leave_out_crossing", "fold_seed")


@dataclass(frozen=True)
class Plan:
    """All folds of the pooled rows.

    flags   of the folds' own commands
    notes   what must be said of the data and their division
    """

    folder: Path
    rows: Dataset
    folds: list[Fold]
    task: Task
    flags: FoldFlags
    asked: FoldArguments
    seed: int
    n_resamples: int
    image_root: str | None
    notes: list[str]

    def folder_of(self, fold: Fold) -> Path:
        return self.folder / fold.name

    def settings(self) -> dict:
        """What the folds' results depend on."""
        return {
            "data": fingerprint(self.rows),
            "recipe": list(self.flags.recipe),
            "eval": list(self.flags.asked),
            **{name: asdict(self.asked)[name] for name in DIVIDED_BY},
        }

    def to_dict(self) -> dict:
        """With the subjects that each fold holds out, whose rows are all in its test part."""
        entries = self.rows["metadata"]
        held_out = {
            fold.name: sorted({entries[i]["subject_id"] or f"row {self.rows[i]['task_id']}" for i in fold.test})
            for fold in self.folds
        }
        counts = {
            fold.name: {"train": len(fold.train), "validation": len(fold.validation), "test": len(fold.test)}
            for fold in self.folds
        }
        return {"settings": self.settings(), "rows": counts, "held_out": held_out}


def make_plan(model: ModelArguments, data: DataArguments, training: TrainFlags, asked: FoldArguments) -> Plan:
    """Load and divide the data. Raises ValueError for data that cannot be divided so."""
    rows, pooled = pool_splits(data, asked.splits)
    evaluation = read_eval_flags(asked)
    task = find_task(rows, evaluation)
    strategy = training.eval_strategy
    wants_validation = getattr(strategy, "value", strategy) != "no"
    division = divide_rows(rows, task.strata, asked, wants_validation, task.has_labels)
    told = tell_folds(data, model, training, asked)
    flags = FoldFlags(told.recipe, (*told.asked, *task.flags))
    notes = [pooled, *division.notes]
    return Plan(
        folder=Path(str(training.output_dir)),
        rows=rows,
        folds=division.folds,
        task=task,
        flags=flags,
        asked=asked,
        seed=training.seed,
        n_resamples=evaluation.bootstrap,
        # Names of scans in shards count from the folder that they were packed from, not from a fold's.
        image_root=data.image_root or (data.json_dir if data.shard_folders else None),
        notes=notes,
    )


def keep_plan(plan: Plan) -> None:
    """Write plan.json, or hold the folder's own against it.

    Raises ValueError, naming what differs, for a folder with folds of another recipe, of other data, or divided in
    another way; and for one that holds anything else.
    """
    path = plan.folder / PLAN
    if path.is_file():
        found = read_json(path, dict, ("settings",))["settings"]
        for name, value in plan.settings().items():
            if found.get(name) != value:
                was, now = _show(found.get(name), value)
                raise ValueError(
                    f"{path}: expected folds of the same {name} as now, {now}; found {was}. Their results cannot be "
                    "pooled with others: choose another --output_dir, or delete this one"
                )
    elif plan.folder.is_dir() and (others := [one.name for one in plan.folder.iterdir() if one.name[0] != "."]):
        raise ValueError(
            f"{plan.folder}: expected a new or empty folder, or one with {PLAN}, found {others[0]}. Choose another "
            "--output_dir"
        )
    write_json(path, plan.to_dict())


def _show(was: object, now: object) -> tuple[str, str]:
    """Two values, of lists of flags what differs alone."""
    if isinstance(was, list) and isinstance(now, list):
        first, second = (" ".join(w for w in a if w not in b) or "none of that" for a, b in ((was, now), (now, was)))
        return first, second
    return str(was), str(now)
