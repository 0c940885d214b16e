"""Pictures of scans: letters beside them are the subject's sides, the pixels the model's; each scan has its role."""

import base64
import io
import itertools

import nibabel as nib
import numpy as np
import pytest
from nibabel.orientations import axcodes2ornt, io_orientation, ornt_transform
from PIL import Image

from umbrella.report.pictures import N_PLANES, draw_scan, draw_volume
from umbrella.report.scan_roles import name_roles
from umbrella.scans.survey import states_orientation
from umbrella.views.loading import load_view

# Every order in which an array may be stored: an axis each for left-right, back-front and bottom-top, either way.
STORAGE_ORDERS = [
    "".join(pair[way] for pair, way in zip(pairs, ways, strict=True))
    for pairs in itertools.permutations(("RL", "AP", "SI"))
    for ways in itertools.product((0, 1), repeat=3)
]
VIEWS = ("axial", "coronal", "sagittal", "triplanar", "slices:3", "montage:2")


def read_pixels(picture):
    return np.asarray(Image.open(io.BytesIO(base64.b64decode(picture.address.split(",")[1]))))


def write_lopsided_head(path, codes):
    """A head with one side and its front or back brighter, stored in the order `codes`; nibabel's word for where the
    bright voxels are: ("L" or "R", "A" or "P")."""
    rng = np.random.default_rng(len(codes) + sum(map(ord, codes)))
    right, front = rng.random(2) < 0.5
    voxels = np.full((20, 26, 16), 100.0, np.float32)
    voxels[slice(12, None) if right else slice(0, 8)] += 300
    voxels[:, slice(16, None) if front else slice(0, 10)] += 300
    made = nib.Nifti1Image(voxels, np.diag([2.0, 1.5, 3.0, 1.0]))
    turn = ornt_transform(io_orientation(made.affine), axcodes2ornt(codes))
    nib.save(made.as_reoriented(turn), path)
    stored = nib.load(path)
    assert "".join(nib.aff2axcodes(stored.affine)) == codes
    values = stored.get_fdata()
    everywhere = nib.affines.apply_affine(stored.affine, np.argwhere(values > 0)).mean(axis=0)
    bright = nib.affines.apply_affine(stored.affine, np.argwhere(values > 500)).mean(axis=0)
    x, y, _ = bright - everywhere  # mm to the right and to the front, by the NIfTI standard
    return ("R" if x > 0 else "L"), ("A" if y > 0 else "P")


@pytest.mark.slow
def test_the_letters_are_the_subjects_sides_for_every_storage_order_and_view(tmp_path):
    assert len(set(STORAGE_ORDERS)) == 48
    seen = set()
    for number, codes in enumerate(STORAGE_ORDERS):
        path = tmp_path / f"{codes}.nii"
        sides = write_lopsided_head(path, codes)
        seen.add(sides)
        for view in VIEWS if number % 8 == 0 else ("triplanar",):  # which has all three planes
            for picture in draw_scan(load_view(path, "sMRI", view, 32), view, states_orientation(path)):
                slices_across = 2 if view == "montage:2" else 1
                columns = read_pixels(picture).sum(axis=0).reshape(slices_across, -1).sum(axis=0)
                left, right = columns[: len(columns) // 2].sum(), columns[len(columns) // 2 :].sum()
                bright = picture.left if left > right else picture.right
                assert bright in sides, (codes, view, picture.name)
                if {picture.left, picture.right} == {"A", "P"}:
                    assert view == "sagittal" or picture.name == "sagittal"
    assert len(seen) == 4  # both sides and both ends were bright once


def test_a_volume_is_shown_by_three_planes_whose_letters_are_the_subjects_sides(tmp_path):
    seen = set()
    for codes in STORAGE_ORDERS[::5]:
        path = tmp_path / f"{codes}.nii"
        sides = write_lopsided_head(path, codes)
        seen.add(sides)
        view = load_view(path, "sMRI", "volume", volume_size="24x20x24", volume_spacing=2.0)
        pictures = draw_scan(view, "volume", states_orientation(path))
        assert [picture.name for picture in pictures] == ["axial", "coronal", "sagittal"]
        assert [read_pixels(picture).shape for picture in pictures] == [(20, 24), (24, 24), (24, 20)]
        for picture in pictures:
            columns = read_pixels(picture).sum(axis=0, dtype=int)
            left, right = columns[: len(columns) // 2].sum(), columns[len(columns) // 2 :].sum()
            assert (picture.left if left > right else picture.right) in sides, (codes, picture.name)
        rows = read_pixels(pictures[0]).sum(axis=1, dtype=int)
        front, back = rows[: len(rows) // 2].sum(), rows[len(rows) // 2 :].sum()
        assert ("A" if front > back else "P") in sides, codes  # up is the front
    assert len(seen) == 4


def test_planes_and_frames_of_a_series_are_those_of_its_grid():
    series = np.random.default_rng(0).random((8, 4, 5, 6), np.float32)
    pictures = draw_volume(series, sides_known=True, voxel=(1, 2, 3))
    frames = [1, 2, 3, 5, 6, 8]
    assert [picture.name for picture in pictures[N_PLANES:]] == [f"frame {n} of 8" for n in frames]
    scaled = ((series - series.min()) / (series.max() - series.min()) * 255).round()  # one scale: frames compare
    middle = scaled[4]
    for picture, plane in zip(pictures, (middle[:, :, 3], middle[:, 2], middle[1]), strict=False):
        assert np.array_equal(read_pixels(picture), plane.T[::-1])
    for picture, n in zip(pictures[N_PLANES:], frames, strict=True):
        assert np.array_equal(read_pixels(picture), scaled[n - 1, :, :, 3].T[::-1])
        assert (picture.left, picture.right) == ("L", "R")
    still = draw_volume(series[:1], sides_known=False)
    assert [(picture.left, picture.right) for picture in still] == [("?", "?")] * 3
    one = series[0]
    ends = (one - one.min()) / (one.max() - one.min()) * 255
    assert np.array_equal(read_pixels(still[0]), ends.round()[:, :, 3].T[::-1])  # the middle of 6 is 3


def test_sides_that_no_header_states_are_not_claimed(tmp_path):
    image = nib.Nifti1Image(np.random.default_rng(0).random((8, 9, 10), np.float32), None)
    assert (image.header["sform_code"], image.header["qform_code"]) == (0, 0)
    nib.save(image, tmp_path / "scan.nii")
    with pytest.warns(UserWarning, match="neither sform nor qform is set"):
        views = load_view(tmp_path / "scan.nii", "sMRI", "triplanar", 16)
    pictures = draw_scan(views, "triplanar", states_orientation(tmp_path / "scan.nii"))
    assert [(picture.left, picture.right) for picture in pictures] == [("?", "?")] * 3


@pytest.mark.parametrize(
    "view, names",
    [
        ("axial", [""]),
        ("triplanar", ["axial", "coronal", "sagittal"]),
        ("slices:3", ["1 of 3", "2 of 3", "3 of 3"]),
        ("montage:2", [""]),
    ],
)
def test_the_pixels_are_those_of_the_view_and_each_picture_says_which_it_is(view, names, tmp_path):
    write_lopsided_head(tmp_path / "scan.nii", "LIA")
    views = load_view(tmp_path / "scan.nii", "sMRI", view, 32)
    pictures = draw_scan(views, view, sides_known=True)
    assert [picture.name for picture in pictures] == names
    shown = views[0] if view == "triplanar" else views[:, 0]
    for picture, image in zip(pictures, shown, strict=True):
        expected = (image - image.min()) / (image.max() - image.min()) * 255
        np.testing.assert_array_equal(read_pixels(picture), expected.round().astype(np.uint8))


def test_of_many_slices_nine_are_drawn_and_say_which_they_are():
    pictures = draw_scan(np.random.default_rng(0).random((17, 3, 8, 8)), "slices:17", True)
    assert [picture.name for picture in pictures] == [f"{i} of 17" for i in range(1, 18, 2)]


SUBJECT, BOTH = "the subject's scan", "reference, of the same subject"


@pytest.mark.parametrize(
    "owners, subject, reference, roles",
    [
        (["a"], "a", None, [""]),
        ([], "a", None, []),
        (["b", "a"], "a", "b", ["reference", SUBJECT]),
        (["a", "b"], "a", "b", [SUBJECT, "reference"]),  # by whose they are, not by their place
        (["b", "c", "a"], "a", "b", ["reference", "reference", SUBJECT]),
        (["b", "b", "a", "a"], "a", "b", ["reference", "reference", SUBJECT, SUBJECT]),  # two scans a visit
        (["a", "a"], "a", "a", [BOTH, SUBJECT]),  # the subject's first visit and another
        (["a", "a", "a"], "a", "a", ["scan 1 of 3", "scan 2 of 3", "scan 3 of 3"]),
        (["a", "a"], "a", None, ["scan 1 of 2", "scan 2 of 2"]),  # two modalities, no reference
    ],
)
def test_a_scan_is_called_what_its_row_says_it_is(owners, subject, reference, roles):
    row = {"images": [{}] * len(owners), "subject_ids": owners}
    assert name_roles(row | {"metadata": {"subject_id": subject, "reference_id": reference}}) == roles


def test_subjects_that_are_named_once_each_leave_two_scans_in_their_order_and_number_more():
    row = {"subject_ids": ["b", "a"], "metadata": {"subject_id": "a", "reference_id": "b"}}
    assert name_roles(row | {"images": [{}] * 2}) == ["reference", SUBJECT]
    assert name_roles(row | {"images": [{}] * 4}) == [f"scan {number} of 4" for number in range(1, 5)]
    unnamed = {"subject_ids": ["x", "y"], "metadata": {"subject_id": None, "reference_id": "b"}}
    assert name_roles(unnamed | {"images": [{}] * 2}) == ["reference", SUBJECT]
