"""The interactive viewer of the page: three planes, a crosshair, contrast, and time for a series.

The pictures are drawn in the browser by NiiVue, which the installed package ipyniivue brings along; nothing is loaded
from another host.
"""

import os
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import gradio
import numpy as np

from umbrella.options.extras import describe_missing
from umbrella.report.demo.shown_files import find_folder, keep_file, write_nifti
from umbrella.scans.intensity import HIGH_PERCENT, LOW_PERCENT
from umbrella.scans.scan_files import ScanHeader, open_scan
from umbrella.scans.series import Series, read_series
from umbrella.scans.survey import states_orientation

MOST_SHOWN_BYTES = 1024**3  # of one scan: a browser holds 2 GiB in one piece, and the scan more than once
MOST_SIDE = 2048  # voxels along an axis, which every WebGL2 has in a texture
MOST_VALUES = 1_000_000  # of which percentiles are taken
PAGE_FILES = Path(__file__).parent / "page_files"
EMPTY = "No scan yet."


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
    "ready" or "failed". Raises ImportError where ipyniivue is missing.
    """
    module = find_module()
    gradio.set_static_paths([str(module), str(find_folder())])
    read = {kind: (PAGE_FILES / f"viewer.{kind}").read_text(encoding="utf-8") for kind in ("html", "css", "js")}
    return gradio.HTML(
        value=None,
        elem_id=elem_id,
        html_template=read["html"],
        css_template=f"--most-height: {most_height}px;\n{read['css']}",
        js_on_load=read["js"],
        apply_default_css=False,
        module=module.as_posix(),
        empty_text=empty_text,
        **options,
    )


def find_module() -> Path:
    """The file of the installed package that holds NiiVue. Raises ImportError where the package is missing."""
    spec = find_spec("ipyniivue")
    if spec is None or spec.origin is None:
        raise ImportError(describe_missing("ipyniivue", "the viewer of scans", "demo"))
    return Path(spec.origin).resolve().parent / "static" / "widget.js"


def show_scan(
    path: str | Path, modality: str | None = None, name: str | None = None, overlays: tuple[Overlay, ...] = ()
) -> dict[str, Any]:
    """What a viewer shows of a scan, as its value.

    path      any file that the loader of scans reads
    modality  of the row; None: whatever the header says
    name      for the reader; None: the file's own
    overlays  maps over it

    Returns `url` (the path under which the page is given the voxels), `name`, `n_frames`, `low` and `high` (the scan's
    1st and 99th percentile), `least`, `most`, `sides_known`, `note` (what is shown otherwise than it is stored, "" for
    nothing) and `overlays`, dicts of the like. Raises ScanError for what the loader refuses.
    """
    with open_scan(str(path)) as (header, _):
        chosen = _choose_frames(header)
    is_series = header.n_volumes > 1
    # Plain: a scan of which most is empty is shown too.
    series = read_series(str(path), modality or ("fMRI" if is_series else "sMRI"), lambda _: chosen, False, False)
    step = _find_step(series.stored)
    return {
        **_publish(series, step),
        "name": os.path.basename(str(path)) if name is None else name,
        "n_frames": len(series.stored),
        "sides_known": states_orientation(str(path)),
        "note": _note(header, len(series.stored), step),
        "overlays": [_show_overlay(overlay) for overlay in overlays],
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


def _note(header: ScanHeader, n_frames: int, step: int) -> str:
    notes = []
    if n_frames < header.n_volumes:
        notes.append(f"Of {header.n_volumes} volumes {n_frames}, evenly spread, are shown: a browser holds no more.")
    if step > 1:
        notes.append(f"Every voxel in {step} along each axis is shown: a browser holds no more.")
    if header.affine is None:
        notes.append("The header states no orientation: left and right are not known.")
    return " ".join(notes)


def _publish(series: Series, step: int) -> dict[str, Any]:
    """Write the voxels where the page finds them; returns the path and the range of the scaled values."""
    frames = series.stored[:, ::step, ::step, ::step]
    affine = series.affine @ np.diag([step, step, step, 1])
    path = keep_file(lambda path: write_nifti(path, frames, affine, series.slope, series.inter))
    ends = [float(end) for end in (frames.min(), frames.max())]
    thin = -(-frames.size // MOST_VALUES)
    percentiles = np.percentile(frames.ravel(order="K")[::thin], [LOW_PERCENT, HIGH_PERCENT]).tolist()
    least, most = sorted(series.slope * end + series.inter for end in ends)
    low, high = sorted(series.slope * end + series.inter for end in percentiles)
    if low == high:
        low, high = least, most
    return {"url": path.as_posix(), "low": low, "high": high, "least": least, "most": most}


def _show_overlay(overlay: Overlay) -> dict[str, Any]:
    series = read_series(str(overlay.path), "sMRI", None, False, False)
    shown = _publish(series, _find_step(series.stored))
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
