"""Generate the longitudinal change task on synthetic heads: have the ventricles grown or shrunk since the first scan?

    python sample_data/generate_longitudinal_change_conversations.py

writes `longitudinal_change_conversations/` beside this file: 200 conversations for each of train, validation and test,
10 samples, and the 900 scans that they name. Both scans of a conversation are of one subject.
"""

import random
from dataclasses import replace

from sample_flags import parse_options

from umbrella.options.commands.ending import run

if __name__ == "__main__":  # a wrong flag, or --help, is answered before the slow imports
    run(lambda: parse_options(__doc__, __file__))

import numpy as np
from phantoms import SEXES, draw_acquisition, draw_anatomy
from sample_folder import ScanPlan, generate_sample_folder

from umbrella.cohort.questions.writer import Phrasings, Scan, make_comparison
from umbrella.files.data_format import SPLITS

# Uniform ranges, as shares of the head's middle axial section (phantoms.Anatomy.ventricle_size).
FIRST_SIZE = (0.08, 0.24)
CHANGE = (0.025, 0.065)

PHRASINGS = Phrasings(
    introduction=(
        "This is the first scan of this subject.",
        "Here is the subject's baseline scan.",
        "Start from this earlier scan of the subject.",
        "The earlier scan of this subject:",
    ),
    acknowledgement=("Understood.", "Noted.", "Ready."),
    question=(
        "This is the later scan. Have the ventricles grown or shrunk?",
        "Compared with the first scan, have the ventricles grown or shrunk?",
        "Since the earlier scan, have this subject's ventricles grown or shrunk?",
        "Grown or shrunk: how have the ventricles changed since the baseline?",
    ),
    answer=("The ventricles have {subject_label}.", "They have {subject_label}.", "Answer: {subject_label}"),
)


def draw_sizes(draw: np.random.Generator, n_subjects: int) -> np.ndarray:
    """Ventricle sizes (n, 3): at the baseline, in a session where they have grown, in one where they have shrunk."""
    first = draw.uniform(*FIRST_SIZE, n_subjects)
    return np.stack(
        [first, first + draw.uniform(*CHANGE, n_subjects), first - draw.uniform(*CHANGE, n_subjects)], axis=1
    )


def plan_split(split: str, first_number: int, n_subjects: int, seed: int) -> tuple[list[dict], list[ScanPlan]]:
    """The conversations and scans of one split; its subjects are numbered from `first_number`.

    Each subject has a baseline (ses-01) and two later sessions, one grown and one shrunk, in an order drawn at random.
    Each later session is compared with the baseline, so the first scan alone says nothing about the answer.
    """
    draw = np.random.default_rng([seed, SPLITS.index(split)])
    wording = random.Random(f"{seed} {split}")
    records, scans = [], []
    for i, (first, *later) in enumerate(draw_sizes(draw, n_subjects).tolist()):
        subject = f"sub-{first_number + i:04d}"
        anatomy = draw_anatomy(draw, SEXES[i % 2])
        sizes = [first, *draw.permutation(later).tolist()]
        paths = [f"images/{split}/{subject}_ses-{session:02d}_T1w.nii.gz" for session in (1, 2, 3)]
        scans += [
            ScanPlan(path, replace(anatomy, ventricle_size=size), draw_acquisition(draw))
            for path, size in zip(paths, sizes, strict=True)
        ]
        for session in (1, 2):
            label = "grown" if sizes[session] > first else "shrunk"
            records.append(
                make_comparison(
                    task_id=f"longitudinal_change_{split}_{len(records):04d}",
                    task_type="T3",
                    reference=Scan(subject, paths[0]),
                    subject=Scan(subject, paths[session]),
                    wording=PHRASINGS.draw(wording, subject_label=label),
                    metadata={
                        "subject_label": label,
                        "reference_label": "baseline",
                        "comparison_type": "same",
                        "task": "longitudinal_change",
                        "reference_session": "ses-01",
                        "subject_session": f"ses-{session + 1:02d}",
                        "reference_size": round(first, 4),
                        "subject_size": round(sizes[session], 4),
                    },
                )
            )
    return records, scans


def main(argv: list[str] | None = None) -> None:
    generate_sample_folder(plan_split, parse_options(__doc__, __file__, argv))


if __name__ == "__main__":
    run(main)
