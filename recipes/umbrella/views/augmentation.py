"""Random changes of a volume in training, that never exchange left and right.

    load, normalise to [0, 1] → augment → standardise → view

Rotation, shift and scale of the head, and the contrast (gamma), bias field and noise of the scanner, drawn anew for
each row in each epoch. MONAI does the work: the extra "augment". The view "volume" is moved while it is resampled, and
its intensities are changed on its own grid.
"""

import hashlib
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch

from umbrella.options.extras import check_extra
from umbrella.options.number_bounds import STRENGTH
from umbrella.views.loading import load_moved_grid
from umbrella.views.settings import ViewSettings

# At strength 1; each is drawn uniformly between minus and plus this.
ROTATION_DEGREES = 8.0  # about each axis
SHIFT_MM = 5.0  # along each axis
LOG_SCALE = 0.08  # the head's size, the same along each axis
LOG_GAMMA = 0.3  # contrast: intensity ** exp(gamma)
BIAS = 0.15  # each coefficient of the bias field's logarithm, a polynomial of degree 3
NOISE = 0.03  # standard deviation, of the range of intensities
WINDOW_STREAM = 1  # so that windows are not drawn with the numbers of the changes


class Augmentation:
    """Changes a volume at random, the same way whenever seed, epoch, row and scan are the same. A row that comes
    several times in an epoch has another name each time, see `ConversationTransform.draw_name`.

    All scans of a row are moved alike, so what an answer compares (sizes, sides) stays comparable; contrast, bias
    field and noise are drawn for each scan. There is no flip, and no option for one: it would make right-sided
    findings left-sided, and leave the words as they are.

    Args:
        seed: of the run.
        strength: factor on all changes, in the bounds of `STRENGTH`.

    Raises ImportError without MONAI, ValueError for another strength.
    """

    def __init__(self, seed: int, strength: float = 1.0) -> None:
        if strength not in STRENGTH:
            raise ValueError(f"--augment_strength: expected {STRENGTH}, found {strength:g}")
        check_extra("monai", "--augment", "augment")
        self.seed, self.strength = seed, strength
        self._epoch = SharedInteger()

    def set_epoch(self, epoch: int) -> None:
        """From now on, also in DataLoader workers that run already, changes are those of this epoch."""
        self._epoch.set(epoch)

    def __call__(self, volume: np.ndarray, spacing_mm: np.ndarray, task_id: str, scan: int) -> np.ndarray:
        """Change one scan of a row.

        Args:
            volume: (X, Y, Z), float32, RAS+, in [0, 1]. It is not changed itself.
            spacing_mm: (3,), so that rotations are rotations where voxels are longer than wide.
            task_id: the row.
            scan: the number of the scan in its row.

        Returns (X, Y, Z), float32, in [0, 1]; 0 where the head was moved away from.
        """
        change = self.draw(task_id, scan)
        return change.change_intensities(move_head(volume, change.motion, spacing_mm))

    def draw(self, task_id: str, scan: int) -> "Change":
        """How one scan of a row is changed, see `__call__`."""
        epoch, row = self._epoch.get(), number_row(task_id)
        motion = draw_motion(np.random.default_rng([self.seed, epoch, row]), self.strength)
        return Change(motion, np.random.default_rng([self.seed, epoch, row, 1 + scan]), self.strength)


@dataclass(frozen=True)
class Change:
    """What is drawn for one scan.

    motion    (4, 4), of the head, in mm
    rng, strength  of the change of intensities, which can be made once
    """

    motion: np.ndarray
    rng: np.random.Generator
    strength: float

    def change_intensities(self, volumes: np.ndarray) -> np.ndarray:
        """See `change_intensities`."""
        return change_intensities(volumes, self.rng, self.strength)


def load_augmented_grid(
    path: str | Path | bytes, modality: str, settings: ViewSettings, change: Change, start: float | None = None
) -> np.ndarray:
    """`umbrella.views.loading.load_grid` of a scan that is changed, all frames of a series alike but for the noise.

    Intensities are changed in [0, 1]; where the view is standardised, its mean and deviation then are what they were.
    """
    shown, intensity = load_moved_grid(path, modality, settings, change.motion, start)
    low, spread = np.float32(intensity.low), np.float32(intensity.high - intensity.low)
    changed = change.change_intensities((shown - low) / spread)
    if settings.standardize is False or changed.min() == changed.max():  # the latter: no head in the grid
        return changed * spread + low
    changed = (changed - changed.mean(dtype=np.float64)) / changed.std(dtype=np.float64)
    return (changed * shown.std(dtype=np.float64) + shown.mean(dtype=np.float64)).astype(np.float32)


class WindowDraw:
    """Draws where in a series a window of frames lies, the same whenever seed, epoch, row and scan are the same."""

    def __init__(self, seed: int) -> None:
        self.seed, self._epoch = seed, SharedInteger()

    def set_epoch(self, epoch: int) -> None:
        """As `Augmentation.set_epoch`."""
        self._epoch.set(epoch)

    def __call__(self, task_id: str, scan: int) -> float:
        """From 0, the first window, to 1, the last one, all alike likely."""
        seeds = [self.seed, self._epoch.get(), number_row(task_id), 1 + scan, WINDOW_STREAM]
        return float(np.random.default_rng(seeds).uniform())


def number_row(task_id: str) -> int:
    """A number that is a row's own, for the seed of what is drawn for it."""
    return int.from_bytes(hashlib.sha256(task_id.encode()).digest()[:8], "big")


def draw_motion(rng: np.random.Generator, strength: float) -> np.ndarray:
    """A rotation, scale and shift in mm about the volume's middle, (4, 4)."""
    angles = np.radians(ROTATION_DEGREES) * strength * rng.uniform(-1, 1, 3)
    motion = np.eye(4)
    for axis, angle in enumerate(angles):
        rotation, (i, j) = np.eye(4), np.delete([0, 1, 2], axis)
        rotation[[i, i, j, j], [i, j, i, j]] = np.cos(angle), -np.sin(angle), np.sin(angle), np.cos(angle)
        motion = motion @ rotation
    motion[:3, :3] *= np.exp(LOG_SCALE * strength * rng.uniform(-1, 1))
    motion[:3, 3] = SHIFT_MM * strength * rng.uniform(-1, 1, 3)
    return motion


def move_head(volume: np.ndarray, motion: np.ndarray, spacing_mm: np.ndarray) -> np.ndarray:
    """The volume moved by `motion` (4, 4), which is in mm about its middle; linear interpolation, 0 outside."""
    from monai.transforms import Affine

    to_mm = np.diag([*spacing_mm, 1.0])
    # MONAI asks where in the old volume each new voxel comes from, in voxels about the middle.
    from_new_to_old = np.linalg.inv(to_mm) @ np.linalg.inv(motion) @ to_mm
    affine = Affine(affine=from_new_to_old, padding_mode="zeros", image_only=True)
    return affine(volume[None])[0].numpy()


def change_intensities(volume: np.ndarray, rng: np.random.Generator, strength: float) -> np.ndarray:
    """The volume, or the volumes of a series, (…, X, Y, Z) in [0, 1], with another contrast, a bias field and noise.
    Contrast and field are the same for all volumes of a series."""
    from monai.transforms import AdjustContrast, RandBiasField

    gamma = np.exp(LOG_GAMMA * strength * rng.uniform(-1, 1))
    bias = RandBiasField(prob=1, coeff_range=(-BIAS * strength, BIAS * strength))
    bias.set_random_state(int(rng.integers(2**32)))
    changed = AdjustContrast(gamma)(volume[None]).numpy()[0]
    changed *= bias(np.ones((1, *volume.shape[-3:]), np.float32)).numpy()[0]
    changed /= changed.max()  # where the field brightens, nothing is cut off
    changed += NOISE * strength * rng.uniform() * rng.standard_normal(volume.shape, dtype=np.float32)
    return np.clip(changed, 0, 1, out=changed)


class SharedInteger:
    """An integer that the training process sets and its DataLoader workers read, those too that persist from epoch to
    epoch: it lies in shared memory, and every copy of it in any process is the same one."""

    def __init__(self) -> None:
        self._value = torch.zeros((), dtype=torch.int64).share_memory_()

    def set(self, value: int) -> None:
        self._value.fill_(value)

    def get(self) -> int:
        return int(self._value)

    def __deepcopy__(self, memo: dict) -> "SharedInteger":
        return self  # datasets copies a transform with its rows; the copy must follow the same epochs
