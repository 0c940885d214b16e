"""Generate the lesion task on synthetic heads: is there a lesion, on which side, in the upper or the lower half?

    python sample_data/generate_lesion_conversations.py

writes `lesion_conversations/` beside this file: 2000 subjects for training, 100 each for validation and test, one scan
each, half of them with a lesion. All are asked whether there is one (task_type `lesion_presence`), those that have one
also where (`lesion_side`, `lesion_level`). In few of the scans does the middle axial slice cut the lesion.
"""

import random

from sample_flags import parse_options

from umbrella.options.commands.ending import run

if __name__ == "__main__":  # a wrong flag, or --help, is answered before the slow imports
    run(lambda: parse_options(__doc__, __file__, train_subjects=2000))

import numpy as np
from phantoms import FLAIR, Acquisition, Anatomy, Lesion, draw_acquisition, draw_anatomy, to_world_mm
from sample_folder import ScanPlan, generate_sample_folder

from umbrella.cohort.questions.writer import Scan, make_conversation
from umbrella.files.data_format import SPLITS

RADIUS_MM = (13.0, 17.0)
FROM_MIDLINE_MM = 3.0  # from the lesion's surface
FROM_MIDDLE_MM = 9.0  # from its centre, upwards or downwards
FROM_BORDER_MM = 1.0  # from its surface to that of the brain
ONE_CUT_IN = 3  # lesions may be cut by the middle axial slice; the others are clear of it

SIDES, LEVELS = ("left", "right"), ("lower", "upper")
QUESTIONS = {
    "lesion_presence": (
        "Is there a lesion in this scan?",
        "Does this brain have a lesion, yes or no?",
        "Look for a lesion: is there one?",
    ),
    "lesion_side": (
        "On which side is the lesion, left or right?",
        "Is the lesion on the left or on the right?",
        "Left or right: where is the lesion?",
    ),
    "lesion_level": (
        "Is the lesion in the upper or in the lower half of the brain?",
        "Upper or lower half: where is the lesion?",
        "In which half is the lesion, upper or lower?",
    ),
}


def draw_lesion(
    draw: np.random.Generator, anatomy: Anatomy, acquisition: Acquisition, place: tuple[str, str], may_be_cut: bool
) -> Lesion:
    """A lesion anywhere in that quarter of the brain, clear of the midline, the middle and the brain's border."""
    side, level = place
    thickness = anatomy.scalp_mm + anatomy.skull_mm + anatomy.csf_mm
    brain = np.array(anatomy.semi_axes_mm) - thickness
    signs = np.array([1 if side == "right" else -1, 0, 1 if level == "upper" else -1])
    while True:
        radius = float(draw.uniform(*RADIUS_MM))
        centre = draw.uniform(-1, 1, 3) * brain
        x, _, z = to_world_mm(tuple(centre), acquisition) * signs
        is_inside = np.sum((centre / (brain - radius - FROM_BORDER_MM)) ** 2) < 1
        if is_inside and x > radius + FROM_MIDLINE_MM and z > FROM_MIDDLE_MM:
            lesion = Lesion(tuple(centre.tolist()), radius)
            if may_be_cut or not is_cut(lesion, acquisition):
                return lesion


def is_cut(lesion: Lesion, acquisition: Acquisition) -> bool:
    """Whether anything of it is in the middle axial slice, the one that the view "axial" shows."""
    middle_mm = FLAIR.spacing_mm[2] / 2  # of an even number of slices it is the upper one of the middle two
    reach_mm = lesion.radius_mm + FLAIR.edge_mm / 2
    return bool(abs(to_world_mm(lesion.centre_mm, acquisition)[2] - middle_mm) < reach_mm)


def describe_lesion(lesion: Lesion, acquisition: Acquisition) -> dict:
    """The truth in numbers, for the metadata. Places count from the middle of the scan."""
    return {
        "lesion_centre_mm": [round(float(x), 1) for x in to_world_mm(lesion.centre_mm, acquisition)],
        "lesion_radius_mm": round(lesion.radius_mm, 1),
        "lesion_in_middle_slice": is_cut(lesion, acquisition),
    }


def plan_split(split: str, first_number: int, n_subjects: int, seed: int) -> tuple[list[dict], list[ScanPlan]]:
    """The conversations and scans of one split; its subjects are numbered from `first_number`.

    Heads and acquisitions are drawn before anybody is given a lesion: nothing but the lesion tells of it. Each fourth
    of those who have one has it in one quarter of the brain, as far as their number allows.
    """
    heads, draw = (np.random.default_rng([seed, SPLITS.index(split), part]) for part in (0, 1))
    wording = random.Random(f"{seed} {split}")
    drawn = [(draw_anatomy(heads, "female"), draw_acquisition(heads)) for _ in range(n_subjects)]
    quarters = [(side, level) for side in SIDES for level in LEVELS]
    number_of = draw.permutation(n_subjects).tolist()  # the first half have a lesion
    records, scans = [], []
    for i, ((anatomy, acquisition), number) in enumerate(zip(drawn, number_of, strict=True)):
        subject = f"sub-{first_number + i:04d}"
        path = f"images/{split}/{subject}_FLAIR.nii.gz"
        lesion, answers, truth = None, {"lesion_presence": "no"}, {}
        if number < n_subjects // 2:
            place = quarters[number % len(quarters)]
            lesion = draw_lesion(draw, anatomy, acquisition, place, number % ONE_CUT_IN == 0)
            answers = dict(zip(QUESTIONS, ("yes", *place), strict=True))
            truth = describe_lesion(lesion, acquisition)
        scans.append(ScanPlan(path, anatomy, acquisition, FLAIR, lesion))
        for task, label in answers.items():
            turns = [[Scan(subject, path), wording.choice(QUESTIONS[task])], [f"Answer: {label}"]]
            metadata = {"subject_id": subject, "subject_label": label, "task": task, **truth}
            records.append(make_conversation(f"{task}_{split}_{i:04d}", task, turns, metadata))
    return records, scans


def main(argv: list[str] | None = None) -> None:
    generate_sample_folder(plan_split, parse_options(__doc__, __file__, argv, train_subjects=2000))


if __name__ == "__main__":
    run(main)
