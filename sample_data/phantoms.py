"""Synthetic head phantoms: an anatomy drawn at random, imaged by an acquisition drawn at random, stored as NIfTI.

Nothing here is a person, and the differences between the sexes are invented (see `draw_anatomy`): they exist so that a
model has something to learn, and say nothing about real heads.

    Anatomy      what belongs to the subject: head shape, tissue thickness, ventricles
    Acquisition  what belongs to the scan: pose of the head, gain, bias field, noise, storage orientation

A scan is made in RAS+ (axis 0 left→Right, 1 posterior→Anterior, 2 inferior→Superior) and only then stored in another
orientation, with an affine that says so. Lengths are in millimetres.
"""

import gzip
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import nibabel as nib
import numpy as np

SPACING_MM = (3.0, 2.8, 3.4)
GRID_SHAPE = (64, 80, 60)
# The field of view (192 × 224 × 204 mm) is the same for every head, so that the size of a head survives a view that
# is resized to a fixed number of pixels.
FIELD_OF_VIEW_MM = tuple(n * spacing for n, spacing in zip(GRID_SHAPE, SPACING_MM, strict=True))
ORIENTATIONS = ("RAS", "LAS", "LPS", "LIA", "PSR", "ASL", "RSP", "IRA")

SEXES = ("female", "male")
LABELS = {"background": 0, "scalp": 1, "skull": 2, "csf": 3, "grey": 4, "white": 5, "ventricles": 6}
_INTENSITY = {"background": 4.0, "scalp": 140.0, "skull": 8.0, "csf": 12.0, "grey": 110.0, "white": 180.0}
_INTENSITY["ventricles"] = _INTENSITY["csf"]
_EDGE_MM = 3.0  # width of the soft edge between tissues: the partial volume of a voxel of about 3 mm

# The lateral ventricles are two equal ellipsoids beside the midline. In units of the head's semi-axes theirs are
# WIDTH √size, LENGTH √size and HEIGHT; with WIDTH × LENGTH = 1/2 the two fill the share `size` of the head's middle
# axial section. (Growing in area, not in radius, makes a change as visible in a small ventricle as in a large one.)
_VENTRICLE_WIDTH, _VENTRICLE_LENGTH, _VENTRICLE_HEIGHT = 0.52, 0.5 / 0.52, 0.42
_VENTRICLE_GAP_MM = 1.5  # from the midline to the inner wall


@dataclass(frozen=True)
class Anatomy:
    """What all scans of one subject share."""

    semi_axes_mm: tuple[float, float, float]  # of the scalp, without the irregularities
    scalp_mm: float
    skull_mm: float
    csf_mm: float
    grey_mm: float
    ventricle_size: float  # share of the head's middle axial section that they fill; 0.01 to 0.32
    bumps: tuple[float, ...]  # irregularities of the surface, see `_relative_radius`
    fold_phases: tuple[float, float, float]  # where the cortical folds lie, radians


@dataclass(frozen=True)
class Acquisition:
    """What differs from scan to scan, also between two scans of one subject."""

    rotation_deg: tuple[float, float, float]  # about X, Y, Z
    offset_mm: tuple[float, float, float]
    gain: float
    bias: tuple[float, float, float]  # relative change of intensity from the centre to each positive border
    noise_sd: float  # before gain; white matter is 180
    noise_seed: int
    orientation: str  # storage axis codes, e.g. "LIA"


def draw_anatomy(rng: np.random.Generator, sex: str) -> Anatomy:
    """Draw a subject. Two INVENTED differences: male heads are larger and have a thicker skull.

    Head size (mean of the semi-axes relative to the average) is N(1.045, 0.025²) for "male" and N(0.955, 0.025²) for
    "female"; skull thickness is N(9.75, 0.8²) mm and N(5.75, 0.8²) mm. The sizes overlap
    between the sexes; the skulls hardly do.
    """
    sign = {"female": -1.0, "male": 1.0}[sex]
    size = float(np.clip(rng.normal(1.0 + 0.045 * sign, 0.025), 0.88, 1.12))
    proportions = rng.normal(1.0, 0.012, 3)
    proportions /= proportions.mean()
    return Anatomy(
        semi_axes_mm=tuple(float(x) for x in np.array([74.0, 91.0, 82.0]) * size * proportions),
        scalp_mm=float(rng.uniform(5.5, 7.0)),
        skull_mm=float(np.clip(rng.normal(7.75 + 2.0 * sign, 0.8), 4.0, 12.0)),
        csf_mm=float(rng.uniform(3.0, 4.5)),
        grey_mm=float(rng.uniform(6.5, 8.0)),
        ventricle_size=float(rng.uniform(0.07, 0.15)),
        bumps=tuple(float(x) for x in rng.normal(0.0, 0.008, 5)),
        fold_phases=tuple(float(x) for x in rng.uniform(0.0, 2 * np.pi, 3)),
    )


def draw_acquisition(rng: np.random.Generator) -> Acquisition:
    """Draw the circumstances of one scan, independent of the subject."""
    return Acquisition(
        rotation_deg=tuple(float(x) for x in rng.normal(0.0, 2.5, 3).clip(-6.0, 6.0)),
        offset_mm=tuple(float(x) for x in rng.uniform(-1.5, 1.5, 3)),
        gain=float(rng.uniform(0.5, 1.0)),
        bias=tuple(float(x) for x in rng.uniform(-0.12, 0.12, 3)),
        noise_sd=float(rng.uniform(1.5, 2.5)),
        noise_seed=int(rng.integers(2**32)),
        orientation=str(rng.choice(ORIENTATIONS)),
    )


def make_labels(anatomy: Anatomy, acquisition: Acquisition) -> np.ndarray:
    """The tissue of every voxel: uint8 (X, Y, Z), RAS+, values of `LABELS`. The truth that a scan shows blurred."""
    labels = np.zeros(GRID_SHAPE, dtype=np.uint8)
    for tissue, fraction in _tissue_fractions(anatomy, acquisition):
        labels[fraction > 0.5] = LABELS[tissue]
    return labels


def make_scan(anatomy: Anatomy, acquisition: Acquisition) -> np.ndarray:
    """The T1-like magnitude image: int16 (X, Y, Z), RAS+, Rician noise."""
    image = np.full(GRID_SHAPE, _INTENSITY["background"], dtype=np.float32)
    for tissue, fraction in _tissue_fractions(anatomy, acquisition):
        image += (_INTENSITY[tissue] - image) * fraction
    for axis, slope in enumerate(acquisition.bias):
        ramp = np.linspace(1.0 - slope, 1.0 + slope, GRID_SHAPE[axis], dtype=np.float32)
        image *= np.expand_dims(ramp, tuple({0, 1, 2} - {axis}))
    noise = np.random.default_rng(acquisition.noise_seed).standard_normal((2, *GRID_SHAPE), dtype=np.float32)
    noise *= acquisition.noise_sd
    image = np.hypot(image + noise[0], noise[1])
    return np.rint(image * acquisition.gain).astype(np.int16)


def write_scan(path: str | Path, volume: np.ndarray, orientation: str = "RAS") -> None:
    """Write a RAS+ volume (X, Y, Z) as .nii.gz whose voxel axes run along `orientation` (three axis codes).

    The world position of every voxel stays what it was: `nibabel.as_closest_canonical` of the file gives the same
    array and affine for every orientation. The bytes depend on nothing but the arguments (no time, no file name).
    """
    affine = np.diag([*SPACING_MM, 1.0])
    affine[:3, 3] = [-(n - 1) / 2 * spacing for n, spacing in zip(volume.shape, SPACING_MM, strict=True)]
    ras = nib.Nifti1Image(volume, affine)
    ras.header.set_xyzt_units("mm", "sec")
    to_stored = nib.orientations.ornt_transform(
        nib.orientations.axcodes2ornt("RAS"), nib.orientations.axcodes2ornt(orientation)
    )
    stored = ras.as_reoriented(to_stored)
    Path(path).write_bytes(gzip.compress(stored.to_bytes(), compresslevel=6, mtime=0))


def _tissue_fractions(anatomy: Anatomy, acquisition: Acquisition) -> Iterator[tuple[str, np.ndarray]]:
    """From the outside in: each tissue and how much of a voxel lies inside its outer surface, float32 (X, Y, Z)."""
    points = _head_points_mm(acquisition)  # (3, X, Y, Z)
    radius = np.sqrt(np.sum(points**2, axis=0)) + 1e-3
    depth = radius / _relative_radius(points, radius, anatomy) - radius  # below the scalp's surface, along the ray
    surface = 0.0
    for tissue, thickness in (
        ("scalp", anatomy.scalp_mm),
        ("skull", anatomy.skull_mm),
        ("csf", anatomy.csf_mm),
        ("grey", anatomy.grey_mm),
    ):
        yield tissue, _inside(depth - surface)
        surface += thickness
    yield "white", _inside(depth - surface + _folds_mm(points, anatomy))
    yield "ventricles", _inside(_ventricle_depth_mm(points, anatomy))


def _inside(depth_mm: np.ndarray) -> np.ndarray:
    return np.clip(depth_mm / _EDGE_MM + 0.5, 0.0, 1.0)


def _head_points_mm(acquisition: Acquisition) -> np.ndarray:
    """The voxel centres in the head's own frame: (3, X, Y, Z), float32, origin in the middle of the head."""
    axes = [(np.arange(n) - (n - 1) / 2) * spacing for n, spacing in zip(GRID_SHAPE, SPACING_MM, strict=True)]
    shifted = [axis - offset for axis, offset in zip(axes, acquisition.offset_mm, strict=True)]
    rotation = np.eye(3)
    for axis, angle in enumerate(np.deg2rad(acquisition.rotation_deg)):
        first, second = (axis + 1) % 3, (axis + 2) % 3
        turn = np.eye(3)
        turn[[first, second], [first, second]] = np.cos(angle)
        turn[first, second], turn[second, first] = -np.sin(angle), np.sin(angle)
        rotation = turn @ rotation
    x, y, z = np.meshgrid(*shifted, indexing="ij", sparse=True)
    return np.stack([row[0] * x + row[1] * y + row[2] * z for row in rotation.T]).astype(np.float32)


def _relative_radius(points: np.ndarray, radius: np.ndarray, anatomy: Anatomy) -> np.ndarray:
    """1 on the scalp's surface, 0 in the middle: an ellipsoid with five low-order bumps."""
    ellipsoid = np.sqrt(sum((p / np.float32(a)) ** 2 for p, a in zip(points, anatomy.semi_axes_mm, strict=True)))
    x, y, z = points / radius
    waves = (x * y, x * z, y * z, y * (5 * y**2 - 3) / 2, x**2 * y)
    surface = 1 + sum(np.float32(height) * wave for height, wave in zip(anatomy.bumps, waves, strict=True))
    return (ellipsoid + 1e-6) / surface


def _folds_mm(points: np.ndarray, anatomy: Anatomy) -> np.ndarray:
    """How far the border of grey and white matter is moved outwards by the folds: up to 2 mm either way."""
    phases = np.array(anatomy.fold_phases, dtype=np.float32).reshape(3, 1, 1, 1)
    return np.float32(2.0) * np.prod(np.sin(points * np.float32(2 * np.pi / 26.0) + phases), axis=0)


def _ventricle_depth_mm(points: np.ndarray, anatomy: Anatomy) -> np.ndarray:
    """Depth below the wall of the nearer ventricle; exact in sign, in millimetres near the wall."""
    x, y, z = points
    root = anatomy.ventricle_size**0.5
    shape = (_VENTRICLE_WIDTH * root, _VENTRICLE_LENGTH * root, _VENTRICLE_HEIGHT)
    a, b, c = (np.float32(r * semi_axis) for r, semi_axis in zip(shape, anatomy.semi_axes_mm, strict=True))
    x = np.abs(x) - a - np.float32(_VENTRICLE_GAP_MM)
    rho = np.sqrt((x / a) ** 2 + (y / b) ** 2 + (z / c) ** 2)
    slope = np.sqrt((x / a**2) ** 2 + (y / b**2) ** 2 + (z / c**2) ** 2) + 1e-6
    return np.where(rho > 0.05, rho * (1 - rho) / slope, min(a, b, c))
