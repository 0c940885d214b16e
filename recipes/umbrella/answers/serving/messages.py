"""A conversation as OpenAI-compatible servers take it: each scan the pictures that training showed, as PNG."""

import base64
import io
from collections.abc import Iterator

import numpy as np
from PIL import Image

from umbrella.conversations.turns import count_images, repeat_image_items, to_messages
from umbrella.scans.scan_files import find_source
from umbrella.views.intensity_steps import to_levels
from umbrella.views.loading import load_view
from umbrella.views.planes import n_images
from umbrella.views.settings import ViewSettings


def draw_scans(scans: list[dict], settings: ViewSettings) -> list[str]:
    """The pictures of scans in their order, each scan's one after another, as data URLs.

    scans  {path or bytes, modality}

    Raises ScanError for one that cannot be shown.
    """
    views = [load_view(find_source(scan), modality=scan["modality"], **settings.stated()) for scan in scans]
    return [write_data_url(image) for view in views for image in view]


def build_messages(turns: list[dict], pictures: list[str], view: str) -> list[dict]:
    """The turns in front of the last one, which is the answer's.

    Args:
        turns: [{role, content}], as a row's `conversations`.
        pictures: data URLs, as many for each image item as the view has images.

    Raises ValueError for another number of pictures.
    """
    messages = to_messages(repeat_image_items(turns[:-1], n_images(view)))
    if count_images(messages) != len(pictures):
        raise ValueError(
            f"expected {count_images(messages)} pictures, as many as the turns have image items by {n_images(view)} "
            f"of each scan; found {len(pictures)}"
        )
    queue = iter(pictures)
    return [{**message, "content": list(_put_pictures(message["content"], queue))} for message in messages]


def _put_pictures(items: list[dict], pictures: Iterator[str]) -> Iterator[dict]:
    for item in items:
        yield {"type": "image_url", "image_url": {"url": next(pictures)}} if item["type"] == "image" else item


def write_data_url(image: np.ndarray) -> str:
    """A picture (3, H, W) in [0, 1] as a PNG of 8 bits, in a data URL."""
    file = io.BytesIO()
    Image.fromarray(to_levels(image).transpose(1, 2, 0)).save(file, "PNG")
    return f"data:image/png;base64,{base64.b64encode(file.getvalue()).decode()}"
