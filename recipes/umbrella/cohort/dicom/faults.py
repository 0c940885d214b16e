"""Why a series is no scan, by its headers: a reason of the table of exclusions, and a sentence about it.

A sentence holds no text of a header but words of the standard: what else stands there may name a person.
"""

from umbrella.cohort.dicom.instances import Series
from umbrella.cohort.dicom.rules import PARTS, Rule, Unmatched
from umbrella.cohort.dicom.stack_faults import Fault, find_stack_fault
from umbrella.records.cohort import to_key

_SECONDARY_CAPTURE = "1.2.840.10008.5.1.4.1.1.7"  # and those that begin so: multi-frame ones
_MODALITIES = frozenset(  # of PS3.3 C.7.3.1.1.1, those that come with a study of MR
    "ANN AR CR CT DOC DX ECG HC IO KO MG MR NM OT PET PLAN PR PT PX RF REG RTDOSE RTIMAGE RTPLAN RTSTRUCT RWV SC SEG "
    "SM SMR SR TG US XA XC".split()
)


def find_fault(series: Series, chosen: Rule | Unmatched | None = None) -> Fault | None:
    """The first reason for which a series is no scan, and the sentence about it; None where there is none.

    chosen    what `choose_rule` gives. Its reason stands after those of another kind of picture and before those that
              ask for a better export; `derived` and `several volumes` depend on the rule
    """
    if isinstance(chosen, Unmatched):
        return _find_kind(series, None) or Fault(chosen.reason, chosen.detail)
    return _find_kind(series, chosen) or _find_part(series, chosen) or find_stack_fault(series, chosen)


def _find_kind(series: Series, rule: Rule | None) -> Fault | None:
    """What says that these are no pictures of a patient in a scanner, or none that may be shown."""
    return (
        _find_nobody(series)
        or _find_capture(series, takes_derived=rule is not None and rule.derived)
        or _find_burnt_in(series)
        or _find_modality(series)
        or _find_localizer(series)
    )


def _find_nobody(series: Series) -> Fault | None:
    if not to_key(series.first.patient_id):
        return Fault(
            "no id",
            "expected a PatientID (0010,0020), found none. Give it one, so that it stands under its patient",
        )
    if not series.first.series_uid:
        return Fault(
            "no series uid",
            "expected a SeriesInstanceUID (0020,000E), found none. Export it again from the archive",
        )
    return None


def _find_capture(series: Series, takes_derived: bool) -> Fault | None:
    for one in series.instances:
        found = ""
        if one.sop_class.startswith(_SECONDARY_CAPTURE):
            found = "the SOP class Secondary Capture"
        elif one.conversion:
            found = "a ConversionType (0008,0064)"
        elif one.image_type[1:2] == ("SECONDARY",) and not takes_derived:
            found = "ImageType SECONDARY. Write `derived: true` into its rule where it is wanted"
        if found:
            return Fault("secondary capture", f"expected pictures of a scanner, found {found}")
    return None


def _find_burnt_in(series: Series) -> Fault | None:
    if any(one.burnt_in == "YES" for one in series.instances):
        return Fault(
            "burnt-in text", "expected pictures without text in them, found BurnedInAnnotation (0028,0301) YES"
        )
    if any(bit > 0 for one in series.instances for bit in one.overlay_bits):
        found = "an overlay in the bits of the voxels (OverlayBitPosition (60xx,0102))"
        return Fault("burnt-in text", f"expected pictures without text in them, found {found}")
    return None


def _find_modality(series: Series) -> Fault | None:
    modalities = sorted({one.modality for one in series.instances})
    if modalities != ["MR"]:
        found = " and ".join(
            name if name in _MODALITIES else "another word" if name else "none" for name in modalities
        )
        return Fault("not MR", f"expected Modality MR (0008,0060), found {found}")
    if not all(all(one.matrix) for one in series.instances):
        return Fault(
            "not MR", "expected pictures of MR, found files without rows and columns, as raw data and protocols are"
        )
    return None


def _find_localizer(series: Series) -> Fault | None:
    if any("LOCALIZER" in one.image_type for one in series.instances):
        return Fault("localizer", "expected a scan, found ImageType LOCALIZER")
    return None


def _find_part(series: Series, rule: Rule | None) -> Fault | None:
    if any(one.image_type[:1] == ("DERIVED",) for one in series.instances) and not (rule and rule.derived):
        advice = "Write `derived: true` into its rule where it is wanted"
        return Fault("derived", f"expected an original picture, found ImageType DERIVED. {advice}")
    if series.first.part != "M" and not (rule and "part" in rule.entities):
        found = PARTS[series.first.part]
        advice = f"A rule that states `entities: {{part: {found}}}` takes it"
        return Fault("not a magnitude", f"expected a magnitude, found the {found} part. {advice}")
    return None
