"""Two models on the same rows, or two sides of several seeds each: the paired difference, and what changed."""

from collections import Counter
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from scipy.stats import ttest_ind

from umbrella.evaluation.answer_file import AnswerFile
from umbrella.evaluation.results import score_records
from umbrella.evaluation.run_folder import name_folder
from umbrella.evaluation.statistics.intervals import number_subjects, tails
from umbrella.evaluation.statistics.paired import compare_paired
from umbrella.evaluation.verdicts import judge_two, say_nameless
from umbrella.records.evaluations import METRICS, SETTINGS, read_metrics, read_settings

NAMES = frozenset(("task_id", "subject_id", "prediction", "answer"))


@dataclass(frozen=True)
class Evaluated:
    """An evaluation read back: its folder, what it asked, its records by task_id."""

    folder: Path
    settings: dict
    records: dict[str, dict]


def read_evaluation(folder: str | Path, split: str) -> Evaluated:
    """Read an evaluation's folder, or that of a run, or of a model by its name, on `split`: see `name_folder`.

    Raises ValueError where there is none, or where it is not finished.
    """
    run, inside = Path(folder), name_folder(str(folder), split)
    path = next((p for p in (inside, run) if (p / SETTINGS).is_file()), None)
    if path is None and not run.is_dir() and not inside.is_dir():
        raise ValueError(
            f"{run}: expected the folder of a run or of an evaluation, found no such folder, and no {inside} of "
            "a model of that name"
        )
    if path is None:
        raise ValueError(
            f"{run}: expected an evaluation of the {split} split, found no {inside / SETTINGS}. "
            f"Run: python recipes/eval.py --model_name_or_path {run} --split {split} --json_dir DATA"
        )
    settings = read_settings(path, ("split", "data", "task"))
    if settings["split"] != split:
        raise ValueError(f"{path}: expected an evaluation of --split {split}, found one of {settings['split']}")
    if not (path / METRICS).is_file():
        raise ValueError(
            f"{path}: expected a finished evaluation with metrics.json, found none: run eval.py to its end"
        )
    file = path / "predictions.jsonl"
    records = {record["task_id"]: record for record in AnswerFile(file, NAMES).read()}
    n = read_metrics(path, ("n",))["n"]
    if len(records) != n:
        raise ValueError(
            f"{file}: expected {n} answers, as metrics.json says, found {len(records)}: run eval.py again"
        )
    return Evaluated(path, settings, records)


def compare(first: list[Evaluated], second: list[Evaluated], n_resamples: int = 2000, seed: int = 0) -> dict:
    """Compare two sides, each one or several evaluations (seeds) of the same rows; differences are second minus first.

    Answers are scored as eval.py scores them. `p` flips the signs of the subjects' differences; `p_seeds` is Welch's
    t-test of the seeds' means (two or more a side). The interval is that of `paired`; with several seeds on a side it
    reaches as far as one that resamples subjects and seeds.

    Raises ValueError when the evaluations are not of the same rows.
    """
    _check_same_rows([*first, *second])
    task_ids = list(first[0].records)
    scored = [[score_records([run.records[i] for i in task_ids]) for run in side] for side in (first, second)]
    measure = scored[0][0][0]
    sides = [np.array([scores for _, scores in side]) for side in scored]  # (seeds, rows) each
    subjects = [first[0].records[i]["subject_id"] or f"row {i}" for i in task_ids]
    means = [side.mean(axis=1) for side in sides]  # (seeds,)
    by_rows = compare_paired(measure, sides[1].mean(axis=0), sides[0].mean(axis=0), subjects, seed=seed)
    paired = by_rows
    if len(first) + len(second) > 2 and paired.interval is not None:
        seeds_too = [measure.better * end for end in _bootstrap_difference(sides, subjects, n_resamples, seed)]
        paired = paired.widen(min(seeds_too), max(seeds_too))
    interval = None if paired.interval is None else sorted(measure.better * end for end in paired.interval)
    result = {
        "measure": measure.name,
        "n": len(task_ids),
        "n_subjects": paired.n_subjects,
        "first": _describe(first, means[0]),
        "second": _describe(second, means[1]),
        "difference": measure.better * paired.difference + 0.0,  # no -0.0
        "interval": interval,
        "p": paired.p,
        "test": paired.test,
        **judge_two(paired.to_dict(), measure, "rows" if paired.interval == by_rows.interval else "rows or seeds"),
        "notes": say_nameless(sum(not first[0].records[i]["subject_id"] for i in task_ids), len(task_ids)),
        "changed": _find_changed(first, second, task_ids),
    }
    if min(len(first), len(second)) > 1 and max(means[0].std(), means[1].std()) > 0:
        result["p_seeds"] = float(ttest_ind(means[1], means[0], equal_var=False).pvalue)
    return result


def _check_same_rows(runs: list[Evaluated]) -> None:
    for run in runs[1:]:
        for name in ("data", "task"):
            if run.settings[name] != runs[0].settings[name]:
                raise ValueError(
                    f"{run.folder}: expected the same {name} as {runs[0].folder}, found {run.settings[name]!r} beside "
                    f"{runs[0].settings[name]!r}: evaluate all on the same rows"
                )
        if set(run.records) != set(runs[0].records):
            raise ValueError(
                f"{run.folder}: expected answers to the same rows as {runs[0].folder}: run eval.py to its end"
            )


def _describe(side: list[Evaluated], means: np.ndarray) -> dict:
    spread = float(means.std(ddof=1)) if len(means) > 1 else None
    return {
        "folders": [str(run.folder) for run in side],
        "values": means.tolist(),
        "mean": float(means.mean()),
        "sd": spread,
    }


def _bootstrap_difference(
    sides: list[np.ndarray], subjects: list[str], n_resamples: int, seed: int
) -> tuple[float, float]:
    codes = number_subjects(subjects)
    n_subjects = codes.max() + 1
    total = np.bincount(codes)
    sums = [np.stack([np.bincount(codes, run, n_subjects) for run in side]) for side in sides]  # (seeds, subjects)
    draw, differences = np.random.default_rng(seed), []
    for _ in range(n_resamples):
        chosen = draw.integers(0, n_subjects, n_subjects)
        first, second = (of[draw.integers(0, len(of), len(of))][:, chosen].sum() / len(of) for of in sums)
        differences.append((second - first) / total[chosen].sum())
    low, high = np.percentile(differences, tails(n_subjects))
    return float(low), float(high)


def _find_changed(first: list[Evaluated], second: list[Evaluated], task_ids: list[str]) -> list[dict]:
    """Rows whose commonest answer differs between the sides."""
    changed = []
    for task_id in task_ids:
        before, after = (_commonest(side, task_id) for side in (first, second))
        if before != after:
            record = first[0].records[task_id]
            truth = record.get("expected_label", record.get("expected_number", record["answer"]))
            changed.append({"task_id": task_id, "first": before, "second": after, "expected": truth})
    return changed


def _commonest(side: list[Evaluated], task_id: str) -> str | float | None:
    answers = [run.records[task_id] for run in side]
    read = [answer.get("parsed_label", answer.get("parsed_number", answer["prediction"])) for answer in answers]
    return Counter(read).most_common(1)[0][0]
