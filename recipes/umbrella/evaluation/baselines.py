"""Simple models on the same split, to be beaten: the majority class, and a linear classifier on the same views."""

from collections import Counter

import numpy as np
from datasets import Dataset
from sklearn.linear_model import RidgeClassifierCV
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from tqdm import tqdm

from umbrella.evaluation.intervals import mcnemar, share_interval
from umbrella.evaluation.label_parsing import spell_like
from umbrella.transform import ConversationTransform

MOST_TRAIN_ROWS = 2000
MOST_PIXELS = 64  # side of a view as the linear model sees it
PENALTIES = np.logspace(0, 6, 13)  # chosen among by leave-one-out on the training rows


def evaluate_baselines(
    train: Dataset | None,
    rows: Dataset,
    records: list[dict],
    subjects: list[str],
    transform: ConversationTransform,
    n_resamples: int,
    seed: int,
) -> dict:
    """Accuracy of each baseline on `rows` with interval, and McNemar's p against the model's records.

    A `note` instead where there are no labelled training rows, or where rows differ in their number of scans.
    """
    labelled = [] if train is None else [i for i, e in enumerate(train["metadata"]) if e["subject_label"] is not None]
    if not labelled:
        return {"note": "The data have no labelled training split to fit simple models on."}
    if len(labelled) > MOST_TRAIN_ROWS:
        labelled = sorted(np.random.default_rng(seed).choice(labelled, MOST_TRAIN_ROWS, replace=False).tolist())
    train = train.with_format(None).select(labelled)
    labels = spell_like([entry["subject_label"] for entry in train["metadata"]], records)
    majority = Counter(labels).most_common(1)[0][0]
    answers = {"majority": (f"always “{majority}”, the majority class", [majority] * len(rows))}
    counts = {len(images) for part in (train, rows) for images in part.with_format(None)["images"]}
    if len(counts) == 1 and counts != {0} and len(set(labels)) > 1:
        classifier = make_pipeline(StandardScaler(), RidgeClassifierCV(PENALTIES))
        classifier.fit(_read_pixels(train, transform), labels)
        answers["linear"] = (
            "linear classifier (ridge) on the views of all scans",
            classifier.predict(_read_pixels(rows, transform)).tolist(),
        )
    truths = [record["expected_label"] for record in records]
    right_model = [record["parsed_label"] == truth for record, truth in zip(records, truths, strict=True)]
    models = {}
    for name, (title, answered) in answers.items():
        right = [answer == truth for answer, truth in zip(answered, truths, strict=True)]
        models[name] = {
            "title": title,
            "accuracy": sum(right) / len(right),
            "interval": share_interval(right, subjects, n_resamples, seed),
            "mcnemar_p": mcnemar(right_model, right),
        }
    return {"n_train": len(train), "models": models}


def _read_pixels(rows: Dataset, transform: ConversationTransform) -> np.ndarray:
    """(n rows, pixels): the views of each row's scans one after the other, at most MOST_PIXELS wide each."""
    pixels = []
    for row in tqdm(rows.with_format(None), desc="reading views", unit="row"):
        views = [_shrink(transform.load_images(row, number)) for number in range(len(row["images"]))]
        pixels.append(np.concatenate([view.ravel() for view in views]))
    return np.stack(pixels)


def _shrink(views: np.ndarray) -> np.ndarray:
    """(n, 3, H, W) → (n, 1 or 3, h, w): one channel where all are alike, means of square blocks."""
    alike = np.array_equal(views[:, 0], views[:, 1]) and np.array_equal(views[:, 0], views[:, 2])
    views = views[:, :1] if alike else views
    block = -(-views.shape[-1] // MOST_PIXELS)
    side = views.shape[-1] // block
    cut = views[..., : side * block, : side * block]
    return cut.reshape(*views.shape[:2], side, block, side, block).mean(axis=(3, 5))
