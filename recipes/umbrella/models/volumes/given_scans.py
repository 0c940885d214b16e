"""Scans as a user hands them to a processor: files, nibabel's images, volumes that are views already."""

import os
from pathlib import Path
from typing import Any

import numpy as np
import torch
from nibabel import Nifti1Image
from nibabel.spatialimages import SpatialImage

from umbrella.views.loading import load_view
from umbrella.views.settings import VOLUME_SIZE, ViewSettings, parse_volume_size

ADDRESSES = ("http://", "https://", "data:", "s3://", "gs://")


def flatten_scans(images: Any) -> list:
    """The scans of a nested list, in their order."""
    if isinstance(images, list | tuple):
        return [scan for part in images for scan in flatten_scans(part)]
    return [images]


def read_given(scan: Any, settings: ViewSettings) -> torch.Tensor:
    """(T, X, Y, Z), float32, of a scan as a model is shown it.

    scan  a path or a file's bytes; an image of nibabel; an array (X, Y, Z) or (T, X, Y, Z), which has no place in the
          world and so must be a view that is made already

    A file is a single volume or a series by its header, shown as in training. Raises ScanError as `load_view` does,
    ValueError for anything else.
    """
    if isinstance(scan, SpatialImage):
        scan = _write_bytes(scan)
    if isinstance(scan, str | os.PathLike | bytes):
        return torch.from_numpy(_load(scan, settings))
    if isinstance(scan, np.ndarray | torch.Tensor):
        return _check_view(scan, settings)
    raise ValueError(
        f"images: expected scans (paths or bytes of NIfTI or FreeSurfer files, images of nibabel, or volumes that are "
        f"views already), found {type(scan).__name__}. This model takes whole volumes, no pictures"
    )


def _load(source: str | os.PathLike | bytes, settings: ViewSettings) -> np.ndarray:
    if isinstance(source, str) and source.lower().startswith(ADDRESSES):
        raise ValueError(
            f"images: expected a scan's file, found an address ({source[:60]}), of which nothing is fetched here. "
            "Download it, and give the path"
        )
    source = source if isinstance(source, bytes) else Path(source).expanduser()
    return load_view(source, modality="fMRI", **settings.stated())  # of a 3-D file its one volume, as for sMRI


def _write_bytes(image: SpatialImage) -> bytes:
    """The values of an image and where they are in the world, as a NIfTI file without its name."""
    values = np.asanyarray(image.dataobj)
    values = values if values.dtype.kind in "iu" and values.dtype.itemsize <= 4 else values.astype(np.float32)
    return Nifti1Image(values, image.affine).to_bytes()


def _check_view(scan: np.ndarray | torch.Tensor, settings: ViewSettings) -> torch.Tensor:
    if isinstance(scan, np.ndarray) and min(scan.strides, default=0) < 0:
        scan = scan.copy()  # an axis is turned around, also one of length 1, and torch has no negative strides
    volume = torch.as_tensor(scan).detach().cpu().float()
    volume = volume[None] if volume.ndim == 3 else volume
    size = settings.volume_size or VOLUME_SIZE
    if volume.ndim != 4 or tuple(volume.shape[1:]) != parse_volume_size(size):
        raise ValueError(
            f"images: expected of an array a view that is made already, (X, Y, Z) or (T, X, Y, Z) of {size} voxels of "
            f"{settings.volume_spacing:g} mm, found shape {tuple(scan.shape)}: an array does not say where its voxels "
            "are. Give the scan's file, or an image of nibabel, which is resampled"
        )
    if not volume.isfinite().all():
        raise ValueError("images: expected finite numbers in an array, found nan or inf. Give the scan's file")
    return volume
