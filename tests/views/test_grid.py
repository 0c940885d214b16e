"""The view "volume": a scan on an isotropic grid as SimpleITK and MONAI resample it, centred on the head."""

import itertools

import nibabel
import numpy as np
import pytest
from grid_oracles import monai_grid, simpleitk_grid
from nibabel.affines import from_matvec
from nibabel.eulerangles import euler2mat
from nibabel.orientations import apply_orientation, inv_ornt_aff

from umbrella.scans.intensity import IntensityMap
from umbrella.scans.series import read_series
from umbrella.scans.volumes import load_volume
from umbrella.views.grid import Grid, place_grid, sample_grid
from umbrella.views.loading import load_grid, measure_cut
from umbrella.views.settings import ViewSettings

AS_IT_IS = IntensityMap(0.0, 1.0, 0.0, 10.0)
TURN = euler2mat(0.2, -0.15, 0.3)
SPACING_MM = [1.0, 1.5, 4.0]


def noise(shape, seed=0) -> np.ndarray:
    return np.random.default_rng(seed).normal(0, 1, shape).astype(np.float32)


def make_head(shape=(40, 44, 36), spacing_mm=(1, 1, 1), centre=(0, 0, 0), radii_mm=(13, 16, 12), seed=0) -> np.ndarray:
    """An ellipsoid of tissue in noisy air, `centre` mm from the array's middle."""
    axes = [(np.arange(n) - (n - 1) / 2) * mm for n, mm in zip(shape, spacing_mm, strict=True)]
    points = np.stack(np.meshgrid(*axes, indexing="ij"), -1)
    inside = (((points - centre) / radii_mm) ** 2).sum(axis=-1) < 1
    rng = np.random.default_rng(seed)
    return np.where(inside, rng.uniform(300, 900, shape), rng.uniform(0, 30, shape)).astype(np.int16)


def save(path, voxels, affine):
    nibabel.save(nibabel.Nifti1Image(voxels, affine), path)
    return path


def settings(size="16x18x14", spacing=2.0, **options):
    return ViewSettings(view="volume", volume_size=size, volume_spacing=spacing, **options)


def find_grid(path, size, spacing_mm):
    series = read_series(path, "sMRI", None, True, True)
    return place_grid(series.stored, series.affine, size, spacing_mm, series.intensity)[0]


# ---------------------------------------------------------------------------------------------- as others resample


CASES = {  # voxels of the scan in mm, their turn, the grid's spacing in mm and size, its points a voxel
    "whole voxels": ((1, 1, 1), np.eye(3), 2, (12, 14, 10), (2, 2, 2)),
    "whole voxels of several sizes": ((1, 0.5, 2), np.eye(3), 2, (12, 8, 20), (2, 4, 1)),
    "shares of voxels": ((0.9, 1.1, 1.3), np.eye(3), 2, (12, 14, 10), (3, 2, 2)),
    "a finer grid": ((3, 2.5, 4), np.eye(3), 2, (30, 28, 44), (1, 1, 1)),
    "thick slices": ((1, 1, 5), np.eye(3), 2, (12, 14, 40), (2, 2, 1)),
    "an oblique scan": ((1, 1, 1), TURN, 2, (12, 14, 10), (2, 2, 2)),
    "oblique thick slices": ((1, 1.5, 4), TURN, 2, (12, 18, 40), (2, 2, 1)),
    "tiny voxels": ((0.05, 0.05, 0.05), np.eye(3), 0.4, (4, 5, 4), (8, 8, 8)),
    "tiny oblique voxels": ((0.05, 0.05, 0.05), TURN, 0.4, (4, 5, 4), (8, 8, 8)),
    "huge voxels": ((30, 40, 47), np.eye(3), 20, (30, 40, 50), (1, 1, 1)),
}


def check_against_others(volume, intensity, affine, grid, n_points, tolerance):
    """In units of the mapped values' deviation."""
    assert grid.count_points(affine).tolist() == list(n_points)
    (actual,) = sample_grid(volume[None], affine, grid, intensity)
    mapped = ((volume.astype(np.float64) - intensity.center) * intensity.gain).clip(intensity.low, intensity.high)
    assert mapped.min() == intensity.low  # which stands beyond the field of view
    of_grid = (affine, grid.size, grid.spacing_mm, grid.centre_mm, n_points)
    np.testing.assert_allclose(actual, simpleitk_grid(mapped, *of_grid), atol=tolerance)
    ones = np.ones(volume.shape)
    ones.flat[0] = 0
    inside = simpleitk_grid(ones, *of_grid) > 1 - 1e-6  # beyond, MONAI repeats the outermost voxels
    assert inside.any()
    np.testing.assert_allclose(actual[inside], monai_grid(mapped, *of_grid)[inside], atol=tolerance)


@pytest.mark.parametrize(("zooms", "turn", "spacing_mm", "size", "n_points"), CASES.values(), ids=CASES)
def test_a_grid_equals_simpleitk_and_monai(zooms, turn, spacing_mm, size, n_points):
    """Of noise, the hardest there is: to 1e-5 of its deviation along the axes, to 2e-4 across."""
    volume = noise((23, 26, 19))
    affine = from_matvec(turn @ np.diag(zooms).astype(float), [5.0, -7.0, 3.0])
    centre_mm = affine[:3, :3] @ [11.5, 12.5, 9] + affine[:3, 3]
    tolerance = 2e-4 if turn is TURN else 1e-5
    intensity = IntensityMap(0.1, 1.1, -2.4, 2.2)
    check_against_others(volume, intensity, affine, Grid(size, spacing_mm, centre_mm), n_points, tolerance)


@pytest.mark.parametrize("dtype", ["uint8", "int16", "uint16", "int32", "float32", "float64"])
@pytest.mark.parametrize("high", [200.0, 199.6])  # a percentile that is no whole number cannot clip integers
@pytest.mark.parametrize("gain", [0.02, -0.02])
def test_a_grid_of_every_number_type_equals_simpleitk_and_monai(dtype, high, gain):
    volume = (50 * noise((14, 16, 18)) + 120).clip(0, 255).astype(dtype)
    ends = [(20 - 110) * gain, (high - 110) * gain]
    intensity = IntensityMap(110.0, gain, min(ends), max(ends))
    volume[0, 0, :2] = 0, 255
    affine = from_matvec(np.diag([-1.0, 1, 1]), [5.0, -7.0, 3.0])  # stored from right to left
    centre_mm = affine[:3, :3] @ [6.5, 7.5, 8.5] + affine[:3, 3]
    flipped, of_flipped = volume[::-1], affine @ inv_ornt_aff([[0, -1], [1, 1], [2, 1]], volume.shape)
    check_against_others(flipped, intensity, of_flipped, Grid((6, 9, 7), 2.0, centre_mm), (2, 2, 2), 1e-5)


@pytest.mark.parametrize("turn", [np.eye(3), TURN], ids=["along the axes", "oblique"])
def test_a_scan_in_any_of_the_48_orders_gives_the_same_view(tmp_path, turn):
    head, affine = make_head((16, 20, 12), SPACING_MM, (2, -3, 4), (5, 9, 14)), from_matvec(turn @ np.diag(SPACING_MM))
    expected = load_grid(save(tmp_path / "ras.nii", head, affine), "sMRI", settings())
    assert expected.dtype == np.float32 and expected.flags.c_contiguous
    for axes in itertools.permutations(range(3)):
        for flips in itertools.product([1, -1], repeat=3):
            order = np.array(list(zip(axes, flips, strict=True)))
            stored = apply_orientation(head, order)
            path = save(tmp_path / "stored.nii", stored, affine @ inv_ornt_aff(order, head.shape))
            view = load_grid(path, "sMRI", settings())
            np.testing.assert_allclose(view, expected, atol=1e-6 if turn is not TURN else 1e-4)


def test_a_scan_that_is_turned_by_almost_nothing_looks_as_one_that_is_not():
    """Points along the axes and across them are two ways to the same; noise changes by angle times distance."""
    volume, grid = np.abs(noise((31, 34, 28)))[None], Grid((12, 14, 10), 2.0, np.array([15.0, 16.5, 13.0]))
    for zooms in ([1, 1, 1], [1, 0.8, 2.6], [4, 3, 5]):
        straight = sample_grid(volume, np.diag([*zooms, 1.0]), grid, AS_IT_IS)
        for angle in (1e-4, 1e-5):
            turned = sample_grid(volume, from_matvec(euler2mat(angle, angle, angle) @ np.diag(zooms)), grid, AS_IT_IS)
            assert 0 < np.abs(turned - straight).max() < 200 * angle


@pytest.mark.parametrize("normalize", [True, False])
@pytest.mark.parametrize("spacing", [2.0, 1.7])
def test_a_view_equals_the_volume_that_simpleitk_resamples(tmp_path, normalize, spacing):
    """From the file on: intensities of the whole volume first, then the grid."""
    affine = from_matvec(np.diag([-1.0, 1.0, 1.5]), [20, -30, 4])
    path = save(tmp_path / "scan.nii.gz", make_head((40, 44, 30), (1, 1, 1.5)), affine)
    view = load_grid(path, "sMRI", settings("18x20x24", spacing, normalize=normalize))
    volume, _ = load_volume(path, normalize=normalize)
    of_volume = nibabel.as_closest_canonical(nibabel.load(path)).affine
    grid = find_grid(path, (18, 20, 24), spacing)
    n_points = grid.count_points(of_volume)
    expected = simpleitk_grid(volume, of_volume, grid.size, spacing, grid.centre_mm, n_points)
    np.testing.assert_allclose(view[0], expected, atol=2e-5)


# ---------------------------------------------------------------------------------------------- true to the millimetre


@pytest.mark.parametrize("turn", [np.eye(3), TURN], ids=["along the axes", "oblique"])
def test_a_sphere_stays_round_and_a_point_stays_where_its_millimetres_say(turn):
    shape, zooms, radius_mm = (60, 50, 18), [1.0, 1.3, 4.0], 20.0
    affine = from_matvec(turn @ np.diag(zooms), [-31.0, -28.0, -33.0])
    index = np.stack(np.meshgrid(*map(np.arange, shape), indexing="ij"), -1)
    at_mm, centre_mm = index @ affine[:3, :3].T + affine[:3, 3], affine[:3, :3] @ [30, 24, 9] + affine[:3, 3]
    sphere = np.clip(radius_mm + 0.5 - np.linalg.norm(at_mm - centre_mm, axis=-1), 0, 1).astype(np.float32)
    grid = Grid((32, 36, 30), 2.0, centre_mm + np.array([1.0, -2.0, 3.0]))
    (view,) = sample_grid(sphere[None], affine, grid, AS_IT_IS)
    axes = [(np.arange(n) - (n - 1) / 2) * 2.0 for n in grid.size]
    places = np.stack(np.meshgrid(*axes, indexing="ij"), -1)
    found_mm = (places * view[..., None]).sum(axis=(0, 1, 2)) / view.sum()
    np.testing.assert_allclose(found_mm + grid.centre_mm, centre_mm, atol=0.1)
    spread_mm = np.sqrt(((places - found_mm) ** 2 * view[..., None]).sum(axis=(0, 1, 2)) / view.sum())
    np.testing.assert_allclose(spread_mm, radius_mm / np.sqrt(5), atol=0.2)  # of a ball, along every axis


def test_what_lies_beyond_the_field_of_view_is_the_minimum_and_what_is_too_large_is_cropped():
    head = make_head((20, 22, 18), radii_mm=(8, 9, 7)).astype(np.float32)
    intensity = IntensityMap(300.0, 0.01, -3.0, 6.0)
    grid, _ = place_grid(head[None], np.eye(4), (20, 4, 9), 2.0, intensity)
    (view,) = sample_grid(head[None], np.eye(4), grid, intensity)
    assert np.all(view[:5] == -3.0) and np.all(view[-5:] == -3.0) and view[6:-6, :, 2:-2].min() > -3.0
    inner = intensity.apply(head)[:, 6:-6]  # 4 of 11 voxels of 2 mm
    blocks = inner[:, 1:9, :].reshape(10, 2, 4, 2, 9, 2).mean(axis=(1, 3, 5))
    np.testing.assert_allclose(view[5:-5], blocks, atol=1e-5)


@pytest.mark.parametrize("axis", [0, 1, 2])
@pytest.mark.parametrize("turn", [np.eye(3), TURN], ids=["along the axes", "oblique"])
def test_a_scan_of_one_slice_stands_as_thick_as_it_is(axis, turn):
    shape, zooms = np.full(3, 20), np.full(3, 1.0)
    shape[axis], zooms[axis] = 1, 8.0
    affine = from_matvec(turn @ np.diag(zooms))
    grid = Grid((24, 24, 24), 0.5, affine[:3, :3] @ ((shape - 1) / 2))
    (view,) = sample_grid(np.ones((1, *shape), np.float32), affine, grid, IntensityMap(0.0, 1.0, 0.0, 1.0))
    assert set(np.unique(np.round(view, 5))) <= {0, 1}
    np.testing.assert_allclose(view.sum() * 0.125, 12 * 12 * 8, rtol=0.05) if turn is not TURN else None
    assert view[12, 12, 12] == pytest.approx(1)


# ---------------------------------------------------------------------------------------------- centred on the head


def find_middle(head, spacing_mm=(1, 1, 1), size=(16, 18, 14)):
    """Where the grid's middle lies, in mm from the array's."""
    affine = np.diag([*spacing_mm, 1.0])
    grid, _ = place_grid(head[None], affine, size, 2.0, IntensityMap(float(head.min()), 1 / np.ptp(head), 0.0, 1.0))
    return grid.centre_mm - (np.array(head.shape) - 1) / 2 * spacing_mm


@pytest.mark.parametrize("spacing_mm", [(1, 1, 1), (1, 1, 3), (1.2, 0.8, 2)])
def test_the_middle_is_the_heads_and_not_the_arrays(spacing_mm):
    shape = np.round(np.array([70, 90, 80]) / spacing_mm).astype(int)
    for centre in ([0, 0, 0], [12, -15, 9], [-14, 16, -10]):
        head = make_head(tuple(shape), spacing_mm, centre, (15, 18, 14))
        np.testing.assert_allclose(find_middle(head, spacing_mm), centre, atol=max(spacing_mm))


def test_specks_bright_spots_air_and_a_neck_do_not_move_the_middle():
    head = make_head((80, 90, 110), centre=(5, -6, 20), radii_mm=(24, 30, 26))
    expected = find_middle(head)
    speckled, rng = head.copy(), np.random.default_rng(1)
    speckled[tuple(rng.integers(0, n, 400) for n in head.shape)] = 3000
    spotted = head.copy()
    spotted[2:8, 3:9, 2:8] = 900  # a marker beside the head
    airless = head.copy()
    airless[head < 100] = 0
    hot = head.copy()
    hot[45, 40, 70] = 32000  # one voxel, without a clip at a percentile
    for changed in (speckled, spotted, airless, hot):
        np.testing.assert_allclose(find_middle(changed), expected, atol=1.5)
    neck, (x, y, z) = head.copy(), np.indices(head.shape)
    is_neck = (np.hypot(x - 45, y - 38) < 14) & (z < 70)
    neck[is_neck] = 600
    np.testing.assert_allclose(find_middle(neck), expected, atol=3)
    neck[is_neck & (z > 15)] = head[is_neck & (z > 15)]
    assert abs(find_middle(neck)[2] - expected[2]) < 30  # what hangs together with nothing, too


def test_a_head_of_one_value_in_air_and_a_scan_full_of_it_are_in_the_middle(tmp_path):
    block = np.zeros((30, 32, 34), np.int16)
    block[4:14, 20:30, 10:20] = 7
    block[5, 21, 11] = 8
    np.testing.assert_allclose(find_middle(block), [-6, 9, -2], atol=1)
    rare = np.zeros((30, 32, 34), np.int16)
    rare[20:22, 10:12, 4:6] = 5
    np.testing.assert_allclose(find_middle(rare), [6, -5, -12], atol=1)
    full = np.full((20, 20, 20), 5, np.int16)
    full[0, 0, 0] = 4
    np.testing.assert_allclose(find_middle(full), [0, 0, 0], atol=1)


def test_a_head_with_nan_is_where_it_is_without(tmp_path):
    head = make_head(centre=(3, -4, 2)).astype(np.float32)
    affine = np.eye(4)
    zeros = head.copy()
    zeros[head < 30] = 0
    missing = head.copy()
    missing[head < 30] = np.nan
    views = [
        load_grid(save(tmp_path / f"{i}.nii", voxels, affine), "sMRI", settings())
        for i, voxels in enumerate((zeros, missing))
    ]
    np.testing.assert_array_equal(*views)
    assert np.isfinite(views[0]).all()


def test_what_the_grid_cuts_off_is_measured(tmp_path):
    """Of a box that is as long as the grid nothing is lost, of one that is longer what is longer."""
    head, affine = np.zeros((64, 64, 64), np.int16), np.diag([-2.0, 2.0, 2.0, 1.0])
    head[10:50, 12:52, 20:52] = np.random.default_rng(0).integers(500, 900, (40, 40, 32))  # 80 × 80 × 64 mm
    path = save(tmp_path / "scan.nii", head, affine)
    whole = measure_cut(path, "sMRI", settings("40x40x32"))
    assert whole.share == 0 and whole.head_mm.tolist() == [80, 80, 64]
    assert measure_cut(path, "sMRI", settings("30x40x32")).share == pytest.approx(0.25, abs=0.01)
    assert measure_cut(path, "sMRI", settings("30x20x32")).share == pytest.approx(1 - 0.75 * 0.5, abs=0.01)
