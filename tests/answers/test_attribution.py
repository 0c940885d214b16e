"""Maps point at the place that the answer comes from, in the scan's own space, whatever the view."""

import json

import nibabel
import numpy as np
import pytest
from datasets import Dataset
from families import FAMILIES, image_shape
from nibabel.affines import apply_affine
from planted_look import ANSWER, SHAPE, SPACING_MM, Looker, make_row, write_head

from umbrella.answers.attribution.boxes import BoxedView, find_inside
from umbrella.answers.attribution.chosen_rows import choose_region, choose_rows
from umbrella.answers.attribution.gradients import _number_elements, map_gradient
from umbrella.answers.attribution.occlusion import map_occlusion
from umbrella.answers.attribution.regions import find_region, name_regions, point_at
from umbrella.answers.attribution.scan_in_row import ScanInRow
from umbrella.models.loading import load_processor
from umbrella.rows.transform import ConversationTransform

MIDDLE = tuple(n // 2 for n in SHAPE)
# A view and a voxel that it shows, off its middle.
PLACES = {
    "axial": (28, 12, MIDDLE[2]),
    "coronal": (12, MIDDLE[1], 19),
    "sagittal": (MIDDLE[0], 24, 10),
    "triplanar": (13, MIDDLE[1], 20),
    "slices:4": (26, 23, 18),
    "montage:2": (14, 12, 11),
    "volume": (27, 12, 20),
    "frames": (12, 24, 11),
}


@pytest.fixture(scope="module")
def processors():
    return {name: load_processor(name) for name in ("tiny", "tiny3d")}


def look_at(view, processors, folder, **options):
    """A scan, a model that looks at its blob alone, and where that lies in mm. The weights are where the views of the
    scan with its blob and without it differ."""
    is_volume, n_volumes = view in ("volume", "frames"), 6 if view == "frames" else 1
    affine = write_head(folder / "with.nii", PLACES[view], n_volumes=n_volumes)
    write_head(folder / "without.nii", n_volumes=n_volumes)
    processor = processors["tiny3d" if is_volume else "tiny"]
    shown = {"view": "volume", "volume_size": "24x24x24", "volume_spacing": 8.0} if is_volume else {"view": view}
    if view == "frames":
        shown["frames"] = "3"
    transform = ConversationTransform(processor, **shown, **options)
    rows = [make_row(folder / f"{name}.nii", "fMRI" if n_volumes > 1 else "sMRI") for name in ("with", "without")]
    differ = np.subtract(*(transform.load_images(row, 0) for row in rows))
    weights = (differ > 0.5 * differ.max()).astype(np.float32)
    if not is_volume and view != "triplanar":
        weights[:, 1:] = 0
    packed = transform.encode_views(rows[0], [weights / weights.sum()])["pixel_values"]
    if transform.settings.standardize is False:  # the processor has normalised the weights too
        packed = packed - transform.encode_views(rows[0], [np.zeros_like(weights)])["pixel_values"]
    model = Looker(packed, len(processor.tokenizer))
    return ScanInRow(model, transform, rows[0]), apply_affine(affine, PLACES[view])


@pytest.mark.parametrize(
    "view", [view if view == "axial" else pytest.param(view, marks=pytest.mark.slow) for view in PLACES]
)
def test_both_methods_point_at_the_one_place_that_matters(view, processors, tmp_path):
    scan, blob_mm = look_at(view, processors, tmp_path)
    for found in (map_occlusion(scan, 48, 16), map_gradient(scan, 48)):
        reach = found.boxed.box_mm / 2 + SPACING_MM  # of a box, and of a voxel or pixel
        distance = np.linalg.solve(scan.places.affine[:3, :3], found.boxed.centre_mm(found.highest) - blob_mm)
        distance *= np.linalg.norm(scan.places.affine[:3, :3], axis=0)
        assert (np.abs(distance) <= reach).all(), found.method
        # As a viewer reads it.
        found.save(tmp_path / "map.nii.gz")
        image, own = nibabel.load(tmp_path / "map.nii.gz"), nibabel.load(tmp_path / "with.nii")
        if view not in ("volume", "frames"):
            assert image.shape == own.shape
            np.testing.assert_allclose(image.affine, own.affine, atol=1e-4)
        voxels = image.get_fdata()
        tops = np.argwhere(voxels > 0.5 * voxels.max())
        middle_mm = apply_affine(image.affine, tops).mean(axis=0)
        assert np.linalg.norm(middle_mm - blob_mm) <= np.linalg.norm(reach), found.method
        region = find_region(
            {**scan.row, "metadata": {"extra": json.dumps({"blob_centre_mm": blob_mm.tolist(), "blob_radius_mm": 9})}},
            "blob",
        )
        pointing = point_at(found, region)
        assert pointing.hit and 0 < pointing.chance < 0.6, found.method


def test_what_a_view_does_not_show_has_no_value(processors, tmp_path):
    scan, _ = look_at("axial", processors, tmp_path)
    found = map_occlusion(scan, 64)
    is_shown = np.zeros(SHAPE, bool)
    is_shown[:, :, MIDDLE[2]] = True
    np.testing.assert_array_equal(np.isfinite(found.volume), is_shown)
    image = found.places.to_image(found.volume).get_fdata()
    assert np.isfinite(image).all() and (image[:, :, MIDDLE[2]] != 0).any()


@pytest.mark.slow
@pytest.mark.parametrize(
    ("view", "box_mm", "options"), [("axial", 32, {}), ("volume", 64, {}), ("coronal", 32, {"standardize": False})]
)
def test_a_linear_model_loses_what_the_box_held(view, box_mm, options, processors, tmp_path):
    """Occlusion, gradient × input and the plain sum are one for such a model; batches and the order of sizes change
    nothing."""
    scan, _ = look_at(view, processors, tmp_path, **options)
    n_tokens = sum(label >= 0 for label in scan.encode(scan.view)["labels"])
    full, gradient = map_occlusion(scan, box_mm, 7, n_split=None), map_gradient(scan, box_mm)
    assert full.boxes == gradient.boxes
    np.testing.assert_allclose(gradient.drops, full.drops, atol=2e-4 * n_tokens)
    assert full.whole == pytest.approx(gradient.whole, abs=1e-3 * n_tokens)
    closer = map_occlusion(scan, box_mm, 32)
    assert closer.highest == full.highest
    assert closer.n_views < full.n_views or box_mm == 64  # of one size there is nothing to leave out
    at_once = dict(zip(full.boxes, full.drops, strict=True))
    np.testing.assert_allclose(closer.drops, [at_once[box] for box in closer.boxes], atol=1e-4)


@pytest.mark.slow
@pytest.mark.parametrize("view", ["axial", "volume"])
def test_hiding_in_the_view_is_hiding_in_the_file(view, processors, tmp_path):
    """Voxels that lie in a box are set to the background in the file, which is then loaded as any other; its
    percentiles stay, as the shell holds them and nothing is standardised. Only pixels at the box's border can differ.
    """
    write_head(tmp_path / "with.nii", PLACES[view], degrees=0)
    shown = {"volume_size": "32x32x32", "volume_spacing": 6.0} if view == "volume" else {}
    transform = ConversationTransform(processors["tiny3d" if shown else "tiny"], view, standardize=False, **shown)
    row = make_row(tmp_path / "with.nii")
    scan = ScanInRow(Looker(np.zeros(1), 9), transform, row)
    boxed = map_gradient_free(scan)
    image = nibabel.load(tmp_path / "with.nii")
    voxels, background = image.get_fdata(), image.get_fdata().min()
    middles = apply_affine(image.affine, np.stack(np.indices(image.shape), axis=-1))
    to_places = np.linalg.inv(scan.places.affine)
    indices = np.floor(apply_affine(to_places, middles) + 0.5).astype(int)
    inside = ((indices >= 0) & (indices < scan.places.shape)).all(axis=-1)
    numbers = np.full(image.shape, -1)
    numbers[inside] = np.ravel_multi_index(tuple(indices[inside].T), scan.places.shape)
    cells = boxed.find_cells(numbers)
    for box in boxed.list_boxes(0)[::7][:12]:
        changed = np.where(np.isin(cells, box.cells), background, voxels)
        nibabel.Nifti1Image(changed.astype(np.float32), image.affine).to_filename(tmp_path / "changed.nii")
        slow = transform.load_images(make_row(tmp_path / "changed.nii"), 0)
        fast = boxed.hide(scan.view, scan.background, box)
        far = np.abs(slow - fast) > 0.05
        hidden = np.broadcast_to(np.isin(boxed.cells, box.cells), scan.view.shape)
        assert far.sum() <= 0.5 * hidden.sum() and not (far & ~near_border(hidden)).any()


def map_gradient_free(scan):
    from umbrella.answers.attribution.boxes import BoxedView

    return BoxedView.of_view(scan.view, scan.background, scan.places, 48)


def near_border(mask):
    """Within two pixels of a mask's border, along the last axes."""
    from scipy.ndimage import binary_dilation, binary_erosion

    axes = np.ones((1, 1, 5, 5), bool) if mask.shape[1] == 3 else np.ones((1, 5, 5, 5), bool)
    return binary_dilation(mask, axes) & ~binary_erosion(mask, axes)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("family", "options"),
    [("llava_1_5", {}), ("qwen2_5_vl", {}), ("idefics3", {}), ("qwen2_5_vl", {"intensity": "encoder"})],
)
def test_every_pixel_is_found_again_in_what_a_processor_makes(family, options, tmp_path):
    """Patches, tiles, padding: whatever the order, each pixel of the scan is known by its number, and the other scan's
    are none of it."""
    write_head(tmp_path / "one.nii")
    transform = ConversationTransform(FAMILIES[family](), image_size=image_shape(family)[-1], **options)
    scan = ScanInRow(Looker(np.zeros(1), 9), transform, make_row(tmp_path / "one.nii"))
    numbers = _number_elements(scan)
    assert set(numbers.tolist()) - {-1} == set(range(scan.view.size))


@pytest.mark.slow
def test_chance_is_how_often_a_box_of_the_head_drawn_at_random_overlaps(processors, tmp_path):
    scan, blob_mm = look_at("volume", processors, tmp_path)
    found = map_gradient(scan, 32)
    extra = json.dumps({"x_box_mm": [(blob_mm - 10).tolist(), (blob_mm + 10).tolist()]})
    region = find_region({**scan.row, "metadata": {"extra": extra}}, "x")
    pointing = point_at(found, region)
    over = set(found.boxed.find_cells(found.places.find_shown(region.points_mm)).tolist())
    in_head = [box for box in found.boxes if found.boxed.is_in_head(box)]
    rng = np.random.default_rng(0)
    drawn = [not over.isdisjoint(in_head[i].cells) for i in rng.integers(0, len(in_head), 2000)]
    assert np.mean(drawn) == pytest.approx(pointing.chance, abs=0.05)
    assert 0.02 < pointing.chance < 0.5


def test_inside_a_head_is_what_its_scalp_encloses():
    ring = np.zeros((1, 1, 9, 9))
    ring[0, 0, 1:8, 1:8] = 1
    ring[0, 0, 3:6, 3:6] = 0
    expected = np.zeros((9, 9), bool)
    expected[1:8, 1:8] = True
    np.testing.assert_array_equal(find_inside(ring, 2)[0, 0], expected)


def test_regions_are_read_from_metadata(tmp_path):
    mask = np.zeros((5, 6, 7), np.uint8)
    mask[1, 2, 3] = 1
    affine = np.diag([2.0, 3, 4, 1])
    nibabel.Nifti1Image(mask, affine).to_filename(tmp_path / "mask.nii.gz")
    nibabel.Nifti1Image(0 * mask, affine).to_filename(tmp_path / "none.nii.gz")
    row = make_row(
        "scan.nii", lesion_mask="mask.nii.gz", ball_center_mm=[1, 2, 3], ball_radius_mm=4, empty_mask="none.nii.gz"
    )
    assert name_regions(row["metadata"]) == ["lesion", "ball", "empty"]
    np.testing.assert_array_equal(find_region(row, "lesion", tmp_path).points_mm, [[2, 6, 12]])
    assert find_region(row, "empty", tmp_path) is None and find_region(row, "other") is None
    ball = find_region(row, "ball").points_mm
    assert np.linalg.norm(ball - [1, 2, 3], axis=1).max() <= 4 and len(ball) > 200
    rows = Dataset.from_list([row, make_row("scan.nii")])
    find, said = choose_region(rows, None, str(tmp_path))
    assert said.startswith("Region: lesion, of 1 rows") and len(choose_rows(rows, 5, 0, find)) == 1
    find, said = choose_region(rows, str(tmp_path / "mask.nii.gz"), None)
    assert len(choose_rows(rows, 5, 0, find)) == 2
    with pytest.raises(ValueError, match="found only lesion, ball, empty"):
        choose_region(rows, "tumour", None)
    with pytest.raises(ValueError, match="ball_radius_mm beside it"):
        find_region(make_row("scan.nii", ball_centre_mm=[1, 2, 3]), "ball")
    with pytest.raises(FileNotFoundError, match="no such file"):
        find_region(make_row("scan.nii", lesion_mask="gone.nii"), "lesion", tmp_path)


def test_an_answer_is_needed(processors):
    prompts = ConversationTransform(processors["tiny"], add_generation_prompt=True)
    with pytest.raises(ValueError, match="add_generation_prompt=True"):
        ScanInRow(None, prompts, make_row("scan.nii"), answer=ANSWER)


def test_every_subject_with_the_region_comes_before_the_second_row_of_any(tmp_path):
    """A subject whose first row has no region is not passed over for another's second."""
    rows = []
    for number in range(4):
        for subject in ("a", "b", "c"):
            row = make_row(
                tmp_path / "scan.nii", lesion_box_mm=[[0, 0, 0], [1, 1, 1]] if number == 3 or subject == "a" else None
            )
            row["metadata"]["subject_id"] = subject
            rows.append(row | {"task_id": f"{subject}{number}"})
    rows = Dataset.from_list(rows)
    find, _ = choose_region(rows, "lesion", None)
    for seed in range(2):
        chosen = choose_rows(rows, 3, seed, find)
        assert {row["metadata"]["subject_id"] for row, _ in chosen} == {"a", "b", "c"}
    with pytest.raises(ValueError, match=r"--region lesoin: expected a mask's file, or .* found only lesion"):
        choose_region(rows, "lesoin", None)
    with pytest.raises(FileNotFoundError, match=r"--region masks/a\.nii: expected a mask's file, found no such file"):
        choose_region(rows, "masks/a.nii", None)
    assert len(choose_rows(rows, 99, 0, find)) == 6  # all that there are


@pytest.mark.parametrize("view", ["axial", "slices:4"])
def test_the_middle_of_a_box_is_of_what_the_view_shows(view, processors, tmp_path):
    scan, _ = look_at(view, processors, tmp_path)
    boxed = BoxedView.of_view(scan.view, scan.background, scan.places, 48)
    shown_mm = apply_affine(boxed.places.affine, np.stack(np.unravel_index(scan.places.shown, boxed.places.shape), -1))
    for box in boxed.list_boxes(0):
        assert np.linalg.norm(shown_mm - boxed.shown_mm(box), axis=1).min() < 1e-6
        if view == "axial":  # of one slice
            assert np.linalg.norm(shown_mm - boxed.centre_mm(box), axis=1).min() < SPACING_MM[0]


def test_a_box_that_holds_all_is_the_highest(processors, tmp_path):
    scan, _ = look_at("axial", processors, tmp_path)
    found = map_occlusion(scan, 500, 4)
    assert len(found.boxes) == 1 and found.highest == found.boxes[0]
    assert found.drops[0] == pytest.approx(found.whole)
