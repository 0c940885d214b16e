"""What a start of training writes beside its model, and when: just before the weights first change.

A start that ends earlier (a mistake in the flags, a row that is refused, nothing left to train) writes nothing: an
empty folder can be used again, another stays as it was.
"""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from datasets import Dataset, DatasetDict
from transformers import TrainerCallback, TrainerControl, TrainerState, TrainingArguments

from umbrella.files.written_files import writing
from umbrella.models.files import fingerprint_weights
from umbrella.records.run import add_to_run_record, describe_entry, fingerprint
from umbrella.records.training_data import FILE_NAME, TrainingData, read_training_data, start_from, subjects_of


@dataclass(frozen=True)
class RunStart:
    """What is known of a start before it trains.

    before  what the weights have seen that it starts from
    after   what they will have seen once it has trained
    entry   its entry of run.json
    """

    before: TrainingData
    after: TrainingData
    entry: dict


def describe_start(arguments: tuple, splits: DatasetDict, checkpoint: str | None) -> RunStart:
    """Describe a start on `splits` from a model or, where it goes on, from a checkpoint.

    Args:
        arguments: of the model, of the data and of training.
    """
    model_args, _, training_args = arguments
    before = find_before(model_args.model_name_or_path, training_args.seed, checkpoint, training_args.output_dir)
    started_from = [*before.models] if checkpoint is None else [describe_checkpoint(checkpoint), *before.models]
    entry = describe_entry(arguments, splits, started_from)
    return RunStart(before, before.add_rows(splits["train"], entry["data"]["train"]["sha256"]), entry)


def find_before(model_name_or_path: str, seed: int, checkpoint: str | None, output_dir: str | Path) -> TrainingData:
    """What the weights have seen that a run starts from.

    A checkpoint without a record is of an older version, which left one in the folder of the run that goes on: all
    that this and the model's say, and "not known".
    """
    if checkpoint is None:
        return start_from(model_name_or_path, seed)
    before = read_training_data(checkpoint)
    if checkpoint not in before.unknown:
        return before
    before = before.join(start_from(model_name_or_path, seed))
    is_its_run = Path(checkpoint).resolve().parent == Path(output_dir).resolve()
    return before.join(read_training_data(output_dir)) if is_its_run else before


def describe_checkpoint(checkpoint: str) -> dict:
    """A checkpoint as run.json names it."""
    return {"checkpoint": checkpoint, "weights_sha256": fingerprint_weights(Path(checkpoint))}


def check_same_data(checkpoint: str | None, rows: Dataset, other_data: bool) -> None:
    """Raise ValueError where a checkpoint was trained on other rows than these, unless `other_data` allows it.

    Says so where its record does not tell which rows it was trained on.
    """
    if checkpoint is None:
        return
    seen = read_training_data(checkpoint).seen
    if not seen or seen[-1].rows_sha256 is None:
        print(f"note: {checkpoint} does not record on which rows it was trained: they may have been others")
        return
    expected, found = seen[-1], fingerprint(rows)
    if found != expected.rows_sha256 and not other_data:
        raise ValueError(
            f"{checkpoint}: expected the training rows that it was trained on, {expected.rows} rows of "
            f"{len(expected.subject_sha256)} subjects with sha256 {expected.rows_sha256}; found {len(rows)} rows of "
            f"{len(subjects_of(rows))} subjects with sha256 {found}. Go on with the same data (several "
            "folders by the same names in the same order), start anew from --model_name_or_path in another "
            "--output_dir, or go on with these: --resume_on_other_data true"
        )


class FirstStep(TrainerCallback):
    """Writes the records of a start just before its first optimizer step, on the main process.

    `training_data` is what the weights in memory have seen.
    """

    def __init__(self, start: RunStart, output_dir: str, write_left_out: Callable[[], None]) -> None:
        """`write_left_out` writes which rows are not trained on, see `umbrella.training.unreadable`."""
        self.start, self.output_dir, self.write_left_out = start, output_dir, write_left_out
        self.began = False

    @property
    def training_data(self) -> TrainingData:
        return self.start.after if self.began else self.start.before

    def on_pre_optimizer_step(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **kwargs: Any
    ) -> None:
        if self.began:
            return
        self.began = True
        if state.is_world_process_zero:
            with writing(self.output_dir, "choose another --output_dir"):
                save_before_weights(self.start.after, self.output_dir)
                add_to_run_record(self.output_dir, self.start.entry)
                self.write_left_out()


def save_before_weights(training_data: TrainingData, folder: str | Path) -> None:
    """Record what weights have seen that are about to be written into a folder, together with what those have seen
    that may lie there: whichever a kill leaves, its subjects are named. A record that says it all stays as it is."""
    if not (Path(folder) / FILE_NAME).is_file():
        training_data.save(folder)
        return
    there = read_training_data(folder)
    both = there.join(training_data)
    if both != there:
        both.save(folder)
