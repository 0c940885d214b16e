"""Views of scans as PNG pictures inside a page."""

import base64
import io

import numpy as np
from PIL import Image

MOST_PIXELS = 256  # side of a picture in the page
MOST_PICTURES = 9  # of one scan


def to_data_uri(content: bytes | str, mime: str) -> str:
    """File content as an address that needs no file."""
    raw = content.encode() if isinstance(content, str) else content
    return f"data:{mime};base64,{base64.b64encode(raw).decode()}"


def draw_scan(views: np.ndarray) -> list[str]:
    """The pictures of one scan, (n_images, 3, H, W), each from its darkest to its brightest value, as data addresses.

    Where the three channels differ (triplanar) they are drawn side by side; of many images at most nine.
    """
    grey = (
        views[:, 0] if np.array_equal(views[:, 0], views[:, 1]) else np.concatenate(np.moveaxis(views, 1, 0), axis=-1)
    )
    kept = grey[np.linspace(0, len(grey) - 1, min(len(grey), MOST_PICTURES)).astype(int)]
    side = MOST_PIXELS if len(kept) == 1 else MOST_PIXELS // 2
    return [_draw_image(image, side) for image in kept]


def _draw_image(image: np.ndarray, side: int) -> str:
    low, high = float(image.min()), float(image.max())
    scaled = (image - low) / (high - low) if high > low else np.zeros_like(image)
    picture = Image.fromarray((scaled * 255).round().astype(np.uint8))
    if picture.height > side:
        picture = picture.resize((round(picture.width * side / picture.height), side), Image.Resampling.LANCZOS)
    file = io.BytesIO()
    picture.save(file, "PNG", optimize=True)
    return to_data_uri(file.getvalue(), "image/png")
