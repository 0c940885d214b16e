"""What evidence is gathered from."""

from dataclasses import dataclass

from datasets import Dataset, DatasetDict

from umbrella.evaluation.asking import Asker
from umbrella.evaluation.results import subjects_of_rows
from umbrella.evaluation.uncertainty.calibration_rows import CalibrationRows
from umbrella.options.arguments import EvalArguments


@dataclass(frozen=True)
class Evidence:
    """What there is to go by.

    rows, records  the evaluated rows and what was made of the answer to each
    splits         all of the data, as far as they are there: "train", "validation", "test"
    metrics        the numbers so far
    calibration    rows of the validation split to fit on, with --uncertainty
    """

    asker: Asker
    asked: EvalArguments
    splits: DatasetDict
    rows: Dataset
    records: list[dict]
    metrics: dict
    calibration: CalibrationRows

    @property
    def subjects(self) -> list[str]:
        """The subject of each row."""
        return subjects_of_rows(self.rows)
