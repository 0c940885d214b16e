"""Two models on the same rows, or two sides of several seeds each: the paired difference, and what changed."""

import json
from collections import Counter
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from scipy.stats import permutation_test, ttest_ind

from umbrella.evaluation.answer_file import AnswerFile
from umbrella.evaluation.intervals import LEVEL, mcnemar
from umbrella.evaluation.run_folder import SETTINGS


@dataclass(frozen=True)
class Evaluated:
    """An evaluation read back: its folder, what it asked, its records by task_id."""

    folder: Path
    settings: dict
    records: dict[str, dict]


def read_evaluation(folder: str | Path, split: str) -> Evaluated:
    """Read an evaluation's folder, or that of a run on `split`.

    Raises ValueError where there is none, or where it is not finished.
    """
    run = Path(folder)
    if not run.is_dir():
        raise ValueError(f"{run}: expected the folder of a run or of an evaluation, found no such folder")
    inside = run / ("eval" if split == "test" else f"eval_{split}")
    path = next((p for p in (inside, run) if (p / SETTINGS).is_file()), None)
    if path is None:
        raise ValueError(
            f"{run}: expected an evaluation of the {split} split, found no {inside.name}/{SETTINGS} in it. "
            f"Run: python recipes/eval.py --model_name_or_path {run} --split {split} --json_dir DATA"
        )
    settings = json.loads((path / SETTINGS).read_text(encoding="utf-8"))
    if settings["split"] != split:
        raise ValueError(f"{path}: expected an evaluation of --split {split}, found one of {settings['split']}")
    if not (path / "metrics.json").is_file():
        raise ValueError(
            f"{path}: expected a finished evaluation with metrics.json, found none: run eval.py to its end"
        )
    return Evaluated(
        path, settings, {record["task_id"]: record for record in AnswerFile(path / "predictions.jsonl").read()}
    )


def score(record: dict) -> float:
    """What is compared: 1 for a right answer and 0 for another; a number's absolute error, inf where none is read."""
    if "parsed_label" in record:
        return float(record["parsed_label"] == record["expected_label"])
    if "parsed_number" in record:
        number = record["parsed_number"]
        return np.inf if number is None else abs(number - record["expected_number"])
    return float(record["prediction"].strip() == record["answer"].strip())


def compare(first: list[Evaluated], second: list[Evaluated], n_resamples: int = 2000, seed: int = 0) -> dict:
    """Compare two sides, each one or several evaluations (seeds) of the same rows; differences are second minus first.

    The interval resamples subjects, and on a side of several seeds the seeds too. `p` is McNemar's exact test for one
    evaluation a side, else a test that flips the sign of each subject's difference at random; `p_seeds` is Welch's
    t-test of the seeds' means (two or more a side).

    Raises ValueError when the evaluations are not of the same rows.
    """
    _check_same_rows([*first, *second])
    task_ids = list(first[0].records)
    sides = [np.array([[score(run.records[i]) for i in task_ids] for run in side]) for side in (first, second)]
    if not all(np.isfinite(side).all() for side in sides):
        raise ValueError("expected a number in every answer to compare errors, found answers without one")
    task = first[0].settings["task"]
    subjects = [first[0].records[i]["subject_id"] or i for i in task_ids]
    means = [side.mean(axis=1) for side in sides]  # (seeds,)
    by_row = sides[1].mean(axis=0) - sides[0].mean(axis=0)
    result = {
        "measure": {"classification": "accuracy", "regression": "mean absolute error", "text": "exact match"}[task],
        "n": len(task_ids),
        "n_subjects": len(set(subjects)),
        "first": _describe(first, means[0]),
        "second": _describe(second, means[1]),
        "difference": float(by_row.mean()),
        "interval": _bootstrap_difference(sides, subjects, n_resamples, seed),
        "changed": _find_changed(first, second, task_ids),
    }
    if len(first) == len(second) == 1 and task != "regression":
        result["p"] = mcnemar(sides[0][0] == 1, sides[1][0] == 1)
    else:
        result["p"] = _flip_signs(by_row, subjects, n_resamples, seed)
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
    codes = np.unique(subjects, return_inverse=True)[1]
    n_subjects = codes.max() + 1
    total = np.bincount(codes)
    sums = [np.stack([np.bincount(codes, run, n_subjects) for run in side]) for side in sides]  # (seeds, subjects)
    draw, differences = np.random.default_rng(seed), []
    for _ in range(n_resamples):
        chosen = draw.integers(0, n_subjects, n_subjects)
        first, second = (of[draw.integers(0, len(of), len(of))][:, chosen].sum() / len(of) for of in sums)
        differences.append((second - first) / total[chosen].sum())
    return tuple(float(edge) for edge in np.percentile(differences, [50 * (1 - LEVEL), 50 * (1 + LEVEL)]))


def _flip_signs(by_row: np.ndarray, subjects: list[str], n_resamples: int, seed: int) -> float:
    codes = np.unique(subjects, return_inverse=True)[1]
    by_subject = np.bincount(codes, by_row)
    drawn = permutation_test(
        (by_subject,), np.mean, permutation_type="samples", n_resamples=n_resamples, rng=np.random.default_rng(seed)
    )
    return float(drawn.pvalue)


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


def _commonest(side: list[Evaluated], task_id: str):
    answers = [run.records[task_id] for run in side]
    read = [answer.get("parsed_label", answer.get("parsed_number", answer["prediction"])) for answer in answers]
    return Counter(read).most_common(1)[0][0]
