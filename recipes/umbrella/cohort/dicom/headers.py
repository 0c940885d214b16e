"""Headers of all DICOM files of a folder, wherever they lie in it and whatever they are called."""

import os
import warnings
from collections import Counter
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

from umbrella.cohort.dicom import elements
from umbrella.cohort.dicom.instances import Instance
from umbrella.validation.worker_processes import start_workers

MANY_FILES = 2_000  # from here on processes are worth their start
FILES_AT_ONCE = 500
_MEDIA_DIRECTORY = "1.2.840.10008.1.3.10"  # the SOP class of a DICOMDIR
_FIRST_GROUPS = (b"\x02\x00", b"\x08\x00", b"\x00\x08")  # of a file without preamble, the last in big endian
_NO_DICOM, _MEDIA, _UNREADABLE, _AGAIN = "no DICOM", "DICOMDIR", "unreadable", "the same file by another link"


def read_headers(root: str | Path, jobs: int = 1) -> tuple[list[Instance], Counter[str]]:
    """The headers of all DICOM files below a folder, in the order of their paths, and how many others there are.

    Hidden files are read too, links are followed, each file and folder once. The others are counted as "no DICOM",
    "DICOMDIR", "unreadable" (damaged, or no right to read it), "the same file by another link". Above 2,000 files
    `jobs` processes share the work.
    """
    others: Counter[str] = Counter()
    files = list(_list_files(Path(root), others))
    chunks = [files[i : i + FILES_AT_ONCE] for i in range(0, len(files), FILES_AT_ONCE)]
    if jobs == 1 or len(files) < MANY_FILES:
        read = [_read_chunk(chunk) for chunk in chunks]
    else:
        with start_workers(min(jobs, len(chunks))) as pool:
            read = list(pool.map(_read_chunk, chunks))
    instances = []
    for of_chunk, others_of_chunk in read:
        instances += of_chunk
        others += others_of_chunk
    return instances, others


def _list_files(root: Path, others: Counter[str]) -> Iterator[str]:
    """Each file once, however many links lead to it, in an order that depends on names alone."""
    seen: set[tuple[int, int]] = set()

    def is_new(place: os.DirEntry | Path) -> bool:
        found = place.stat()
        key = (found.st_dev, found.st_ino)
        is_known = key in seen and found.st_ino != 0
        seen.add(key)
        return not is_known

    def walk(folder: str) -> Iterator[str]:
        try:
            entries = sorted(os.scandir(folder), key=lambda entry: entry.name)
        except OSError:
            others[_UNREADABLE] += 1
            return
        # What lies here itself goes before what links lead to.
        for entry in sorted(entries, key=os.DirEntry.is_symlink):
            try:
                if not is_new(entry):
                    others[_AGAIN] += entry.is_file()
                elif entry.is_dir():
                    yield from walk(entry.path)
                elif entry.is_file():
                    yield entry.path
            except OSError:  # a link that leads nowhere
                others[_UNREADABLE] += 1

    is_new(root)
    yield from walk(str(root))


def _read_chunk(paths: Iterable[str]) -> tuple[list[Instance], Counter[str]]:
    from pydicom import config

    instances: list[Instance] = []
    others: Counter[str] = Counter()
    shared: dict[Any, Any] = {}  # texts of a series are the same in all its files, and are kept once
    mode = config.settings.reading_validation_mode
    config.settings.reading_validation_mode = config.IGNORE  # values are checked where they are used
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            for path in paths:
                found = _read(path, shared)
                if isinstance(found, Instance):
                    instances.append(found)
                else:
                    others[found] += 1
    finally:
        config.settings.reading_validation_mode = mode
    return instances, others


def _read(path: str, shared: dict[Any, Any]) -> Instance | str:
    """The header of a file, or what it is instead."""
    from pydicom import dcmread

    try:
        with open(path, "rb") as file:
            start = file.read(132)
        if start[128:] != b"DICM" and start[:2] not in _FIRST_GROUPS:
            return _NO_DICOM
        header = dcmread(path, stop_before_pixels=True, force=True)
        if header.file_meta.get("MediaStorageSOPClassUID") == _MEDIA_DIRECTORY:
            return _MEDIA
        if not header.get("SOPClassUID") or not header.get("SOPInstanceUID"):
            return _NO_DICOM
        return _to_instance(path, header, shared)
    except elements.list_damages():
        return _UNREADABLE


def _to_instance(path: str, header: Any, shared: dict[Any, Any]) -> Instance:
    found = os.stat(path)
    frames = elements.read_frames(header)
    number = elements.read_integer

    def text(keyword: str) -> str:
        value = elements.read_text(header, keyword)
        return shared.setdefault(value, value)

    person = (text("SeriesInstanceUID"), text("PatientID"), text("PatientName"), text("AccessionNumber"))
    if person not in shared:
        shared[person] = elements.find_identifiers(header)
    image_type = elements.read_texts(header, "ImageType")
    return Instance(
        path=path,
        size=found.st_size,
        modified=found.st_mtime_ns,
        sop_class=text("SOPClassUID"),
        sop_uid=elements.read_text(header, "SOPInstanceUID"),
        syntax=elements.find_syntax(header),
        patient_id=text("PatientID"),
        patient_name=text("PatientName"),
        birth_date=text("PatientBirthDate"),
        sex=text("PatientSex"),
        age=text("PatientAge"),
        study_uid=text("StudyInstanceUID"),
        study_date=text("StudyDate"),
        series_uid=text("SeriesInstanceUID"),
        number=text("SeriesNumber"),
        description=text("SeriesDescription"),
        protocol=text("ProtocolName"),
        modality=text("Modality").upper(),
        body_part=text("BodyPartExamined"),
        image_type=shared.setdefault(image_type, image_type),
        contrast=elements.read_contrast(header),
        burnt_in=text("BurnedInAnnotation").upper(),
        overlay_bits=elements.read_overlays(header),
        echo=elements.read_echo(header),
        orientation=shared.setdefault(frames.orientation, frames.orientation),
        positions=frames.positions,
        matrix=(number(header, "Rows"), number(header, "Columns")),
        pixel_mm=elements.read_pixel_spacing(header),
        n_stated=number(header, "ImagesInAcquisition"),
        identifiers=shared[person],
        conversion=text("ConversionType"),
        part=elements.find_part(header),
        n_orientations=frames.n_orientations,
        mosaic=elements.read_mosaic(header),
        instance_number=number(header, "InstanceNumber"),
        spacing=elements.read_spacing(header),
    )
