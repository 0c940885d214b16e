"""The chart of Bland and Altman: by how much two measurements of each subject differ, by their mean."""

from collections.abc import Sequence
from typing import Any

import numpy as np

from umbrella.evaluation.statistics.agreement import Limits
from umbrella.evaluation.statistics.notation import number
from umbrella.report.charts import BLUE, GREY, INK, ORANGE, draw


def draw_bland_altman(pairs: Sequence[tuple[float, float]], limits: Limits, unit: str) -> str:
    """A dot for each pair, second minus first; lines at their mean and at the limits of agreement. unit  may be ""."""
    first, second = np.asarray(pairs, float).T
    in_unit = f", {unit}" if unit else ""

    def paint(axes: Any) -> None:
        axes.axhline(0, color=GREY, linewidth=1)
        axes.scatter((first + second) / 2, second - first, s=16, color=BLUE, alpha=0.6, zorder=3)
        for value, title in ((limits.low, "lower limit"), (limits.bias, "mean"), (limits.high, "upper limit")):
            is_limit = title != "mean"
            axes.axhline(value, color=ORANGE if is_limit else INK, linestyle="--" if is_limit else "-", linewidth=1.2)
            axes.annotate(
                f"{title} {number(value)}",
                (1.01, value),
                xycoords=("axes fraction", "data"),
                va="center",
                annotation_clip=False,
            )
        axes.margins(y=0.15)
        axes.set(xlabel=f"mean of two answers{in_unit}", ylabel=f"second minus first{in_unit}")

    return draw(3.4, paint)
