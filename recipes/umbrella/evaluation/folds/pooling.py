"""What the folds come to together: the held-out rows pooled, each subject once a repeat, and what a left-out group
costs."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from umbrella.evaluation.answer_file import AnswerFile
from umbrella.evaluation.folds.division import LEFT_OUT, RANDOM, Fold
from umbrella.evaluation.folds.plan import Plan
from umbrella.evaluation.folds.wording import say_group, say_pooled
from umbrella.evaluation.results import count_nameless, score_records, subjects_of_rows, summarize_classification
from umbrella.evaluation.statistics.intervals import share_interval
from umbrella.evaluation.statistics.measures import Measure, score_interval
from umbrella.evaluation.statistics.paired import compare_paired, correct_entries
from umbrella.evaluation.statistics.resampled import corrected_interval
from umbrella.evaluation.verdicts import say_nameless
from umbrella.files.json_files import write_json
from umbrella.records.evaluations import METRICS, read_metrics

POOLED = ("balanced_accuracy", "macro_f1")  # and the labels' own; not what compares probabilities of several models
PREDICTIONS = "predictions.jsonl"


@dataclass(frozen=True)
class Answered:
    """A fold with the records and the score of each of its test rows."""

    fold: Fold
    records: list[dict]
    scores: np.ndarray

    @property
    def rows(self) -> tuple[int, ...]:
        return self.fold.test


def pool(plan: Plan) -> dict:
    """Read what the folds' evaluations wrote, and write predictions.jsonl and metrics.json. Returns the metrics.

    Raises ValueError that lists the folds that are not done.
    """
    missing = [fold for fold in plan.folds if not (plan.folder_of(fold) / "eval" / METRICS).is_file()]
    if missing:
        raise ValueError(
            f"{plan.folder}: expected {len(plan.folds)} folds that are done, found {len(plan.folds) - len(missing)}; "
            f"missing: {', '.join(fold.says() for fold in missing)}. The same command without --collect and --fold "
            "runs them"
        )
    subjects = subjects_of_rows(plan.rows)
    measure, answered = _read(plan)
    metrics: dict[str, Any] = {
        "measure": measure.name,
        "key": measure.key,
        "told_from": plan.task.told,
        "notes": plan.notes,
    }
    metrics["folds"] = [_describe(one, measure, subjects) for one in answered]
    drawn = [one for one in answered if one.fold.kind == RANDOM]
    sentences = say_nameless(count_nameless(plan.rows), len(plan.rows))
    if drawn:
        metrics["pooled"] = _pool_random(drawn, measure, subjects, plan)
        sentences += say_pooled(metrics["pooled"], measure)
    if left_out := [one for one in answered if one.fold.kind == LEFT_OUT]:
        metrics["by"] = plan.asked.by
        metrics["groups"] = _compare_groups(left_out, drawn, measure, subjects)
        sentences += [say_group(plan.asked.by, group, measure) for group in metrics["groups"]]
    metrics["sentences"] = sentences
    evaluations = [plan.folder_of(fold) / "eval" for fold in plan.folds]
    metrics["leakage"] = sorted({read_metrics(folder, ("leakage",))["leakage"] for folder in evaluations})
    _write(plan, answered, metrics)
    return metrics


def _read(plan: Plan) -> tuple[Measure, list[Answered]]:
    task_ids, by_fold = plan.rows["task_id"], []
    for fold in plan.folds:
        file = plan.folder_of(fold) / "eval" / PREDICTIONS
        records = {record["task_id"]: record for record in AnswerFile(file, frozenset(("task_id",))).read()}
        ids = [task_ids[i] for i in fold.test]
        if missing := [task_id for task_id in ids if task_id not in records]:
            raise ValueError(
                f"{file}: expected an answer to each of the fold's {len(ids)} test rows, found none to "
                f"{missing[0]!r}. Delete the folder, and start the same command again"
            )
        by_fold.append([records[task_id] for task_id in ids])
    # Together: of numbers that no answer states, the error depends on the range of the true ones.
    measure, scores = score_records([record for records in by_fold for record in records])
    parts = np.split(scores, np.cumsum([len(records) for records in by_fold])[:-1])
    return measure, [Answered(*one) for one in zip(plan.folds, by_fold, parts, strict=True)]


def _describe(one: Answered, measure: Measure, subjects: list[str]) -> dict:
    own = [subjects[i] for i in one.rows]
    return {
        "name": one.fold.name,
        "kind": one.fold.kind,
        "repeat": one.fold.repeat,
        "group": one.fold.group,
        measure.key: float(one.scores.mean()),
        "interval": score_interval(measure, one.scores, own),
        "n": len(own),
        "n_subjects": len(set(own)),
        "n_training_subjects": len({subjects[i] for i in one.fold.train}),
        "n_validation_subjects": len({subjects[i] for i in one.fold.validation}),
        "unread": _count_unread(one.records),
    }


def _count_unread(records: list[dict]) -> int:
    """Of answers that are to be labels or numbers, how many are neither."""
    return sum(record.get("parsed_label", record.get("parsed_number", "")) is None for record in records)


def _pool_random(drawn: list[Answered], measure: Measure, subjects: list[str], plan: Plan) -> dict:
    scores = np.concatenate([one.scores for one in drawn])
    of_rows = [subjects[i] for one in drawn for i in one.rows]
    described = [_describe(one, measure, subjects) for one in drawn]
    by_fold = [entry[measure.key] for entry in described]
    ratio = sum(entry["n_subjects"] for entry in described) / sum(
        entry["n_training_subjects"] + entry["n_validation_subjects"] for entry in described
    )
    repeats = sorted({one.fold.repeat for one in drawn})
    pooled = {
        measure.key: float(scores.mean()),
        "interval": corrected_interval(by_fold, ratio, 1.0 if measure.better > 0 else np.inf),
        "interval_of_these_models": score_interval(measure, scores, of_rows),
        "test_to_train": ratio,
        "n": len({i for one in drawn for i in one.rows}),
        "n_subjects": len(set(of_rows)),
        "n_folds": len(drawn) // len(repeats),
        "n_repeats": len(repeats),
        "of_folds": {"sd": float(np.std(by_fold, ddof=1)), "least": min(by_fold), "most": max(by_fold)},
        "of_repeats": [
            float(np.concatenate([one.scores for one in drawn if one.fold.repeat == repeat]).mean())
            for repeat in repeats
        ],
    }
    records = [record for one in drawn for record in one.records]
    pooled["unparseable"] = _count_unread(records)
    if "probabilities" in records[0]:
        labels = list(records[0]["probabilities"])
        summary = summarize_classification(records, of_rows, labels, plan.n_resamples, plan.asked.fold_seed)
        kept = [*POOLED, *(f"{kind}_{label}" for kind in ("sensitivity", "specificity") for label in labels)]
        pooled["metrics"] = {name: summary["metrics"][name] for name in kept if name in summary["metrics"]}
        pooled["confusion"] = summary["confusion"]
        pooled["majority"] = _score_majority(drawn, plan.task.strata, of_rows)
    return pooled


def _score_majority(drawn: list[Answered], labels: Sequence[str], of_rows: list[str]) -> dict:
    """What always answering the commonest label of each fold's training rows would have got right."""
    hits = []
    for one in drawn:
        trained = [labels[i] for i in one.fold.train if labels[i]]
        commonest = max(sorted(set(trained)), key=trained.count)
        hits += [labels[i] == commonest for i in one.rows]
    return {"accuracy": sum(hits) / len(hits), "interval": share_interval(hits, of_rows)}


def _compare_groups(
    left_out: list[Answered], drawn: list[Answered], measure: Measure, subjects: list[str]
) -> list[dict]:
    """Each group that was left out, beside the same rows where other subjects of it were trained on: the mean of all
    repeats. The tests of all groups are one family."""
    known: dict[int, list[float]] = {}
    for other in drawn:
        for row, score in zip(other.rows, other.scores, strict=True):
            known.setdefault(row, []).append(score)
    n_tests = sum(not known.keys().isdisjoint(one.rows) for one in left_out)
    groups = [_compare_group(one, known, measure, subjects, n_tests) for one in left_out]
    tested = correct_entries({group["name"]: group["beside"] for group in groups if group["beside"]})
    return [group | {"beside": tested.get(group["name"])} for group in groups]


def _compare_group(
    one: Answered, known: dict[int, list[float]], measure: Measure, subjects: list[str], n_tests: int
) -> dict:
    """`known`: row → its scores where other subjects of the group were trained on."""
    group = _describe(one, measure, subjects)
    both = [i for i, row in enumerate(one.rows) if row in known]
    if not both:
        return group | {"beside": None}
    own = [subjects[one.rows[i]] for i in both]
    inside = np.array([np.mean(known[one.rows[i]]) for i in both])
    paired = compare_paired(measure, one.scores[both], inside, own, n_tests=n_tests)
    beside = {
        measure.key: float(inside.mean()),
        "interval": score_interval(measure, inside, own),
        "paired": paired.to_dict(),
    }
    return group | {"beside": beside}


def _write(plan: Plan, answered: list[Answered], metrics: dict) -> None:
    path = plan.folder / PREDICTIONS
    path.unlink(missing_ok=True)
    AnswerFile(path).append(
        [{"fold": one.fold.name, "repeat": one.fold.repeat, **record} for one in answered for record in one.records]
    )
    write_json(plan.folder / METRICS, metrics, indent=2)
