"""One evaluation of a model on a split: its settings, its answers on disk, and what they come to."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from accelerate import PartialState
from datasets import Dataset

from umbrella.answers.generation import Answer, Answerer
from umbrella.evaluation.answer_file import AnswerFile
from umbrella.files.json_files import read_json, write_json
from umbrella.models.files import fingerprint_model, is_sampled
from umbrella.records.evaluations import SETTINGS, read_settings
from umbrella.records.run import fingerprint


def name_folder(model_name: str, split: str) -> Path:
    """Where an evaluation is written unless a folder is named: within the model's, or, for one that is no folder here
    (the Hub's, tiny), below runs/, which no checkout keeps: predictions hold names, the report shows scans."""
    model = Path(model_name) if Path(model_name).is_dir() else Path("runs/evaluations") / model_name.replace("/", "--")
    return model / ("eval" if split == "test" else f"eval_{split}")


@dataclass(frozen=True)
class Folder:
    """An evaluation's output folder."""

    path: Path

    @property
    def predictions(self) -> Path:
        return self.path / "predictions.jsonl"

    @property
    def control_answers(self) -> Path:
        return self.path / "controls.jsonl"

    def predictions_of(self, split: str) -> Path:
        """Answers to another split than the evaluated one."""
        return self.path / f"predictions_{split}.jsonl"

    def settings_of(self, split: str) -> Path:
        """What the answers to another split are of, beside those settings that hold for all answers."""
        return self.path / f"settings_{split}.json"

    def _answer_files(self) -> list[Path]:
        return [self.predictions, self.control_answers, *sorted(self.path.glob("predictions_*.jsonl"))]

    def open(self, settings: dict, overwrite: bool) -> None:
        """Start the folder, or continue it where its settings are the same.

        Raises ValueError, naming what differs, for a folder with answers to something else.
        """
        self.path.mkdir(parents=True, exist_ok=True)
        if overwrite:
            for path in (*self._answer_files(), *self.path.glob("settings_*.json"), self.path / SETTINGS):
                path.unlink(missing_ok=True)
        path = self.path / SETTINGS
        if path.exists():
            self._refuse_others(read_settings(self.path), settings)
        elif answered := [file for file in self._answer_files() if file.exists()]:
            raise ValueError(
                f"{answered[0]}: expected {SETTINGS} beside it, which tells what was answered; found none. "
                "Start anew with --overwrite, or choose another --output_dir"
            )
        write_json(path, settings, indent=2)
        for file in self._answer_files():
            AnswerFile(file).repair()

    def open_split(self, split: str, rows: Dataset) -> None:
        """Start or continue the answers to another split; `rows` are all that may be asked, now or in another run.

        Raises ValueError, with what to remove, where there are answers to other rows, or to none that are known: a
        split that was changed has new answers.
        """
        answers, path = self.predictions_of(split), self.settings_of(split)
        settings = {"split": split, "data": fingerprint(rows)}
        if answers.exists():
            found = read_json(path, dict, ("data",), f"Remove {answers}") if path.exists() else {"data": "none"}
            if found["data"] != settings["data"]:
                raise ValueError(
                    f"{answers}: expected answers to the {split} rows with the fingerprint {settings['data']}, found "
                    f"{found['data']} in {path.name}: the split is another one now. Remove {answers}, and it is asked "
                    "anew; the other answers stay"
                )
        write_json(path, settings, indent=2)

    def _refuse_others(self, found: dict, settings: dict) -> None:
        for name, value in settings.items():
            if name == "model" and is_sampled(str(found.get(name))):
                raise ValueError(
                    f"{self.path}: expected predictions of {value}, found those of an earlier version, which does not "
                    "tell whether this model made them. Start anew with --overwrite, or choose another --output_dir"
                )
            if found.get(name) != value:
                raise ValueError(
                    f"{self.path}: expected predictions for {name} {value!r}, found those for {found.get(name)!r}. "
                    "Start anew with --overwrite, or choose another --output_dir"
                )


def describe_settings(rows: Dataset, split: str, model_name_or_path: str, **options: Any) -> dict:
    """What the answers depend on; a folder holds answers for one such set."""
    return {"split": split, "data": fingerprint(rows), "model": fingerprint_model(model_name_or_path), **options}


def collect_answers(
    answerer: Answerer,
    rows: Dataset,
    path: Path,
    to_record: Callable[[dict, Answer], dict],
    control: str | None = None,
) -> tuple[list[dict], int]:
    """Answer the rows whose records are not in the file yet. The main process appends them, batch by batch.

    to_record  (row, answer) → what is kept; it gets `control` as a key where that is not None.
    Returns the records in the rows' order, on every process, and how many of them are new.
    """
    state, file = PartialState(), AnswerFile(path)
    state.wait_for_everyone()  # nobody reads while the main process still repairs or writes
    done = {record["task_id"]: record for record in file.read() if record.get("control") == control}
    state.wait_for_everyone()
    plain = rows.with_format(None)
    task_ids = list(plain["task_id"])
    todo = [i for i, task_id in enumerate(task_ids) if task_id not in done]
    answered = 0
    if todo:
        title = (control or "generating").replace("_", " ")
        for answers in answerer.answer(plain.select(todo), title, score=control is None):
            records = []
            for i, answer in zip(todo[answered:], answers, strict=False):
                record = to_record(plain[i], answer)
                records.append(record if control is None else {"control": control, **record})
            answered += len(records)
            if state.is_main_process:
                file.append(records)
            done |= {record["task_id"]: record for record in records}
    return [done[task_id] for task_id in task_ids], answered


def probabilities_of(records: list[dict], labels: list[str]) -> np.ndarray:
    """(n, len(labels)) probabilities of the labels in prediction records."""
    return np.array([[record["probabilities"][label] for label in labels] for record in records])
