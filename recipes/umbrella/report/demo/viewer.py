"""The interactive viewer of the page: three planes, a crosshair, contrast, and time for a series.

The pictures are drawn in the browser by NiiVue, which the installed package ipyniivue brings along; nothing is loaded
from another host.
"""

import json
import os
from collections.abc import Sequence
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import gradio
import numpy as np
from nibabel.affines import apply_affine

from umbrella.options.extras import describe_missing
from umbrella.report.demo.shown_files import find_folder, keep_file, write_nifti
from umbrella.scans.intensity import HIGH_PERCENT, LOW_PERCENT
from umbrella.scans.scan_files import ScanHeader, open_scan
from umbrella.scans.series import read_series

MOST_SHOWN_BYTES = 1024**3  # of one scan: a browser holds 2 GiB in one piece, and the scan more than once
MOST_SIDE = 2048  # voxels along an axis, which every WebGL2 has in a texture
MOST_VALUES = 1_000_000  # of which percentiles are taken
PAGE_FILES = Path(__file__).parent / "page_files"
EMPTY = "No scan yet."
SIDES_UNKNOWN = "The header states no orientation: left and right are not known."


@dataclass(frozen=True)
class Overlay:
    """A map that lies over a scan, in its space.

    path  of the map, NIfTI
    name  for the reader
    low   the least value that is drawn; None: a hundredth of the largest
    high  the value of the brightest colour; None: the largest
    colormap, colormap_negative  of NiiVue; the second is that of values below -low, "" leaves them out
    opacity  0 to 1, at the beginning
    """

    path: str | Path
    name: str
    low: float | None = None
    high: float | None = None
    colormap: str = "warm"
    colormap_negative: str = ""
    opacity: float = 0.6


def make_viewer(elem_id: str, empty_text: str = EMPTY, most_height: int = 560, **options: Any) -> gradio.HTML:
    """A viewer, whose value is what `show_scan` returns, or None.

    elem_id     its id in the page, and another one for each viewer of a page
    empty_text  what stands there without a scan
    most_height  of the planes, in pixels; they are as wide as the column, which wants 320 pixels at least
    options     others of gradio.HTML

    In the page the element with `data-part="viewer"` in it says in `data-state` how it stands: "empty", "loading",
    "ready" or "failed". Whoever launches the page allows it the files of `list_served`. Raises ImportError where
    ipyniivue is missing.
    """
    module = find_module()
    # No properties of the component: Gradio forgets those of one that it updates before its part was ever opened.
    read = {kind: (PAGE_FILES / f"viewer.{kind}").read_text(encoding="utf-8") for kind in ("html", "css", "js")}
    return gradio.HTML(
        value=None,
        elem_id=elem_id,
        html_template=read["html"],
        css_template=f"--most-height: {most_height}px;\n{read['css']}",
        js_on_load=f"const MODULE = {json.dumps(module.as_posix())}, EMPTY = {json.dumps(empty_text)};\n{read['js']}",
        apply_default_css=False,
        **options,
    )


def list_served() -> list[str]:
    """What a page with viewers gives to the browser: the module that draws, and the folder of shown scans. To be read
    alone: what Gradio calls static would be taken for files that were sent, too."""
    return [str(find_module()), str(find_folder())]


def find_module() -> Path:
    """The file of the installed package that holds NiiVue. Raises ImportError where the package is missing."""
    spec = find_spec("ipyniivue")
    if spec is None or spec.origin is None:
        raise ImportError(describe_missing("ipyniivue", "the viewer of scans", "demo"))
    return Path(spec.origin).resolve().parent / "static" / "widget.js"


def show_scan(
    source: str | Path | bytes,
    modality: str | None = None,
    name: str | None = None,
    overlays: Sequence[Overlay] = (),
    start_mm: np.ndarray | None = None,
) -> dict[str, Any]:
    """What a viewer shows of a scan, as its value.

    source    any file that the loader of scans reads, or its bytes
    modality  of the row; None: whatever the header says
    name      for the reader; None: the file's own
    overlays  maps over it
    start_mm  (3,), where the crosshair is at first; None: in the middle

    Returns `url` (the path under which the page is given the voxels), `name`, `n_frames`, `low` and `high` (the scan's
    1st and 99th percentile), `least`, `most`, `sides_known`, `note` (what is shown otherwise than it is stored, "" for
    nothing), `start` (of the crosshair, shares of the axes) and `overlays`, dicts of the like. Raises ScanError for
    what the loader refuses.
    """
    source = source if isinstance(source, bytes) else str(source)
    with open_scan(source) as (header, _):
        chosen = _choose_frames(header)
    as_stored = modality or ("fMRI" if header.n_volumes > 1 else "sMRI")
    # Without percentiles: a scan of which most is empty is shown too.
    series = read_series(source, as_stored, lambda _: chosen, normalize=False, standardize=False)
    notes = []
    if len(chosen) < header.n_volumes:
        notes.append(
            f"Of {header.n_volumes} volumes {len(chosen)}, evenly spread, are shown: a browser holds no more."
        )
    if header.affine is None:
        notes.append(SIDES_UNKNOWN)
    shown = show_frames(series.stored, series.affine, header.affine is not None, series.slope, series.inter)
    shape = np.array(series.stored.shape[1:])
    voxel = (shape - 1) / 2 if start_mm is None else apply_affine(np.linalg.inv(series.affine), start_mm)
    return shown | {
        "start": np.clip((voxel + 0.5) / shape, 0, 1).tolist(),
        "name": os.path.basename(header.name) if name is None else name,
        "note": " ".join([*notes, shown["note"]]).strip(),
        "overlays": [_show_overlay(overlay) for overlay in overlays],
    }


def show_frames(
    frames: np.ndarray, affine: np.ndarray, sides_known: bool, slope: float = 1.0, inter: float = 0.0, name: str = ""
) -> dict[str, Any]:
    """The value of a viewer for volumes in memory, (T, X, Y, Z), RAS+, whose scaled values are slope * number + inter.

    affine  (4, 4), voxel indices to mm
    """
    step = _find_step(frames)
    thin = frames[:, ::step, ::step, ::step]
    note = f"Every voxel in {step} along each axis is shown: a browser holds no more." if step > 1 else ""
    placed = affine @ np.diag([step, step, step, 1])
    path = keep_file(lambda path: write_nifti(path, thin, placed, slope, inter))
    ends = [slope * float(end) + inter for end in (frames.min(), frames.max())]
    few = thin.ravel(order="K")[:: -(-thin.size // MOST_VALUES)]
    percentiles = [slope * end + inter for end in np.percentile(few, [LOW_PERCENT, HIGH_PERCENT]).tolist()]
    low, high = sorted(percentiles if percentiles[0] != percentiles[1] else ends)
    return {
        "url": path.as_posix(),
        "name": name,
        "n_frames": len(frames),
        "low": low,
        "high": high,
        "least": min(ends),
        "most": max(ends),
        "sides_known": sides_known,
        "note": note,
        "start": [0.5, 0.5, 0.5],
        "overlays": [],
    }


def _choose_frames(header: ScanHeader) -> list[list[int]]:
    """All volumes of a series, or as many, evenly spread, as a browser holds."""
    n_bytes = header.n_bytes // max(header.n_volumes, 1)
    most = max(1, MOST_SHOWN_BYTES // max(n_bytes, 1))
    return [[int(number)] for number in np.linspace(0, header.n_volumes - 1, min(header.n_volumes, most)).round()]


def _find_step(frames: np.ndarray) -> int:
    """Every how many voxels along each axis a browser can show of (T, X, Y, Z)."""
    step = -(-max(frames.shape[1:]) // MOST_SIDE)
    while frames[:, ::step, ::step, ::step].nbytes > MOST_SHOWN_BYTES:
        step += 1
    return step


def _show_overlay(overlay: Overlay) -> dict[str, Any]:
    series = read_series(str(overlay.path), "sMRI", None, normalize=False, standardize=False)
    shown = show_frames(series.stored, series.affine, True, series.slope, series.inter)
    largest = max(shown["most"], -shown["least"]) if overlay.colormap_negative else shown["most"]
    return {
        **shown,
        "name": overlay.name,
        "low": largest / 100 if overlay.low is None else overlay.low,
        "high": largest if overlay.high is None else overlay.high,
        "colormap": overlay.colormap,
        "colormap_negative": overlay.colormap_negative,
        "opacity": overlay.opacity,
    }
