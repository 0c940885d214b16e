"""Simple models on the same split, to be beaten: the majority class or the mean, and a linear one on the views."""

from collections import Counter
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from datasets import Dataset
from sklearn.linear_model import RidgeClassifierCV, RidgeCV
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from umbrella.evaluation.results import score_records
from umbrella.evaluation.statistics.measures import score_interval
from umbrella.evaluation.statistics.notation import number
from umbrella.evaluation.statistics.paired import compare_paired, correct_entries
from umbrella.evaluation.verdicts import judge_beside
from umbrella.options.commands.progress import show_progress
from umbrella.rows.scan_places import find_subject_places, name_kinds, number_kinds, read_suffixes
from umbrella.rows.transform import ConversationTransform

MOST_TRAIN_ROWS = 2000
MOST_PIXELS = 64  # side of a view as the linear model sees it
MOST_VOXELS = 32  # along the longest axis of a volume as it sees it
PENALTIES = np.logspace(0, 6, 13)  # chosen among by leave-one-out on the training rows


def evaluate_baselines(
    train: Dataset | None,
    rows: Dataset,
    records: list[dict],
    subjects: Sequence[str],
    transform: ConversationTransform,
    read_truth: Callable[[str], str | float | None],
    seed: int,
) -> dict:
    """What each baseline comes to on `rows`, with interval, and whether the model's records are better.

    read_truth  finds the true answer in a row's label, as it was found for the records: words, or numbers
    A `note` instead where there are no labelled training rows. No linear model where rows differ in their number of
    scans, or in what is shown of them, as where some scans are series with frames; of studies it is fitted on the
    sequences that all rows have, each in a place of its own.
    """
    labelled = [] if train is None else [i for i, e in enumerate(train["metadata"]) if e["subject_label"] is not None]
    labelled = [i for i in labelled if read_truth(train[i]["metadata"]["subject_label"]) is not None]
    if not labelled:
        return {"note": "The data have no labelled training split to fit simple models on."}
    if len(labelled) > MOST_TRAIN_ROWS:
        labelled = sorted(np.random.default_rng(seed).choice(labelled, MOST_TRAIN_ROWS, replace=False).tolist())
    train = train.with_format(None).select(labelled)
    known: list[Any] = [read_truth(entry["subject_label"]) for entry in train["metadata"]]
    measure, model_scores = score_records(records)
    is_label = "parsed_label" in records[0]
    always = _always_majority if is_label else _always_mean
    answers = {"majority" if is_label else "mean": always(known, len(rows))}
    places, shown = _find_common_places([train, rows])
    if places is not None and len(set(known)) > 1:
        fitting, answering = (_read_pixels(*pair, transform) for pair in zip((train, rows), places, strict=True))
        if len({len(pixels) for pixels in fitting + answering}) == 1:
            ridge = RidgeClassifierCV(PENALTIES) if is_label else RidgeCV(PENALTIES)
            fitted = make_pipeline(StandardScaler(), ridge).fit(np.stack(fitting), known)
            answered = fitted.predict(np.stack(answering)).tolist()
            title = f"linear model (ridge) on the views of {shown}"
            answers["linear"] = (title, "a linear model on the views", answered)
    models: dict[str, dict] = {}
    for name, (title, _, answered) in answers.items():
        key = "parsed_label" if is_label else "parsed_number"
        _, scores = score_records([record | {key: said} for record, said in zip(records, answered, strict=True)])
        paired = compare_paired(measure, model_scores, scores, subjects, seed=seed, n_tests=len(answers))
        models[name] = {
            "title": title,
            measure.key: float(np.mean(scores)),
            "interval": score_interval(measure, scores, subjects),
            "paired": paired.to_dict(),
        }
    models = correct_entries(models)
    for name, (_, short, _) in answers.items():
        models[name] |= judge_beside(models[name]["paired"], short, measure)
    return {"n_train": len(train), "models": models}


def _always_majority(known: Sequence[str], n: int) -> tuple[str, str, list[str]]:
    (majority, most), *others = Counter(known).most_common()
    is_tied = any(n == most for _, n in others)
    what = "one of the most frequent labels in training" if is_tied else "the majority class in training"
    return f"always “{majority}”, {what}", f"always answering “{majority}”", [majority] * n


def _always_mean(known: Sequence[float], n: int) -> tuple[str, str, list[float]]:
    mean = float(np.mean(known))
    return f"always {number(mean)}, the mean in training", f"always answering {number(mean)}", [mean] * n


def _find_common_places(parts: Sequence[Dataset]) -> tuple[list[list[list[int]]] | None, str]:
    """Of each row of each part the places of the scans that all rows have, and which these are; None where the rows
    have no such scans, or differ in them and are no studies."""
    named = [[_name_places(row) for row in part.with_format(None)] for part in parts]
    every = [names for part in named for names, _ in part]
    common = [name for name in every[0] if all(name in names for names in every)]
    differ = any(len(names) != len(common) for names in every)
    if not common or (differ and not all(is_study for part in named for _, is_study in part)):
        return None, ""
    shown = f"the {' and the '.join(common)}, which all rows have" if differ else "all scans"
    return [[[names[name] for name in common] for names, _ in part] for part in named], shown


def _name_places(row: dict) -> tuple[dict[str, int], bool]:
    """(what each scan is → its place, whether the row states sequences); without them a scan is its place alone."""
    if read_suffixes(row) is None:
        return {str(place): place for place in range(len(row["images"]))}, False
    own = find_subject_places(row)
    names = [name if place in own else f"reference's {name}" for place, name in enumerate(name_kinds(row))]
    return {name: place for place, name in sorted(enumerate(number_kinds(names)), key=lambda pair: pair[1])}, True


def _read_pixels(rows: Dataset, places: list[list[int]], transform: ConversationTransform) -> list[np.ndarray]:
    """A row's (pixels): its scans' views one after the other, at most MOST_PIXELS wide each, or MOST_VOXELS."""
    pixels = []
    shrink = _shrink_volume if transform.is_volume else _shrink
    for row, taken in zip(
        show_progress(rows.with_format(None), desc="reading views", unit="row"), places, strict=True
    ):
        views = [shrink(transform.load_images(row, number)) for number in taken]
        pixels.append(np.concatenate([view.ravel() for view in views]))
    return pixels


def _shrink(views: np.ndarray) -> np.ndarray:
    """(n, 3, H, W) → (n, 1 or 3, h, w): one channel where all are alike, means of square blocks."""
    alike = np.array_equal(views[:, 0], views[:, 1]) and np.array_equal(views[:, 0], views[:, 2])
    views = views[:, :1] if alike else views
    block = -(-views.shape[-1] // MOST_PIXELS)
    side = views.shape[-1] // block
    cut = views[..., : side * block, : side * block]
    return cut.reshape(*views.shape[:2], side, block, side, block).mean(axis=(3, 5))


def _shrink_volume(volume: np.ndarray) -> np.ndarray:
    """(T, X, Y, Z) → (T, x, y, z): means of cubic blocks."""
    block = -(-max(volume.shape[1:]) // MOST_VOXELS)
    x, y, z = (n // block for n in volume.shape[1:])
    cut = volume[:, : x * block, : y * block, : z * block]
    return cut.reshape(-1, x, block, y, block, z, block).mean(axis=(2, 4, 6))
