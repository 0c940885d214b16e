"""What an encoder expects of the scans that it is shown, by words: scans that cannot meet it are refused by name.

one_volume  a series is refused: its mean is not what the encoder was trained on
field       a field of view far smaller than the encoder's grid is refused, and voxels far coarser than its own
stripped    a scan that looks as if it had a skull is warned of, once
skull       a scan that looks as if it had none is warned of, once
none        nothing
"""

import warnings
from pathlib import Path

import numpy as np

from umbrella.options.extras import check_extra
from umbrella.scans.scan_files import ScanError, open_scan
from umbrella.scans.volumes import find_orientation
from umbrella.views.settings import VOLUME_SIZE, VOLUME_SPACING, ViewSettings, parse_volume_size

ONE_VOLUME, FIELD, STRIPPED, SKULL, NONE = "one_volume", "field", "stripped", "skull", "none"
WORDS = (ONE_VOLUME, FIELD, STRIPPED, SKULL, NONE)
LEAST_SHARE = 0.5  # of the grid's extent along an axis that the field of view covers
MOST_COARSE = 4.0  # times the grid's voxels along an axis
OVERRULE = "--expects none"

_warned: set[str] = set()


def parse_expects(text: str) -> frozenset[str]:
    """ "stripped,field" -> {"stripped", "field"}. Raises ValueError for other words, and for two that exclude each
    other."""
    words = frozenset(text.split(","))
    if not words <= set(WORDS) or {STRIPPED, SKULL} <= words or (NONE in words and len(words) > 1):
        raise ValueError(f"expects: expected some of {', '.join(WORDS)} with commas between them, found {text!r}")
    return words


def check_expected(path: str | Path | bytes, settings: ViewSettings) -> None:
    """Raise ScanError for a scan whose header says that it cannot be what the settings expect."""
    words = parse_expects(settings.expects or NONE)
    if not words & {ONE_VOLUME, FIELD}:
        return
    with open_scan(path) as (header, _):
        if ONE_VOLUME in words and header.n_volumes > 1:
            raise ScanError(
                f"{header.name}: expected one volume, as the model's encoder was trained on, found a series of "
                f"{header.n_volumes}. Take one volume or a 3-D scan out of it, or overrule it: {OVERRULE}"
            )
        if FIELD in words:
            orientation, spacing_mm = find_orientation(header)
            shape = np.array(header.shape[:3])[np.argsort(orientation[:, 0])]  # voxels along X, Y, Z
            _check_field(header.name, shape, spacing_mm, settings)


def _check_field(name: str, shape: np.ndarray, zooms: np.ndarray, settings: ViewSettings) -> None:
    """shape, zooms  voxels of the scan along X, Y, Z, and their size in mm."""
    spacing = settings.volume_spacing or VOLUME_SPACING
    wanted = np.array(parse_volume_size(settings.volume_size or VOLUME_SIZE)) * spacing
    field = shape * zooms
    if (field < LEAST_SHARE * wanted).any():
        raise ScanError(
            f"{name}: expected a field of view of at least {_join(LEAST_SHARE * wanted)} mm along X, Y, Z, half of "
            f"what the encoder is shown, found {_join(field)} mm. Leave the scan out, or overrule it: {OVERRULE}"
        )
    if (zooms > MOST_COARSE * spacing).any():
        raise ScanError(
            f"{name}: expected voxels of at most {MOST_COARSE * spacing:g} mm, {MOST_COARSE:g} times those that the "
            f"model's encoder is shown, found {_join(zooms)} mm. Leave the scan out, or overrule it: {OVERRULE}"
        )


def check_skull(name: str, volume: np.ndarray, settings: ViewSettings) -> None:
    """Warn once of a scan that looks otherwise than the settings expect.

    volume  (X, Y, Z), on the settings' grid, with its intensities as they are
    """
    words = parse_expects(settings.expects or NONE)
    asked = next((word for word in (STRIPPED, SKULL) if word in words), None)
    if asked is None or asked in _warned:
        return
    check_extra("scipy", f"--expects {asked}", "encoders")
    from umbrella.scans.skull import judge_skull

    verdict = judge_skull(volume, settings.volume_spacing or VOLUME_SPACING)
    if verdict.has_skull is (asked == STRIPPED):
        _warned.add(asked)
        wanted, found = ("without", "with") if asked == STRIPPED else ("with", "without")
        warnings.warn(
            f"{name}: expected a head {wanted} its skull, as the encoder was trained on, found what looks like one "
            f"{found} it: {verdict.evidence}. It is a guess from dark and bright alone. Where it is right, "
            "prepare the scans as the encoder's spec says, as its features are poor otherwise. Later scans are not "
            f"looked at. Overrule it: {OVERRULE}",
            stacklevel=2,
        )


def _join(lengths: np.ndarray) -> str:
    return "x".join(f"{length:.3g}" for length in lengths)
