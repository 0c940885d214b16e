"""Views of scans as PNG pictures inside a page, with what is on their left and right."""

import base64
import io
from typing import NamedTuple

import numpy as np
from PIL import Image

from umbrella.views.planes import PLANE_AXES, PLANE_SIDES, channel_planes, cut_slice
from umbrella.views.settings import VOLUME

MOST_PIXELS = 256  # side of a picture in the page
MOST_PICTURES = 9  # of one scan
N_PLANES = len(PLANE_AXES)  # of a volume, before its frames
MOST_FRAMES = 6  # of a series, beside the three planes of its middle frame


class Picture(NamedTuple):
    """A picture as a data address, what it is called among the pictures of its scan ("" where it is the only one), and
    the letters that stand beside it: L and R for the subject's left and right, P and A for back and front, "?" where
    they are not known."""

    address: str
    name: str
    left: str
    right: str


def to_data_uri(content: bytes | str, mime: str) -> str:
    """File content as an address that needs no file."""
    raw = content.encode() if isinstance(content, str) else content
    return f"data:{mime};base64,{base64.b64encode(raw).decode()}"


def draw_scan(views: np.ndarray, view: str, sides_known: bool) -> list[Picture]:
    """The pictures of one scan, (n_images, 3, H, W), each from its darkest to its brightest value; of a volume
    (T, X, Y, Z) those of `draw_volume`.

    sides_known  whether the scan's header states its orientation, see `umbrella.scans.survey.states_orientation`

    The pixels are those that the model sees: no letter is drawn into them. The three planes that a triplanar view has
    for its channels are three pictures; of many images at most nine are drawn, evenly spaced.
    """
    if view == VOLUME:
        return draw_volume(views, sides_known)
    planes = channel_planes(view)
    if len(planes) > 1:
        drawn = [(name, name, channel) for name, channel in zip(planes, views[0], strict=True)]
    else:
        (plane,) = planes
        kept = np.linspace(0, len(views) - 1, min(len(views), MOST_PICTURES)).astype(int)
        drawn = [(f"{i + 1} of {len(views)}" if len(views) > 1 else "", plane, views[i, 0]) for i in kept]
    side = MOST_PIXELS if len(drawn) == 1 else MOST_PIXELS // 2
    return [
        Picture(draw_image(image, side, find_ends(image)), name, *name_sides(plane, sides_known))
        for name, plane, image in drawn
    ]


def draw_volume(volumes: np.ndarray, sides_known: bool, voxel: tuple[int, int, int] | None = None) -> list[Picture]:
    """The three planes through a voxel of a grid (T, X, Y, Z), RAS+, of its middle frame; of a series beside them the
    axial plane of frames spread over it, at most six. All from the darkest to the brightest value of them all, so that
    frames compare.

    voxel  along X, Y, Z; None: the middle one, n // 2
    """
    n_frames, *shape = volumes.shape
    x, y, z = (n // 2 for n in shape) if voxel is None else voxel
    drawn = [(plane, plane, n_frames // 2) for plane in PLANE_AXES]
    if n_frames > 1:
        kept = np.linspace(0, n_frames - 1, min(n_frames, MOST_FRAMES)).astype(int)
        drawn += [(f"frame {frame + 1} of {n_frames}", "axial", frame) for frame in kept]
    ends, side, through = find_ends(volumes), MOST_PIXELS // 2, (x, y, z)
    pictures = []
    for name, plane, frame in drawn:
        axis = PLANE_AXES[plane]
        image = cut_slice(volumes[frame], axis, through[axis]).T[::-1]  # rows from the front, or the top, down
        pictures.append(Picture(draw_image(image, side, ends), name, *name_sides(plane, sides_known)))
    return pictures


def find_ends(image: np.ndarray) -> tuple[float, float]:
    """Its darkest and its brightest value."""
    return float(image.min()), float(image.max())


def name_sides(plane: str, sides_known: bool) -> tuple[str, str]:
    """The letters that stand left and right of a plane's picture."""
    return PLANE_SIDES[plane] if sides_known else ("?", "?")


def draw_image(image: np.ndarray, side: int, ends: tuple[float, float]) -> str:
    """An image (H, W) as a PNG's data address, black at the lower of the ends, white at the higher; at most `side`
    pixels high."""
    picture = Image.fromarray(to_grey(image, ends).round().astype(np.uint8))
    return encode_image(shrink(picture, side) if picture.height > side else picture)


def to_grey(image: np.ndarray, ends: tuple[float, float]) -> np.ndarray:
    """Values → 0 at the lower of the ends to 255 at the higher, of the same shape; all 0 where the ends are one."""
    low, high = ends
    return (image - low) / (high - low) * 255 if high > low else np.zeros_like(image)


def shrink(picture: Image.Image, side: int) -> Image.Image:
    """A picture as one of `side` pixels' height."""
    return picture.resize((round(picture.width * side / picture.height), side), Image.Resampling.LANCZOS)


def encode_image(picture: Image.Image) -> str:
    """A picture as the address of a PNG."""
    file = io.BytesIO()
    picture.save(file, "PNG", optimize=True)
    return to_data_uri(file.getvalue(), "image/png")
