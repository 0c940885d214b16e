"""How a scan lies on the grid of the view "volume": what of the head is beyond it, and the place that the row is
about, as the model sees it."""

from dataclasses import dataclass

import numpy as np

from umbrella.report.pictures import N_PLANES, Picture, draw_volume
from umbrella.report.scan_roles import find_place
from umbrella.rows.scan_places import find_subject_places
from umbrella.rows.transform import ConversationTransform
from umbrella.scans.scan_files import find_source
from umbrella.views.loading import locate_grid


@dataclass(frozen=True)
class OnGrid:
    """What there is to say of a scan.

    cut     the share of the head beyond the grid, 0 to 1
    place   what the row is about, "lesion"; "" where its metadata name no place in this scan
    planes  the three planes through it; none where it lies beyond the grid
    """

    cut: float
    place: str
    planes: list[Picture]


def place_on_grid(
    row: dict, number: int, transform: ConversationTransform, volumes: np.ndarray, sides_known: bool
) -> OnGrid:
    """Of a scan of a row and its view, (T, X, Y, Z). A place is one of the subject's scans."""
    scan, place = row["images"][number], find_place(row)
    grid, cut = locate_grid(find_source(scan), scan["modality"], transform.settings)
    if place is None or number not in find_subject_places(row):
        return OnGrid(cut.share, "", [])
    name, point_mm = place
    voxel = grid.find_voxel(np.array(point_mm))
    return OnGrid(cut.share, name, [] if voxel is None else draw_volume(volumes, sides_known, voxel)[:N_PLANES])
