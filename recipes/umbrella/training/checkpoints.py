"""Checkpoints that are whole or recognised as not: what a killed job, a full disk or SIGTERM leaves behind.

`complete.json`, the last file that is written into a checkpoint, names all others with their sizes and a hash: of a
file up to 1 MiB all of it, of a larger one 16 parts from its start to its end. Only then are older checkpoints removed
(--save_total_limit).
"""

import json
import os
import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch
import xxhash
from safetensors import SafetensorError
from transformers import TrainerCallback, TrainerControl, TrainerState, TrainingArguments
from transformers.trainer_utils import PREFIX_CHECKPOINT_DIR, rotate_checkpoints, sort_checkpoints

from umbrella.files.json_files import read_json
from umbrella.files.written_files import WriteError, name_reason, replacing
from umbrella.rows.batches.token_batches import TokenPlan

MARKER = "complete.json"
PARTS, PART_BYTES = 16, 64 * 1024


class WholeCheckpoints(TrainerCallback):
    """Declares each checkpoint whole once all of it is written; only then older ones go.

    `cohort_weights` stand in its marker: of other weights another order of the rows would come.
    """

    # `trainer` is a ConversationTrainer, which imports this file.
    def __init__(self, trainer: Any, cohort_weights: dict[str, float]) -> None:
        self.trainer, self.cohort_weights = trainer, cohort_weights

    def on_save(self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **kwargs: Any) -> None:
        folder = name_checkpoint(args, state)
        self.trainer.accelerator.wait_for_everyone()
        if args.should_save:
            trainer = self.trainer
            write_marker(folder, args.world_size, trainer.rows_a_step, trainer.token_plan, self.cohort_weights)
            if args.save_total_limit:  # one that is half-written must not count among those that are kept
                for other in sort_checkpoints(args.output_dir):
                    if read_marker(other) is None:
                        shutil.rmtree(other)
            best = state.best_model_checkpoint
            rotate_checkpoints(args.output_dir, args.save_total_limit, best_model_checkpoint=best, use_mtime=True)
        self.trainer.accelerator.wait_for_everyone()


def name_checkpoint(args: TrainingArguments, state: TrainerState) -> Path:
    """The folder of the checkpoint of a step."""
    return Path(args.output_dir) / f"{PREFIX_CHECKPOINT_DIR}-{state.global_step}"


@contextmanager
def explaining_failed_save(folder: Path, args: TrainingArguments) -> Iterator[None]:
    """A checkpoint is written in the block: where that fails, WriteError says what is to be done."""
    try:
        yield
    except (OSError, RuntimeError, SafetensorError) as error:  # torch's writer raises the second
        if isinstance(error, torch.OutOfMemoryError):
            raise
        raise WriteError(explain_failed_save(folder, error, say_way_on(args))) from error


def say_way_on(args: TrainingArguments) -> str:
    """How a run goes on from its last checkpoint."""
    if args.save_only_model:  # see `umbrella.training.resuming`
        return "without the optimizer (--save_only_model) no run goes on: start from a checkpoint as a model"
    return "go on with --resume_from_checkpoint auto"


def explain_failed_save(folder: Path, error: Exception, way_on: str) -> str:
    """What is to be done about a checkpoint that could not be written; `way_on` from an earlier one."""
    found = f"{folder}: expected to write a checkpoint, found {name_reason(error)}"
    whole = find_whole_checkpoint(folder.parent)
    if whole is None:
        again = "start again with --resume_from_checkpoint auto, which then starts from the first step"
        return f"{found}. There is none before it. Make room, then {again}, or choose another --output_dir."
    n_others = len([other for other in folder.parent.glob("checkpoint-*") if other != folder])
    fewer = " (--save_total_limit 1 keeps fewer from then on)" if n_others > 1 else ""
    return f"{found}. The one before, {whole}, is whole. Make room{fewer}, then {way_on}."


# -------------------------------------------------------------------------------------------------- whole or not


def write_marker(
    folder: Path,
    world_size: int,
    rows_a_step: int,
    plan: TokenPlan | None = None,
    cohort_weights: dict[str, float] | None = None,
) -> None:
    """Declare a checkpoint whole. Where batches are made by tokens, a step has no number of rows, but a `plan`."""
    paths = {path.relative_to(folder).as_posix(): path for path in _files(folder)}
    record = {
        "world_size": world_size,
        "rows_a_step": None if plan else rows_a_step,
        "token_batches": plan.record() if plan else None,
        "cohort_weights": cohort_weights or {},
        "files": {name: path.stat().st_size for name, path in paths.items()},
        "xxh3_128": {name: _hash_parts(path) for name, path in paths.items()},
    }
    with replacing(folder / MARKER) as partial, open(partial, "w", encoding="utf-8") as file:
        file.write(json.dumps(record, indent=1) + "\n")
        file.flush()
        os.fsync(file.fileno())  # a machine that goes down must not leave an empty one under the final name


def read_marker(folder: str | Path) -> dict | None:
    """What `write_marker` wrote; None where a checkpoint is not whole, see `find_fault`."""
    record = _read_record(folder)
    return None if record is None or _find_unlike(folder, record) else record


def find_fault(folder: str | Path) -> str:
    """Why `read_marker` gives None: that the checkpoint was never finished, or which of its files is no longer as it
    was written."""
    record = _read_record(folder)
    if record is None:
        return f"has {MARKER} cut short or changed" if (Path(folder) / MARKER).is_file() else "is half-written"
    name = _find_unlike(folder, record)
    return f"has {name} cut short or changed" if (Path(folder) / name).is_file() else f"lacks {name}"


def _find_unlike(folder: str | Path, record: dict) -> str | None:
    """The first file of a marker's that is missing, of another size or of other content, as far as its hash tells;
    markers of older versions have sizes alone."""
    paths = {file.relative_to(folder).as_posix(): file for file in _files(Path(folder))}
    hashes = record.get("xxh3_128", {})
    for name, size in record["files"].items():
        if name not in paths or paths[name].stat().st_size != size:
            return name
        if name in hashes and _hash_parts(paths[name]) != hashes[name]:
            return name
    return None


def _hash_parts(path: Path) -> str:
    """Hash of a file's size and of `PARTS` parts, evenly from its first byte to its last: milliseconds, whatever its
    size. A file of up to all parts together is hashed whole."""
    size = path.stat().st_size
    digest = xxhash.xxh3_128(str(size).encode())
    with open(path, "rb") as file:
        if size <= PARTS * PART_BYTES:
            digest.update(file.read())
            return digest.hexdigest()
        for number in range(PARTS):
            file.seek((size - PART_BYTES) * number // (PARTS - 1))
            digest.update(file.read(PART_BYTES))
    return digest.hexdigest()


def _read_record(folder: str | Path) -> dict | None:
    """The marker's content; None where there is none, or one that is cut short or damaged."""
    try:
        record = read_json(Path(folder) / MARKER, dict, ("world_size", "rows_a_step", "files"))
    except (OSError, ValueError):
        return None
    return record if isinstance(record["files"], dict) and isinstance(record.get("xxh3_128", {}), dict) else None


def _files(folder: Path) -> list[Path]:
    return sorted(path for path in folder.rglob("*") if path.is_file() and not path.name.startswith(MARKER))


def find_whole_checkpoint(output_dir: str | Path, say: Callable[[str], object] | None = None) -> str | None:
    """The last whole checkpoint of a run; `say` is called with a sentence for each later one that is not."""
    for folder in reversed(sort_checkpoints(str(output_dir))) if Path(output_dir).is_dir() else ():
        if read_marker(folder) is not None:
            return folder
        if say:
            say(f"{folder} {find_fault(folder)} and is passed over")
    return None
