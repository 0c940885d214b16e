"""Rows with exchanged scans: does the model look at them? A model that answers the same did not."""

import json
import random

from datasets import Dataset


def permute_scans(rows: Dataset, seed: int) -> Dataset:
    """Every row with the scans of another row that has as many of them, texts as they were.

    Rows of one subject count as the same row: none keeps its subject's scans, unless it is the only subject with so
    many.
    """
    images = rows.with_format(None)["images"]
    subjects = [metadata["subject_id"] for metadata in rows.with_format(None)["metadata"]]
    givers = list(range(len(images)))
    for n in {len(scans) for scans in images}:
        alike = [i for i, scans in enumerate(images) if len(scans) == n]
        for row, giver in zip(alike, _derange(alike, subjects, random.Random(seed)), strict=True):
            givers[row] = giver
    return replace_scans(rows, [images[giver] for giver in givers])


def _derange(members: list[int], subjects: list[str | None], rng: random.Random) -> list[int]:
    """The members in another order, in which none stands where one of its own subject stood."""
    order = list(members)
    rng.shuffle(order)
    order.sort(key=lambda i: str(subjects[i]))  # stable: subjects together, their rows shuffled
    counts = [sum(subjects[i] == subject for i in order) for subject in {subjects[i] for i in order}]
    start = max(counts)  # a shift by the most rows of one subject leaves no subject in its place
    if start * 2 > len(order):
        start = len(order) // 2
    shift = rng.randint(start, len(order) - start) if len(order) > 1 else 0
    giver = {order[i]: order[(i + shift) % len(order)] for i in range(len(order))}
    return [giver[member] for member in members]


def reverse_references(rows: Dataset, seed: int) -> Dataset | None:
    """Every row's reference scan exchanged for another subject's that reverses the true answer.

    Needs the true sizes, `reference_size` and `subject_size` in the metadata: an answer about the change from the
    first scan to the second is reversed by a first scan from the other side of the second one's size. Rows for
    which no such scan exists are left out. None where the metadata hold no sizes.
    """
    plain = rows.with_format(None)
    extras = [json.loads(metadata["extra"] or "{}") for metadata in plain["metadata"]]
    if not all("reference_size" in extra and "subject_size" in extra for extra in extras):
        return None
    images, subjects = plain["images"], [metadata["subject_id"] for metadata in plain["metadata"]]
    rng, kept, exchanged = random.Random(seed), [], []
    for i, extra in enumerate(extras):
        change = extra["subject_size"] - extra["reference_size"]
        # At least as clear a change as the row's own, the other way.
        reversing = [
            j
            for j, other in enumerate(extras)
            if subjects[j] != subjects[i] and (extra["subject_size"] - other["reference_size"]) / change <= -1
        ]
        if reversing:
            kept.append(i)
            exchanged.append([images[rng.choice(reversing)][0], *images[i][1:]])
    return replace_scans(rows.select(kept), exchanged)


def replace_scans(rows: Dataset, images: list[list[dict]]) -> Dataset:
    """The rows with other scans: `images` holds a list of {path, token, modality} a row."""
    features = rows.features
    return rows.with_format(None).remove_columns("images").add_column("images", images, feature=features["images"])
