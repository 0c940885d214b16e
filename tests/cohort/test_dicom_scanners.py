"""Files of real scanners, those that nibabel ships, are converted as nibabel reads them: mosaics of diffusion by
Siemens, an enhanced sagittal volume by Philips."""

import gzip
from pathlib import Path

import nibabel
import numpy as np
import pytest
from pydicom import dcmread

from umbrella.cohort.dicom.conversion import convert
from umbrella.cohort.dicom.faults import find_fault
from umbrella.cohort.dicom.headers import read_headers
from umbrella.cohort.dicom.rules import choose_rule
from umbrella.cohort.dicom.rules_file import load_rules
from umbrella.cohort.dicom.series import group_series
from umbrella.cohort.dicom.stack_faults import Shape, count_slices
from umbrella.privacy.mask import Mask

pytestmark = [pytest.mark.slow, pytest.mark.filterwarnings("ignore::UserWarning")]
FOLDER = Path(nibabel.__file__).parent / "nicom" / "tests" / "data"
LPS_TO_RAS = np.diag([-1, -1, 1, 1])


def unpack(folder, *names, **header):
    from nibabel.nicom import dicomwrappers  # which warns where it is imported

    folder.mkdir()
    for name in names:
        with gzip.open(FOLDER / f"{name}.dcm.gz") as file:
            read = dcmread(file)
        for keyword, value in header.items():
            setattr(read, keyword, value)
        read.save_as(folder / name)
    return [dicomwrappers.wrapper_from_file(folder / name) for name in names]


def convert_alone(folder):
    """(the rule, the shape, the scan in the order of RAS)."""
    [series] = group_series(read_headers(folder)[0])
    rule = choose_rule(series, load_rules())
    assert find_fault(series, rule) is None
    made = folder.with_name("made")
    assert convert(series, rule.datatype, "", made, Mask(())) is None
    scan = nibabel.load(made / "done" / "scan.nii.gz")
    return rule, count_slices(series), nibabel.as_closest_canonical(scan)


def to_canonical(wrapper):
    image = nibabel.Nifti1Image(np.asarray(wrapper.get_data()), LPS_TO_RAS @ wrapper.affine)
    return nibabel.as_closest_canonical(image)


def test_mosaics_of_siemens_are_volumes(tmp_path):
    wrappers = unpack(tmp_path / "in", "siemens_dwi_0", "siemens_dwi_1000", PatientID="A", PatientBirthDate="")
    rule, shape, scan = convert_alone(tmp_path / "in")
    assert (rule.suffix, shape, scan.shape) == ("dwi", Shape(48, 2), (128, 128, 48, 2))
    for t, wrapper in enumerate(wrappers):
        expected = to_canonical(wrapper)
        np.testing.assert_array_equal(scan.dataobj[..., t], expected.dataobj)
        np.testing.assert_allclose(scan.affine, expected.affine, atol=1e-3)
    assert np.loadtxt(tmp_path / "made" / "done" / "scan.bval") == pytest.approx([0, 1000], abs=10)


@pytest.mark.nightly  # 24 MB
def test_a_sagittal_volume_of_philips_is_a_t1(tmp_path):
    [wrapper] = unpack(tmp_path / "in", "philips_mprage")
    rule, shape, scan = convert_alone(tmp_path / "in")
    assert (rule.suffix, shape) == ("T1w", Shape(176, 1))
    expected = to_canonical(wrapper)
    np.testing.assert_array_equal(np.asarray(scan.dataobj), np.asarray(expected.dataobj))
    np.testing.assert_allclose(scan.affine, expected.affine, atol=5e-3)
