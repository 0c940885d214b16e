"""Whatever a scan's file holds, it loads as nibabel and numpy load it in float64, or is refused with its name.

Run for longer with `make test-nightly`; a case that fails names what repeats it alone.
"""

import random
import resource
import time

import nibabel
import numpy as np
import pytest
from fuzzing import assert_quick, fuzz
from scan_mutants import Mutant, make_mutant
from scan_oracles import float64_volume, normalise, scale_by_two

from umbrella.scans.scan_files import VECTOR_INTENTS
from umbrella.scans.volumes import ScanError, check_header, load_image, load_volume
from umbrella.validation.scans import hash_voxels
from umbrella.views.loading import load_view
from umbrella.views.planes import make_view

MOST_LOOPS = 200  # of a million turns, in whose time a case is checked
MOST_KIB = 1 << 20  # by which the memory of the process may grow
VIEWS = ["axial", "coronal", "sagittal", "triplanar", "slices:2", "montage:1"]
# Why the voxels, which `check_header` does not read, are refused.
VALUES = ("the same value (", "1st and 99th percentiles", "lie between", "can hold", "no stored number means 0")


@pytest.mark.fuzz
@pytest.mark.filterwarnings("ignore")
def test_fuzzed_scans_load_as_in_float64_or_are_refused_by_name(tmp_path):
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss

    def check(rng: random.Random) -> None:
        mutant = make_mutant(rng, tmp_path)
        try:
            check_mutant(rng, mutant)
            assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < MOST_KIB
        except BaseException as error:
            error.add_note(f"{mutant.path.name} as {mutant.modality}: {'; '.join(mutant.story)}")
            raise
        finally:
            for file in tmp_path.iterdir():
                file.unlink()

    assert fuzz(check) > 0


def check_mutant(rng: random.Random, mutant: Mutant) -> None:
    """The properties that hold for every file."""
    start = time.process_time()
    volume, refusal = load(mutant)
    check_bytes(mutant, volume, refusal)
    header_refusal = refusal_of(check_header, mutant.path, mutant.modality)
    _, validator_refusal = hash_voxels((str(mutant.path), mutant.modality))
    options = {"normalize": rng.random() < 0.5, "standardize": rng.random() < 0.5}
    other, other_refusal = load(mutant, **options)
    check_view(mutant, other, options, rng.choice(VIEWS))
    assert_quick(time.process_time() - start, MOST_LOOPS)
    assert validator_refusal == refusal, "--check_images and training disagree"
    if header_refusal is None:
        is_by_content = mutant.is_compressed or refusal is None or any(reason in refusal for reason in VALUES)
        assert is_by_content, "check_header passes what load_image refuses"
    else:
        assert refusal is not None, "check_header refuses what load_image loads"
    check_values(mutant, volume, refusal, {"normalize": True, "standardize": True})
    check_values(mutant, other, other_refusal, options)


def refusal_of(function, path, *arguments, **options) -> str | None:
    try:
        function(path, *arguments, **options)
    except ScanError as error:
        assert str(error).startswith(f"{path}: "), "no name"
        return str(error)
    return None


def load(mutant: Mutant, **options) -> tuple[np.ndarray | None, str | None]:
    loaded = []
    refusal = refusal_of(lambda path: loaded.append(load_image(path, mutant.modality, **options)), mutant.path)
    if refusal is not None:
        return None, refusal
    assert loaded[0].dtype == np.float32
    assert np.isfinite(loaded[0]).all()
    return loaded[0], None


def check_bytes(mutant: Mutant, volume: np.ndarray | None, refusal: str | None) -> None:
    """A file's bytes load as the file does, or are refused for the same reason; those of a pair's header always."""
    content = mutant.path.read_bytes()
    try:
        actual = load_image(content, mutant.modality)
    except ScanError as error:
        assert str(error).startswith(f"scan of {len(content)} bytes: ")
        reason = str(error).partition(": ")[2]
        assert "pair" in mutant.story[0] or ".hdr/.img pair" in reason or refusal == f"{mutant.path}: {reason}"
        return
    np.testing.assert_array_equal(actual, volume)


def check_view(mutant: Mutant, volume: np.ndarray | None, options: dict, view: str) -> None:
    """`load_view` equals `make_view` of the volume."""
    if volume is None:
        assert refusal_of(load_view, mutant.path, mutant.modality, view, 16, **options)
        return
    _, spacing_mm = load_volume(mutant.path, mutant.modality, **options)
    try:
        expected = make_view(volume, view, 16, spacing_mm)
    except ValueError as error:
        assert str(error) in refusal_of(load_view, mutant.path, mutant.modality, view, 16, **options)
        return
    actual = load_view(mutant.path, mutant.modality, view, 16, **options)
    assert np.isfinite(actual).all()
    np.testing.assert_allclose(actual, expected, rtol=1e-6, atol=1e-6 * np.abs(volume).max())


def check_values(mutant: Mutant, volume: np.ndarray | None, refusal: str | None, options: dict) -> None:
    """What is loaded equals the oracle; of what was written by the rules nothing is refused without a reason."""
    if volume is None and mutant.is_damaged:
        return  # any reason will do; nibabel would take the memory that a damaged header asks for
    try:
        with np.errstate(all="ignore"):
            exact, spacing_mm = float64_volume(mutant.path)
    except Exception:  # nibabel does not read it: any error of its own will do
        assert mutant.is_damaged or volume is None
        return
    if volume is None:
        assert is_due(mutant, refusal, exact, spacing_mm, options), f"refused: {refusal}"
        return
    assert volume.shape == exact.shape
    np.testing.assert_allclose(load_volume(mutant.path, mutant.modality, **options)[1], spacing_mm, rtol=1e-5)
    if not np.isfinite(exact).all():
        return
    rounding = 8 * np.finfo(np.float64).eps * np.abs(exact).max()
    if not any(options.values()):
        np.testing.assert_allclose(volume, exact, rtol=2e-6, atol=max(2e-6 * np.abs(exact).max(), 1e-44))
        return
    low, high = np.percentile(exact, [1, 99]) if options["normalize"] else (exact.min(), exact.max())
    if rounding > 1e-3 * (high - low):
        return  # hardly a digit is left to compare
    expected = normalise(scale_by_two(exact), **options)
    tolerance = (2e-6 + rounding / (high - low)) * max(1, np.abs(expected).max())
    np.testing.assert_allclose(volume, expected, rtol=0, atol=3 * tolerance)


def is_due(mutant: Mutant, refusal: str, exact: np.ndarray, spacing_mm: np.ndarray, options: dict) -> bool:
    """Whether the oracle sees the reason of a refusal too."""
    image = nibabel.load(mutant.path)
    header = image.header
    fields_mm = spacing_mm * exact.shape
    rounding = 8 * np.finfo(np.float64).eps * np.abs(exact).max()
    with np.errstate(all="ignore"):
        low, high = np.percentile(exact, [1, 99]) if options["normalize"] else (exact.min(), exact.max())
        first, last = np.float32([exact.min(), exact.max()])
    if "one 3-D volume for sMRI" in refusal:
        return mutant.modality == "sMRI" and len(header.get_data_shape()) > 3 and header.get_data_shape()[3] > 1
    if "a volume or a series of volumes" in refusal:
        return max(header.get_data_shape()[4:], default=1) > 1
    if "vector or matrix field" in refusal:
        return int(header["intent_code"]) in VECTOR_INTENTS
    if "field of view" in refusal:
        return spacing_mm.min() < 1e-4 or spacing_mm.max() > 100 or fields_mm.max() > min(2000, 1e5 * spacing_mm.min())
    if "lie between" in refusal:  # stored numbers that are too far apart, or too close
        return not 1e-299 < (high - low) / abs(image.dataobj.slope) < 1e299
    if "1st and 99th" in refusal:
        return high - low <= rounding
    if "the same value (" in refusal:
        return exact.max() - exact.min() <= rounding
    if "float32 can hold" in refusal:
        return not any(options.values()) and (first == last or not np.isfinite([first, last]).all())
    if "can hold" in refusal:
        return not 1e-299 < np.abs(exact).max() < 1e299
    if "no stored number means 0" in refusal:
        return abs(image.dataobj.inter / image.dataobj.slope) > np.finfo(header.get_data_dtype()).max
    return False
