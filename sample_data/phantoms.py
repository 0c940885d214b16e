"""Synthetic head phantoms: an anatomy drawn at random, imaged by an acquisition drawn at random, stored as NIfTI.

Nothing here is a person, and the differences between the sexes are invented (see `draw_anatomy`): they exist so that a
model has something to learn, and say nothing about real heads.

    Anatomy      what belongs to the subject: head shape, tissue thickness, ventricles
    Lesion       a bright ball in the brain, of a subject that has one
    Acquisition  what belongs to the scan: pose of the head, gain, bias field, noise, storage orientation
    Protocol     how the scanner is set: voxels, and how bright each tissue is

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
Shape, Lengths = tuple[int, int, int], tuple[float, float, float]  # along X, Y, Z
# The field of view (192 × 224 × 204 mm) is the same for every head, so that the size of a head survives a view that
# is resized to a fixed number of pixels.
FIELD_OF_VIEW_MM = tuple(n * spacing for n, spacing in zip(GRID_SHAPE, SPACING_MM, strict=True))
REPETITION_S = 2.0
ORIENTATIONS = ("RAS", "LAS", "LPS", "LIA", "PSR", "ASL", "RSP", "IRA")

SEXES = ("female", "male")
LABELS = {"background": 0, "scalp": 1, "skull": 2, "csf": 3, "grey": 4, "white": 5, "ventricles": 6}

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


@dataclass(frozen=True)
class Protocol:
    """What all scans of a study share. The brightness of fluid is also that of the ventricles."""

    shape: Shape = GRID_SHAPE
    spacing_mm: Lengths = SPACING_MM
    background: float = 4.0
    scalp: float = 140.0
    skull: float = 8.0
    csf: float = 12.0
    grey: float = 110.0
    white: float = 180.0

    @property
    def edge_mm(self) -> float:
        """Width of the soft edge between tissues: the partial volume of a voxel."""
        return round(float(np.mean(self.spacing_mm)))

    def brightness(self, tissue: str) -> float:
        """Of a tissue of `LABELS`."""
        return getattr(self, "csf" if tissue == "ventricles" else tissue)


T1 = Protocol()
# Voxels of twice the size, an eighth of the scan. Fat is as bright as a lesion and fills over 1 % of the scan, so that
# neither its 99th percentile nor its histogram tells whether there is a lesion.
FLAIR = Protocol((32, 40, 30), (6.0, 5.6, 6.8), scalp=400.0, grey=90.0, white=70.0)
_LESION = FLAIR.scalp
# A volume of an fMRI series: 8 mm, fluid bright, fat suppressed.
EPI = Protocol((24, 28, 24), (8.0, 8.0, 8.0), scalp=50.0, csf=170.0, grey=120.0, white=100.0)


@dataclass(frozen=True)
class Lesion:
    """A ball, in a scan as bright as fat. `centre_mm` counts in the head's own frame, from the middle of the head."""

    centre_mm: Lengths
    radius_mm: float


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


def make_labels(anatomy: Anatomy, acquisition: Acquisition, protocol: Protocol = T1) -> np.ndarray:
    """The tissue of every voxel: uint8 (X, Y, Z), RAS+, values of `LABELS`. The truth that a scan shows blurred."""
    labels = np.zeros(protocol.shape, dtype=np.uint8)
    for tissue, fraction in _tissue_fractions(anatomy, acquisition, protocol):
        labels[fraction > 0.5] = LABELS[tissue]
    return labels


def make_scan(
    anatomy: Anatomy, acquisition: Acquisition, protocol: Protocol = T1, lesion: Lesion | None = None
) -> np.ndarray:
    """The magnitude image: int16 (X, Y, Z), RAS+, Rician noise."""
    image = np.full(protocol.shape, protocol.background, dtype=np.float32)
    for tissue, fraction in _tissue_fractions(anatomy, acquisition, protocol):
        image += (protocol.brightness(tissue) - image) * fraction
    if lesion is not None:
        image += (np.float32(_LESION) - image) * share_in_ball(lesion, acquisition, protocol)
    for axis, slope in enumerate(acquisition.bias):
        ramp = np.linspace(1.0 - slope, 1.0 + slope, protocol.shape[axis], dtype=np.float32)
        image *= np.expand_dims(ramp, tuple({0, 1, 2} - {axis}))
    noise = np.random.default_rng(acquisition.noise_seed).standard_normal((2, *protocol.shape), dtype=np.float32)
    noise *= acquisition.noise_sd
    image = np.hypot(image + noise[0], noise[1])
    return np.rint(image * acquisition.gain).astype(np.int16)


def share_in_ball(ball: Lesion, acquisition: Acquisition, protocol: Protocol) -> np.ndarray:
    """How much of each voxel lies within the ball: float32 (X, Y, Z)."""
    centre = np.array(ball.centre_mm, np.float32).reshape(3, 1, 1, 1)
    distance = np.sqrt(np.sum((_head_points_mm(acquisition, protocol) - centre) ** 2, axis=0))
    return _inside(np.float32(ball.radius_mm) - distance, protocol)


def to_world_mm(point_mm: Lengths, acquisition: Acquisition) -> np.ndarray:
    """Where a point of the head's own frame lies in the scan: (3,), from the middle of the field of view."""
    return _rotate(acquisition) @ np.array(point_mm) + np.array(acquisition.offset_mm)


def write_scan(
    path: str | Path, volume: np.ndarray, orientation: str = "RAS", spacing_mm: Lengths = SPACING_MM
) -> None:
    """Write a RAS+ volume (X, Y, Z), or series (X, Y, Z, T) of one volume every REPETITION_S, as .nii.gz whose voxel
    axes run along `orientation` (three axis codes).

    The world position of every voxel stays what it was: `nibabel.as_closest_canonical` of the file gives the same
    array and affine for every orientation. The bytes depend on nothing but the arguments (no time, no file name).
    """
    affine = np.diag([*spacing_mm, 1.0])
    affine[:3, 3] = [-(n - 1) / 2 * spacing for n, spacing in zip(volume.shape[:3], spacing_mm, strict=True)]
    ras = nib.Nifti1Image(volume, affine)
    ras.header.set_xyzt_units("mm", "sec")
    if volume.ndim == 4:
        ras.header.set_zooms((*spacing_mm, REPETITION_S))
    to_stored = nib.orientations.ornt_transform(
        nib.orientations.axcodes2ornt("RAS"), nib.orientations.axcodes2ornt(orientation)
    )
    stored = ras.as_reoriented(to_stored)
    Path(path).write_bytes(gzip.compress(stored.to_bytes(), compresslevel=6, mtime=0))


def _tissue_fractions(
    anatomy: Anatomy, acquisition: Acquisition, protocol: Protocol
) -> Iterator[tuple[str, np.ndarray]]:
    """From the outside in: each tissue and how much of a voxel lies inside its outer surface, float32 (X, Y, Z)."""
    points = _head_points_mm(acquisition, protocol)  # (3, X, Y, Z)
    radius = np.sqrt(np.sum(points**2, axis=0)) + 1e-3
    depth = radius / _relative_radius(points, radius, anatomy) - radius  # below the scalp's surface, along the ray
    surface = 0.0
    for tissue, thickness in (
        ("scalp", anatomy.scalp_mm),
        ("skull", anatomy.skull_mm),
        ("csf", anatomy.csf_mm),
        ("grey", anatomy.grey_mm),
    ):
        yield tissue, _inside(depth - surface, protocol)
        surface += thickness
    yield "white", _inside(depth - surface + _folds_mm(points, anatomy), protocol)
    yield "ventricles", _inside(_ventricle_depth_mm(points, anatomy), protocol)


def _inside(depth_mm: np.ndarray, protocol: Protocol) -> np.ndarray:
    return np.clip(depth_mm / protocol.edge_mm + 0.5, 0.0, 1.0)


def _head_points_mm(acquisition: Acquisition, protocol: Protocol) -> np.ndarray:
    """The voxel centres in the head's own frame: (3, X, Y, Z), float32, origin in the middle of the head."""
    sizes = zip(protocol.shape, protocol.spacing_mm, strict=True)
    axes = [(np.arange(n) - (n - 1) / 2) * spacing for n, spacing in sizes]
    shifted = [axis - offset for axis, offset in zip(axes, acquisition.offset_mm, strict=True)]
    x, y, z = np.meshgrid(*shifted, indexing="ij", sparse=True)
    return np.stack([row[0] * x + row[1] * y + row[2] * z for row in _rotate(acquisition).T]).astype(np.float32)


def _rotate(acquisition: Acquisition) -> np.ndarray:
    """(3, 3): from the head's own frame to the world's."""
    rotation = np.eye(3)
    for axis, angle in enumerate(np.deg2rad(acquisition.rotation_deg)):
        first, second = (axis + 1) % 3, (axis + 2) % 3
        turn = np.eye(3)
        turn[[first, second], [first, second]] = np.cos(angle)
        turn[first, second], turn[second, first] = -np.sin(angle), np.sin(angle)
        rotation = turn @ rotation
    return rotation


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
