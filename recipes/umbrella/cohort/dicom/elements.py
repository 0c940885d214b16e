"""Elements of a DICOM data set as plain values: texts, numbers, frames, and what may name a person or a place."""

import math
import struct
import zlib
from collections.abc import Iterator, MutableSequence
from contextlib import suppress
from pathlib import Path
from typing import Any, NamedTuple

# Of PS3.15, table E.1-1, keywords of what names a person, a place or a device, wherever it stands in a header; beside
# these all names of persons and all UIDs but those of classes.
IDENTIFYING = frozenset((Path(__file__).parent / "rules" / "identifying.txt").read_text(encoding="utf-8").split())
_CLASSES = ("SOPClassUID", "TransferSyntaxUID", "CodingSchemeUID", "ContextUID", "MappingResourceUID")
_PARTS = {"P": {"P", "PHASE"}, "R": {"R", "REAL"}, "I": {"I", "IMAGINARY"}}
_OF_GE = "MPRI"  # (0043,102F): 0 magnitude, 1 phase, 2 real, 3 imaginary


class Frames(NamedTuple):
    """orientation (6,) of the first frame, positions of each in mm, and how many orientations there are."""

    orientation: tuple[float, ...]
    positions: tuple[tuple[float, ...], ...]
    n_orientations: int


def list_damages() -> tuple[type[Exception], ...]:
    """What pydicom raises on damaged files, wherever it meets the damage: as it reads, decodes or writes them."""
    from pydicom.errors import BytesLengthException, InvalidDicomError

    return (
        *(ArithmeticError, AttributeError, EOFError, LookupError, MemoryError, OSError, RuntimeError, TypeError),
        *(ValueError, struct.error, zlib.error, BytesLengthException, InvalidDicomError),
    )


def read_text(header: Any, keyword: str) -> str:
    """An element as text without spaces around it, several values joined by a backslash; "" where it is absent."""
    return _to_text(header.get(keyword))


def read_texts(header: Any, keyword: str) -> tuple[str, ...]:
    """The values of an element in upper case."""
    text = read_text(header, keyword).upper()
    return tuple(value.strip() for value in text.split("\\")) if text else ()


def read_integer(header: Any, keyword: str) -> int:
    """An element as a number; 0 where it is absent or none."""
    text = read_text(header, keyword)
    return int(text) if text.isascii() and text.isdigit() else 0


def read_echo(header: Any) -> str:
    """EchoNumbers (0018,0086), or EchoTime (0018,0081) as a number, which is the same however it is written; "" where
    neither stands."""
    time = read_text(header, "EchoTime")
    with suppress(ValueError):
        time = f"{float(time):.4g}"
    return read_text(header, "EchoNumbers") or time


def read_spacing(header: Any) -> float:
    """SpacingBetweenSlices (0018,0088), mm, from middle to middle; 0 where it is not stated, or is below
    SliceThickness (0018,0050), as of makers who state the gap by it, and of slices that overlap."""
    measures = _find_measures(header)
    try:
        spacing, thickness = (float(measures.get(key) or 0) for key in ("SpacingBetweenSlices", "SliceThickness"))
    except (TypeError, ValueError):
        return 0.0
    return spacing if math.isfinite(spacing) and spacing >= thickness > 0 else 0.0


def read_pixel_spacing(header: Any) -> tuple[float, ...]:
    """PixelSpacing (0028,0030), mm between rows and between columns, above 0; () where it is not stated."""
    numbers = _read_numbers(_find_measures(header), "PixelSpacing", 2)
    return numbers if min(numbers, default=0) > 0 else ()


def read_frames(header: Any) -> Frames:
    """Where the frames of a classic or of an enhanced file (PS3.3 C.7.6.16) lie. No position where one frame has
    none."""
    frames = header.get("PerFrameFunctionalGroupsSequence")
    if not frames:
        orientation = _read_numbers(header, "ImageOrientationPatient", 6)
        position = _read_numbers(header, "ImagePositionPatient", 3)
        return Frames(orientation, (position,) if position else (), 1)
    shared = next(iter(header.get("SharedFunctionalGroupsSequence") or ()), {})
    orientations, positions = [], []
    for frame in frames:
        orientations.append(_read_group(frame, shared, "PlaneOrientationSequence", "ImageOrientationPatient", 6))
        positions.append(_read_group(frame, shared, "PlanePositionSequence", "ImagePositionPatient", 3))
    is_whole = all(orientations) and all(positions) and len(frames) == (read_integer(header, "NumberOfFrames") or 1)
    return Frames(orientations[0], tuple(positions) if is_whole else (), len(set(orientations)))


def read_mosaic(header: Any) -> int:
    """Slices in a mosaic of Siemens, which are one picture beside another; 0 of other pictures, -1 where it is not
    said."""
    if "MOSAIC" not in read_texts(header, "ImageType"):
        return 0
    block = next((tag for tag in header.group_dataset(0x0019) if _to_text(tag.value) == "SIEMENS MR HEADER"), None)
    element = header.get((0x0019, (block.tag.element << 8) + 0x0A)) if block is not None else None
    text = _to_text(element.value) if element is not None else ""
    return int(text) if text.isdigit() and int(text) > 0 else -1


def find_syntax(header: Any) -> str:
    """The UID of the transfer syntax (0002,0010); where it is not said, that of what was read."""
    said = header.file_meta.get("TransferSyntaxUID")
    if said:
        return str(said)
    is_implicit, is_little = header.original_encoding
    return "1.2.840.10008.1.2" + ("" if is_implicit else ".1" if is_little else ".2")


def find_part(header: Any) -> str:
    """ "M", "P", "R" or "I" of magnitude, phase, real, imaginary, by ComplexImageComponent (0008,9208), GE's own
    (0043,102F) or ImageType; "M" where nothing says another."""
    component = read_text(header, "ComplexImageComponent")[:1].upper()
    if component in ("P", "R", "I"):
        return component
    element = header.get((0x0043, 0x102F))
    if element is not None and isinstance(element.value, int) and 0 <= element.value < len(_OF_GE):
        return _OF_GE[element.value]
    words = " ".join(read_texts(header, "ImageType")[2:]).split()
    return next((part for part, names in _PARTS.items() if names.intersection(words)), "M")


def read_contrast(header: Any) -> str:
    """ContrastBolusAgent (0018,0010), of an enhanced file what its sequence (0018,0012) calls it."""
    agents = header.get("ContrastBolusAgentSequence") or ()
    return read_text(header, "ContrastBolusAgent") or " ".join(read_text(agent, "CodeMeaning") for agent in agents)


def read_overlays(header: Any) -> tuple[int, ...]:
    """OverlayBitPosition (60xx,0102) of each overlay plane."""
    found = (header.get((group, 0x0102)) for group in range(0x6000, 0x6020, 2))
    return tuple(int(element.value or 0) for element in found if element is not None)


def find_identifiers(header: Any) -> tuple[str, ...]:
    """Each text of the header, its sequences included, that may name a person, a place or a device; sorted."""
    return tuple(sorted(set(_list_identifiers(header)) - {""}))


def remove_identifiers(header: Any) -> None:
    """Take names of persons and what names a person, a place or a device out of a header; not out of its sequences."""
    from pydicom.datadict import keyword_for_tag

    for tag in list(header.keys()):
        if header.get_item(tag).VR == "PN" or keyword_for_tag(tag) in IDENTIFYING:
            del header[tag]


def _list_identifiers(header: Any) -> Iterator[str]:
    """Only these elements are decoded: another one that is damaged does no harm."""
    from pydicom.datadict import dictionary_has_tag, dictionary_VR, keyword_for_tag

    for tag in header.keys():  # noqa: SIM118 - to iterate over a data set decodes its elements
        vr = header.get_item(tag).VR or (dictionary_VR(tag) if dictionary_has_tag(tag) else "")
        keyword = keyword_for_tag(tag)
        if vr == "SQ":
            for item in header[tag].value:
                yield from _list_identifiers(item)
        elif vr == "PN" or keyword in IDENTIFYING or (vr == "UI" and _is_own_uid(keyword)):
            yield from (value.strip() for value in _to_text(header[tag].value).split("\\"))


def _is_own_uid(keyword: str) -> bool:
    return keyword not in ("SOPInstanceUID", "") and not keyword.endswith(_CLASSES)


def _find_measures(header: Any) -> Any:
    """What states the spacing: the header, or of an enhanced file its first frame's group, or that of all frames."""
    frames = header.get("PerFrameFunctionalGroupsSequence")
    if not frames:
        return header
    shared = next(iter(header.get("SharedFunctionalGroupsSequence") or ()), {})
    return next(iter(frames[0].get("PixelMeasuresSequence") or shared.get("PixelMeasuresSequence") or ()), {})


def _read_group(frame: Any, shared: Any, sequence: str, keyword: str, n: int) -> tuple[float, ...]:
    """Numbers of a functional group, which is the frame's own or that of all."""
    group = frame.get(sequence) or shared.get(sequence)
    return _read_numbers(group[0], keyword, n) if group else ()


def _read_numbers(header: Any, keyword: str, n: int) -> tuple[float, ...]:
    """() where they are not n finite numbers."""
    values = header.get(keyword)
    try:
        numbers = tuple(map(float, values)) if isinstance(values, MutableSequence) else ()
    except ValueError:
        return ()
    return numbers if len(numbers) == n and all(map(math.isfinite, numbers)) else ()


def _to_text(value: Any) -> str:
    if value is None:
        return ""
    if isinstance(value, bytes):
        return value.decode("latin-1").strip(" \0")
    values = value if isinstance(value, MutableSequence) else [value]
    return "\\".join(str(one) for one in values).strip(" \0")
