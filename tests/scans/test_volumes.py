"""A scan's file becomes a volume in RAS+ with exact, normalised voxels, or an error that says what is wrong."""

import contextlib
import gzip
import importlib
import itertools
import os
import sys
import tracemalloc
import warnings

import nibabel
import numpy as np
import pytest
from nibabel.orientations import apply_orientation, inv_ornt_aff
from scan_oracles import nibabel_volume, normalise, scale_by_two, simpleitk_volume

from umbrella.scans import inflate, scan_files
from umbrella.scans.volumes import ScanError, check_header, load_image, load_volume

SPACING_MM = [1.0, 2.0, 4.0]
RAS_AFFINE = np.diag([*SPACING_MM, 1.0])


def head(shape=(6, 8, 10)) -> np.ndarray:
    """A volume of three different sizes, all of its numbers different, none symmetrical."""
    return np.random.default_rng(0).permutation(np.prod(shape)).reshape(shape).astype(np.int16)


def save(path, voxels, affine=RAS_AFFINE, image_class=nibabel.Nifti1Image):
    nibabel.save(image_class(voxels, affine), path)
    return path


@pytest.fixture
def scan(tmp_path):
    return save(tmp_path / "scan.nii.gz", head())


# Orientation


@pytest.mark.parametrize("order", itertools.permutations(range(3)))
@pytest.mark.parametrize("flips", itertools.product([1, -1], repeat=3))
def test_voxels_stored_in_any_of_the_48_orientations_load_the_same(tmp_path, order, flips):
    orientation = np.array(list(zip(order, flips, strict=True)))
    voxels = apply_orientation(head(), orientation)
    path = save(tmp_path / "scan.nii", voxels, RAS_AFFINE @ inv_ornt_aff(orientation, head().shape))
    volume, spacing_mm = load_volume(path)
    np.testing.assert_array_equal(volume, load_image(save(tmp_path / "ras.nii", head())))
    assert spacing_mm.tolist() == SPACING_MM
    assert (volume.dtype, spacing_mm.dtype) == (np.float32, np.float32)
    assert min(volume.strides) > 0, "torch.from_numpy refuses negative strides"


def test_voxels_marked_right_anterior_superior_end_at_the_high_indices(tmp_path):
    """In a FreeSurfer-conformed (LIA) scan the voxel nearest right, anterior, superior is stored at (0, 0, last)."""
    voxels = np.zeros((6, 8, 10), np.int16)
    voxels[0, 0, -1] = 1000
    affine = np.array([[-1, 0, 0, 0], [0, 0, 4, 0], [0, -2, 0, 0], [0, 0, 0, 1.0]])
    volume = load_image(save(tmp_path / "lia.nii", voxels, affine), normalize=False)
    assert volume.shape == (6, 10, 8)
    assert np.unravel_index(volume.argmax(), volume.shape) == (5, 9, 7)


def test_voxels_of_an_oblique_scan_keep_their_grid(tmp_path):
    turn = nibabel.eulerangles.euler2mat(0.3, 0.2, -0.1)
    affine = nibabel.affines.from_matvec(turn @ np.diag([-1.0, 2.0, 4.0]), [5, 6, 7])
    path = save(tmp_path / "oblique.nii", head(), affine)
    expected, spacing_mm = nibabel_volume(path)
    np.testing.assert_allclose(load_image(path), expected, atol=1e-6)
    np.testing.assert_allclose(load_volume(path)[1], spacing_mm, rtol=1e-6)


def test_voxels_without_orientation_are_taken_as_ras_with_a_warning(tmp_path):
    image = nibabel.Nifti1Image(head(), None)
    image.header["pixdim"][1:4] = SPACING_MM
    image.set_sform(None, 0)
    image.set_qform(None, 0)
    nibabel.save(image, tmp_path / "scan.nii")
    with pytest.warns(UserWarning, match=r"scan\.nii: neither sform nor qform"):
        volume, spacing_mm = load_volume(tmp_path / "scan.nii")
    np.testing.assert_allclose(volume, normalise(head()), atol=1e-6)
    assert spacing_mm.tolist() == SPACING_MM


def oriented_with(qform: bool, **fields) -> bytes:
    """A scan whose orientation is its qform, or its sform."""
    image = nibabel.Nifti1Image(head(), None)
    image.set_qform(RAS_AFFINE, int(qform))
    image.set_sform(RAS_AFFINE, int(not qform))
    image.header["vox_offset"] = 352
    for field, value in fields.items():
        image.header[field] = value
    return image.header.binaryblock[:344] + b"n+1\0" + bytes(4) + head().tobytes(order="F")


@pytest.mark.parametrize("length", [1 + 1e-7, 1 + 1e-6, 1 + 1e-5, 1 + 1e-4])
@pytest.mark.parametrize("qfac", [1, -1, -1 + 1e-6, 0])
def test_voxels_under_a_qform_off_by_a_rounding_equal_simpleitk(tmp_path, length, qfac):
    """A quaternion a little longer than 1, a third axis that is mirrored by nearly -1."""
    turn = {"quatern_b": 0.6 * length, "quatern_c": 0.8 * length, "quatern_d": 0}
    path = tmp_path / "scan.nii"
    path.write_bytes(oriented_with(qform=True, pixdim=[qfac, *SPACING_MM, 1, 1, 1, 1], **turn))
    expected, spacing_mm = simpleitk_volume(path, is_series=False)
    volume, actual_spacing_mm = load_volume(path)
    np.testing.assert_allclose(volume, expected, atol=1e-6)
    np.testing.assert_allclose(actual_spacing_mm, spacing_mm, rtol=1e-6)


@pytest.mark.parametrize("unit", [0, 1, 2, 3, 7])
@pytest.mark.parametrize("qform", [True, False])
def test_spacing_in_any_unit_equals_simpleitk(tmp_path, unit, qform):
    """NIfTI's codes 1, 2, 3 are metre, millimetre, micron; a unit of time in the same byte does not matter."""
    scale = {1: 0.001, 3: 1000}.get(unit, 1)
    rows = {f"srow_{axis}": scale * RAS_AFFINE[i] for i, axis in enumerate("xyz")}
    zooms = [1, *(scale * np.array(SPACING_MM)), 1, 1, 1, 1]
    path = tmp_path / "scan.nii"
    path.write_bytes(oriented_with(qform, xyzt_units=unit + 8, pixdim=zooms, **rows))
    np.testing.assert_allclose(load_volume(path)[1], simpleitk_volume(path, is_series=False)[1], rtol=1e-6)
    assert load_volume(path)[1] == pytest.approx(SPACING_MM)


# Numbers


@pytest.mark.parametrize("byte_order", "<>")
@pytest.mark.parametrize("dtype", ["u1", "i1", "u2", "i2", "i4", "u4", "i8", "f4", "f8"])
@pytest.mark.parametrize(("slope", "inter"), [(1, 0), (0.0754, 3100.8), (-2, 10)])
def test_voxels_of_every_type_equal_the_float64_reference(tmp_path, dtype, byte_order, slope, inter):
    voxels = (head() % 120).astype(dtype)
    image = nibabel.Nifti1Image(voxels, RAS_AFFINE, nibabel.Nifti1Header(endianness=byte_order), dtype=np.dtype(dtype))
    image.header.set_slope_inter(slope, inter)
    image.header.set_data_dtype(dtype)
    path = tmp_path / "scan.nii"
    # nibabel would undo the scaling on writing: the stored numbers go in by hand.
    stored = voxels.astype(image.header.get_data_dtype().newbyteorder(byte_order)).tobytes(order="F")
    image.header.set_data_offset(352)
    image.header["magic"] = b"n+1"
    path.write_bytes(image.header.binaryblock + b"\0" * 4 + stored)
    for normalize, standardize in itertools.product([True, False], repeat=2):
        expected, _ = nibabel_volume(path, normalize=normalize, standardize=standardize)
        actual = load_image(path, normalize=normalize, standardize=standardize)
        np.testing.assert_allclose(actual, expected, rtol=3e-6, atol=3e-6)


def test_voxels_clipped_and_scaled_span_zero_to_one_exactly(scan):
    volume = load_image(scan, standardize=False)
    assert (volume.min(), volume.max()) == (0, 1)


def test_voxels_standardised_have_mean_zero_and_variance_one(scan):
    volume = load_image(scan).astype(np.float64)
    assert volume.mean() == pytest.approx(0, abs=1e-6)
    assert volume.std() == pytest.approx(1, abs=1e-6)


@pytest.mark.parametrize(("slope", "inter"), [(1, 0), (2, -100)])
def test_voxels_that_are_nan_or_infinite_count_as_zero(slope, inter):
    """Zero is the scaled value, also where the header scales."""
    voxels = head().astype(np.float32)
    voxels[0, 0, :3] = np.nan, np.inf, -np.inf
    expected = voxels * slope + inter
    expected[0, 0, :3] = 0
    content = header_with(datatype=16, bitpix=32, scl_slope=slope, scl_inter=inter)[:352] + voxels.tobytes(order="F")
    np.testing.assert_array_equal(load_image(content, normalize=False, standardize=False), expected)


SPREADS = {
    np.float32: (1e-43, 1e-38, 1e-22, 1e10, 1e19, 1e38),
    np.float64: (1e-299, 1e-165, 1e-22, 1e19, 1e160, 1e299),
}


@pytest.mark.parametrize("offset", [0, 1, 1e6])
@pytest.mark.parametrize("dtype", SPREADS)
def test_voxels_of_any_magnitude_equal_the_float64_reference(dtype, offset):
    """Spreads whose squares neither float32 nor float64 holds; offsets of a million spreads."""
    for spread in SPREADS[dtype]:
        if offset * spread > float(np.finfo(dtype).max) / 2:
            continue
        voxels = (spread * (head((20, 21, 22)) / 9240 + offset)).astype(dtype)
        exact = scale_by_two(voxels.astype(np.float64))
        for options in ({}, {"normalize": False}, {"standardize": False}):
            actual = load_image(scan_bytes(voxels), **options)
            np.testing.assert_allclose(actual, normalise(exact, **options), rtol=0, atol=5e-6)


@pytest.mark.parametrize(("slope", "inter"), [(1e30, 0), (1e-38, 0), (1e-6, 1e6)])
def test_voxels_beyond_float32_are_refused_unless_they_are_normalised(slope, inter):
    """As they are they would all be infinite, 0 or a million."""
    voxels = (head() * 1e10 * (slope > 1) + head() * 1e-10 * (slope == 1e-38) + head() * 1e-3 * (inter > 0)).astype(
        np.float32
    )
    content = header_with(datatype=16, bitpix=32, scl_slope=slope, scl_inter=inter)[:352] + voxels.tobytes(order="F")
    with pytest.raises(
        ScanError, match=r"float32 can hold and tell apart, .* rescale the scan, or pass normalize=True"
    ):
        load_image(content, normalize=False, standardize=False)
    if inter == 0:  # else float64 has few digits of the values left, the stored numbers all
        np.testing.assert_allclose(load_image(content), normalise(voxels / voxels.max()), atol=5e-6)


@pytest.mark.parametrize("scale", [1e-304, 1e302])
@pytest.mark.parametrize("options", [{}, {"normalize": False}])
def test_voxels_beyond_the_bounds_of_a_spread_are_refused_with_the_bounds(scale, options):
    """float64 holds them and tells them apart; the inverse of their spread it does not hold well."""
    voxels = head((20, 21, 22)) * scale
    assert np.isfinite(voxels).all() and len(np.unique(voxels)) > 1000
    ends = "1st and 99th percentiles" if options == {} else "least and largest number"
    with pytest.raises(ScanError, match=rf"whose {ends} lie between 1e-300 and 1e\+300 apart, found \S+ and"):
        load_image(scan_bytes(voxels), **options)
    for factor in (1e-295, 1e290):
        assert np.isfinite(load_image(scan_bytes(head((20, 21, 22)) * factor))).all()


def test_voxels_that_are_nan_are_refused_where_no_stored_number_means_zero():
    voxels = head().astype(np.float32)
    voxels[0, 0, 0] = np.nan
    content = header_with(datatype=16, bitpix=32, scl_slope=1e-38, scl_inter=1000)[:352] + voxels.tobytes(order="F")
    with pytest.raises(ScanError, match="no stored number means 0"):
        load_image(content)


# Series


@pytest.mark.parametrize("modality", ["dMRI", "fMRI"])
@pytest.mark.parametrize("dtype", [np.int16, np.float32])
def test_voxels_of_a_series_are_its_mean(tmp_path, modality, dtype):
    series = np.random.default_rng(1).integers(0, 30_000, (6, 8, 10, 5)).astype(dtype)
    if dtype == np.float32:
        series[1, 2, 3, 4] = np.nan
    path = save(tmp_path / "series.nii.gz", series, np.diag([-1, 2, 4, 1.0]))
    for normalize, standardize in itertools.product([True, False], repeat=2):
        expected, _ = nibabel_volume(path, normalize=normalize, standardize=standardize)
        actual = load_image(path, modality, normalize, standardize)
        np.testing.assert_allclose(actual, expected, rtol=1e-6, atol=1e-6)


def test_voxels_of_a_single_volume_pass_for_every_modality(tmp_path):
    """A 4-D file with one volume is an sMRI scan; a 3-D file counts as a series of one."""
    path = save(tmp_path / "one.nii", head()[..., None])
    for modality in ("sMRI", "dMRI", "fMRI"):
        np.testing.assert_array_equal(
            load_image(path, modality), load_image(save(tmp_path / "3d.nii", head()), modality)
        )


def test_voxels_of_a_series_of_three_volumes_are_their_mean(tmp_path):
    """A short series of reverse phase encoding; a vector field says so by its intent, a colour by its number type."""
    series = np.random.default_rng(1).integers(0, 30_000, (6, 8, 10, 3)).astype(np.int16)
    path = save(tmp_path / "series.nii", series)
    for modality in ("dMRI", "fMRI"):
        check_header(path, modality)
        np.testing.assert_allclose(load_image(path, modality), nibabel_volume(path)[0], atol=3e-6)
    with pytest.raises(ScanError, match="expected one 3-D volume for sMRI, found 3"):
        load_image(path)
    for intent in (1004, 1005, 1007, 1010, 2003, 2004):
        image = nibabel.Nifti1Image(series, RAS_AFFINE)
        image.header["intent_code"] = intent
        with pytest.raises(ScanError, match=rf"vector or matrix field \(intent code {intent}\)"):
            load_image(image.to_bytes(), "dMRI")


def test_voxels_of_a_series_are_never_held_all_at_once(tmp_path):
    series = np.zeros((32, 32, 32, 60), np.int16)
    series[16:] = 100
    path = save(tmp_path / "series.nii.gz", series)
    tracemalloc.start()
    load_image(path, "fMRI")
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < series.nbytes


# Files


def test_voxels_from_bytes_equal_those_from_the_file(scan):
    np.testing.assert_array_equal(load_image(scan.read_bytes()), load_image(scan))
    np.testing.assert_array_equal(load_image(gzip.decompress(scan.read_bytes())), load_image(str(scan)))


def test_voxels_are_read_by_the_content_whatever_the_name_says(tmp_path, scan):
    (tmp_path / "really_gzip.nii").write_bytes(scan.read_bytes())
    (tmp_path / "really_plain.nii.gz").write_bytes(gzip.decompress(scan.read_bytes()))
    np.testing.assert_array_equal(load_image(tmp_path / "really_gzip.nii"), load_image(scan))
    np.testing.assert_array_equal(load_image(tmp_path / "really_plain.nii.gz"), load_image(scan))


def test_voxels_in_a_gzip_file_of_several_members_are_read(tmp_path, scan):
    plain = gzip.decompress(scan.read_bytes())
    (tmp_path / "members.nii.gz").write_bytes(gzip.compress(plain[:700]) + gzip.compress(plain[700:]))
    np.testing.assert_array_equal(load_image(tmp_path / "members.nii.gz"), load_image(scan))


def test_voxels_in_members_that_end_within_the_pieces_read_are_joined():
    """More voxels than are read at a time, in members of any length, one of them empty, and gzip's padding."""
    shape = (71, 83, 97)
    assert np.prod(shape) > 2 * scan_files.PIECE
    for dtype in ("u1", ">i2", "f4"):
        voxels = np.random.default_rng(0).integers(0, 200, shape).astype(dtype)
        voxels[:, :, :60] = 0
        image = nibabel.Nifti1Image(voxels, RAS_AFFINE, nibabel.Nifti1Header(endianness="<>"[dtype[0] == ">"]))
        plain = image.to_bytes()
        cuts = [0, 5, 5, 400, 300_001, 300_002, len(plain)]
        members = b"".join(gzip.compress(plain[start:stop], 1) for start, stop in itertools.pairwise(cuts))
        np.testing.assert_allclose(load_image(members + b"\0" * 99), normalise(voxels), atol=5e-6)
        with pytest.raises(ScanError, match="whole gzip file"):
            load_image(members[:-9])


@pytest.mark.parametrize("name", ["pair.hdr", "pair.img", "pair2.img"])
def test_voxels_of_a_header_and_image_pair_are_found_from_either_file(tmp_path, scan, name):
    save(tmp_path / "pair.img", head(), image_class=nibabel.Nifti1Pair)
    save(tmp_path / "pair2.img", head(), image_class=nibabel.Nifti2Pair)
    np.testing.assert_array_equal(load_image(tmp_path / name), load_image(scan))


@pytest.mark.parametrize("name", ["scan.mgz", "scan.mgh"])
def test_voxels_of_a_freesurfer_scan_equal_those_of_nifti(tmp_path, scan, name):
    """FreeSurfer stores big-endian numbers and, after the voxels, a footer."""
    save(tmp_path / name, head(), image_class=nibabel.MGHImage)
    np.testing.assert_array_equal(load_image(tmp_path / name), load_image(scan))


def test_voxels_of_a_file_that_states_no_offset_start_behind_its_header(scan):
    content = header_with(vox_offset=0)
    np.testing.assert_array_equal(load_image(content), load_image(scan))


def test_voxels_behind_a_header_extension_are_found(tmp_path, scan):
    image = nibabel.Nifti2Image(head(), RAS_AFFINE)
    image.header.extensions.append(nibabel.nifti1.Nifti1Extension("comment", b"scanned on a Tuesday" * 99))
    nibabel.save(image, tmp_path / "extended.nii.gz")
    np.testing.assert_array_equal(load_image(tmp_path / "extended.nii.gz"), load_image(scan))


def test_voxels_are_the_same_without_zlib_ng(scan, monkeypatch):
    monkeypatch.setitem(sys.modules, "zlib_ng.gzip_ng", None)
    plain = importlib.reload(inflate).GzipFile
    assert plain.__base__ is gzip.GzipFile
    monkeypatch.undo()
    assert importlib.reload(inflate).GzipFile.__base__ is not gzip.GzipFile
    fast = load_image(scan)
    monkeypatch.setattr(scan_files, "GzipFile", plain)
    np.testing.assert_array_equal(load_image(scan), fast)


# Refusals


def header_with(**fields) -> bytes:
    image = nibabel.Nifti1Image(head(), RAS_AFFINE)
    for field, value in fields.items():
        image.header[field] = value
    return image.header.binaryblock[:344] + b"n+1\0" + b"\0" * 4 + head().tobytes(order="F")


def scan_bytes(voxels, affine=RAS_AFFINE) -> bytes:
    return nibabel.Nifti1Image(voxels, affine).to_bytes()


PLAIN = scan_bytes(head())
PACKED = gzip.compress(PLAIN)
RGB = np.zeros((4, 4, 4), [("R", "u1"), ("G", "u1"), ("B", "u1")])
NEARLY_CONSTANT = np.eye(1, 1000, dtype=np.int16).reshape(10, 10, 10)
REFUSED = {
    "empty file": (b"", "found an empty file"),
    "text": (b"this is not a scan, but a sentence", "found a file that starts with b'this'"),
    "header cut short": (PLAIN[:200], "expected a header of 348 bytes, found 200"),
    "no voxels": (PLAIN[:352], "960 bytes of voxels .* cut short"),
    "voxels cut short": (PLAIN[:-1], "cut short"),
    "more voxels than stated": (PLAIN + b"\0", "found more"),
    "more packed voxels than stated": (gzip.compress(PLAIN + b"\0" * 10**6), "found more"),
    "gzip cut short": (PACKED[:-20], "whole gzip file"),
    "gzip header only": (PACKED[:12], "whole gzip file"),
    "gzip corrupt": (PACKED[:500] + bytes(64) + PACKED[564:], "whole gzip file"),
    "gzip checksum": (PACKED[:-8] + bytes(4) + PACKED[-4:], "whole gzip file"),
    "gzip length": (PACKED[:-4] + b"\1\0\0\0", "whole gzip file"),
    "gzip checksum of an earlier member": (
        gzip.compress(PLAIN[:700])[:-8] + bytes(4) + (700).to_bytes(4, "little") + gzip.compress(PLAIN[700:]),
        "whole gzip file",
    ),
    "fewer packed voxels than stated": (gzip.compress(PLAIN[:-1]), "960 bytes of voxels .* cut short"),
    "more voxels in a second member": (PACKED + gzip.compress(b"\0"), "found more"),
    "gzip with garbage behind": (PACKED + b"garbage", "whole gzip file"),
    "constant": (scan_bytes(np.full((4, 5, 6), 7, np.int16)), "the same value .7. in every voxel"),
    "nearly constant": (scan_bytes(NEARLY_CONSTANT), "nearly every voxel"),
    "beyond float64": (scan_bytes((head() - 240) * 7e305), "lie between 1e-300 and 1e\\+300 apart"),
    "all NaN": (scan_bytes(np.full((4, 5, 6), np.nan, np.float32)), "the same value .0. in every voxel"),
    "complex": (scan_bytes(head().astype(np.complex64)), "found complex numbers"),
    "colours": (scan_bytes(RGB), "found colours"),
    "two axes": (scan_bytes(head()[0]), "expected three axes"),
    "five axes": (scan_bytes(np.zeros((4, 4, 4, 2, 2), np.int16)), "volume or a series"),
    "series as sMRI": (scan_bytes(np.zeros((4, 4, 4, 5), np.int16)), "expected one 3-D volume for sMRI, found 5"),
    "no magic": (PLAIN[:344] + b"\0" * 4 + PLAIN[348:], "Analyze"),
    "unknown type code": (header_with(datatype=999), "valid header"),
    "axis of no voxels": (header_with(dim=[3, 0, 8, 10, 1, 1, 1, 1]), "at least one voxel"),
    "offset beyond the file": (header_with(vox_offset=1e9), "found the end of the file"),
    "offset NaN": (header_with(vox_offset=np.nan), "valid header"),
    "affine of zeros": (header_with(sform_code=1, srow_x=[0, 0, 0, 0]), "voxel size above 0 mm"),
    "affine of NaN": (header_with(sform_code=1, srow_y=[np.nan, 1, 0, 0]), "voxel size above 0 mm"),
    "vector intent": (header_with(intent_code=1007), "vector or matrix field"),
    "quaternion": (header_with(sform_code=0, qform_code=1, quatern_b=5), "quatern_b, _c and _d are at most 1 long"),
    "voxels of a kilometre": (header_with(srow_z=[0, 0, 1e6, 0]), "0.0001 to 100 mm .* voxels of 1 x 2 x 1e.06 mm"),
    "metres that are millimetres": (header_with(xyzt_units=1), "voxels of 1000 x 2000 x 4000 mm .* units of 1000 mm"),
    "room of a field of view": (header_with(srow_z=[0, 0, 99, 0], dim=[3, 6, 8, 30, 1, 1, 1, 1]), "6 x 16 x 2970 mm"),
    "needles": (header_with(srow_x=[5e-4, 0, 0, 0], srow_z=[0, 0, 9, 0]), "100000 times the thinnest .* 16 x 90 mm"),
    "CIFTI intent": (header_with(intent_code=3001), "CIFTI"),
    "header of a pair": (PLAIN[:344] + b"ni1\0" + PLAIN[348:], r"header of a \.hdr/\.img pair"),
}
BY_VALUES = ("constant", "nearly constant", "all NaN", "beyond float64")  # `check_header` does not read them


@pytest.mark.parametrize("case", REFUSED)
def test_voxels_refused(tmp_path, case):
    """Each broken scan is refused with the file's name and what was found, as a file and as bytes."""
    content, found = REFUSED[case]
    with pytest.raises(ScanError, match=rf"(?s)scan of {len(content)} bytes: .*{found}"):
        load_image(content)
    if case != "header of a pair":
        (tmp_path / "scan.nii").write_bytes(content)
        with pytest.raises(ScanError, match=rf"(?s)scan\.nii: .*{found}"):
            load_image(tmp_path / "scan.nii")


def test_voxels_of_a_pair_without_its_image_are_refused(tmp_path):
    save(tmp_path / "pair.img", head(), image_class=nibabel.Nifti1Pair)
    (tmp_path / "pair.img").unlink()
    with pytest.raises(ScanError, match=r"pair\.hdr: expected its voxels in pair\.img"):
        load_image(tmp_path / "pair.hdr")


def test_voxels_of_a_missing_file_or_a_folder_are_refused(tmp_path):
    with pytest.raises(ScanError, match=r"absent\.nii: expected a scan, found no such file"):
        load_image(tmp_path / "absent.nii")
    os.mkfifo(tmp_path / "pipe.nii")  # opening it would wait for its other end
    for path in (tmp_path, tmp_path / "pipe.nii"):
        with pytest.raises(ScanError, match=f"{path}: expected a readable file, found: .*"):
            load_image(path)


@pytest.mark.parametrize("name", ["nul\0.nii", "half_a_pair\ud800.nii"])
def test_voxels_at_what_can_be_no_path_are_refused(name):
    """JSON can hold such strings."""
    with pytest.raises(
        ScanError, match=r"expected a readable file, found: .* a path that no file can have"
    ) as refusal:
        load_image(name)
    assert str(refusal.value).isprintable()


def test_an_unknown_modality_is_refused(scan):
    with pytest.raises(ScanError, match="expected one of sMRI, dMRI, fMRI, found 'CT'"):
        load_image(scan, "CT")


def test_voxels_beyond_the_bound_are_refused_before_any_memory_is_taken(scan, monkeypatch):
    with pytest.raises(ScanError, match="at most 1073741824 voxels a volume, found 27000000000"):
        load_image(header_with(dim=[3, 3000, 3000, 3000, 1, 1, 1, 1]))
    monkeypatch.setenv("UMBRELLA_MAX_VOXELS", "479")
    with pytest.raises(ScanError, match="at most 479 voxels a volume, found 480"):
        load_image(scan)
    monkeypatch.setenv("UMBRELLA_MAX_VOXELS", "480")
    load_image(scan)
    monkeypatch.setenv("UMBRELLA_MAX_VOXELS", "a lot")
    with pytest.raises(ScanError, match="UMBRELLA_MAX_VOXELS: expected a whole number of voxels, found 'a lot'"):
        load_image(scan)


def test_voxels_that_memory_does_not_hold_are_refused_by_name(tmp_path, monkeypatch):
    """282 terabytes: more than a process can address."""
    monkeypatch.setenv("UMBRELLA_MAX_VOXELS", str(32767**3))
    fields = {f"srow_{axis}": np.eye(3, 4)[i] * 0.05 for i, axis in enumerate("xyz")}
    content = header_with(dim=[3, 32767, 32767, 32767, 1, 1, 1, 1], datatype=64, bitpix=64, **fields)
    (tmp_path / "scan.nii").write_bytes(content)
    with pytest.raises(
        ScanError, match=r"scan\.nii: expected a volume that fits into memory, .* 35181150961663 voxels"
    ):
        load_image(tmp_path / "scan.nii")


@pytest.mark.slow
@pytest.mark.parametrize("image_class", [nibabel.Nifti1Image, nibabel.Nifti2Image, nibabel.MGHImage])
def test_voxels_under_a_damaged_header_load_or_are_refused_and_nothing_else(image_class):
    """Whatever three bytes of the header are overwritten with: never another exception, never a NaN."""
    whole = image_class(head(), RAS_AFFINE).to_bytes()
    rng = np.random.default_rng(0)
    for _ in range(400):
        content = bytearray(whole)
        for position in rng.integers(0, 284, size=3):
            content[position] = rng.integers(256)
        with warnings.catch_warnings(), contextlib.suppress(ScanError):
            warnings.simplefilter("ignore")
            volume, spacing_mm = load_volume(bytes(content), "fMRI")
            assert np.isfinite(volume).all()
            assert np.isfinite(spacing_mm).all()


# check_header


def test_check_header_passes_a_good_scan_and_reads_no_voxels(tmp_path):
    check_header(save(tmp_path / "scan.nii", head()), "sMRI")
    (tmp_path / "packed.nii.gz").write_bytes(gzip.compress(PLAIN[:352] + b"\1" * 10))
    check_header(tmp_path / "packed.nii.gz")


@pytest.mark.parametrize(
    "case", [case for case, (content, _) in REFUSED.items() if content[:2] != PACKED[:2] and case not in BY_VALUES]
)
def test_check_header_refuses(case):
    """Whatever a header alone tells to be wrong."""
    content, found = REFUSED[case]
    with pytest.raises(ScanError, match=rf"(?s){found if 'cut short' not in found else 'cut short'}"):
        check_header(content, "sMRI")


def test_check_header_refuses_a_series_for_smri_only(tmp_path):
    path = save(tmp_path / "series.nii", np.zeros((4, 4, 4, 5), np.int16))
    check_header(path)
    check_header(path, "fMRI")
    with pytest.raises(ScanError, match="sMRI"):
        check_header(path, "sMRI")


def test_voxels_before_the_files_start_are_refused(tmp_path):
    voxels = np.arange(60, dtype=np.int16).reshape(3, 4, 5)
    nibabel.Nifti2Pair(voxels, np.eye(4)).to_filename(tmp_path / "x.img")
    data = bytearray((tmp_path / "x.hdr").read_bytes())
    data[168:176] = (-2).to_bytes(8, "little", signed=True)
    (tmp_path / "x.hdr").write_bytes(data)
    for read in (check_header, load_image):
        with pytest.raises(ScanError, match=r"x\.hdr: expected vox_offset 0 or more, found -2"):
            read(tmp_path / "x.hdr", "sMRI")
