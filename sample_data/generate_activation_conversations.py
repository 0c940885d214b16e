"""Generate the activation task on synthetic series: which side of the brain follows the blocks of a task, or neither?

    python sample_data/generate_activation_conversations.py

writes `activation_conversations/` beside this file: 600 conversations for training, 100 each for validation and test,
10 samples, and the fMRI series that they name, one of each subject. A region on the left and one on the right take the
same values over time, each in an order of its own: that of the blocks where a region follows them, else one drawn at
random. So neither the mean over time nor any frame alone tells the answer, and neither do the frames in another order.
"""

import random
from dataclasses import dataclass

from sample_flags import parse_options

from umbrella.options.commands.ending import run

if __name__ == "__main__":  # a wrong flag, or --help, is answered before the slow imports
    run(lambda: parse_options(__doc__, __file__, train_subjects=600))

import numpy as np
from phantoms import EPI, REPETITION_S, SEXES, Lesion, draw_acquisition, draw_anatomy, make_scan, share_in_ball
from sample_folder import ScanPlan, generate_sample_folder

from umbrella.cohort.questions.writer import Scan, make_conversation
from umbrella.files.data_format import SPLITS

N_FRAMES, BLOCK = 16, 4  # volumes; a block of rest, then one of the task, and so on
DESIGN = np.arange(N_FRAMES) // BLOCK % 2  # 1 where the task is done
LABELS = ("left", "right", "neither")
REGIONS = {side: Lesion((sign * 32.0, 0.0, 5.0), 30.0) for side, sign in (("left", -1), ("right", 1))}
SWING = 400.0  # from rest to task, before gain
NOISE_SD = 3.0  # over time, before gain

QUESTIONS = (
    "The task alternates with rest. Which side of the brain follows it: left, right or neither?",
    "Which region is active during the task, the left one, the right one or neither?",
    "Left, right or neither: where does the signal follow the blocks?",
)


@dataclass(frozen=True)
class SeriesPlan(ScanPlan):
    """A series to be made. `orders` says for the left and the right region which frame of one that follows the blocks
    stands where: its values are the same in any order."""

    orders: tuple[tuple[int, ...], ...] = ()

    def make(self) -> np.ndarray:
        """The series: int16 (X, Y, Z, T), RAS+."""
        still = make_scan(self.anatomy, self.acquisition, self.protocol).astype(np.float32)
        rng = np.random.default_rng([self.acquisition.noise_seed, 1])
        changes = rng.standard_normal((*still.shape, N_FRAMES), np.float32) * NOISE_SD
        shares = [share_in_ball(region, self.acquisition, self.protocol) for region in REGIONS.values()]
        for share, order in zip(shares, self.orders, strict=True):
            changes += SWING * share[..., None] * DESIGN
            changes[share > 0] = changes[share > 0][:, list(order)]
        return np.rint((still[..., None] + changes * self.acquisition.gain).clip(0)).astype(np.int16)


def draw_orders(draw: np.random.Generator, label: str) -> tuple[tuple[int, ...], ...]:
    """For the left and the right region: the frames as they are where it follows the blocks, else in an order in which
    as many frames of the task stand in its blocks as elsewhere.

    Any two of the blocks and the regions' courses that differ agree in half of the frames. So with the frames in an
    order drawn at random the two courses look alike whatever the label.
    """
    courses, orders = [DESIGN], []
    for side in REGIONS:
        order = np.arange(N_FRAMES)
        if side != label:
            while any(np.sum(DESIGN[order] == course) != N_FRAMES // 2 for course in courses):
                order = draw.permutation(N_FRAMES)
            courses.append(DESIGN[order])
        orders.append(tuple(order.tolist()))
    return tuple(orders)


def plan_split(split: str, first_number: int, n_subjects: int, seed: int) -> tuple[list[dict], list[SeriesPlan]]:
    """The conversations and series of one split, one each of a subject, numbered from `first_number`.

    Heads and acquisitions are drawn before the labels, of which each is a third, as far as the number allows.
    """
    heads, draw = (np.random.default_rng([seed, SPLITS.index(split), part]) for part in (0, 1))
    wording = random.Random(f"{seed} {split}")
    drawn = [(draw_anatomy(heads, SEXES[i % 2]), draw_acquisition(heads)) for i in range(n_subjects)]
    labels = draw.permutation([LABELS[i % 3] for i in range(n_subjects)]).tolist()
    records, scans = [], []
    for i, ((anatomy, acquisition), label) in enumerate(zip(drawn, labels, strict=True)):
        subject = f"sub-{first_number + i:04d}"
        path = f"images/{split}/{subject}_task-blocks_bold.nii.gz"
        scans.append(SeriesPlan(path, anatomy, acquisition, EPI, None, draw_orders(draw, label)))
        turns = [[Scan(subject, path, "fMRI"), wording.choice(QUESTIONS)], [f"Answer: {label}"]]
        truth = {"design": DESIGN.tolist(), "repetition_s": REPETITION_S}
        metadata = {"subject_id": subject, "subject_label": label, "task": "activation", **truth}
        records.append(make_conversation(f"activation_{split}_{i:04d}", "activation", turns, metadata))
    return records, scans


def main(argv: list[str] | None = None) -> None:
    generate_sample_folder(plan_split, parse_options(__doc__, __file__, argv, train_subjects=600))


if __name__ == "__main__":
    run(main)
