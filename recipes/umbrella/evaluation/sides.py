"""Answers that name a side: left and right, which must turn where a volume is mirrored."""

import re
from collections.abc import Sequence

from umbrella.answers.text_folding import fold
from umbrella.evaluation.statistics.intervals import share_interval, subjects_for_share

SIDES = (("left", "right"), ("l", "r"))
BY_CHANCE = 0.5  # share of side answers that turns where they are drawn anew for each scan


def find_other_side(label: str | None, labels: Sequence[str]) -> str | None:
    """The one of `labels` that says of the other side what this one says: "left" → "right", "right arm" → "left arm".

    Sides are whole words, left and right or L and R. None for a label that names no side, or both, and where the
    other one is no label.
    """
    if label is None:
        return None
    words = re.split(r"(\W+)", fold(label))
    for pair in (*SIDES, *(side[::-1] for side in SIDES)):
        if pair[0] in words and pair[1] not in words:
            turned = "".join(pair[1] if word == pair[0] else word for word in words)
            return next((other for other in labels if fold(other) == turned), None)
    return None


def count_turns(
    before: Sequence[str | None], after: Sequence[str | None], labels: Sequence[str], subjects: Sequence[str]
) -> dict[str, dict]:
    """Labels answered about scans and about their mirror images → {"sides": ..., "others": ...}, as far as there are
    such answers: `share` with its interval, n, n_subjects, and `needed`.

    sides   the answers that name a side: the share that names the other one of the mirror image
    others  the others: the share that stays
    needed  about how many subjects would show that the share is not BY_CHANCE; None where none would
    """
    turned = [find_other_side(label, labels) for label in before]
    hits: dict[str, list[tuple[bool, str]]] = {}
    for was, now, side, subject in zip(before, after, turned, subjects, strict=True):
        hits.setdefault("others" if side is None else "sides", []).append((now == (side or was), subject))
    return {name: _count(*zip(*of_kind, strict=True)) for name, of_kind in hits.items()}


def _count(hits: Sequence[bool], subjects: Sequence[str]) -> dict:
    share, bound = sum(hits) / len(hits), "above" if sum(hits) > BY_CHANCE * len(hits) else "below"
    several = len(set(subjects)) > 1
    return {
        "share": share,
        "interval": share_interval(hits, subjects),
        "n": len(hits),
        "n_subjects": len(set(subjects)),
        "needed": subjects_for_share(hits, subjects, **{bound: BY_CHANCE}) if several else None,
    }
