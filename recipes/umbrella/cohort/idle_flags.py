"""Flags of generate_conversations.py that would do nothing beside the others: each is refused with what it needs."""

import argparse
from collections.abc import Callable
from typing import NamedTuple

from umbrella.cohort.shared.visits import CohortError


class Need(NamedTuple):
    """What a flag needs to do something: (flags, kind of reference) → whether it is there, and what to say if not."""

    is_met: Callable[[argparse.Namespace, str], bool]
    expected: str
    found: str  # may say {reference}
    remedy: str


_TREE = Need(
    lambda flags, _: flags.bids_dir is not None or flags.dicom_dir is not None,
    "--bids_dir beside it, from whose scans it chooses",
    "--image_template",
    "Leave it out: --image_template MODALITY=PATH names the scans themselves",
)
_MODALITIES = Need(
    lambda flags, _: not flags.modalities_of_visit,
    "no --modalities_of_visit beside it, which names the scans by their suffixes",
    "both",
    "Leave one of them out",
)
_STUDY = Need(
    lambda flags, _: bool(flags.modalities_of_visit),
    "--modalities_of_visit beside it, of whose sequences it speaks",
    "none",
    "Add --modalities_of_visit T1w,FLAIR (or others), or leave it out",
)
_DICOM = Need(
    lambda flags, _: flags.dicom_dir is not None,
    "--dicom_dir beside it, whose files it says how to convert",
    "none",
    "Add --dicom_dir DIR, or leave it out",
)
_NO_DICOM = Need(
    lambda flags, _: flags.dicom_dir is None,
    "no --dicom_dir beside it, whose tree holds no derivatives",
    "both",
    "Leave it out; of a tree that was converted before, name the folder with --bids_dir",
)
_DIVISION = Need(
    lambda flags, _: flags.split_file is None,
    "no --split_file beside it, which divides already",
    "both",
    "Leave one of them out",
)
NEEDS = {
    **dict.fromkeys(("--run", "--entities"), (_TREE,)),
    "--derivatives": (_TREE, _NO_DICOM),
    **dict.fromkeys(("--modalities", "--suffixes"), (_TREE, _MODALITIES)),
    **dict.fromkeys(("--sequence_order", "--least_sequences"), (_STUDY,)),
    **dict.fromkeys(("--dicom_rules", "--dicom_key", "--bids_out", "--jobs"), (_DICOM,)),
    "--references_per_subject": (
        Need(
            lambda _, reference: reference != "none",
            "a reference beside it, of which to take as many",
            "--reference {reference}",
            "Add --reference any (or another kind), or leave it out",
        ),
    ),
    "--order_by": (
        Need(
            lambda _, reference: reference == "earlier",
            "a comparison over time beside it, whose sessions it puts in order",
            "--reference {reference}",
            "Add --reference earlier (or --change), or leave it out",
        ),
        Need(
            lambda flags, _: not flags.sessions,
            "no --sessions beside it, whose order is the order in time",
            "both",
            "Leave one of them out",
        ),
        Need(
            lambda flags, _: flags.dicom_dir is None,
            "no --dicom_dir beside it, whose visits are in the order of their days",
            "both",
            "Leave it out",
        ),
    ),
    **dict.fromkeys(("--split", "--stratify"), (_DIVISION,)),
}


def refuse_idle_flags(flags: argparse.Namespace, given: frozenset[str], reference: str) -> None:
    """Raises CohortError for the first of the `given` flags that would do nothing."""
    for flag, needs in NEEDS.items():
        for need in needs if flag in given else ():
            if not need.is_met(flags, reference):
                found = need.found.format(reference=reference)
                raise CohortError(f"{flag}: expected {need.expected}, found {found}. {need.remedy}")
