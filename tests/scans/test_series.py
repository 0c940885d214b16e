"""Frames of a series: only what is needed is read, held as it is stored, with one map of intensities."""

import gzip
import io
import tracemalloc

import nibabel
import numpy as np
import pytest

from umbrella.scans import scan_files
from umbrella.scans.gradients import read_b_values
from umbrella.scans.series import read_series
from umbrella.scans.volumes import ScanError, load_volume

SHAPE, AFFINE = (9, 8, 7, 12), np.diag([-2.0, 2.5, 3.0, 1.0])


def make_series(dtype=np.int16, shape=SHAPE):
    return np.random.default_rng(0).integers(0, 1000, shape).astype(dtype)


def save(path, voxels, image_class=nibabel.Nifti1Image):
    nibabel.save(image_class(voxels, AFFINE), path)
    return path


def choose(*frames):
    return lambda header: [list(frame) if isinstance(frame, tuple) else [frame] for frame in frames]


@pytest.mark.parametrize("dtype", [np.uint8, np.int16, np.float32, np.dtype(">i2"), np.float64])
@pytest.mark.parametrize("end", [".nii", ".nii.gz", ".img", ".mgz", ".mgh"])
def test_frames_are_those_volumes_with_the_map_of_all_of_them(tmp_path, dtype, end):
    if end.startswith(".mg") and np.dtype(dtype).char not in "Bhf":
        pytest.skip("FreeSurfer knows no such numbers")
    image_class = {".img": nibabel.Nifti1Pair, ".mgz": nibabel.MGHImage, ".mgh": nibabel.MGHImage}
    voxels = make_series(dtype)
    path = save(tmp_path / f"scan{end}", voxels, image_class.get(end, nibabel.Nifti1Image))
    series = read_series(path, "fMRI", choose(1, 4, 11), True, True)
    expected = voxels[::-1][..., [1, 4, 11]].astype(np.float64)
    np.testing.assert_array_equal(np.moveaxis(series.stored, 0, -1), expected)
    assert series.stored.dtype == np.dtype(dtype).newbyteorder("=")
    low, high = np.percentile(expected, [1, 99])
    clipped = expected.clip(low, high)
    normal = (clipped - clipped.mean()) / clipped.std()
    np.testing.assert_allclose(np.moveaxis(series.intensity.apply(series.stored), 0, -1), normal, atol=1e-5)
    np.testing.assert_allclose(series.affine, nibabel.as_closest_canonical(nibabel.load(path)).affine)


def test_a_frame_of_several_volumes_is_their_mean_wherever_they_lie(tmp_path):
    voxels = make_series()
    for path in (save(tmp_path / "scan.nii.gz", voxels), save(tmp_path / "scan.nii", voxels)):
        series = read_series(path, "dMRI", choose((0, 5, 11), 3, 7), True, True)
        expected = np.stack([voxels[..., [0, 5, 11]].mean(axis=-1), voxels[..., 3], voxels[..., 7]])[:, ::-1]
        np.testing.assert_allclose(series.stored, expected, rtol=1e-6)
        assert series.stored.dtype == np.float32


def test_the_mean_over_time_and_a_single_volume_are_those_of_load_volume(tmp_path):
    for voxels in (make_series(), make_series(shape=SHAPE[:3])):
        path = save(tmp_path / "scan.nii.gz", voxels)
        series = read_series(path, "fMRI", None if voxels.ndim == 4 else choose(99), True, True)
        np.testing.assert_array_equal(series.intensity.apply(series.stored[0]), load_volume(path, "fMRI")[0])


class CountingFile(io.FileIO):
    n_read = 0

    def readinto(self, buffer):
        n = super().readinto(buffer)
        CountingFile.n_read += n or 0
        return n

    def read(self, size=-1):
        piece = super().read(size)
        CountingFile.n_read += len(piece)
        return piece


@pytest.mark.parametrize("image_class", [nibabel.Nifti1Image, nibabel.Nifti1Pair])
def test_of_an_uncompressed_file_only_the_frames_are_read(tmp_path, monkeypatch, image_class):
    shape = (32, 32, 16, 40)
    voxels = make_series(shape=shape)
    path = save(tmp_path / ("scan.nii" if image_class is nibabel.Nifti1Image else "scan.img"), voxels, image_class)
    monkeypatch.setattr(scan_files, "open_inside", lambda path, root: io.BufferedReader(CountingFile(path)))
    CountingFile.n_read = 0
    series = read_series(path, "fMRI", choose(3, 20, 39), True, True)
    np.testing.assert_array_equal(np.moveaxis(series.stored, 0, -1), voxels[::-1][..., [3, 20, 39]])
    of_a_volume = 2 * np.prod(shape[:3])
    assert 3 * of_a_volume <= CountingFile.n_read < 3.9 * of_a_volume  # the header, and what is read ahead


@pytest.mark.slow
def test_of_a_compressed_file_the_frames_alone_are_held(tmp_path):
    voxels = make_series(shape=(48, 48, 24, 150))
    path = save(tmp_path / "scan.nii.gz", voxels)
    tracemalloc.start()
    read_series(path, "fMRI", choose(3, 20, 39), True, True)
    _, most = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert most < 0.5 * voxels.nbytes  # mostly what counts intensities


@pytest.mark.parametrize("end", [".nii", ".nii.gz"])
@pytest.mark.parametrize("lost", [1, 5000])
def test_a_file_cut_short_behind_the_frames_is_refused(tmp_path, end, lost):
    path = save(tmp_path / f"scan{end}", make_series())
    content = path.read_bytes() if end == ".nii" else gzip.decompress(path.read_bytes())
    cut = content[:-lost]
    path.write_bytes(cut if end == ".nii" else gzip.compress(cut))
    with pytest.raises(ScanError, match="cut short"):
        read_series(path, "fMRI", choose(0, 1), True, True)
    path.write_bytes(content + b"\0" if end == ".nii" else gzip.compress(content + b"\0"))
    with pytest.raises(ScanError, match="found more"):
        read_series(path, "fMRI", choose(0, 1), True, True)


def test_a_damaged_checksum_behind_the_frames_is_found(tmp_path):
    path = save(tmp_path / "scan.nii.gz", make_series())
    content = bytearray(path.read_bytes())
    content[-6] ^= 255
    path.write_bytes(content)
    with pytest.raises(ScanError, match="gzip"):
        read_series(path, "fMRI", choose(0), True, True)


# ---------------------------------------------------------------------------------------------- b-values


@pytest.mark.parametrize("name", ["scan.nii", "scan.nii.gz", "scan.img", "scan.hdr"])
@pytest.mark.parametrize("text", ["0 1000 5 2000\n", "0\n1000\n5\n2000", "0\t1e3  5.0 2000 "])
def test_b_values_are_read_beside_the_scan_in_a_line_or_a_column(tmp_path, name, text):
    (tmp_path / "scan.bval").write_text(text)
    assert read_b_values(tmp_path / name, 4).tolist() == [0, 1000, 5, 2000]


def test_without_a_file_by_the_scans_own_name_there_are_none(tmp_path):
    (tmp_path / "other.bval").write_text("0 1000")
    assert read_b_values(tmp_path / "scan.nii.gz", 2) is None
    assert read_b_values(tmp_path / "scan.mgz", 2) is None
    assert read_b_values(b"bytes", 2) is None


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("0 1000", "found 2"),
        ("", "found 0"),
        ("0 b 3", "could not convert"),
        ("0 -5 3", "found -5"),
        ("0 nan 3", "nan"),
    ],
)
def test_b_values_that_do_not_fit_are_refused_with_a_remedy_that_works(tmp_path, text, found):
    (tmp_path / "scan.bval").write_text(text)
    with pytest.raises(ScanError, match=rf"scan\.bval: expected a b-value .* 3 volumes of scan\.nii.*{found}"):
        read_b_values(tmp_path / "scan.nii", 3)
    (tmp_path / "scan.bval").unlink()
    assert read_b_values(tmp_path / "scan.nii", 3) is None


def test_b_values_outside_the_folder_that_the_scan_is_held_to_are_not_read(tmp_path):
    (tmp_path / "inside").mkdir()
    (tmp_path / "secret.txt").write_text("0 1000")
    (tmp_path / "inside" / "scan.bval").symlink_to(tmp_path / "secret.txt")
    with pytest.raises(ScanError, match="leads out of"):
        read_b_values(f"{tmp_path}/inside/././scan.nii", 2)
