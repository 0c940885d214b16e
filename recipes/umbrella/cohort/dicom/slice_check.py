"""Whether a converted scan has its files' slices, each where its header says: dcm2niix exchanges some in silence."""

from pathlib import Path

import numpy as np

from umbrella.cohort.dicom.geometry import SAME_LINE_MM, sort_slices
from umbrella.cohort.dicom.instances import Series
from umbrella.cohort.dicom.stack_faults import Shape, count_slices, list_positions
from umbrella.scans.scan_files import ScanHeader

_RAS_TO_LPS = np.array([-1.0, -1.0, 1.0])


def find_misplaced(header: ScanHeader, series: Series, files: list[Path]) -> str | None:
    """What is not as the files say, as a sentence; None where all is.

    header    of the converted scan, with an affine; its slices may lie along any axis, since dcm2niix turns volumes
    files     the DICOM files that it was made of, which are opened where one holds several volumes: then each volume
              must be the pictures of one, told by the sums of their voxels
    """
    first = series.first
    normal = np.cross(*np.reshape(first.orientation, (2, 3))) if first.orientation else np.array([0.0, 0.0, 1.0])
    axes = header.affine[:3, :3] * _RAS_TO_LPS[:, np.newaxis] / np.linalg.norm(header.affine[:3, :3], axis=0)
    axis = int(np.abs(normal @ axes).argmax())
    expected, found = count_slices(series), Shape(header.shape[axis], header.n_volumes)
    if expected is None:  # a mosaic that does not say how many lie in it
        expected = Shape(found.n_slices, len(series.instances))
    if found != expected:
        as_files = f"expected {expected.n_slices} slices in {expected.n_volumes} volumes, as in the files"
        return f"{as_files}, found {found.n_slices} in {found.n_volumes}"
    if first.mosaic or "_Tilt_" in header.name:  # whose slices were cut out or turned upright
        return None
    places = header.affine[:3, 3] + np.outer(np.arange(found.n_slices), header.affine[:3, axis])
    offsets, of_files = places * _RAS_TO_LPS @ normal, sort_slices(list_positions(series), first.orientation)[0]
    far = float(np.abs(np.sort(offsets) - of_files).max())
    if far > SAME_LINE_MM:
        return f"expected slices where the files have them, found one {far:.3g} mm beside"
    if found.n_volumes > 1 and any(len(one.positions) > 1 for one in series.instances):
        return _compare_volumes(header.name, axis, bool(offsets[0] > offsets[-1]), series, files)
    return None


def _compare_volumes(scan: str, axis: int, is_reversed: bool, series: Series, files: list[Path]) -> str | None:
    import nibabel as nib
    from pydicom import dcmread

    voxels = np.moveaxis(np.asarray(nib.load(scan).dataobj.get_unscaled()), axis, 0).astype(np.int64)
    converted = voxels.sum(axis=(1, 2))  # (slices, volumes)
    try:
        pictures = [dcmread(file).pixel_array for file in files]
    except (RuntimeError, NotImplementedError, ValueError, AttributeError):
        return "expected pictures to compare the volumes with, found a syntax that pydicom does not decode"
    sums = np.concatenate([np.reshape(one, (-1, one.shape[-2] * one.shape[-1])).sum(1, np.int64) for one in pictures])
    offsets = np.asarray(list_positions(series)) @ np.cross(*np.reshape(series.first.orientation, (2, 3)))
    places = np.searchsorted(sort_slices(list_positions(series), series.first.orientation)[0], offsets - SAME_LINE_MM)
    in_order = sums[np.argsort(places, kind="stable")].reshape(converted.shape)
    wanted = in_order[::-1] if is_reversed else in_order
    if sorted(map(tuple, converted.T)) != sorted(map(tuple, wanted.T)):
        return "expected in each volume the pictures of one volume of the files, found them exchanged by dcm2niix"
    return None
