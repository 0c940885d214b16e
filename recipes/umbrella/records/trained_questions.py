"""umbrella_questions.json: what a model was asked in training and how its answers are read, for who asks it later.

It holds wordings that several subjects share, never a row's own, see `umbrella.privacy.shared_questions`.
"""

from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from umbrella.files.json_files import build_record, read_json, write_json
from umbrella.models.files import find_model_file
from umbrella.options.arguments import BUILT

FILE_NAME = "umbrella_questions.json"
VERSION = 1
COUNTS = ("questions", "layouts", "left_out")
REMEDY = "Copy it from another checkpoint of the run, which has the same, or remove it: then give --question"


@dataclass(frozen=True)
class TrainedQuestions:
    """The questions of the rows of the last start of training.

    rows       how many they are
    questions  wording of the last question → rows, the most frequent first
    layouts    what stands in a row's turns before the answer → rows: "image text" is a scan and then the question,
               "text image | text | image text" a reference before it, "study text" the sequences of a visit
    by_layout  of these layouts → wording → rows, the most frequent first; none in records of older runs
    left_out   why a wording is not stored → rows
    sequences  those that most rows of studies name, in their order; none where rows show single scans
    answers    how answers are read: {"task": "classification", "labels", "forms", "answer_template"} or {"task":
               "regression", "unit", "decimal", "thousands"} or {"task": "text"}; None where that is not stored, and
               `answers_told` says why
    """

    rows: int
    questions: dict[str, int] = field(default_factory=dict)
    layouts: dict[str, int] = field(default_factory=dict)
    by_layout: dict[str, dict[str, int]] = field(default_factory=dict)
    left_out: dict[str, int] = field(default_factory=dict)
    answers: dict[str, Any] | None = None
    answers_told: str = ""
    sequences: list[str] = field(default_factory=list)

    def save(self, folder: str | Path) -> None:
        """Write the record beside a model."""
        counts: dict[str, Any] = {name: _to_list(getattr(self, name)) for name in COUNTS}
        by_layout = [{"text": layout, "questions": _to_list(some)} for layout, some in self.by_layout.items()]
        counts |= {"by_layout": by_layout}
        write_json(Path(folder) / FILE_NAME, {"version": VERSION, **asdict(self), **counts}, indent=2)


def load_trained_questions(model_name_or_path: str) -> TrainedQuestions | None:
    """The record saved beside a model, in a folder or on the Hub; None for a model that has none.

    Raises ValueError for a file that is no such record.
    """
    path = None if model_name_or_path in BUILT else find_model_file(model_name_or_path, FILE_NAME)
    if path is None:
        return None
    record = read_json(path, dict, ("version", "rows", *COUNTS), REMEDY)
    return build_record(path, lambda: _build(record), REMEDY)


def _to_list(counts: dict[str, int]) -> list[dict]:
    # Under a key that says what it is: the search before a push takes other numbers for ages.
    return [{"text": text, "rows": n} for text, n in counts.items()]


def _to_counts(entries: list[dict]) -> dict[str, int]:
    return {one["text"]: one["rows"] for one in entries}


def _build(record: dict) -> TrainedQuestions:
    stated: dict[str, Any] = {
        name: value for name, value in record.items() if name not in ("version", "by_layout", *COUNTS)
    }
    counts: dict[str, Any] = {name: _to_counts(record[name]) for name in COUNTS}
    by_layout = {one["text"]: _to_counts(one["questions"]) for one in record.get("by_layout", [])}
    all_counts = (*counts.values(), *by_layout.values())
    if record["version"] != VERSION or not all(type(n) is int for some in all_counts for n in some.values()):
        raise ValueError(f"expected version {VERSION} and numbers of rows")
    found = TrainedQuestions(**stated, **counts, by_layout=by_layout)
    needed = {"classification": {"labels", "forms", "answer_template"}, "regression": {"unit", "decimal", "thousands"}}
    if found.answers is not None and not found.answers.keys() >= needed.get(found.answers["task"], set()):
        raise ValueError(f"expected answers with {', '.join(sorted(needed[found.answers['task']]))}")
    return found
