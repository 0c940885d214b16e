"""A view shows the right slices, upright, with the right side left, and true to the millimetre."""

import numpy as np
import pytest
import torch
from PIL import Image

from umbrella.views.planes import (
    VIEWS,
    compose_view,
    cut_slice,
    make_cube,
    make_view,
    n_images,
    parse_view,
    view_planes,
)

EVERY_VIEW = ["axial", "coronal", "sagittal", "triplanar", "slices:4", "montage:2"]
ONE_MM = np.ones(3, np.float32)


def noise(shape) -> np.ndarray:
    return np.random.default_rng(0).normal(size=shape).astype(np.float32)


def sphere(extent_mm, spacing_mm, radius_mm, center_mm=(0, 0, 0)) -> np.ndarray:
    """1 inside, 0 outside, the share of a voxel at the border, as a scanner sees it; millimetres from the middle."""
    axes = [np.arange(n) + 0.5 - n / 2 - center for n, center in zip(extent_mm, center_mm, strict=True)]
    x, y, z = np.meshgrid(*axes, indexing="ij")
    inside = (x**2 + y**2 + z**2 < radius_mm**2).astype(np.float32)  # at 1 mm
    for axis, spacing in enumerate(spacing_mm):
        starts = np.arange(0, extent_mm[axis], spacing)
        inside = np.add.reduceat(inside, starts, axis=axis) / spacing
    return inside


def diameters(image: np.ndarray) -> tuple[float, float]:
    """The width and the height in pixels of a bright disc, from its second moments."""
    weights = image / image.sum()
    width, height = (
        4 * np.sqrt(np.average((np.arange(n) - np.average(np.arange(n), weights=w)) ** 2, weights=w))
        for n, w in ((image.shape[1], weights.sum(axis=0)), (image.shape[0], weights.sum(axis=1)))
    )
    return width, height


# Names and planes


@pytest.mark.parametrize(("view", "count"), [("axial", 1), ("triplanar", 1), ("slices:8", 8), ("montage:3", 1)])
def test_a_view_is_so_many_images(view, count):
    assert n_images(view) == count
    assert make_view(noise((9, 10, 11)), view, 24, ONE_MM).shape == (count, 3, 24, 24)


@pytest.mark.parametrize("view", ["", "Axial", "slices", "slices:", "slices:0", "slices:-1", "montage:2.5", "axial:2"])
def test_an_unknown_view_is_refused_with_the_known_ones(view):
    with pytest.raises(ValueError, match="expected one of axial, coronal") as error:
        parse_view(view)
    assert VIEWS in str(error.value)
    assert repr(view) in str(error.value)


def test_the_middle_of_n_is_n_half():
    assert view_planes("triplanar", (9, 10, 11)) == [(2, 5), (1, 5), (0, 4)]
    assert view_planes("slices:1", (9, 10, 11)) == [(2, 5)]


def test_slices_are_the_centres_of_equal_parts_of_z():
    assert view_planes("slices:4", (9, 10, 16)) == [(2, 2), (2, 6), (2, 10), (2, 14)]
    assert view_planes("montage:2", (9, 10, 16)) == view_planes("slices:4", (9, 10, 16))


def test_more_slices_than_the_volume_has_are_refused():
    with pytest.raises(ValueError, match=r"'montage:4' shows 16 different axial slices, .* only 11"):
        make_view(noise((9, 10, 11)), "montage:4", 64, ONE_MM)


def test_a_mosaic_finer_than_a_pixel_is_refused():
    with pytest.raises(ValueError, match="no room for 4"):
        make_view(noise((9, 10, 20)), "montage:4", 3, ONE_MM)


# Directions: what is up and what is left


@pytest.mark.parametrize(
    ("view", "marked", "corner"),
    [
        ("axial", (0, 10, 5), "top left"),  # left, anterior
        ("axial", (10, 0, 5), "bottom right"),  # right, posterior
        ("coronal", (0, 5, 10), "top left"),  # left, superior
        ("coronal", (10, 5, 0), "bottom right"),  # right, inferior
        ("sagittal", (5, 10, 10), "top right"),  # anterior, superior
        ("sagittal", (5, 0, 0), "bottom left"),  # posterior, inferior
    ],
)
def test_voxels_marked_in_a_corner_of_the_head_show_in_the_corner_of_the_picture(view, marked, corner):
    """Up is anterior (axial) or superior; the subject's left is on the left; sagittal slices look to the right."""
    volume = np.zeros((11, 11, 11), np.float32)
    volume[marked] = 1
    image = make_view(volume, view, 11, ONE_MM)[0, 0]
    row, column = np.unravel_index(image.argmax(), image.shape)
    assert (row, column) == (0 if "top" in corner else 10, 0 if "left" in corner else 10)


def test_voxels_of_an_unpadded_slice_at_its_own_size_are_unchanged():
    volume = noise((12, 12, 5))
    np.testing.assert_allclose(make_view(volume, "axial", 12, ONE_MM)[0, 0], volume[:, ::-1, 2].T, atol=1e-6)


# True to the millimetre


@pytest.mark.parametrize("spacing_mm", [(1, 1, 4), (4, 1, 1), (1, 4, 1), (2, 1, 3)])
@pytest.mark.parametrize("view", ["axial", "coronal", "sagittal"])
@pytest.mark.parametrize("image_size", [64, 224])
def test_a_sphere_stays_round_within_a_pixel(spacing_mm, view, image_size):
    volume = sphere((96, 120, 108), spacing_mm, 40)
    image = make_view(volume, view, image_size, np.array(spacing_mm, np.float32))[0, 0]
    width, height = diameters(image)
    side_mm = 108 if view == "coronal" else 120
    assert width == pytest.approx(height, abs=1)
    assert width == pytest.approx(80 / side_mm * image_size, abs=1.5)


def test_a_point_lands_on_its_millimetre():
    """The padding is no whole number of 4 mm voxels; the sphere's middle still is where it belongs, to a tenth."""
    spacing_mm, center_mm = (1, 1, 4), (7, 0, -12)
    volume = sphere((101, 60, 52), spacing_mm, 12, center_mm)
    image = make_view(volume, "coronal", 202, np.array(spacing_mm))[0, 0]
    row = np.average(np.arange(202), weights=image.sum(axis=1))
    column = np.average(np.arange(202), weights=image.sum(axis=0))
    assert column == pytest.approx((101 / 2 + 7) * 2 - 0.5, abs=0.1)
    assert row == pytest.approx((101 / 2 + 12) * 2 - 0.5, abs=0.1)


def test_the_padding_is_the_volumes_minimum():
    volume = 5 + noise((8, 20, 10))
    volume[0, 0, 0] = -7
    image = make_view(volume, "axial", 20, ONE_MM)[0, 0]
    assert (image[:, :5] == -7).all()
    assert (image[:, -5:] == -7).all()


# The resizing itself


@pytest.mark.parametrize("image_size", [17, 32, 40, 64])
def test_voxels_resized_equal_pil_and_torch(image_size):
    """Where the padding is whole voxels, the libraries' antialiased bilinear filters do the same."""
    volume = noise((40, 32, 6))
    padded = np.full((40, 40), volume.min())
    padded[4:36] = volume[:, ::-1, 3].T
    actual = make_view(volume, "axial", image_size, ONE_MM)[0, 0]
    by_pil = Image.fromarray(padded, "F").resize((image_size, image_size), Image.Resampling.BILINEAR)
    by_torch = torch.nn.functional.interpolate(
        torch.from_numpy(padded)[None, None].double(), (image_size, image_size), mode="bilinear", antialias=True
    )
    np.testing.assert_allclose(actual, np.asarray(by_pil), atol=1e-5)
    np.testing.assert_allclose(actual, by_torch[0, 0], atol=1e-5)


# Layout


def test_the_three_channels_of_triplanar_are_the_three_views():
    volume, spacing_mm = noise((9, 10, 11)), np.array([1, 2, 3])
    three = [make_view(volume, view, 30, spacing_mm)[0, 0] for view in ("axial", "coronal", "sagittal")]
    np.testing.assert_array_equal(make_view(volume, "triplanar", 30, spacing_mm)[0], three)


@pytest.mark.parametrize("view", ["axial", "slices:3", "montage:2"])
def test_the_three_channels_of_the_other_views_are_equal(view):
    images = make_view(noise((9, 10, 11)), view, 30, ONE_MM)
    np.testing.assert_array_equal(images, images[:, :1].repeat(3, axis=1))


def test_a_mosaic_runs_row_by_row_from_the_lowest_slice():
    volume = np.broadcast_to(np.arange(1, 10, dtype=np.float32), (6, 6, 9))
    mosaic = make_view(volume, "montage:3", 30, ONE_MM)[0, 0]
    np.testing.assert_allclose(mosaic[5::10, 5::10], [[1, 2, 3], [4, 5, 6], [7, 8, 9]], atol=1e-5)


def test_a_mosaic_keeps_its_tiles_square_where_the_size_does_not_divide():
    """32 pixels hold three tiles of 10: one pixel of padding is left on every side."""
    mosaic = make_view(5 + noise((6, 6, 9)) ** 2, "montage:3", 32, ONE_MM)[0, 0]
    border = mosaic[0], mosaic[-1], mosaic[:, 0], mosaic[:, -1]
    np.testing.assert_array_equal(np.stack(border), mosaic[0, 0])
    assert (mosaic[1:-1, 1:-1] != mosaic[0, 0]).mean() > 0.9


@pytest.mark.parametrize("view", EVERY_VIEW)
def test_a_view_is_made_of_its_slices_alone_in_float32_and_leaves_the_volume(view):
    volume, spacing_mm = noise((9, 10, 11)), np.array([1, 2, 3])
    before = volume.copy()
    slices = [cut_slice(volume, axis, index) for axis, index in view_planes(view, volume.shape)]
    whole = make_view(np.asfortranarray(volume), view, 30, spacing_mm)
    np.testing.assert_array_equal(
        compose_view(slices, volume.shape, view, 30, spacing_mm, fill=float(volume.min())), whole
    )
    assert whole.dtype == np.float32
    np.testing.assert_array_equal(volume, before)


# The cube for 3-D encoders


@pytest.mark.parametrize("order", ["C", "F"])
@pytest.mark.parametrize("size", [12, 30])
def test_voxels_of_a_cube_equal_the_resizing_by_torch_on_every_axis(order, size):
    """Torch resizes one axis after the other here, in float64."""
    volume = noise((20, 24, 18))
    padded = np.full((24, 24, 24), volume.min(), np.float64)
    padded[2:22, :, 3:21] = volume
    for axis in range(3):
        lines = torch.from_numpy(np.moveaxis(padded, axis, -1).copy())
        lines = torch.nn.functional.interpolate(lines[None], (lines.shape[1], size), mode="bilinear", antialias=True)[
            0
        ]
        padded = np.moveaxis(lines.numpy(), -1, axis)
    cube = make_cube(np.array(volume, order=order), size, ONE_MM)
    assert cube.dtype == np.float32
    np.testing.assert_allclose(cube, padded, atol=1e-5)


def test_a_sphere_in_a_cube_stays_round():
    spacing_mm = np.array([1, 2, 4])
    cube = make_cube(sphere((90, 120, 100), spacing_mm, 40), 64, spacing_mm)
    for axis in range(3):
        width, height = diameters(cube.sum(axis=axis))
        assert width == pytest.approx(height, abs=1)
