"""Views of scans as PNG pictures inside a page, with what is on their left and right."""

import base64
import io
from typing import NamedTuple

import numpy as np
from PIL import Image

from umbrella.views.planes import PLANE_AXES, PLANE_SIDES, parse_view

MOST_PIXELS = 256  # side of a picture in the page
MOST_PICTURES = 9  # of one scan


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
    """The pictures of one scan, (n_images, 3, H, W), each from its darkest to its brightest value.

    sides_known  whether the scan's header states its orientation, see `umbrella.scans.survey.states_orientation`

    The pixels are those that the model sees: no letter is drawn into them. The three planes that a triplanar view has
    for its channels are three pictures; of many images at most nine are drawn, evenly spaced.
    """
    kind, _ = parse_view(view)
    if kind == "triplanar":
        drawn = [(name, name, channel) for name, channel in zip(PLANE_AXES, views[0], strict=True)]
    else:
        plane = kind if kind in PLANE_AXES else "axial"  # slices and mosaics are axial
        kept = np.linspace(0, len(views) - 1, min(len(views), MOST_PICTURES)).astype(int)
        drawn = [(f"{i + 1} of {len(views)}" if len(views) > 1 else "", plane, views[i, 0]) for i in kept]
    side = MOST_PIXELS if len(drawn) == 1 else MOST_PIXELS // 2
    return [
        Picture(_draw_image(image, side), name, *(PLANE_SIDES[plane] if sides_known else "??"))
        for name, plane, image in drawn
    ]


def _draw_image(image: np.ndarray, side: int) -> str:
    low, high = float(image.min()), float(image.max())
    scaled = (image - low) / (high - low) if high > low else np.zeros_like(image)
    picture = Image.fromarray((scaled * 255).round().astype(np.uint8))
    if picture.height > side:
        picture = picture.resize((round(picture.width * side / picture.height), side), Image.Resampling.LANCZOS)
    file = io.BytesIO()
    picture.save(file, "PNG", optimize=True)
    return to_data_uri(file.getvalue(), "image/png")
