"""While a model trains: are its answers right? A sample of the validation rows is answered after each evaluation."""

import contextlib
import random
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from importlib.util import find_spec
from typing import Any

import numpy as np
import torch
from accelerate import PartialState
from datasets import Dataset

from umbrella.answers.generation import Answerer
from umbrella.answers.labelled_answer import AnswerError, LabelledAnswer, split_kinds
from umbrella.answers.labelled_rows import find_labelled, read_labelled
from umbrella.answers.own_answers import check_labels_apart, compare_own_answers, find_wording
from umbrella.answers.reading import LabelReading, Reading, find_reading
from umbrella.options.arguments import EvalArguments
from umbrella.options.extras import describe_missing
from umbrella.options.training_arguments import TrainArguments
from umbrella.options.training_fields import LOWER_IS_BETTER
from umbrella.rows.kept_views import CachingTransform, ViewCache
from umbrella.training.run_defaults import with_values

MAX_NEW_TOKENS = EvalArguments().max_new_tokens  # as eval.py, so that both come to the same numbers


class AnswerCheck:
    """Asks a model the last question of a fixed sample of rows and scores its answers as eval.py does.

    Args:
        rows: validation rows, with or without a transform. Those without metadata.subject_label are left out.
        processor, options: of the ConversationTransform.
        n_rows: the most rows asked, drawn by `seed`.
        batch_size: rows answered at once in each process.

    `metrics` names what a call returns: see `Task`. Raises ValueError where a package that scores is missing.
    """

    def __init__(self, rows: Dataset, processor: Any, options: dict, n_rows: int, seed: int, batch_size: int) -> None:
        rows = rows.with_format(None)
        rows = rows.select(find_labelled(rows))
        self.task = find_task_of_answers(read_labelled(rows))[0] if n_rows and len(rows) else Task()
        if self.task.name == "regression" and find_spec("sklearn") is None:
            missing = describe_missing("sklearn", "--eval_answers", "eval")
            raise ValueError(f"{missing}, or ask nothing: --eval_answers 0")
        self.metrics = self.task.metrics
        drawn = random.Random(seed).sample(range(len(rows)), min(n_rows, len(rows)))
        self.rows = rows.select(sorted(drawn))
        self.batch_size = batch_size
        # Each evaluation shows the same scans: their views are kept.
        self.prompts = CachingTransform(processor, ViewCache(), add_generation_prompt=True, **options)

    def __call__(self, model: Any) -> dict[str, float]:
        """The metrics of the model's answers, on every process the same. Neither the model's modes nor the random
        state is changed: training goes on as if there had been no check."""
        if not self.metrics:
            return {}
        with _undisturbed(model):
            texts = self._ask(model)
        return self.task.score(texts, [entry["subject_label"] for entry in self.rows["metadata"]])

    def _ask(self, model: Any) -> list[str]:
        # Each process gets as many batches: where weights are spread over processes (ZeRO-3), all must call the model
        # equally often. The rows that fill up are the first ones again; their second answers are dropped.
        n, n_processes = len(self.rows), PartialState().num_processes
        a_round = self.batch_size * n_processes
        n_asked = n if n_processes == 1 else -(-n // a_round) * a_round
        answerer = Answerer(model, self.prompts, self.prompts, self.batch_size, MAX_NEW_TOKENS)
        rounds = answerer.answer(self.rows.select([i % n for i in range(n_asked)]), title=None)
        return [answer.text for answers in rounds for answer in answers][:n]


@dataclass(frozen=True)
class Task:
    """How answers are read; None for free text, which is not scored."""

    reading: Reading | None = None

    @property
    def name(self) -> str:
        return "text" if self.reading is None else self.reading.task

    @property
    def metrics(self) -> tuple[str, ...]:
        """The names of the scores, the telling one first. Free text has none."""
        return {"classification": ("accuracy", "unparseable"), "regression": ("mae", "unparseable"), "text": ()}[
            self.name
        ]

    def score(self, texts: Sequence[str], expected: Sequence[str]) -> dict[str, float]:
        """accuracy, or the mean absolute error in the labels' unit; the share of texts that state nothing, which
        count as wrong."""
        parsed: list[Any] = [self.reading.read(text) for text in texts]
        truths: list[Any] = [self.reading.read_truth(label) for label in expected]
        unparseable = parsed.count(None) / len(parsed)
        if self.name == "classification":
            right = [a == b for a, b in zip(parsed, truths, strict=True)]
            return {"accuracy": sum(right) / len(right), "unparseable": unparseable}
        from umbrella.answers.metrics import (
            regression_metrics,  # its packages, the extra "eval", are needed for numbers only
        )

        return {"mae": regression_metrics(parsed, truths)["mae"], "unparseable": unparseable}


def find_task_of_answers(rows: Sequence[LabelledAnswer]) -> tuple[Task, list[str]]:
    """The task of labelled rows, by the rule of eval.py, and what it was told from; free text where most of their own
    answers do not state the row's label, as in reports, where there is only one label to state, and where rows of
    two kinds of target are no one task.

    Raises AnswerError for labels that cannot be scored or told apart.
    """
    if len(split_kinds(rows)) > 1:
        counts = Counter(row.target_type for row in rows if row.kind is not None)
        stated = ", ".join(f"{name} in {n} rows" for name, n in sorted(counts.items()))
        return Task(), [
            f"WARNING: metadata.target_type: {stated}: no one task, so answers are not asked for while the model "
            "trains. Evaluate it with eval.py --task classification and eval.py --task regression"
        ]
    reading, told = find_reading(rows)
    if isinstance(reading, LabelReading):
        check_labels_apart(reading, find_wording(reading, rows), rows)
    own = compare_own_answers(reading, rows)
    told.append(own.describe())
    if not own.do_most_state:
        told.append(
            "WARNING: eval.py will look for what most of these answers do not state: write "
            "subject_label as the answers do, or evaluate with eval.py --task text"
        )
        return Task(), told
    if len({reading.read_truth(row.label) for row in rows}) < 2:
        told.append(
            f"WARNING: all {len(rows)} rows have the subject_label {rows[0].label!r}: there is nothing to tell"
        )
        return Task(), told
    return Task(reading), told


def check_answers(splits: dict[str, Dataset], n_answers: int) -> None:
    """Before training: do the answers that are trained state the labels that eval.py will look for? Says what is
    found, for each split; nothing with --eval_answers 0 and for rows without labels.

    Raises ValueError for labels that cannot be scored or told apart.
    """
    for name, rows in splits.items() if n_answers else ():
        labelled = read_labelled(rows)
        if not labelled:
            continue
        try:
            _, told = find_task_of_answers(labelled)
        except AnswerError as error:
            raise ValueError(f"{error}. To train without asking for answers: --eval_answers 0") from error
        print("\n".join(f"{name}: {sentence}" for sentence in told), flush=True)


@contextlib.contextmanager
def _undisturbed(model: Any) -> Iterator[None]:
    """Puts training and evaluation modes and all random states back."""
    modes = [(module, module.training) for module in model.modules()]
    python, numpy = random.getstate(), np.random.get_state()
    try:
        with torch.random.fork_rng([torch.cuda.current_device()] if torch.cuda.is_available() else []):
            yield
    finally:
        random.setstate(python)
        np.random.set_state(numpy)
        for module, training in modes:
            module.training = training


def settle_best_metric(args: TrainArguments, metrics: Sequence[str]) -> TrainArguments:
    """The arguments, with the best checkpoint told by what suits the task where no metric was stated: accuracy, mae or
    loss.

    metrics  what the answer check measures, the telling one first
    Raises ValueError for a stated metric that no evaluation will give.
    """
    if args.eval_strategy == "no":
        return args
    known = (*metrics, "loss")
    if args.best_metric_suits_task:
        args = with_values(args, metric_for_best_model=known[0], greater_is_better=known[0] not in LOWER_IS_BETTER)
    stated = args.metric_for_best_model
    if stated is not None and stated.removeprefix("eval_") not in known:
        raise ValueError(
            f"--metric_for_best_model {stated}: expected one of {', '.join(known)}, which evaluations of these rows "
            "give; found another"
        )
    return args
