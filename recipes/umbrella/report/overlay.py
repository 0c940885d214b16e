"""A map over the view of a scan that it explains: what speaks for the answer, what against it, the highest box and the
known region."""

import numpy as np
from PIL import Image

from umbrella.answers.attribution.maps import AttributionMap
from umbrella.report.pictures import MOST_PIXELS, Picture, encode_image, name_sides, shrink, to_grey
from umbrella.views.places import NOWHERE
from umbrella.views.planes import PLANE_AXES, channel_planes, cut_slice
from umbrella.views.settings import VOLUME

FOR, AGAINST, BOX, REGION = (255, 110, 20), (50, 130, 255), (255, 255, 255), (60, 230, 110)  # RGB
MOST_COVER = 0.75  # of a pixel's colour that is the map's
Layers = tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]  # the scan, the map, the box, the region: of one shape


def draw_map(found: AttributionMap, view: np.ndarray, view_name: str, region: np.ndarray | None) -> list[Picture]:
    """The pictures of a view, (n_images, 3, H, W), with its map over them: of a triplanar view its three planes, of
    several images the one that shows most of the highest box; of a volume (T, X, Y, Z) the three planes through it.

    region  (n,) voxels of `found.places`, see `Places.find_shown`; None where none is known
    """
    layers = _make_layers(found, view, region)
    sides_known, box = found.places.is_oriented, layers[2]
    if view_name == VOLUME:
        through = (
            [int(np.median(places)) for places in np.nonzero(box[0])] if box.any() else [n // 2 for n in box[0].shape]
        )
        shown = [
            (plane, plane, [cut_slice(layer[0], axis, through[axis]).T[::-1] for layer in layers])
            for plane, axis in PLANE_AXES.items()
        ]
    else:
        image = int(np.argmax(box.sum(axis=(1, 2, 3))))
        planes = channel_planes(view_name)
        name = f"{image + 1} of {len(view)}" if len(view) > 1 else ""
        shown = [
            (plane if len(planes) > 1 else name, plane, [layer[image, channel] for layer in layers])
            for channel, plane in enumerate(planes)
        ]
    most = float(np.nanmax(np.abs(layers[1]), initial=0.0)) or 1.0
    ends = float(view.min()), float(view.max())
    side = MOST_PIXELS if len(shown) == 1 else MOST_PIXELS // 2
    return [
        Picture(encode_image(_blend(parts, ends, most, side)), name, *name_sides(plane, sides_known))
        for name, plane, parts in shown
    ]


def _make_layers(found: AttributionMap, view: np.ndarray, region: np.ndarray | None) -> Layers:
    voxels, cells = found.places.voxels, found.boxed.cells
    shape = (1, *view.shape[1:]) if voxels.shape[0] == 1 and voxels.ndim == 4 and view.shape[1] != 3 else view.shape
    scan = view[len(view) // 2][None] if shape != view.shape else view
    values = np.where(voxels == NOWHERE, 0.0, np.nan_to_num(found.volume.ravel()[voxels]))
    box = np.isin(cells, [] if found.highest is None else list(found.highest.cells))
    marked = np.isin(voxels, [] if region is None else region)
    of_map, of_box, of_region = (np.broadcast_to(layer, shape) for layer in (values, box, marked))
    return scan, of_map, of_box, of_region


def _blend(parts: list[np.ndarray], ends: tuple[float, float], most: float, side: int) -> Image.Image:
    factor = -(-side // max(parts[0].shape))
    scan, values, box, region = (part.repeat(factor, axis=0).repeat(factor, axis=1) for part in parts)
    grey = to_grey(scan, ends)
    colour = np.where(values[..., None] > 0, FOR, AGAINST)
    cover = MOST_COVER * np.clip(np.abs(values) / most, 0, 1)[..., None]
    pixels = grey[..., None] * (1 - cover) + colour * cover
    for mask, line in ((region, REGION), (box, BOX)):
        pixels[_outline(mask)] = line
    picture = Image.fromarray(pixels.round().clip(0, 255).astype(np.uint8))
    return shrink(picture, side) if picture.height > 2 * side else picture


def _outline(mask: np.ndarray) -> np.ndarray:
    """The outermost pixels of a mask: two, so that a page that shows the picture smaller does not lose the line."""
    inner = mask
    for _ in range(2):
        padded = np.pad(inner, 1)
        inner = inner & padded[:-2, 1:-1] & padded[2:, 1:-1] & padded[1:-1, :-2] & padded[1:-1, 2:]
    return mask & ~inner
