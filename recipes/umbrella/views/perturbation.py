"""A scan as it would have been recorded with more noise, elsewhere, coarser: nine kinds, each in three strengths.

    noise          Rician, Gaussian where the scan has values below 0; its deviation in % of the span from the scan's
                   1st to its 99th percentile, drawn anew for each frame
    bias field     a smooth factor, a polynomial of degree 3, over its whole range in %: 40 % is 0.8 to 1.2
    blur           by a Gaussian whose full width at half maximum is so many mm
    slices         moved by whole slices across each axis that the view cuts, to either side
    shift          so many mm in a direction drawn at random, by linear interpolation
    rotation       so many degrees about an axis drawn at random through the middle, by linear interpolation
    resolution     two voxels become one, their mean: along Z, along X and Y, along all three
    storage order  the axes stored in another order and direction, as the affine says: the same scan
    intensity      all values multiplied, by the factor that the file's header holds

All of it is done to the frames that are shown, in their own voxels and before anything else; mm and degrees are those
of the affine. Beyond the field of view stands the scan's minimum. The three strengths of a kind have one draw, which
depends on the seed and on the voxels. No side changes.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np
import xxhash
from nibabel.affines import voxel_sizes
from nibabel.nifti2 import Nifti2Header
from nibabel.orientations import apply_orientation, axcodes2ornt, inv_ornt_aff, ornt_transform

from umbrella.scans.intensity import HIGH_PERCENT, LOW_PERCENT
from umbrella.scans.series import Series
from umbrella.views.planes import view_planes
from umbrella.views.settings import VOLUME

SIGMAS_PER_WIDTH = 1 / (2 * math.sqrt(2 * math.log(2)))  # of a Gaussian's full width at half maximum
BIAS_DEGREE = 3
MOST_FLOAT32 = 1e30  # far within float32's range
MOST_DIGITS = 1e4  # of the largest value over the span: beyond, float32 would lose digits of the span


@dataclass(frozen=True)
class Frames:
    """What a view shows of a scan, before it is a view.

    stored        (T, X, Y, Z), RAS+ unless its storage order was changed, the numbers as they are stored
    affine        (4, 4), indices along those axes to mm
    slope, inter  scaled value = slope * stored value + inter
    span          of the scaled values, from the 1st to the 99th percentile
    view          which they are shown as
    """

    stored: np.ndarray
    affine: np.ndarray
    slope: float
    inter: float
    span: float
    view: str | None

    @classmethod
    def of_series(cls, series: Series, view: str | None) -> "Frames":
        low, high = np.percentile(series.stored, [LOW_PERCENT, HIGH_PERCENT])
        span = float(abs(series.slope) * (high - low))
        return cls(series.stored, series.affine, series.slope, series.inter, span, view)

    def values(self) -> np.ndarray:
        """The scaled values (T, X, Y, Z), float32, or float64 where that has too few digits."""
        least, most = float(self.stored.min()), float(self.stored.max())
        ends = sorted(self.slope * end + self.inter for end in (least, most))
        largest, width = max(map(abs, ends)), ends[1] - ends[0]
        is_small = np.result_type(self.stored.dtype, np.float32) == np.float32
        fits = largest < MOST_FLOAT32 and width > 1 / MOST_FLOAT32 and largest < MOST_DIGITS * width
        values: np.ndarray = np.array(self.stored, np.float32 if is_small and fits else np.float64)
        values *= self.slope
        values += self.inter
        return values

    def with_values(self, values: np.ndarray) -> "Frames":
        return replace(self, stored=values, slope=1.0, inter=0.0)

    def to_bytes(self) -> bytes:
        """An uncompressed NIfTI-2 file, whose header holds the affine in float64."""
        shape = self.stored.shape[1:] if len(self.stored) == 1 else (*self.stored.shape[1:], len(self.stored))
        header = Nifti2Header()
        header.set_data_dtype(self.stored.dtype)
        header.set_data_shape(shape)
        header.set_sform(self.affine, 1)
        header.set_zooms((*voxel_sizes(self.affine), *shape[3:]))
        header.set_xyzt_units("mm")
        header.set_slope_inter(self.slope, self.inter)
        header["vox_offset"] = header.single_vox_offset
        start = header.binaryblock + bytes(header.single_vox_offset - header.sizeof_hdr)
        return start + np.moveaxis(self.stored, 0, -1).tobytes(order="F")


Change = Callable[[Frames, float, np.random.Generator], Frames]


@dataclass(frozen=True)
class Kind:
    """One way to perturb a scan.

    strengths  rising
    names      of each strength, with its unit
    """

    title: str
    strengths: tuple[float, float, float]
    names: tuple[str, str, str]
    change: Change


def is_rician(values: np.ndarray) -> bool:
    """Whether values can be the magnitudes to which a scanner's noise adds as Rice's distribution."""
    return bool(values.min() >= 0)


def add_noise(values: np.ndarray, deviation: float, rng: np.random.Generator) -> np.ndarray:
    """Values with noise of this deviation, in their own unit: Rician where none is below 0, else Gaussian.

    Rician: the magnitude of a complex number whose two parts have Gaussian noise (Gudbjartsson and Patz 1995, Magnetic
    Resonance in Medicine 34:910).
    """
    noise = [deviation * rng.standard_normal(values.shape, np.float32).astype(values.dtype) for _ in range(2)]
    return np.hypot(values + noise[0], noise[1]) if is_rician(values) else values + noise[0]


def _add_noise(frames: Frames, share: float, rng: np.random.Generator) -> Frames:
    values = frames.values()
    return frames.with_values(add_noise(values, values.dtype.type(share * frames.span), rng))


def make_bias_field(shape: tuple[int, ...], width: float, rng: np.random.Generator) -> np.ndarray:
    """Factors (X, Y, Z) from 1 - width/2 to 1 + width/2: Legendre polynomials up to degree 3 in all, scaled."""
    degrees = np.indices((BIAS_DEGREE + 1,) * 3).sum(axis=0)
    weights = rng.uniform(-1, 1, degrees.shape) * ((degrees > 0) & (degrees <= BIAS_DEGREE))
    x, y, z = (np.linspace(-1, 1, n) for n in shape)
    field = np.polynomial.legendre.leggrid3d(x, y, z, weights)
    least, most = field.min(), field.max()
    return 1 + width * ((field - least) / (most - least or 1) - 0.5)


def _add_bias(frames: Frames, width: float, rng: np.random.Generator) -> Frames:
    values = frames.values()
    return frames.with_values(values * make_bias_field(values.shape[1:], width, rng).astype(values.dtype))


def _blur(frames: Frames, width_mm: float, _: np.random.Generator) -> Frames:
    from scipy.ndimage import gaussian_filter

    sigmas = width_mm * SIGMAS_PER_WIDTH / voxel_sizes(frames.affine)
    return frames.with_values(gaussian_filter(frames.values(), (0, *sigmas), mode="nearest"))


def _move_slices(frames: Frames, count: float, rng: np.random.Generator) -> Frames:
    steps = int(count) * rng.choice([-1, 1], 3)  # the outer slices stand for those beyond the field of view
    stored = frames.stored
    for axis in sorted({axis for axis, _ in view_planes(frames.view or "", stored.shape[1:])}):
        n = stored.shape[1 + axis]
        stored = stored.take(np.clip(np.arange(n) - steps[axis], 0, n - 1), axis=1 + axis)
    return replace(frames, stored=stored)


def _draw_direction(rng: np.random.Generator) -> np.ndarray:
    """(3,), of length 1, all directions alike likely."""
    direction = rng.standard_normal(3)
    return direction / np.linalg.norm(direction)


def shift(values: np.ndarray, steps: np.ndarray) -> np.ndarray:
    """Volumes (T, X, Y, Z) moved by so many voxels, (3,), by linear interpolation, axis by axis."""
    least = values.min()
    for axis, step in enumerate(steps, 1):
        whole = math.floor(step)
        part = values.dtype.type(step - whole)
        near, far = (_shift_whole(values, axis, count, least) for count in (whole, whole + 1))
        values = near * (1 - part) + far * part
    return values


def _shift_whole(values: np.ndarray, axis: int, count: int, fill: float) -> np.ndarray:
    shifted = np.roll(values, count, axis)
    along = np.moveaxis(shifted, axis, 0)
    along[slice(None, count) if count >= 0 else slice(count, None)] = fill
    return shifted


def _shift(frames: Frames, length_mm: float, rng: np.random.Generator) -> Frames:
    steps = np.linalg.solve(frames.affine[:3, :3], length_mm * _draw_direction(rng))
    return frames.with_values(shift(frames.values(), steps))


def rotate(frames: Frames, rotation: np.ndarray) -> Frames:
    """What is scanned turned by `rotation` (3, 3), in mm, about the middle of the field of view; the voxels stay."""
    from scipy.ndimage import affine_transform

    values, to_mm = frames.values(), frames.affine[:3, :3]
    old = np.linalg.solve(
        to_mm, rotation.T @ to_mm
    )  # where a new voxel's value comes from, in voxels about the middle
    middle = (np.array(values.shape[1:]) - 1) / 2
    least, offset = float(values.min()), middle - old @ middle
    turned = [affine_transform(volume, old, offset, order=1, mode="grid-constant", cval=least) for volume in values]
    return frames.with_values(np.stack(turned))


def _rotate(frames: Frames, degrees: float, rng: np.random.Generator) -> Frames:
    from scipy.spatial.transform import Rotation

    return rotate(frames, Rotation.from_rotvec(degrees * _draw_direction(rng), degrees=True).as_matrix())


def _halve(frames: Frames, n_axes: float, _: np.random.Generator) -> Frames:
    values, affine = frames.values(), frames.affine
    for axis in {1: (2,), 2: (0, 1), 3: (0, 1, 2)}[int(n_axes)]:
        if values.shape[1 + axis] % 2:  # the last voxel stands for the one that is missing beside it
            values = np.concatenate([values, values.take([-1], axis=1 + axis)], axis=1 + axis)
        shape = (*values.shape[: 1 + axis], values.shape[1 + axis] // 2, 2, *values.shape[2 + axis :])
        values = values.reshape(shape).mean(axis=2 + axis, dtype=values.dtype)
        coarser = np.eye(4)
        coarser[axis, axis], coarser[axis, 3] = 2, 0.5  # the middle of two voxels
        affine = affine @ coarser
    return replace(frames.with_values(values), affine=affine)


ORDERS = ("LPS", "SAR", "IRP")  # what the first, second and third stored axis run towards


def _store_otherwise(frames: Frames, number: float, _: np.random.Generator) -> Frames:
    orientation = ornt_transform(axcodes2ornt("RAS"), axcodes2ornt(ORDERS[int(number) - 1]))
    stored = apply_orientation(np.moveaxis(frames.stored, 0, -1), orientation)
    affine = frames.affine @ inv_ornt_aff(orientation, frames.stored.shape[1:])
    return replace(frames, stored=np.moveaxis(stored, -1, 0), affine=affine)


def _scale(frames: Frames, factor: float, _: np.random.Generator) -> Frames:
    return replace(frames, slope=frames.slope * factor, inter=frames.inter * factor)


SLICES, STORAGE, INTENSITY = "slices", "storage", "intensity"
KINDS = {
    "noise": Kind("noise", (0.01, 0.03, 0.09), ("1 %", "3 %", "9 %"), _add_noise),
    "bias": Kind("bias field", (0.2, 0.4, 0.8), ("20 %", "40 %", "80 %"), _add_bias),
    "blur": Kind("blur", (1, 2, 4), ("1 mm", "2 mm", "4 mm"), _blur),
    SLICES: Kind("other slices", (1, 2, 3), ("±1 slice", "±2 slices", "±3 slices"), _move_slices),
    "shift": Kind("shift", (0.5, 1, 2), ("0.5 mm", "1 mm", "2 mm"), _shift),
    "rotation": Kind("rotation", (1, 2.5, 5), ("1°", "2.5°", "5°"), _rotate),
    "resolution": Kind("resolution halved", (1, 2, 3), ("1 axis", "2 axes", "3 axes"), _halve),
    STORAGE: Kind("storage order", (1, 2, 3), ORDERS, _store_otherwise),
    INTENSITY: Kind("intensity scale", (0.5, 2, 10), ("×0.5", "×2", "×10"), _scale),
}


def list_kinds(view: str | None) -> list[str]:
    """The kinds that a view can be perturbed by: a whole volume has no slice that another could stand for."""
    return [name for name in KINDS if view != VOLUME or name != SLICES]


def perturb(frames: Frames, kind: str, strength: int, seed: int) -> Frames:
    """The frames perturbed; `strength` is a place among the kind's strengths, 0 to 2."""
    digest = xxhash.xxh3_64_intdigest(np.ascontiguousarray(frames.stored).data, seed=0)
    rng = np.random.default_rng([seed, digest, list(KINDS).index(kind)])
    return KINDS[kind].change(frames, KINDS[kind].strengths[strength], rng)
