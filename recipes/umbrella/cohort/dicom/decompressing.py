"""Compressed files that dcm2niix does not read, written anew without compression, where a decoder is there."""

import logging
import zlib
from pathlib import Path

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


def write_uncompressed(series: Series, folder: Path) -> None:
    """Write each file of a series into `folder`, as 00000.dcm, 00001.dcm …, in explicit little endian; a link where it
    can be read as it is. Raises NoDecoderError."""
    for number, one in enumerate(series.instances):
        path = folder / f"{number:05d}.dcm"
        if not one.syntax or one.syntax in READ_BY_DCM2NIIX:
            path.symlink_to(Path(one.path).resolve())
        else:
            _write_uncompressed(one.path, path)


def _write_uncompressed(source: str, path: Path) -> None:
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
    dataset.save_as(path, enforce_file_format=True)


def _shorten(error: Exception) -> str:
    return "no decoder" if isinstance(error, RuntimeError) else f"none that can: {type(error).__name__}"
