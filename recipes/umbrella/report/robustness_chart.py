"""The chart of --robustness: which share of the answers flips, for each kind of change and each strength."""

from collections.abc import Sequence
from typing import Any

import numpy as np

from umbrella.evaluation.statistics.measures import MARGIN
from umbrella.report.charts import BLUE, GREY, INK, ORANGE, draw, to_plain

SHADES = (0.4, 0.7, 1.0)  # of the three strengths, weakest first


def draw_flips(kinds: Sequence[dict]) -> str:
    """Dots with their 95 % intervals, the kinds from above, of each the weakest strength on top."""

    def paint(axes: Any) -> None:
        places, names = [], []
        for number, kind in enumerate(kinds):
            start = -4.6 * number
            axes.text(0, start + 1, to_plain(kind["title"]), fontweight="bold", va="center", clip_on=False)
            for shade, (offset, found) in zip(SHADES, enumerate(kind["strengths"]), strict=True):
                is_same = found["most_difference"] == 0  # no interval of what cannot flip
                low, high = (0, 0) if is_same else found["changed_interval"]
                place, color = start - offset, ORANGE if low > MARGIN else BLUE
                axes.plot([low, high], [place, place], color=color, alpha=shade, linewidth=2.4, solid_capstyle="round")
                axes.plot([found["changed"]], [place], "o", color=color, markersize=5, clip_on=False, zorder=3)
                places.append(place)
                names.append(to_plain(found["strength"]))
        axes.axvline(MARGIN, color=GREY, linestyle="--", linewidth=1)
        axes.set_yticks(places, names)
        axes.set_xticks(np.arange(0, 1.01, 0.25), ["0 %", "25 %", "50 %", "75 %", "100 %"])
        axes.set(xlim=(-0.01, 1.01), ylim=(min(places) - 0.7, 1.7), xlabel="answers that flip")
        axes.tick_params(axis="y", length=0)
        axes.grid(axis="y", visible=False)
        axes.spines["left"].set_visible(False)
        axes.xaxis.label.set_color(INK)

    return draw(0.7 + 0.155 * 4.6 * len(kinds), paint)
