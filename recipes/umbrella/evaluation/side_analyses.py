"""What a result must be read beside: groups of rows, simple models, confounds, and facts about the model."""

from collections import Counter
from collections.abc import Sequence
from typing import Any

from datasets import Dataset

from umbrella.answers.selection import keep_task
from umbrella.evaluation.baselines import evaluate_baselines
from umbrella.evaluation.confounds import HEAD_VOLUME, evaluate_confounds
from umbrella.evaluation.group_tests import add_group_tests, say_groups
from umbrella.evaluation.questions import FreeText, Question
from umbrella.evaluation.results import (
    NOT_STATED,
    group_rows,
    read_metadata,
    read_numbers,
    score_by_group,
    score_records,
    subjects_of_rows,
)
from umbrella.options.arguments import EvalArguments
from umbrella.options.data.cohort_flags import CohortPlace
from umbrella.records.leakage import describe_training_data
from umbrella.records.recipe import Recipe
from umbrella.records.small_groups import FEWEST
from umbrella.records.training_data import read_training_data
from umbrella.rows.cohort_names import COHORT
from umbrella.rows.transform import ConversationTransform
from umbrella.scans.volumes import ScanError

MOST_NUMBERS = 20  # different ones in the metadata that are taken for names of groups, whatever their size


def put_in_context(
    train: Dataset | None,
    asked: EvalArguments,
    rows: Dataset,
    records: list[dict],
    transform: ConversationTransform,
    question: Question,
) -> dict:
    """`by` with `by_sentences`, `baselines` and `confounds`, as far as they are asked for; nothing for free text.

    train  rows to fit simple models on; None where the data have no training split
    """
    if isinstance(question, FreeText):
        return {}
    context: dict[str, Any] = {}
    subjects = subjects_of_rows(rows)
    if asked.by:
        measure, scores = score_records(records)
        by = add_group_tests(score_by_group(scores, measure, rows, asked.by), scores, rows, asked.seed)
        context |= {"by": by, "by_sentences": say_groups(by, measure)}
    train = None if train is None else keep_task(train, question.reading.task)
    if asked.baselines:
        try:
            context["baselines"] = evaluate_baselines(
                train, rows, records, subjects, transform, question.read_truth, asked.seed
            )
        except ScanError as error:  # the training scans need not lie where a model is only tested
            context["baselines"] = {"note": f"Simple models could not be fitted on the training split: {error}"}
    if asked.confounds:
        context["confounds"] = evaluate_confounds(asked.confounds, train, rows, records, subjects, question.read_truth)
    return context


def group_by_cohort(asked: EvalArguments, places: Sequence[CohortPlace], task: str) -> None:
    """Adds the cohorts to --by, where they are several and the answers are no free text."""
    if places and task != "text" and COHORT not in (asked.by or ()):
        asked.by = [COHORT, *(asked.by or ())]


def check_names(asked: EvalArguments, rows: Dataset, task: str, labels: Sequence[str] = ()) -> None:
    """Raise ValueError, before the long work starts, for a name in --by, --confounds or --site_tell that no row's
    metadata has, or whose numbers are no groups, for either of the first two where the task has no use for it, and
    for a --positive_label that is none of the labels.
    """
    if asked.positive_label is not None and asked.positive_label not in labels:
        found = f"the labels {', '.join(labels)}" if labels else f"{task}, which has no labels; leave it out"
        raise ValueError(
            f"--positive_label: expected one of the labels, found {asked.positive_label!r} beside {found}"
        )
    if asked.confounds and task != "classification":
        raise ValueError("--confounds: expected labels to tell from the confounds, found a task without; leave it out")
    if asked.by and task == "text":
        raise ValueError("--by: expected answers that are right or wrong or numbers, found free text; leave it out")
    for flag, names in (("by", asked.by or ()), ("site_tell", filter(None, [asked.site_tell]))):
        for name in names:
            _check_groups(flag, name, rows)
    for name in asked.confounds or ():
        if name != HEAD_VOLUME:
            read_metadata(rows, name)


def _check_groups(flag: str, name: str, rows: Dataset) -> None:
    """Raise ValueError for many different numbers, as ages: groups of a subject or two, of which nothing is known."""
    groups, subjects = group_rows(rows, name), subjects_of_rows(rows)
    _, other = read_numbers([None if group == NOT_STATED else group for group in groups])
    if other is not None or len(set(groups)) <= MOST_NUMBERS:
        return
    sizes = Counter(group for group, _ in set(zip(groups, subjects, strict=True)))
    if 2 * sum(n < FEWEST for n in sizes.values()) > len(sizes):
        raise ValueError(
            f"--{flag} {name}: expected groups, found {len(sizes)} different numbers, most of them of fewer than "
            f"{FEWEST} subjects. Put them into ranges: --{flag} {name}_bin"
        )


def describe_model(model: Any, recipe: Recipe, model_name_or_path: str) -> dict[str, str]:
    """Facts for the report, name → text."""
    facts = {
        "name or folder": model_name_or_path,
        "architecture": type(model).__name__,
        "parameters": f"{sum(p.numel() for p in model.parameters()):,}",
        "number format": str(model.dtype).removeprefix("torch."),
        "view of a scan": recipe.settings.describe(),
        "intensities": recipe.intensity or f"normalize {recipe.normalize}, standardize {recipe.standardize}",
    }
    facts["trained on"] = describe_training_data(read_training_data(model_name_or_path))
    return facts
