"""Compressed files that dcm2niix does not read, written anew without compression, where a decoder is there."""

import logging
import zlib
from pathlib import Path

from umbrella.cohort.dicom.elements import remove_identifiers
from umbrella.cohort.dicom.instances import Series

# Transfer syntaxes that dcm2niix decodes itself: PS3.5, annex A.
READ_BY_DCM2NIIX = frozenset(
    """1.2.840.10008.1.2 1.2.840.10008.1.2.1 1.2.840.10008.1.2.2 1.2.840.10008.1.2.5 1.2.840.10008.1.2.4.50
    1.2.840.10008.1.2.4.57 1.2.840.10008.1.2.4.70 1.2.840.10008.1.2.4.80 1.2.840.10008.1.2.4.81
    1.2.840.10008.1.2.4.90 1.2.840.10008.1.2.4.91""".split()
)
_UNDECODED = (RuntimeError, ValueError, AttributeError, LookupError, TypeError, EOFError)  # what pydicom raises
_DEFLATED = "1.2.840.10008.1.2.1.99"


class NoDecoderError(ValueError):
    """Pixels in a syntax that nothing here decodes; the message says which, and what to install."""


def write_uncompressed(series: Series, links: Path, plain: Path) -> None:
    """Link each file of a series into `links`, as 00000.dcm, 00001.dcm …; what dcm2niix cannot read itself, is written
    into `plain` in explicit little endian, without names and ids. Raises NoDecoderError."""
    for number, one in enumerate(series.instances):
        source, name = Path(one.path).resolve(), f"{number:05d}.dcm"
        if one.syntax and one.syntax not in READ_BY_DCM2NIIX:
            _write_uncompressed(source, plain / name)
            source = plain / name
        (links / name).symlink_to(source)


def _write_uncompressed(source: Path, path: Path) -> None:
    from pydicom import dcmread
    from pydicom.uid import ExplicitVRLittleEndian

    logging.getLogger("pydicom").setLevel(logging.CRITICAL)  # what it says of a decoder is said below, in one sentence
    try:
        dataset = dcmread(source)
    except (ValueError, zlib.error, EOFError) as error:
        raise NoDecoderError(f"expected a file that can be inflated, found {type(error).__name__}") from None
    syntax = dataset.file_meta.TransferSyntaxUID
    if syntax != _DEFLATED:  # which is inflated already
        try:
            dataset.decompress()
        except _UNDECODED as error:
            raise NoDecoderError(
                f"{syntax.name} ({syntax}): expected a syntax that dcm2niix reads or a decoder of pydicom's, found "
                f"{_shorten(error)}. pip install pylibjpeg pylibjpeg-libjpeg, or export it uncompressed"
            ) from None
    dataset.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
    remove_identifiers(dataset)
    dataset.save_as(path, enforce_file_format=True)


def _shorten(error: Exception) -> str:
    return "no decoder" if isinstance(error, RuntimeError) else f"none that can: {type(error).__name__}"
