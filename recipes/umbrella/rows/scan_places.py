"""Which scans of a row are the subject's and which are its reference's, and of which kind each is.

A subject may be shown by several scans: by several modalities, or by the sequences of a visit.
"""

import json
from collections.abc import Sequence
from dataclasses import dataclass


@dataclass(frozen=True)
class ScanPlaces:
    """Places among a row's scans, from 0, in their order.

    reference  of the reference that the metadata name; of all that are not the subject's where the row does not tell
               them apart
    """

    subject: tuple[int, ...]
    reference: tuple[int, ...]


def find_places(row: dict) -> ScanPlaces:
    """Where the subject's scans stand, and the reference's.

    Whose a scan is, `subject_ids` tell where they name an owner for each. Else the subject's are those of the last
    turn that shows any. Where that turn shows the reference too, it comes first: the subject's are the second half if
    its kinds are those of the first half, else the last scan alone.
    """
    n = len(row["images"])
    if n < 2:
        return ScanPlaces(tuple(range(n)), ())
    owners, metadata = row.get("subject_ids") or [], row["metadata"]
    reference = metadata["reference_id"]
    subject = metadata["subject_id"] or next(reversed(owners), None)
    if len(owners) == n and subject in owners and subject != reference:
        own = tuple(place for place, owner in enumerate(owners) if owner == subject)
        others = tuple(place for place, owner in enumerate(owners) if owner == reference)
        return ScanPlaces(own, others or _find_others(n, own))
    own = _find_last_shown(row["conversations"], n)
    if reference is not None and len(own) == n:
        kinds, half = name_kinds(row), n // 2
        own = tuple(range(half if kinds[:half] == kinds[half:] else n - 1, n))
    return ScanPlaces(own, _find_others(n, own))


def find_subject_places(row: dict) -> tuple[int, ...]:
    """Where the subject's scans stand among the row's: see `find_places`."""
    return find_places(row).subject


def name_kinds(row: dict) -> list[str]:
    """Of each scan its sequence, which `metadata.suffixes` state of all or of none, else its modality."""
    suffixes = read_suffixes(row)
    return [scan["modality"] for scan in row["images"]] if suffixes is None else suffixes


def read_suffixes(row: dict) -> list[str] | None:
    """The sequences of a row's scans, one for each; None where the metadata do not state them."""
    suffixes = json.loads(row["metadata"].get("extra") or "{}").get("suffixes")
    is_list = isinstance(suffixes, list) and len(suffixes) == len(row["images"])
    return suffixes if is_list and all(isinstance(one, str) for one in suffixes) else None


def number_kinds(kinds: Sequence[str]) -> list[str]:
    """The kinds, each once: of two alike the second is "sMRI 2"."""
    return [kind if (n := kinds[: place + 1].count(kind)) == 1 else f"{kind} {n}" for place, kind in enumerate(kinds)]


def _find_last_shown(turns: Sequence[dict], n: int) -> tuple[int, ...]:
    counts = [sum(item["type"] == "image" for item in turn["content"]) for turn in turns]
    return tuple(range(n - next((count for count in reversed(counts) if count), n), n))


def _find_others(n: int, own: tuple[int, ...]) -> tuple[int, ...]:
    return tuple(place for place in range(n) if place not in own)
