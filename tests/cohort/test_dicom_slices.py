"""A converted scan is believed only where each slice lies where the files have it, in the volume that it is of."""

import struct

import nibabel
import numpy as np
import pytest
from dicom_files import make_affine, make_volume, write_enhanced, write_series
from pydicom import dcmread
from pydicom.encaps import encapsulate
from pydicom.uid import JPEGLosslessSV1, RLELossless

from umbrella.cohort.dicom.conversion import convert
from umbrella.cohort.dicom.faults import find_fault
from umbrella.cohort.dicom.headers import read_headers
from umbrella.cohort.dicom.series import group_series
from umbrella.cohort.dicom.slice_check import find_misplaced
from umbrella.privacy.mask import Mask
from umbrella.scans.scan_files import open_scan

pytestmark = pytest.mark.slow
AXES = {
    "sagittal": [[0, 0, 1], [1, 0, 0], [0, 1, 0]],
    "coronal": [[1, 0, 0], [0, 0, 1], [0, 1, 0]],
    "axial": np.eye(3),
}
EXCHANGED = "expected in each volume the pictures of one volume of the files, found them exchanged by dcm2niix"


def lay(plane, sign=1, spacing_mm=(1.0, 1.2, 1.5)):
    """(4, 4): slices of that plane, their order from one end or the other, a little turned."""
    affine = make_affine(angles_deg=(3, -4, 5), spacing_mm=(1, 1, 1))
    affine[:3, :3] = affine[:3, :3] @ (np.asarray(AXES[plane]) * spacing_mm * [1, 1, sign])
    return affine


def convert_alone(folder, made, datatype="anat"):
    """(the series, the fault)."""
    [series] = group_series(read_headers(folder)[0])
    return series, convert(series, datatype, "rest", made, Mask(()))


@pytest.mark.parametrize("plane", AXES)
@pytest.mark.parametrize("sign", (1, -1))
def test_a_volume_that_dcm2niix_turns_is_the_same(tmp_path, plane, sign):
    """Of a 3-D acquisition the axes are stored in the order of RAS, so that a sagittal one's slices are the first."""
    volume, affine = make_volume((10, 14, 7)), lay(plane, sign)
    write_series(tmp_path / "in", volume, affine, MRAcquisitionType="3D")
    _, fault = convert_alone(tmp_path / "in", tmp_path / "out")
    assert fault is None
    found = nibabel.as_closest_canonical(nibabel.load(tmp_path / "out" / "done" / "scan.nii.gz"))
    expected = nibabel.as_closest_canonical(nibabel.Nifti1Image(volume, affine))
    np.testing.assert_array_equal(found.dataobj, expected.dataobj)
    np.testing.assert_allclose(found.affine, expected.affine, atol=1e-4)


@pytest.mark.parametrize("plane", ("axial", "sagittal"))
@pytest.mark.parametrize(("maker", "sign"), [("Philips", 1), ("Philips", -1), ("SIEMENS", 1)])
def test_volumes_of_one_file_are_whole_or_left_out(tmp_path, plane, maker, sign):
    """Of some makers dcm2niix takes slices of one place for those of a volume, in silence."""
    volume, affine = make_volume((10, 14, 7, 3)), lay(plane, sign)
    write_enhanced(tmp_path / "in" / "one", volume, affine, Manufacturer=maker)
    _, fault = convert_alone(tmp_path / "in", tmp_path / "out", "func")
    if fault is not None:
        assert (maker, fault.reason, fault.detail) == ("SIEMENS", "not converted", EXCHANGED)
        return
    found = nibabel.as_closest_canonical(nibabel.load(tmp_path / "out" / "done" / "scan.nii.gz"))
    expected = nibabel.as_closest_canonical(nibabel.Nifti1Image(volume, affine))
    np.testing.assert_array_equal(found.dataobj, expected.dataobj)
    np.testing.assert_allclose(found.affine, expected.affine, atol=1e-4)


NUMBERS = {
    "by volume": lambda t, z: 5 * t + z + 1,
    "downwards": lambda t, z: 5 * t + 5 - z,
    "by slice": lambda t, z: 3 * z + t + 1,
    "interleaved": lambda t, z: 5 * t + (0, 3, 1, 4, 2)[z] + 1,
    "from 1 in each": lambda t, z: z + 1,
    "none": lambda t, z: 0,
    "mixed": lambda t, z: (5 * t + z) * 4 % 15 + 1,
}


@pytest.mark.parametrize("maker", ("SIEMENS", "Philips"))
@pytest.mark.parametrize("numbers", NUMBERS)
def test_volumes_of_many_files_are_whole_or_left_out_however_they_are_numbered(tmp_path, numbers, maker):
    volume, affine = make_volume((6, 8, 5, 3)), lay("axial")
    for path in write_series(tmp_path / "in", volume, affine, Manufacturer=maker, ScanningSequence="EP"):
        header = dcmread(path)
        header.InstanceNumber = NUMBERS[numbers](int(path.stem[2:5]), int(path.stem[5:]))
        header.save_as(path)
    series, fault = convert_alone(tmp_path / "in", tmp_path / "out", "func")
    is_ordered = numbers in ("by volume", "downwards", "by slice")
    assert find_fault(series) is None if is_ordered else find_fault(series)[0] == "no order"
    if numbers in ("by volume", "downwards") or (numbers, maker) == ("by slice", "Philips"):
        found = nibabel.as_closest_canonical(nibabel.load(tmp_path / "out" / "done" / "scan.nii.gz"))
        expected = nibabel.as_closest_canonical(nibabel.Nifti1Image(volume, affine))
        np.testing.assert_array_equal(found.dataobj, expected.dataobj)
    elif numbers in ("interleaved", "by slice"):
        assert fault is not None  # by the pictures, whatever the numbers say


def test_each_way_to_be_wrong_is_found(tmp_path):
    """Of a right conversion that is changed afterwards."""
    path = write_enhanced(tmp_path / "in" / "one", make_volume((10, 14, 7, 3)), lay("axial"))
    series, fault = convert_alone(tmp_path / "in", tmp_path / "out", "func")
    scan = nibabel.load(tmp_path / "out" / "done" / "scan.nii.gz")
    voxels, affine = np.asarray(scan.dataobj), scan.affine

    def judge(voxels, affine, path=path):
        changed = tmp_path / "changed.nii"
        nibabel.Nifti1Image(voxels, affine).to_filename(changed)
        with open_scan(changed) as (header, _):
            return find_misplaced(header, series, [path])

    assert fault is None and judge(voxels, affine) is None
    assert judge(voxels[:, :, ::-1], affine @ [[1, 0, 0, 0], [0, 1, 0, 0], [0, 0, -1, 6], [0, 0, 0, 1]]) is None
    assert judge(voxels[..., [1, 0, 2]], affine) is None  # which volume is the first cannot be told from their places
    assert judge(voxels[:, :, [1, 0, 2, 3, 4, 5, 6]], affine) == EXCHANGED
    mixed = voxels.copy()
    mixed[:, :, 2, [0, 1]] = voxels[:, :, 2, [1, 0]]
    assert judge(mixed, affine) == EXCHANGED
    assert judge(voxels[:, :, :6], affine) == "expected 7 slices in 3 volumes, as in the files, found 6 in 3"
    assert judge(voxels[..., 0], affine) == "expected 7 slices in 3 volumes, as in the files, found 7 in 1"
    thinner = affine @ np.diag([1, 1, 0.9, 1])
    assert judge(voxels, thinner) == "expected slices where the files have them, found one 0.9 mm beside"
    compressed = dcmread(path)
    compressed.file_meta.TransferSyntaxUID = JPEGLosslessSV1
    compressed.PixelData = encapsulate([b"no picture"] * 21)
    compressed["PixelData"].is_undefined_length = True
    compressed.save_as(tmp_path / "compressed")
    said = judge(voxels, affine, tmp_path / "compressed")
    assert "nothing here decodes. pip install pylibjpeg pylibjpeg-libjpeg, or export it" in said
    compressed = dcmread(path)
    compressed.compress(RLELossless, encapsulate_ext=False, generate_instance_uid=False)
    compressed.save_as(tmp_path / "compressed")
    assert judge(voxels, affine, tmp_path / "compressed") is None
    offsets = struct.pack("<HHI", 0xFFFE, 0xE000, 21 * 4)  # what begins their table: a group of items, its length
    before, _, after = (tmp_path / "compressed").read_bytes().rpartition(offsets)
    (tmp_path / "damaged").write_bytes(before + offsets[:4] + struct.pack("<I", 100_000) + after)
    assert judge(voxels, affine, tmp_path / "damaged") == said
