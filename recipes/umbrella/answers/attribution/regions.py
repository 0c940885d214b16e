"""The region of a scan that is known to matter, from a row's metadata, and whether a map points at it.

A row names its region in its metadata, in mm of the scan's world, or by a mask that lies over the scan in that world:

    "lesion_centre_mm": [12.0, -30.5, 41.0], "lesion_radius_mm": 9.5     a ball
    "lesion_box_mm": [[2.0, -40.0, 30.0], [22.0, -20.0, 50.0]]           a box, two of its corners
    "lesion_mask": "masks/sub-01_lesion.nii.gz"                          what is not 0 in it
"""

import json
import math
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import nibabel as nib
import numpy as np
from nibabel.filebasedimages import ImageFileError

from umbrella.answers.attribution.maps import AttributionMap
from umbrella.files.contained_files import RemoteError, is_inside, is_remote, on_disk, split_root
from umbrella.rows.scan_places import find_subject_places

STEP_MM = 1.0  # between the points that stand for a region
MOST_STEPS = 64  # along an axis of one that is large
_FIELD = re.compile(r"(?P<name>\w*?)_?(?P<kind>cent(?:re|er)_mm|box_mm|mask)")


@dataclass(frozen=True)
class Region:
    """name: what it is, "lesion". points_mm: (m, 3), close together all over it, in mm of the scan's world."""

    name: str
    points_mm: np.ndarray


@dataclass(frozen=True)
class Pointing:
    """hit     whether the highest box of a map overlaps the region
    chance  of the boxes within the head that a view shows, the share that does"""

    hit: bool
    chance: float


def name_regions(metadata: dict) -> list[str]:
    """The names of the regions that a row's metadata tell of, "lesion"."""
    matches = [_FIELD.fullmatch(key) for key in _read_extra(metadata)]
    return list(dict.fromkeys(match["name"] for match in matches if match and match["name"]))


def find_region(row: dict, name: str, folder: str | Path | None = None) -> Region | None:
    """A row's region of that name; None where the row tells of none, and where its mask is 0 everywhere.

    folder  that a mask's path is relative to where the row's scans are held to no folder of their own (--image_root)

    Raises ValueError for a value that is none of the above, FileNotFoundError for a mask that is not there.
    """
    extra = _read_extra(row["metadata"])
    for key, value in extra.items():
        match = _FIELD.fullmatch(key)
        if match is None or match["name"] != name or value is None:
            continue
        told = f"{row['source']}: metadata.{key}"
        if match["kind"] == "mask":
            root, _ = split_root(row["images"][find_subject_places(row)[-1]]["path"])
            return read_mask(_resolve(value, folder, root, told), name)
        if match["kind"] == "box_mm":
            low, high = np.sort(np.array([_check_point(corner, told) for corner in _check_pair(value, told)]), axis=0)
            return Region(name, _fill(low, high))
        centre = np.array(_check_point(value, told))
        radius = extra.get(f"{name}_radius_mm")
        if not (isinstance(radius, int | float) and 0 < radius < math.inf):
            raise ValueError(f"{told}: expected {name}_radius_mm beside it, more than 0, found {radius!r}")
        points = _fill(centre - radius, centre + radius)
        inside = np.linalg.norm(points - centre, axis=1) <= radius
        return Region(name, np.vstack([centre, points[inside]]))
    return None


def read_mask(path: str | Path, name: str) -> Region | None:
    """The region of a mask: the middles of its voxels that are not 0; None where all are 0."""
    if not is_remote(path) and not Path(path).is_file():
        raise FileNotFoundError(f"{path}: expected a mask of the region {name}, found no such file")
    try:
        with on_disk(path) as place:
            image: Any = nib.load(place)
            voxels = np.asanyarray(image.dataobj)
    except RemoteError:
        raise
    except (ImageFileError, OSError, EOFError, ValueError) as error:
        raise ValueError(f"{path}: expected a mask of the region {name}, found no image ({error})") from error
    if voxels.ndim != 3:
        raise ValueError(f"{path}: expected a mask of one volume, found shape {voxels.shape}")
    indices = np.argwhere((voxels != 0) & np.isfinite(voxels))
    if not len(indices):
        return None
    return Region(name, indices @ image.affine[:3, :3].T + image.affine[:3, 3])


def point_at(found: AttributionMap, region: Region) -> Pointing | None:
    """Whether a map points at a region; None where the view shows nothing of it, or no box of the head."""
    boxed = found.boxed
    over_region = set(boxed.find_cells(found.places.find_shown(region.points_mm)).tolist())
    in_head = [box for box in boxed.list_boxes(0) if boxed.is_in_head(box)]
    if not over_region or not in_head:
        return None
    hit = found.highest is not None and not over_region.isdisjoint(found.highest.cells)
    return Pointing(hit, float(np.mean([not over_region.isdisjoint(box.cells) for box in in_head])))


def _read_extra(metadata: dict) -> dict:
    return json.loads(metadata.get("extra") or "{}")


def _fill(low: np.ndarray, high: np.ndarray) -> np.ndarray:
    """Points of a box, corners included, STEP_MM apart or less; of a large one further."""
    n_steps = np.minimum(np.ceil((high - low) / STEP_MM), MOST_STEPS).astype(int)
    axes = [np.linspace(start, stop, n + 1) for start, stop, n in zip(low, high, n_steps, strict=True)]
    return np.stack(np.meshgrid(*axes, indexing="ij"), axis=-1).reshape(-1, 3)


def _check_point(value: Any, told: str) -> list[float]:
    is_triple = isinstance(value, list) and len(value) == 3
    if not is_triple or not all(isinstance(part, int | float) and math.isfinite(part) for part in value):
        raise ValueError(f"{told}: expected three numbers, x, y and z in mm, found {value!r}")
    return value


def _check_pair(value: Any, told: str) -> list:
    if not (isinstance(value, list) and len(value) == 2):
        raise ValueError(f"{told}: expected two corners of a box, found {value!r}")
    return value


def _resolve(value: Any, folder: str | Path | None, root: str | None, told: str) -> str | Path:
    if not isinstance(value, str) or not value:
        raise ValueError(f"{told}: expected the path of a mask, found {value!r}")
    if is_remote(value):
        return value
    if root is None and is_remote(folder or ""):
        return f"{str(folder).rstrip('/')}/{value}"  # what leads out of it is refused where it is opened
    if root is None and folder is None and not Path(value).is_absolute():
        raise ValueError(f"{told}: expected a path from / on, as the data are in no folder, found {value}")
    path = Path(root or folder or "/") / value
    if not is_inside(path, root):
        raise ValueError(f"{told}: expected a mask within {root}, found {value}")
    return path
