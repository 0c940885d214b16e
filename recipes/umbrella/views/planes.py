"""From a volume to what the vision encoder eats. Knows no file, no tokenizer and no model.

    volume (X, Y, Z), RAS+  ──view_planes──▶  2-D slices (rows, columns)  ──compose_view──▶  (n_images, 3, size, size)

On the picture, up is anterior (axial) or superior (coronal, sagittal). Left on the picture is the subject's left (the
"neurological" convention) in axial and coronal slices; a sagittal slice has anterior on the right.
"""

from functools import lru_cache

import numpy as np

VIEWS = "axial, coronal, sagittal, triplanar, slices:K, montage:K"
# The axis that a slice is cut across. The two others are (columns, rows) of the picture, in this order.
PLANE_AXES = {"axial": 2, "coronal": 1, "sagittal": 0}
# What of the subject is at the left and at the right edge of a slice's picture: Left, Right, Posterior, Anterior.
PLANE_SIDES = {"axial": ("L", "R"), "coronal": ("L", "R"), "sagittal": ("P", "A")}


def parse_view(view: str) -> tuple[str, int]:
    """Split a view's name into its kind and its number: "slices:8" -> ("slices", 8), "axial" -> ("axial", 1).

    Raises ValueError when the view is unknown, or when its number is missing or below 1.
    """
    kind, _, number = view.partition(":")
    if kind in ("slices", "montage"):
        if number.isascii() and number.isdigit() and int(number) > 0:
            return kind, int(number)
    elif view in PLANE_AXES or view == "triplanar":
        return view, 1
    raise ValueError(f"view: expected one of {VIEWS} (K a whole number from 1 up), found {view!r}")


def n_images(view: str) -> int:
    """How many images a scan becomes: K for "slices:K", else one."""
    kind, number = parse_view(view)
    return number if kind == "slices" else 1


def channel_planes(view: str) -> list[str]:
    """The planes that the channels of a view's images show: three of "triplanar", else one, which all of them show.
    Slices and mosaics are axial."""
    kind, _ = parse_view(view)
    return list(PLANE_AXES) if kind == "triplanar" else [kind if kind in PLANE_AXES else "axial"]


def view_planes(view: str, shape: tuple[int, int, int]) -> list[tuple[int, int]]:
    """The slices that a view of a volume of this `shape` shows, in their order, each as (axis, index).

    The middle of n is n // 2; K slices along Z are the centres of K equal parts of Z, from inferior to superior.
    Raises ValueError when the view needs more slices than Z has.
    """
    kind, number = parse_view(view)
    if kind in PLANE_AXES:
        return [(PLANE_AXES[kind], shape[PLANE_AXES[kind]] // 2)]
    if kind == "triplanar":
        return [(axis, shape[axis] // 2) for axis in PLANE_AXES.values()]
    count = number if kind == "slices" else number**2
    if count > shape[2]:
        raise ValueError(
            f"view {view!r} shows {count} different axial slices, but the volume has only {shape[2]} of them "
            f"(its shape is {tuple(shape)}): choose a smaller K"
        )
    return [(2, (2 * part + 1) * shape[2] // (2 * count)) for part in range(count)]


def make_view(volume: np.ndarray, view: str, image_size: int, spacing_mm: np.ndarray) -> np.ndarray:
    """Draw a view of a volume.

    volume      (X, Y, Z), RAS+
    view        "axial" | "coronal" | "sagittal": the middle slice, the same in the three channels
                "triplanar": the middle axial, coronal and sagittal slice as the three channels
                "slices:K": K images, evenly spaced along Z, from inferior to superior
                "montage:K": one image, a K × K mosaic of K² slices along Z, from the lowest, top left, row by row
    image_size  height and width in pixels
    spacing_mm  (3,), the voxel's size along X, Y and Z in mm

    Returns (n_images, 3, image_size, image_size), float32. Every slice is padded to a physical square with the
    volume's minimum and resized with antialiasing, so that a millimetre is as long in both directions of the picture.
    Raises ValueError when the view is unknown or needs more slices than the volume has.
    """
    slices = [cut_slice(volume, axis, index) for axis, index in view_planes(view, volume.shape)]
    return compose_view(slices, volume.shape, view, image_size, spacing_mm, fill=float(volume.min()))


def cut_slice(volume: np.ndarray, axis: int, index: int) -> np.ndarray:
    """One slice across an axis, without a copy (`take` would copy a whole volume that is stored in another order)."""
    return np.moveaxis(volume, axis, 0)[index]


def compose_view(
    slices: list[np.ndarray],
    shape: tuple[int, int, int],
    view: str,
    image_size: int,
    spacing_mm: np.ndarray,
    fill: float,
) -> np.ndarray:
    """`make_view` from the slices alone, for a caller who has not got the whole volume.

    slices  those that `view_planes(view, shape)` names, in that order
    fill    the whole volume's minimum, which pads the slices to squares
    """
    kind, number = parse_view(view)
    tile = image_size // number if kind == "montage" else image_size
    if tile < 1:
        raise ValueError(
            f"view {view!r}: an image of {image_size} pixels has no room for {number} slices side by side"
        )
    squares = np.stack(
        [
            draw_slice(plane, np.delete(spacing_mm, axis), tile, fill)
            for plane, (axis, _) in zip(slices, view_planes(view, shape), strict=True)
        ]
    )  # (n_slices, tile, tile)
    if kind == "triplanar":
        return squares[None]
    if kind == "montage":
        squares = lay_mosaic(squares, number, image_size, fill)[None]
    return np.repeat(squares[:, None], 3, axis=1)


def lay_mosaic(tiles: np.ndarray, number: int, image_size: int, fill: float) -> np.ndarray:
    """Lay number² square tiles, row by row, into the middle of one image (image_size, image_size)."""
    edge = tiles.shape[-1] * number
    start = (image_size - edge) // 2
    image = np.full((image_size, image_size), fill, np.float32)
    mosaic = tiles.reshape(number, number, *tiles.shape[1:]).swapaxes(1, 2).reshape(edge, edge)
    image[start : start + edge, start : start + edge] = mosaic
    return image


def draw_slice(plane: np.ndarray, spacing_mm: np.ndarray, size: int, fill: float) -> np.ndarray:
    """Draw one slice upright on a physical square: (columns, rows) with rows counted upwards -> (size, size)."""
    side_mm = max(plane.shape * spacing_mm)
    columns, rows = (
        resize_weights(n, spacing, size, side_mm) for n, spacing in zip(plane.shape, spacing_mm, strict=True)
    )
    square = resize_plane(plane.T.astype(np.float32) - np.float32(fill), rows, columns) + np.float32(fill)
    return square[::-1]


def make_cube(volume: np.ndarray, size: int, spacing_mm: np.ndarray) -> np.ndarray:
    """The whole volume as a cube for a 3-D encoder: (X, Y, Z), RAS+ -> (size, size, size), RAS+, float32.

    Padded to a physical cube with the volume's minimum, then resized with antialiasing, as `make_view` does in 2-D.
    """
    side_mm = max(volume.shape * spacing_mm)
    weights = [resize_weights(n, spacing, size, side_mm) for n, spacing in zip(volume.shape, spacing_mm, strict=True)]
    slowest_first = sorted(range(3), key=lambda axis: -volume.strides[axis])
    slow, middle, fast = (weights[axis] for axis in slowest_first)
    planes = volume.transpose(slowest_first)
    cube = np.empty((size, size, size), np.float32)
    for thin, voxels, shares in zip(cube, *slow, strict=True):
        plane = np.zeros(planes.shape[1:], np.float32)
        for voxel, share in zip(voxels, shares, strict=True):
            plane += share * planes[voxel]
        thin[:] = resize_plane(plane, middle, fast)
    # What the weights lack to one is padding.
    padding = 1 - np.einsum("i,j,k->ijk", *(shares.sum(axis=1) for _, shares in (slow, middle, fast)))
    cube += np.float32(volume.min()) * padding
    return cube.transpose(np.argsort(slowest_first))


def resize_plane(
    plane: np.ndarray, rows: tuple[np.ndarray, np.ndarray], columns: tuple[np.ndarray, np.ndarray]
) -> np.ndarray:
    """Resize (n_rows, n_columns) to (size, size) with the `resize_weights` of either axis."""
    # Not by matrix products: most factors are zero, and their threads would turn against the other workers.
    for voxels, shares in (rows, columns):
        plane = sum(share[:, None] * plane[voxel] for voxel, share in zip(voxels.T, shares.T, strict=True)).T
    return plane


@lru_cache(maxsize=32)  # the scans of a study mostly share their grid
def resize_weights(n: int, spacing_mm: float, size: int, side_mm: float) -> tuple[np.ndarray, np.ndarray]:
    """Find what pads n voxels of `spacing_mm` with zeros to `side_mm` and resizes them to `size` pixels: of each pixel
    the voxels that it lies on and their shares of it, both (size, n_voxels).

    The filter is the antialiased triangle ("bilinear") of PIL and of torch's `interpolate(antialias=True)`. Theirs can
    only start from whole voxels; here the padding is exact to the millimetre also where a voxel is 4 mm thick.
    """
    pixel = side_mm / size / spacing_mm  # a pixel's size in voxels
    before = (side_mm / spacing_mm - n) / 2  # the padding on either side in voxels
    centres = pixel_centres(n, spacing_mm, size, side_mm)
    reach = max(1.0, pixel)
    voxels = np.ceil(centres - reach).astype(int)[:, None] + np.arange(int(2 * reach) + 1)
    shares = np.maximum(0, 1 - np.abs(centres[:, None] - voxels) / reach)
    n_before = int(before + 0.5)  # voxels of padding whose centres lie on the square; beyond them is nothing
    shares *= (voxels >= -n_before) & (voxels < n + n_before)
    shares /= shares.sum(axis=1, keepdims=True)
    shares *= (voxels >= 0) & (voxels < n)
    voxels, shares = voxels.clip(0, n - 1), shares.astype(np.float32)
    voxels.flags.writeable = shares.flags.writeable = False
    return voxels, shares


def pixel_centres(n: int, spacing_mm: float, size: int, side_mm: float) -> np.ndarray:
    """Where the middles of the pixels lie that `resize_weights` makes, (size,), in voxels: the first voxel's is 0."""
    before = (side_mm / spacing_mm - n) / 2
    return (np.arange(size) + 0.5) * (side_mm / size / spacing_mm) - before - 0.5
