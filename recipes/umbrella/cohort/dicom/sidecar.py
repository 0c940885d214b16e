"""What a converted scan's JSON says: numbers, codes and times of slices that a list here names, and nothing else.

Text of a header may name anybody, so no text is taken from it: a code must be one of those that the standard, or
dcm2niix, has. Keys are those of BIDS (https://bids-specification.readthedocs.io, magnetic resonance imaging).
"""

import math
from collections.abc import Callable
from typing import Any

Check = Callable[[Any], bool]


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)


def _are_numbers(value: Any) -> bool:
    return isinstance(value, list) and bool(value) and all(map(_is_number, value))


def _one_of(*words: str) -> Check:
    return lambda value: isinstance(value, str) and value in words


def _joined(*words: str) -> Check:
    """Codes joined by "_", as dcm2niix writes several."""
    return lambda value: isinstance(value, str) and bool(value) and set(value.split("_")) <= set(words)


KEPT: dict[str, Check] = {
    **dict.fromkeys(
        """MagneticFieldStrength EchoTime RepetitionTime InversionTime FlipAngle SliceThickness SpacingBetweenSlices
        EchoTrainLength EffectiveEchoSpacing TotalReadoutTime DwellTime PixelBandwidth MultibandAccelerationFactor
        ParallelReductionFactorInPlane PartialFourier PercentPhaseFOV PercentSampling PhaseEncodingSteps
        AcquisitionMatrixPE ReconMatrixPE""".split(),
        _is_number,
    ),
    "SliceTiming": _are_numbers,
    "Modality": _one_of("MR"),
    "Manufacturer": _one_of(
        *"Siemens GE Philips Toshiba Canon Hitachi UIH Bruker Mediso MRSolutions Hyperfine".split()
    ),
    "MRAcquisitionType": _one_of("2D", "3D"),
    "ScanningSequence": _joined("SE", "IR", "GR", "EP", "RM"),  # PS3.3 C.8.3.1
    "SequenceVariant": _joined("SK", "MTC", "SS", "TRSS", "SP", "MP", "OSP", "NONE"),
    "PhaseEncodingDirection": _one_of("i", "j", "k", "i-", "j-", "k-"),
    "PhaseEncodingAxis": _one_of("i", "j", "k"),
}


def make_sidecar(written: dict[str, Any], task: str = "") -> dict[str, Any]:
    """The part of dcm2niix's JSON that may be published, in alphabetical order; `task`: of functional scans."""
    kept = {key: value for key, value in written.items() if key in KEPT and KEPT[key](value)}
    return dict(sorted((kept | ({"TaskName": task} if task else {})).items()))
