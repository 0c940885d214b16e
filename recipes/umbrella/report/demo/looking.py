"""Where a model looked when it gave its last answer, as a map over the scan, while the page says how far it is."""

from collections.abc import Iterator
from concurrent.futures import Future
from dataclasses import dataclass
from pathlib import Path
from queue import Empty, SimpleQueue
from tempfile import TemporaryDirectory
from threading import Event
from typing import Any

from umbrella.answers.attribution.maps import AttributionMap
from umbrella.answers.attribution.occlusion import BOX_MM, map_occlusion
from umbrella.answers.attribution.scan_in_row import ScanInRow
from umbrella.answers.talking.talker import SECONDS, Talker
from umbrella.report.demo.viewer import Overlay, show_scan

FAVOURS, SPEAKS_AGAINST = "warm", "winter"  # colour maps of NiiVue


class Left(Exception):
    """Nobody waits for the map any more."""


@dataclass(frozen=True)
class Looked:
    """How far a map is, or the map: `viewer`, the value of a viewer, and a sentence that tells what it shows."""

    n_done: int
    n_known: int
    viewer: dict[str, Any] | None = None
    told: str = ""


def find_where_it_looked(
    talker: Talker, answered: tuple[dict, str], number: int, name: str, stop: Event
) -> Iterator[Looked]:
    """Hide box by box of one scan of a row, and see what the answer loses; `name`: of the scan, for the reader.

    answered  the row, and the model's answer to it
    Raises what the transform and the map raise. `stop` ends it, with nothing shown.
    """
    steps: SimpleQueue[tuple[int, int]] = SimpleQueue()
    (row, answer), gone = answered, Event()

    def tell(n_done: int, n_known: int) -> None:
        if stop.is_set() or gone.is_set():
            raise Left
        steps.put((n_done, n_known))

    def work() -> AttributionMap:
        answerer = talker.opened.answerer
        return map_occlusion(ScanInRow(answerer.model, answerer.answers, row, number, answer), progress=tell)

    future = talker.do_in_turn(work)
    try:
        for step in _follow(steps, future):
            yield Looked(*step)
        found = future.result()
    except Left:
        return
    finally:
        gone.set()
    yield _show(found, row["images"][number], name, answer)


def _follow(steps: SimpleQueue, future: Future) -> Iterator[tuple[int, int]]:
    while not (future.done() and steps.empty()):
        try:
            yield steps.get(timeout=SECONDS)
        except Empty:
            continue


def _show(found: AttributionMap, scan: dict, name: str, answer: str) -> Looked:
    with TemporaryDirectory(prefix="umbrella-map-") as folder:
        path = f"{folder}/map.nii.gz"
        found.save(Path(path))
        overlay = Overlay(path, "Speaks for the answer", colormap=FAVOURS, colormap_negative=SPEAKS_AGAINST)
        start = None if found.highest is None else found.boxed.shown_mm(found.highest)
        viewer = show_scan(scan["path"], scan["modality"], name, (overlay,), start)
    where = "It rests on no box more than on another"
    if found.highest is not None:
        x, y, z = found.boxed.centre_mm(found.highest)
        where = f"It rests most on the box around x {x:.0f}, y {y:.0f}, z {z:.0f} mm (RAS+)"
    told = (
        f"{found.n_views} views with boxes of {BOX_MM:g} mm and more hidden. The log-likelihood of “{answer}” is "
        f"{found.log_likelihood:.3g} nats; with the whole scan hidden it loses {found.whole:.3g}. {where}. Warm "
        "colours speak for the answer, cold ones against it. A model that has learned nothing may have as "
        "sharp a map: recipes/explain.py compares."
    )
    return Looked(found.n_views, found.n_views, viewer, told)
