"""The evaluated model is asked: the split's rows, the same with changes, rows of another split; answers are kept."""

from collections.abc import Callable
from functools import partial
from typing import Any

from datasets import Dataset

from umbrella.answers.generation import Answer, Answerer
from umbrella.evaluation.questions import Question
from umbrella.evaluation.run_folder import Folder, collect_answers
from umbrella.options.arguments import N_CORES, EvalArguments
from umbrella.rows.kept_views import CachingTransform
from umbrella.training.main_process import on_main_process


class Asker:
    """A model and what it takes to ask it. What is in the folder already is not asked again.

    make_transform  options → transform of the model's rows: `add_generation_prompt`, `change`
    """

    def __init__(
        self,
        model: Any,
        make_transform: Callable[..., CachingTransform],
        question: Question,
        folder: Folder,
        asked: EvalArguments,
    ) -> None:
        self.model, self.make_transform, self.question, self.folder = model, make_transform, question, folder
        self._ahead = max(asked.num_workers, min(1, N_CORES - 1))  # workers that load scans while the model answers
        self.prompts, self.answers = make_transform(add_generation_prompt=True), make_transform()
        self._answerer = partial(
            Answerer,
            model,
            answers=self.answers,
            batch_size=asked.batch_size,
            max_new_tokens=asked.max_new_tokens,
            num_workers=asked.num_workers,
            candidates=question.candidates(),
        )

    def ask(self, rows: Dataset) -> tuple[list[dict], int]:
        """Records of the split's rows, and how many of them are new: predictions.jsonl."""
        return collect_answers(self._answerer(self.prompts), rows, self.folder.predictions, self._to_prediction)

    def ask_split(self, rows: Dataset, split: str, drawn_from: Dataset | None = None) -> list[dict]:
        """Records of another split's rows, with the probabilities of labels: predictions_SPLIT.jsonl.

        drawn_from  the rows of the split that these were drawn from, where they are not all of it
        Raises ValueError where the file holds answers to another version of the split, see `Folder.open_split`.
        """
        on_main_process(self.folder.open_split, split, rows if drawn_from is None else drawn_from)
        path = self.folder.predictions_of(split)
        return collect_answers(self._answerer(self.prompts), rows, path, self._to_prediction)[0]

    def ask_changed(self, rows: Dataset, name: str, change: str | None = None) -> list[dict]:
        """Records, without probabilities, of rows for a control or another question of that name: controls.jsonl.

        change  how each scan is shown, a name of `umbrella.rows.changed_scans.CHANGES`; None as it is
        """
        changed = self.make_transform(add_generation_prompt=True, change=change)
        to_record = self.question.to_control_record
        return collect_answers(self._answerer(changed), rows, self.folder.control_answers, to_record, name)[0]

    def ask_variants(self, variants: Dataset, rows: Dataset, name: str, **shown: Any) -> list[dict]:
        """Records, without probabilities, of variants of rows under that name: controls.jsonl.

        variants  what is other than in the row: `row`, its number among `rows`, a `task_id` of its own, and columns
                  that stand in place of the row's, see `umbrella.rows.kept_views.CachingTransform`
        shown     options of the transform, as `perturb`
        """
        transform = self.make_transform(add_generation_prompt=True, variants_of=rows, **shown)
        answerer = self._answerer(transform, num_workers=self._ahead)
        to_record = self.question.to_control_record
        return collect_answers(answerer, variants, self.folder.control_answers, to_record, name)[0]

    def _to_prediction(self, row: dict, answer: Answer) -> dict:
        prompt = self.prompts.encoder.render_prompt(row["conversations"])
        return self.question.to_prediction(row, answer, prompt)
