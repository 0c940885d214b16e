"""Rows of the validation split, on which temperatures, thresholds and sets are fitted; none that are evaluated."""

import random
from dataclasses import dataclass
from pathlib import Path

from datasets import Dataset, DatasetDict

from umbrella.answers.selection import keep_answerable
from umbrella.evaluation.history import STATE, name_best_checkpoint
from umbrella.evaluation.questions import Classification, FreeText, Question
from umbrella.options.arguments import EvalArguments
from umbrella.records.leakage import guard_against_leakage
from umbrella.records.training_data import count_without_subject, subjects_of

SPLIT = "validation"
LEAVE_OUT = "leave --uncertainty out"


@dataclass(frozen=True)
class CalibrationRows:
    """What may be fitted on.

    rows        to be asked; None where there are none
    drawn_from  all that could be asked: the split's rows that are of the task
    notes       sentences: what was left out, what is known of the subjects, or why there are no rows
    """

    rows: Dataset | None = None
    drawn_from: Dataset | None = None
    notes: tuple[str, ...] = ()

    @property
    def by_split(self) -> dict[str, Dataset]:
        """The rows under their split's name, none where there are none."""
        return {} if self.rows is None else {SPLIT: self.rows}


def pick_calibration_rows(
    asked: EvalArguments, splits: DatasetDict, question: Question, rows: Dataset, model_name_or_path: str
) -> CalibrationRows:
    """The rows of the validation split that answer the same question as `rows`; none where they are not asked for.

    Raises ValueError where their subjects are among those of `rows` or of the training data (unless
    --allow_subject_overlap), and for --abstain_at where no answer has a probability.
    """
    if not asked.uncertainty:
        return CalibrationRows()
    if asked.abstain_at is not None and not isinstance(question, Classification):
        task = question.to_dict()["task"]
        raise ValueError(
            f"--abstain_at: expected labels, whose probabilities say how sure, found {task}; leave it out"
        )
    if isinstance(question, FreeText):
        return CalibrationRows()
    if asked.split == SPLIT:
        return _none(f"the {SPLIT} split is the one that is evaluated. Evaluate another: --split test")
    if SPLIT not in splits:
        return _none(f"the data have no {SPLIT} split, only {', '.join(splits)}. Add a folder {SPLIT}/")
    kept, excluded = keep_answerable(splits[SPLIT], question.to_dict()["task"])
    known = [i for i, entry in enumerate(kept["metadata"]) if _is_known(question, entry["subject_label"])]
    excluded["a label that the evaluated rows do not have"] = len(kept) - len(known)
    kept = kept.select(known)
    notes = [f"Of the {SPLIT} rows {n} were left out: {reason}." for reason, n in excluded.items() if n]
    if not len(kept):
        return _none(f"no row of the {SPLIT} split has a label of this task", notes)
    notes += _check_subjects(kept, rows, asked.allow_subject_overlap)
    notes.append(
        guard_against_leakage(model_name_or_path, kept, SPLIT, asked.allow_subject_overlap, SPLIT, _capital(LEAVE_OUT))
    )
    best = name_best_checkpoint(Path(model_name_or_path) / STATE)
    if best is not None:
        notes.append(
            f"{best} was chosen by its results on the {SPLIT} split, on which a model then does a little better than "
            "on new subjects: thresholds may be too low, and sets too small."
        )
    if len(kept) <= asked.uncertainty_n:
        return CalibrationRows(kept, kept, tuple(notes))
    drawn = sorted(random.Random(asked.seed).sample(range(len(kept)), asked.uncertainty_n))
    notes.insert(0, f"Of {len(kept)} {SPLIT} rows {len(drawn)} were drawn (--uncertainty_n).")
    return CalibrationRows(kept.select(drawn), kept, tuple(notes))


def _none(why: str, notes: list[str] | None = None) -> CalibrationRows:
    return CalibrationRows(notes=(*(notes or ()), f"Nothing could be fitted: {why}."))


def _is_known(question: Question, label: str) -> bool:
    return not isinstance(question, FreeText) and question.reading.read_truth(label) is not None


def _check_subjects(kept: Dataset, rows: Dataset, allow_overlap: bool) -> list[str]:
    """What is to be said of the subjects of both splits. Raises ValueError where some are the same."""
    named = subjects_of(kept)
    overlap = sorted(named & subjects_of(rows))
    if overlap:
        found = f"{len(overlap)} of {len(named)}"
        if not allow_overlap:
            raise ValueError(
                f"--uncertainty: expected other subjects in the {SPLIT} split than in the evaluated rows, references "
                f"included; found {found} in both, the first {overlap[0]!r}. Mend the splits, of which "
                f"sample_data/validate_json_format.py lists the subjects, {LEAVE_OUT}, or state the overlap in the "
                "report with --allow_subject_overlap"
            )
        return [
            f"WARNING: {found} subjects of the {SPLIT} rows are evaluated too (--allow_subject_overlap): what was "
            "fitted on them does better here than on new subjects."
        ]
    nameless = count_without_subject(kept) + count_without_subject(rows)
    if nameless:
        return [f"{nameless} rows name no subject, so it is not known whether the {SPLIT} subjects are others."]
    return []


def _capital(text: str) -> str:
    return text[0].upper() + text[1:]
