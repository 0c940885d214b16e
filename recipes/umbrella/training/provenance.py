"""What lies beside every model that a run saves: how its scans are shown, what it stands on, whom it has seen."""

from dataclasses import dataclass
from pathlib import Path

from umbrella.models.base import BaseModel
from umbrella.records.recipe import Recipe
from umbrella.records.trained_questions import TrainedQuestions
from umbrella.rows.batches.cohorts import Cohorts
from umbrella.training.run_start import FirstStep, save_before_weights


@dataclass(frozen=True)
class Provenance:
    """Where the weights of a run come from.

    recipe      how scans and conversations are shown to the model
    base        of a model that is saved without its frozen weights; None for one that is saved whole
    first_step  writes the run's records, and knows what the weights have seen; None: nothing is recorded
    questions   what the rows ask; None: nothing is stored of it
    cohorts     where the rows are of several: how often those of each come
    """

    recipe: Recipe
    base: BaseModel | None = None
    first_step: FirstStep | None = None
    questions: TrainedQuestions | None = None
    cohorts: Cohorts | None = None

    def announce(self, folder: str | Path) -> None:
        """Before weights are written into a folder."""
        if self.first_step is not None:
            save_before_weights(self.first_step.training_data, folder)

    def save(self, folder: str | Path) -> None:
        """Once they are there."""
        if self.first_step is not None and self.first_step.began:  # else no weight has changed, nor its record
            self.first_step.training_data.save(folder)
            if self.questions is not None:
                self.questions.save(folder)
        self.recipe.save(folder)
        if self.base is not None:
            self.base.save(folder)
