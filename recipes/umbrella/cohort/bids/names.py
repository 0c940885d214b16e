"""The images in the folders of a BIDS participant: what their names say, and which names are no BIDS names.

The names are parsed by ancpbids, which has no dependencies of its own and installs beside current numpy and pandas.
The folders are listed here: only `sub-*/[ses-*]/{anat,dwi,func}` is of interest, and a layout of the whole tree would
walk through all derivatives first.
"""

import os
from collections.abc import Callable, Iterator
from typing import NamedTuple

from umbrella.cohort.shared.scan_places import is_folder
from umbrella.cohort.shared.visits import CohortError, is_text, to_text
from umbrella.options.extras import describe_missing

DATATYPES = ("anat", "dwi", "func")
EXTENSIONS = (".nii.gz", ".nii")


class Image(NamedTuple):
    """A file with an image's extension; with a `fault`, one whose name says that it is no scan of this folder."""

    path: str
    stem: str  # its path without extension
    suffix: str  # "" where its name is no BIDS name
    entities: dict[str, str]
    fault: str = ""


def list_visit_images(subject_folder: str, session: str) -> Iterator[list[Image]]:
    """The images of a session folder, then those above it, in the participant's own folder: BIDS derivatives keep an
    anatomical scan there that belongs to all sessions. Where there are no sessions: those of the participant."""
    above = list_images(subject_folder)
    if session:
        yield list_images(os.path.join(subject_folder, f"ses-{session}"))
        above = [image for image in above if image.entities.get("ses", session) == session]
    yield above


def list_images(folder: str, datatypes: tuple[str, ...] = DATATYPES) -> list[Image]:
    """All images of a participant's or session's folder, by name."""
    parse = import_parser()
    images = [image for name in datatypes for image in _list_folder(os.path.join(folder, name), folder, parse)]
    return sorted(images, key=lambda image: image.path)


def import_parser() -> Callable[[str], dict | None]:
    """ancpbids' reader of a file's name; CohortError names the extra where it is not installed."""
    try:
        from ancpbids.utils import parse_bids_name
    except ImportError:
        raise CohortError(describe_missing("ancpbids", "--bids_dir", "cohort")) from None
    return parse_bids_name


def _list_folder(datatype_folder: str, owner: str, parse: Callable) -> Iterator[Image]:
    try:
        entries = os.scandir(datatype_folder)
    except (FileNotFoundError, NotADirectoryError):
        return
    parts = os.path.normpath(owner).split(os.sep)
    expected = {"sub": next(part for part in reversed(parts) if part.startswith("sub-"))[4:]}
    if parts[-1].startswith("ses-"):
        expected["ses"] = parts[-1][4:]
    with entries:
        for entry in entries:
            extension = next((end for end in EXTENSIONS if entry.name.endswith(end)), None)
            if extension and not entry.name.startswith(".") and not is_folder(entry):
                # A link that leads nowhere is an image too, one that was not fetched: no other takes its place.
                yield _read_name(entry.path, extension, expected, parse)


def _read_name(path: str, extension: str, expected: dict[str, str], parse: Callable) -> Image:
    stem = path.removesuffix(extension)
    prefix, mark, rest = os.path.basename(stem).partition("sub-")
    if not is_text(path):
        return Image(to_text(path), to_text(stem), "", {}, "its name is no UTF-8")
    parsed = parse(mark + rest + extension)
    if parsed is None or not _is_whole(mark + rest, parsed):
        return Image(path, stem, "", {}, "its name is no BIDS name")
    suffix, entities = parsed["suffix"], parsed["entities"]
    fault = ""
    foreign = [key for key, label in expected.items() if entities.get(key, label) != label]
    if prefix:
        fault = f"its name begins with {prefix}, as a result of SPM's does (--image_template takes such)"
    elif foreign:
        fault = f"its name says {foreign[0]}-{entities[foreign[0]]}, its folder {foreign[0]}-{expected[foreign[0]]}"
    return Image(path, stem, suffix, entities, fault)


def _is_whole(name: str, parsed: dict) -> bool:
    """Whether the parser has lost nothing: of acq-a-b it keeps acq-a, of an entity named twice the last."""
    return name == "_".join([*(f"{key}-{value}" for key, value in parsed["entities"].items()), parsed["suffix"]])
