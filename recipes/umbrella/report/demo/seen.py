"""What the model saw of a scan: the very pixels that its processor hands it, or the volume on the model's grid."""

from dataclasses import dataclass
from typing import Any

import numpy as np

from umbrella.conversations.turns import repeat_image_items
from umbrella.report.demo.fragments import show_pictures, show_text
from umbrella.report.demo.viewer import SIDES_UNKNOWN, show_frames
from umbrella.report.pictures import Picture, draw_image, find_ends, name_sides
from umbrella.rows.transform import ConversationTransform
from umbrella.scans.scan_files import find_source
from umbrella.scans.survey import states_orientation
from umbrella.views.loading import locate_grid
from umbrella.views.planes import channel_planes

LEAST_WIDTH, MOST_WIDTH = 160, 336  # pixels of the page: of one among many, and of one alone


@dataclass(frozen=True)
class Seen:
    """What the model saw of one scan.

    html    a sentence, and the pictures; of a volume the sentence alone
    volume  the value of a viewer, see `umbrella.report.demo.viewer.show_frames`; None for pictures
    values  (n, 3, H, W) or (T, X, Y, Z), as the model is given them
    """

    html: str
    volume: dict[str, Any] | None
    values: np.ndarray


def picture_what_was_seen(transform: ConversationTransform, row: dict, number: int) -> Seen:
    """What the model is shown of one scan of a row, which a model asked with this transform sees.

    Raises ScanError and ConversationError as the transform does.
    """
    scan = row["images"][number]
    sides_known = states_orientation(find_source(scan))
    if transform.is_volume:
        return _show_volume(transform, scan, transform.load_images(row, number), sides_known)
    pixels = find_pixels(transform, row, number)
    low, high = find_ends(pixels)
    shown = _name_pictures(transform, pixels)
    width = MOST_WIDTH if len(shown) == 1 else LEAST_WIDTH
    drawn = [
        Picture(draw_image(image, image.shape[0], (low, high)), name, *name_sides(plane, sides_known))
        for name, plane, image in shown
    ]
    count = "One picture" if len(pixels) == 1 else f"{len(pixels)} pictures"
    sentence = (
        f"{count} of {pixels.shape[-1]} × {pixels.shape[-2]} pixels. Black is {low:.3g}, white {high:.3g}, of the "
        f"numbers that the model is given.{'' if sides_known else ' ' + SIDES_UNKNOWN}"
    )
    return Seen(show_text(sentence) + show_pictures(drawn, width), None, pixels)


def find_pixels(transform: ConversationTransform, row: dict, number: int) -> np.ndarray:
    """The processor's own `pixel_values` of one scan of a row, as pictures (n, 3, H, W).

    A processor that cuts pictures into parts has more of them than the view; one that hands its model patches of
    them, as Qwen-VL's do, has them put together again.
    """
    n_scans = len(row["images"])
    images = transform.to_images([transform.load_images(row, each) for each in range(n_scans)])
    turns = repeat_image_items(row["conversations"], transform.n_images)
    encoded = transform.encoder.encode(turns, images, transform.add_generation_prompt)
    pixels = np.asarray(encoded["pixel_values"])
    if "image_grid_thw" in encoded:
        pixels = _join_patches(pixels, np.asarray(encoded["image_grid_thw"]), transform.processor.image_processor)
    pictures = pixels.reshape(-1, *pixels.shape[-3:])
    of_each = len(pictures) // n_scans  # the views of all scans are of one size
    return pictures[number * of_each : (number + 1) * of_each]


def _join_patches(patches: np.ndarray, grids: np.ndarray, processor: Any) -> np.ndarray:
    """Patches (n, 3 * frames * side * side) → the pictures (n_images, 3, H, W) that they were cut from.

    As transformers' Qwen2VLImageProcessor lays them: merged squares row by row, within each its patches row by row. A
    picture is there as often as a patch has frames.
    """
    side, merged, frames = processor.patch_size, processor.merge_size, processor.temporal_patch_size
    pictures, start = [], 0
    for _, n_rows, n_columns in grids.tolist():
        n = n_rows * n_columns
        cut = patches[start : start + n].reshape(
            n_rows // merged, n_columns // merged, merged, merged, 3, frames, side, side
        )
        whole = cut[:, :, :, :, :, 0].transpose(4, 0, 2, 5, 1, 3, 6)
        pictures.append(whole.reshape(3, n_rows * side, n_columns * side))
        start += n
    return np.stack(pictures)


def _name_pictures(transform: ConversationTransform, pixels: np.ndarray) -> list[tuple[str, str, np.ndarray]]:
    """(name, plane, image (H, W)) of each picture. The three channels are the planes of a triplanar view; of others
    all show the same."""
    planes = channel_planes(str(transform.settings.view))
    return [
        (plane if len(pixels) == 1 else f"{plane}, {i + 1} of {len(pixels)}", plane, picture[channel])
        for i, picture in enumerate(pixels)
        for channel, plane in enumerate(planes)
    ]


def _show_volume(transform: ConversationTransform, scan: dict, volumes: np.ndarray, sides_known: bool) -> Seen:
    grid, cut = locate_grid(find_source(scan), scan["modality"], transform.settings)
    size, spacing = np.array(grid.size), grid.spacing_mm
    affine = np.diag([spacing, spacing, spacing, 1.0])
    affine[:3, 3] = grid.centre_mm - spacing * (size - 1) / 2
    low, high = find_ends(volumes)
    shape = " × ".join(map(str, grid.size))
    frames = f"{len(volumes)} volumes" if len(volumes) > 1 else "One volume"
    sentence = (
        f"{frames} of {shape} voxels of {spacing:g} mm. The least value is {low:.3g}, the largest {high:.3g}: "
        f"the numbers that the model is given. {100 * cut.share:.1f} % of the head lies beyond it."
    )
    shown = show_frames(volumes, affine, sides_known)
    note = "" if sides_known else SIDES_UNKNOWN
    return Seen(show_text(sentence), shown | {"note": note}, volumes)
