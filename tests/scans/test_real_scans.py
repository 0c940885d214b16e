"""Real and constructed scan files load as nibabel, SimpleITK and MONAI load them.

The real ones come with nibabel, nilearn and dipy (extra `test`); what they lack is constructed.
"""

import gzip
import importlib.util
from pathlib import Path

import nibabel
import numpy as np
import pytest
from scan_oracles import monai_volume, nibabel_volume, simpleitk_volume

from umbrella.scans.volumes import ScanError, check_header, load_image, load_volume
from umbrella.views.loading import load_view
from umbrella.views.planes import make_view


def package_file(package: str, path: str) -> Path:
    """A file that comes with a package, found without importing it."""
    return Path(importlib.util.find_spec(package).submodule_search_locations[0]) / path


NIBABEL_DATA = package_file("nibabel", "tests/data")
# name: (file, modality, what is special about it)
REAL = {
    "mni152": (package_file("nilearn", "datasets/data/mni_icbm152_t1_tal_nlin_sym_09a_converted.nii.gz"), "sMRI"),
    "anatomical": (NIBABEL_DATA / "anatomical.nii", "sMRI"),  # big-endian int16, LAS
    "functional": (NIBABEL_DATA / "functional.nii", "fMRI"),  # scl_slope 0.0754, scl_inter 3100.8
    "example4d": (NIBABEL_DATA / "example4d.nii.gz", "fMRI"),  # oblique
    "example_nifti2": (NIBABEL_DATA / "example_nifti2.nii.gz", "fMRI"),
    "reoriented_anat_moved": (NIBABEL_DATA / "reoriented_anat_moved.nii", "sMRI"),
    "resampled_anat_moved": (NIBABEL_DATA / "resampled_anat_moved.nii", "sMRI"),  # 153 voxels are NaN
    "standard": (NIBABEL_DATA / "standard.nii.gz", "sMRI"),
    "freesurfer": (NIBABEL_DATA / "test.mgz", "fMRI"),
    "diffusion": (package_file("dipy", "data/files/small_64D.nii"), "dMRI"),  # axes PLS, oblique
}
NOT_IN_ITK = ("freesurfer", "example_nifti2")  # it reads neither MGH nor NIfTI-2
IN_MONAI = ("mni152", "anatomical", "reoriented_anat_moved", "standard")  # its transforms take one volume


def phantom(shape=(20, 24, 28)) -> np.ndarray:
    """A bright ellipsoid with a gradient and noise, float64."""
    grid = np.stack(np.meshgrid(*(np.linspace(-1, 1, n) for n in shape), indexing="ij"))
    inside = (grid**2).sum(axis=0) < 0.7
    return inside * (100 + 50 * grid[0] + 30 * grid[1] + np.random.default_rng(0).normal(0, 5, shape))


def affine_of(axes: str, spacing_mm=(1.0, 2.0, 3.0)) -> np.ndarray:
    """An affine with these stored axes, such as "LIA"."""
    orientation = nibabel.orientations.axcodes2ornt(axes)
    return nibabel.orientations.inv_ornt_aff(orientation, (20, 24, 28)) @ np.diag([*spacing_mm, 1.0])


def scaled(image, slope, inter):
    image.header.set_slope_inter(slope, inter)
    return image


def typed(dtype, **options) -> nibabel.Nifti1Image:
    return nibabel.Nifti1Image(phantom().astype(dtype), affine_of("LIA"), dtype=np.dtype(dtype), **options)


OBLIQUE = nibabel.affines.from_matvec(nibabel.eulerangles.euler2mat(0.4, -0.3, 0.2) @ np.diag([-2, 1.5, 3]), [9, 8, 7])
CONSTRUCTED = {
    "conformed.mgz": nibabel.MGHImage(phantom().astype(np.uint8), affine_of("LIA", (1, 1, 1))),
    "float.mgh": nibabel.MGHImage(phantom().astype(np.float32), affine_of("PSR")),
    "uint8.nii.gz": typed(np.uint8),
    "int8.nii": typed(np.int8),
    "uint16.nii.gz": typed(np.uint16),
    "int32.nii.gz": typed(np.int32),
    "float32.nii.gz": typed(np.float32),
    "float64.nii": typed(np.float64),
    "big_endian.nii": typed(np.float32, header=nibabel.Nifti1Header(endianness=">")),
    "negative_slope.nii.gz": scaled(typed(np.int16), -0.5, 1000),
    "float_with_slope.nii": scaled(typed(np.float32), 3.5, -40),
    "one_volume.nii.gz": nibabel.Nifti1Image(phantom()[..., None].astype(np.int16), affine_of("RSP")),
    "oblique.nii.gz": nibabel.Nifti1Image(phantom().astype(np.int16), OBLIQUE),
    "nifti2.nii": nibabel.Nifti2Image(phantom().astype(np.int16), affine_of("SAL")),
    "pair.img": nibabel.Nifti1Pair(phantom().astype(np.int16), affine_of("AIR")),
    "pair2.img": nibabel.Nifti2Pair(phantom().astype(np.float32), affine_of("ILP")),
    "sixteen_percent_nan.nii": nibabel.Nifti1Image(
        np.where(phantom() > 120, np.nan, phantom()).astype(np.float32), affine_of("RAS")
    ),
}


@pytest.fixture(params=[*REAL, *CONSTRUCTED])
def scan(request, tmp_path) -> tuple[Path, str]:
    if request.param in REAL:
        return REAL[request.param]
    nibabel.save(CONSTRUCTED[request.param], tmp_path / request.param)
    return tmp_path / request.param, "sMRI"


@pytest.mark.slow
def test_voxels_and_spacing_equal_nibabel_and_numpy_in_float64(scan):
    path, modality = scan
    check_header(path, modality)
    volume, spacing_mm = load_volume(path, modality)
    expected, expected_spacing_mm = nibabel_volume(path)
    np.testing.assert_allclose(volume, expected, atol=3e-6)
    np.testing.assert_allclose(spacing_mm, expected_spacing_mm, rtol=1e-5)


def test_voxels_of_a_view_equal_those_of_the_whole_volume(scan):
    """`load_view` normalises just the slices that it needs; nothing tells from the result."""
    path, modality = scan
    for normalize, standardize in [(True, True), (True, False), (False, True), (False, False)]:
        volume, spacing_mm = load_volume(path, modality, normalize, standardize)
        for view in ("axial", "triplanar", "slices:3"):
            expected = make_view(volume, view, 32, spacing_mm)
            actual = load_view(path, modality, view, 32, normalize, standardize)
            np.testing.assert_allclose(actual, expected, rtol=1e-5, atol=1e-5)


def test_voxels_of_a_scan_with_too_few_slices_for_the_view_are_refused():
    path, modality = REAL["functional"]
    with pytest.raises(ScanError, match=r"functional\.nii: view 'slices:4' shows 4 .* only 3"):
        load_view(path, modality, "slices:4", 32)


@pytest.mark.slow
@pytest.mark.parametrize("name", [name for name in REAL if name not in NOT_IN_ITK])
def test_voxels_of_real_files_equal_simpleitk(name):
    path, modality = REAL[name]
    volume, spacing_mm = load_volume(path, modality)
    expected, expected_spacing_mm = simpleitk_volume(path, is_series=modality != "sMRI")
    np.testing.assert_allclose(volume, expected, atol=2e-5)
    np.testing.assert_allclose(spacing_mm, expected_spacing_mm, rtol=1e-4)


@pytest.mark.parametrize("name", IN_MONAI)
def test_voxels_of_real_files_equal_monai(name):
    path, modality = REAL[name]
    np.testing.assert_allclose(load_image(path, modality), monai_volume(path), atol=1e-4)


def test_voxels_stored_with_neither_sform_nor_qform_are_taken_as_ras(tmp_path):
    """As in nipype's ds003_sub-01_mc.nii.gz: a 4-D series, both codes 0."""
    series = np.stack([phantom(), phantom() + 1], axis=-1).astype(np.int16)
    image = nibabel.Nifti1Image(series, None)
    image.header["pixdim"][1:4] = 3, 3, 4
    image.set_sform(None, 0)
    image.set_qform(None, 0)
    nibabel.save(image, tmp_path / "series.nii.gz")
    with pytest.warns(UserWarning, match="taken as stored in RAS"):
        volume, spacing_mm = load_volume(tmp_path / "series.nii.gz", "fMRI", normalize=False, standardize=False)
    np.testing.assert_allclose(volume, series.mean(axis=-1), rtol=1e-6)
    assert spacing_mm.tolist() == [3, 3, 4]


REFUSED_REAL = {
    "row_major.dconn.nii": "CIFTI",
    "nifti1.hdr": r"expected its voxels in nifti1\.img beside it",
    "nifti2.hdr": r"expected its voxels in nifti2\.img beside it",
    "analyze.hdr": "neither NIfTI",
    "0.dcm": "neither NIfTI",
    "tiny.mnc": "expected a NIfTI or FreeSurfer scan",
    "tinypet.v": "expected a NIfTI or FreeSurfer scan",
    "example4d+orig.BRIK.gz": "expected a NIfTI or FreeSurfer scan",
}


@pytest.mark.parametrize("name", REFUSED_REAL)
def test_voxels_of_other_formats_are_refused(name):
    with pytest.raises(ScanError, match=f"(?s){name.replace('+', '.')}: .*{REFUSED_REAL[name]}"):
        load_image(NIBABEL_DATA / name)


def test_voxels_of_a_real_scan_cut_short_are_refused(tmp_path):
    whole = REAL["mni152"][0].read_bytes()
    for n_bytes in (0, 5, 100, len(whole) // 2, len(whole) - 1):
        (tmp_path / "scan.nii.gz").write_bytes(whole[:n_bytes])
        with pytest.raises(ScanError, match=r"scan\.nii\.gz: expected"):
            load_image(tmp_path / "scan.nii.gz")
    plain = gzip.decompress(whole)
    with pytest.raises(ScanError, match="cut short"):
        check_header(plain[: len(plain) // 2])
