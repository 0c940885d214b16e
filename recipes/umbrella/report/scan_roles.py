"""What a scan is in its row: the reference, the subject's, or one of several that the row does not tell apart; and the
place in it that the row is about."""

import json
import math
import re
from typing import Any

from umbrella.rows.scan_places import read_suffixes

_PLACE = re.compile(r"(?:^|_)cent(?:re|er)_mm$")


def name_roles(row: dict) -> list[str]:
    """What each scan of a row is called in a page, in their order; "" for the only one.

    A row tells that one is a reference by `metadata.reference_id`, and which by whose scans they are (`subject_ids`,
    where there is one for each scan); of two scans the first. Where that leaves it open, scans are numbered. The
    sequence is named where the metadata state it: "the subject's scan, FLAIR".
    """
    roles, sequences = _name_people(row), read_suffixes(row)
    if sequences is None:
        return roles
    return [
        f"{role}, {sequence}" if role and not role.startswith("scan ") else sequence
        for role, sequence in zip(roles, sequences, strict=True)
    ]


def _name_people(row: dict) -> list[str]:
    n, metadata = len(row["images"]), row["metadata"]
    if n < 2:
        return [""] * n
    owners, subject, reference = row["subject_ids"], metadata["subject_id"], metadata["reference_id"]
    if reference is not None and reference != subject and len(owners) == n and {subject, reference} <= set(owners):
        return ["the subject's scan" if owner == subject else "reference" for owner in owners]
    if reference is not None and n == 2:
        own = ", of the same subject" if reference == subject else ""
        return [f"reference{own}", "the subject's scan"]
    return [f"scan {number} of {n}" for number in range(1, n + 1)]


def find_place(row: dict) -> tuple[str, tuple[float, float, float]] | None:
    """What a row's metadata name a place of, and where it is in the world of the subject's scan, in mm (RAS+): of
    `lesion_centre_mm: [12.0, -30.5, 41.0]` "lesion". None where they name none."""
    extra = json.loads(row["metadata"].get("extra") or "{}")
    for key, value in extra.items():
        if _PLACE.search(key) and _is_point(value):
            x, y, z = value
            return _PLACE.sub("", key).replace("_", " ") or "target", (x, y, z)
    return None


def _is_point(value: Any) -> bool:
    is_triple = isinstance(value, list) and len(value) == 3
    return is_triple and all(isinstance(part, int | float) and math.isfinite(part) for part in value)
