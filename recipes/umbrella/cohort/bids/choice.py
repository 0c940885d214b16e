"""The one scan of a modality that a visit has in a BIDS tree, or why there is none: by suffix, entities and run."""

import gzip
import os
import zlib
from collections.abc import Iterable, Sequence
from io import BufferedIOBase
from itertools import groupby
from typing import NamedTuple

from umbrella.cohort.bids.entities import Condition, normalise
from umbrella.cohort.bids.names import DATATYPES, Image
from umbrella.scans.not_a_scan import GZIP_MAGIC

_PIECE = 1 << 20
_MOST_NAMES = 6


class Wanted(NamedTuple):
    """Which scan of a modality."""

    suffix: str
    conditions: tuple[Condition, ...] = ()
    run: str = ""  # "first", "last" or a run's index; "": a visit with several runs is left out
    prefix: str = ""  # "fMRI:" before an entity, where several modalities are asked for


class Choice(NamedTuple):
    """A scan, or the reason why there is none; how it was told from others."""

    path: str = ""
    reason: str = ""
    detail: str = ""
    is_above_session: bool = False
    is_twice: bool = False  # as .nii and as .nii.gz, with the same content
    beside: tuple[Image, ...] = ()  # files in its folder that are no scans of the participant, by their names
    is_absent: bool = False  # no image has the suffix, fitting or not
    passed_over: tuple[Image, ...] = ()  # scans above the session's folder that fit too


def choose_scan(levels: Iterable[Sequence[Image]], wanted: Wanted) -> Choice:
    """The scan of the nearest level (the session's folder, then the participant's) that has any which fits."""
    faulty: list[Image] = []
    levels = list(levels)
    for i, images in enumerate(levels):
        faulty += [image for image in images if image.fault and image.suffix in ("", wanted.suffix)]
        fitting = _list_fitting(images, wanted)
        if fitting:
            above = tuple(image for level in levels[i + 1 :] for image in _list_fitting(level, wanted))
            choice = _add_beside(_pick(fitting, wanted), faulty)
            return choice._replace(is_above_session=i > 0, passed_over=above)
    what = f"no {wanted.suffix} image" + "".join(
        f" with {c}" if c.value else f" without {c.entity}" for c in wanted.conditions
    )
    what += f" of run {wanted.run}" if wanted.run.isdecimal() else ""
    what += f" in {', '.join(DATATYPES)}"
    is_absent = not any(image.suffix == wanted.suffix for images in levels for image in images)
    return Choice(reason="no scan", detail=what + _describe_faults(faulty), is_absent=is_absent)


def _add_beside(choice: Choice, faulty: list[Image]) -> Choice:
    folder = os.path.dirname(choice.path)
    return choice._replace(beside=tuple(image for image in faulty if os.path.dirname(image.path) == folder))


def _list_fitting(images: Iterable[Image], wanted: Wanted) -> list[Image]:
    return [image for image in images if not image.fault and _fits(image, wanted)]


def _fits(image: Image, wanted: Wanted) -> bool:
    if wanted.run.isdecimal() and normalise("run", image.entities.get("run", "")) != normalise("run", wanted.run):
        return False
    return image.suffix == wanted.suffix and all(condition.fits(image.entities) for condition in wanted.conditions)


def _describe_faults(images: list[Image]) -> str:
    if not images:
        return ""
    named = "; ".join(f"{os.path.basename(image.path)}: {image.fault}" for image in images[:3])
    return f" (not taken: {named}{'; ...' if len(images) > 3 else ''})"


def _pick(images: list[Image], wanted: Wanted) -> Choice:
    by_stem = {stem: list(same) for stem, same in groupby(images, key=lambda image: image.stem)}
    firsts = [same[0] for same in by_stem.values()]
    if len(firsts) == 1:
        return _resolve_extensions(by_stem[firsts[0].stem])
    names = _join([os.path.basename(image.path) for image in firsts])
    others = [_without_run(image) for image in firsts]
    if any(other != others[0] for other in others):
        return Choice(reason="several files", detail=f"{names}; {_describe_differences(others, wanted)}")
    runs = [normalise("run", image.entities.get("run", "")) for image in firsts]
    if len(set(runs)) < len(runs):
        return Choice(reason="several files", detail=f"{names}; their names say the same: delete or rename one")
    if wanted.run in ("first", "last") and all(run.isdecimal() or not run for run in runs):
        ordered = sorted(firsts, key=lambda image: int(image.entities.get("run", "0")))
        return _resolve_extensions(by_stem[ordered[0 if wanted.run == "first" else -1].stem])
    if wanted.run:
        return Choice(reason="several runs", detail=f"{names}; whose order cannot be told: run is no number")
    return Choice(reason="several runs", detail=f"{names}; choose with --run first, last or a number")


def _without_run(image: Image) -> dict[str, str]:
    return {name: normalise(name, value) for name, value in image.entities.items() if name != "run"}


def _describe_differences(others: list[dict[str, str]], wanted: Wanted) -> str:
    """In which entities files differ, and what chooses each of them."""
    differing = sorted({name for other in others for name, _ in other.items() ^ others[0].items()})
    ways = dict.fromkeys(
        " ".join(f"{wanted.prefix}{name}={other.get(name, '')}" for name in differing) for other in others
    )
    shown = " or ".join(list(ways)[:_MOST_NAMES])
    advice = f"add to them {shown}" if wanted.conditions else f"choose with --entities {shown}"
    empty = any(name not in other for name in differing for other in others)
    return f"they differ in {', '.join(differing)}: {advice}{' (nothing after the = means: without it)' * empty}"


def _resolve_extensions(same: list[Image]) -> Choice:
    """Of one scan as .nii and .nii.gz, the .nii.gz where both hold the same bytes."""
    if len(same) == 1:
        return Choice(same[0].path)
    compressed = next(image.path for image in same if image.path.endswith(".gz"))
    plain = next(image.path for image in same if not image.path.endswith(".gz"))
    difference = _compare(compressed, plain)
    if difference is None:
        return Choice(compressed, is_twice=True)
    names = f"{os.path.basename(plain)} and {os.path.basename(compressed)}"
    return Choice(reason="several files", detail=f"{names} are both there, and {difference}: delete or move one")


def _compare(first: str, second: str) -> str | None:
    """How the content of two files differs, inflated where it is compressed; None: not at all."""
    try:
        with _open(first) as one, _open(second) as other:
            while True:
                pieces = one.read(_PIECE), other.read(_PIECE)
                if pieces[0] != pieces[1]:
                    return "differ in what they hold"
                if not pieces[0]:
                    return None
    except (OSError, EOFError, zlib.error) as error:
        return f"cannot be compared ({error})"


def _open(path: str) -> BufferedIOBase:
    if os.path.exists(path) and not os.path.isfile(path):
        raise OSError("no regular file, but a pipe, a device or the like")  # a pipe would be waited for
    with open(path, "rb") as file:
        is_compressed = file.read(len(GZIP_MAGIC)) == GZIP_MAGIC
    return gzip.open(path) if is_compressed else open(path, "rb")


def _join(names: list[str]) -> str:
    return ", ".join(names[:_MOST_NAMES]) + (f", ... ({len(names)} in all)" if len(names) > _MOST_NAMES else "")
