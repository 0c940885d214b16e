"""Compressed files that dcm2niix does not read, written anew without compression, where a decoder is there."""

import io
import logging
from pathlib import Path
from typing import Any

from umbrella.cohort.dicom.elements import list_damages, remove_identifiers
from umbrella.cohort.dicom.instances import Series
from umbrella.cohort.dicom.stack_faults import AGAIN

# Transfer syntaxes that dcm2niix decodes itself: PS3.5, annex A.
READ_BY_DCM2NIIX = frozenset(
    """1.2.840.10008.1.2 1.2.840.10008.1.2.1 1.2.840.10008.1.2.2 1.2.840.10008.1.2.5 1.2.840.10008.1.2.4.50
    1.2.840.10008.1.2.4.57 1.2.840.10008.1.2.4.70 1.2.840.10008.1.2.4.80 1.2.840.10008.1.2.4.81
    1.2.840.10008.1.2.4.90 1.2.840.10008.1.2.4.91""".split()
)
_DEFLATED = "1.2.840.10008.1.2.1.99"


class NoDecoderError(Exception):
    """Pixels that nothing here decodes, or a file that is damaged; the message says which, and what to do."""


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
    buffer = io.BytesIO()
    try:
        dataset = dcmread(source)
        if dataset.file_meta.TransferSyntaxUID != _DEFLATED:  # which is inflated already
            _decompress(dataset)
        dataset.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
        remove_identifiers(dataset)
        dataset.save_as(buffer, enforce_file_format=True)
    except list_damages() as error:
        raise NoDecoderError(
            f"expected compressed files that can be read, found {type(error).__name__} in one. {AGAIN}"
        ) from None
    path.write_bytes(buffer.getvalue())


def _decompress(dataset: Any) -> None:
    syntax = dataset.file_meta.TransferSyntaxUID
    try:
        dataset.decompress()
    except list_damages() as error:
        found = "no decoder" if isinstance(error, RuntimeError) else f"none that can: {type(error).__name__}"
        raise NoDecoderError(
            f"{syntax.name} ({syntax}): expected a syntax that dcm2niix reads or a decoder of pydicom's, found "
            f"{found}. pip install pylibjpeg pylibjpeg-libjpeg, or export it uncompressed"
        ) from None
