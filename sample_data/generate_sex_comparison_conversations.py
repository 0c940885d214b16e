"""Generate the sex comparison task on synthetic heads: is the second scan of a male or a female head?

    python sample_data/generate_sex_comparison_conversations.py

writes `sex_comparison_conversations/` beside this file: 200 conversations for each of train, validation and test,
10 samples, and the 300 scans that they name. The differences between the sexes are invented, see phantoms.py.
"""

import random

from sample_flags import parse_options

from umbrella.options.commands.ending import run

if __name__ == "__main__":  # a wrong flag, or --help, is answered before the slow imports
    run(lambda: parse_options(__doc__, __file__))

import numpy as np
from phantoms import SEXES, draw_acquisition, draw_anatomy
from sample_folder import ScanPlan, generate_sample_folder

from umbrella.cohort.questions.writer import Phrasings, Scan, make_comparison
from umbrella.files.data_format import SPLITS

PHRASINGS = Phrasings(
    introduction=(
        "This is the reference scan. It shows a {reference_label} head.",
        "Here is a brain scan of a {reference_label} subject, to be used as the reference.",
        "Use this {reference_label} subject's scan as the reference.",
        "The reference subject is {reference_label}. Their scan:",
    ),
    acknowledgement=(
        "I will compare the next scan with this {reference_label} reference.",
        "Understood. The reference subject is {reference_label}.",
        "Noted: a {reference_label} reference.",
    ),
    question=(
        "Is this subject male or female?",
        "Compared with the reference, is this head male or female?",
        "What is the sex of this second subject, male or female?",
        "Decide from this scan: male or female?",
    ),
    answer=(
        "This subject is {subject_label}.",
        "The scan shows a {subject_label} head.",
        "Compared with the reference, this head looks {subject_label}.",
    ),
)


def plan_split(split: str, first_number: int, n_subjects: int, seed: int) -> tuple[list[dict], list[ScanPlan]]:
    """The conversations and scans of one split; its subjects are numbered from `first_number`.

    Each subject has two conversations: against a reference of the same sex, then against one of the other sex. Each
    subject is the reference of two. So neither the reference nor its label says anything about the answer.
    """
    draw = np.random.default_rng([seed, SPLITS.index(split)])
    wording = random.Random(f"{seed} {split}")
    sex_of = {
        f"sub-{first_number + i:04d}": sex
        for i, sex in enumerate(draw.permutation(SEXES * (n_subjects // 2)).tolist())
    }
    scans = [
        ScanPlan(_scan_path(split, subject), draw_anatomy(draw, sex), draw_acquisition(draw))
        for subject, sex in sex_of.items()
    ]
    same, other = _pair_references(sex_of, draw)
    records = []
    for subject, sex in sex_of.items():
        for comparison_type, reference in (("same", same[subject]), ("different", other[subject])):
            labels = {"subject_label": sex, "reference_label": sex_of[reference]}
            records.append(
                make_comparison(
                    task_id=f"sex_comparison_{split}_{len(records):04d}",
                    task_type="T3",
                    reference=Scan(reference, _scan_path(split, reference)),
                    subject=Scan(subject, _scan_path(split, subject)),
                    wording=PHRASINGS.draw(wording, **labels),
                    metadata={**labels, "comparison_type": comparison_type, "task": "sex_comparison"},
                )
            )
    return records, scans


def _pair_references(sex_of: dict[str, str], draw: np.random.Generator) -> tuple[dict[str, str], dict[str, str]]:
    """For each subject a reference of the same sex (the next in a ring) and one of the other sex."""
    female, male = ([str(s) for s in draw.permutation([s for s in sex_of if sex_of[s] == sex])] for sex in SEXES)
    same = {}
    for group in (female, male):
        same |= dict(zip(group, group[1:] + group[:1], strict=True))
    other = dict(zip(female, male, strict=True)) | dict(zip(male, female[1:] + female[:1], strict=True))
    return same, other


def _scan_path(split: str, subject: str) -> str:
    return f"images/{split}/{subject}_T1w.nii.gz"


def main(argv: list[str] | None = None) -> None:
    generate_sample_folder(plan_split, parse_options(__doc__, __file__, argv))


if __name__ == "__main__":
    run(main)
