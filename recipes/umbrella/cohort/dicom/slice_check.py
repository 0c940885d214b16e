"""Whether a converted scan has its files' slices, each where its header says: dcm2niix exchanges some in silence."""

from pathlib import Path

import numpy as np

from umbrella.cohort.dicom.elements import list_damages
from umbrella.cohort.dicom.instances import Series
from umbrella.cohort.dicom.stack_faults import Shape, count_slices, find_places, list_positions
from umbrella.scans.scan_files import ScanHeader
from umbrella.scans.slice_places import SAME_LINE_MM, sort_slices

# Nothing else is read, so that no warning of pydicom's can name anybody.
_PIXELS = (
    "Rows Columns NumberOfFrames SamplesPerPixel PhotometricInterpretation BitsAllocated BitsStored HighBit "
    "PixelRepresentation PixelData ExtendedOffsetTable ExtendedOffsetTableLengths".split()
)
_RAS_TO_LPS = np.array([-1.0, -1.0, 1.0])


def find_misplaced(header: ScanHeader, series: Series, files: list[Path]) -> str | None:
    """What is not as the files say, as a sentence; None where all is.

    header    of the converted scan, with an affine; its slices may lie along any axis, since dcm2niix turns volumes
    files     the DICOM files that it was made of, in the order of the series', which are opened where there are
              several volumes: each must be the pictures of one
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
    if first.mosaic:  # whose slices were cut out
        return None
    places = header.affine[:3, 3] + np.outer(np.arange(found.n_slices), header.affine[:3, axis])
    offsets, of_files = places * _RAS_TO_LPS @ normal, sort_slices(list_positions(series), first.orientation)[0]
    far = float(np.abs(np.sort(offsets) - of_files).max())
    if far > SAME_LINE_MM:
        return f"expected slices where the files have them, found one {far:.3g} mm beside"
    return (
        _compare_volumes(header, axis, bool(offsets[0] > offsets[-1]), series, files) if found.n_volumes > 1 else None
    )


def _compare_volumes(
    header: ScanHeader, axis: int, is_reversed: bool, series: Series, files: list[Path]
) -> str | None:
    """By the sums of the pictures' voxels, which are the stored ones in both."""
    import nibabel as nib

    n_frames = [len(one.positions) for one in series.instances]
    try:
        sums = np.concatenate([_sum_frames(file, n) for file, n in zip(files, n_frames, strict=True)])
    except list_damages():
        sums = np.empty(0)
    if not sums.size or header.dtype.kind not in "iu":
        if max(n_frames) == 1:  # whose numbers are in order
            return None
        advice = "pip install pylibjpeg pylibjpeg-libjpeg, or export it uncompressed"
        return f"expected pictures to compare the volumes with, found some that nothing here decodes. {advice}"
    voxels = np.moveaxis(np.asarray(nib.load(header.name).dataobj.get_unscaled()), axis, 0)
    converted = voxels.sum(axis=(1, 2), dtype=np.int64)  # (slices, volumes)
    numbers = np.repeat([one.instance_number for one in series.instances], n_frames)
    of_files = sums[np.lexsort((numbers, find_places(series)))].reshape(converted.shape)
    wanted = of_files[::-1] if is_reversed else of_files
    if sorted(map(tuple, converted.T)) != sorted(map(tuple, wanted.T)):
        return "expected in each volume the pictures of one volume of the files, found them exchanged by dcm2niix"
    return None


def _sum_frames(file: Path, n_frames: int) -> np.ndarray:
    """(n_frames,)"""
    from pydicom import dcmread

    pixels = dcmread(file, specific_tags=_PIXELS).pixel_array
    return np.reshape(pixels, (n_frames, -1)).sum(axis=1, dtype=np.int64)
