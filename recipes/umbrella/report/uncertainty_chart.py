"""Charts of how far a model's sureness can be used."""

from typing import Any

import numpy as np

from umbrella.report.charts import BLUE, GREY, INK, ORANGE, draw

SHARES = np.arange(0, 1.01, 0.25)
HEIGHT = 3.5  # inches
ABOVE = {"frameon": False, "loc": "lower left", "bbox_to_anchor": (-0.02, 1.0), "ncols": 2}  # where no line is


def draw_risk_by_coverage(order: dict, abstention: dict) -> str:
    """Share of wrong answers among the surest, from few of the rows to all; with the order at random, and at its best.

    order, abstention  see `umbrella.evaluation.uncertainty.abstaining`; the threshold's dot is there where it was set
    """

    def paint(axes: Any) -> None:
        coverage, risk = order["curve"]["coverage"], order["curve"]["risk"]
        at_random = order["random"]["value"]
        ideal = np.linspace(0.01, 1, 200)
        axes.plot([0, 1], [at_random] * 2, color=GREY, linestyle="--", linewidth=1, label="in a random order")
        at_best = np.maximum(0, ideal - 1 + at_random) / ideal
        axes.plot(ideal, at_best, color=GREY, linestyle=":", linewidth=1.2, label="if the wrong ones came last")
        axes.plot(coverage, risk, color=BLUE, linewidth=2, label="the surest first", drawstyle="steps-post")
        given = abstention.get("evaluated")
        if given and given["risk"]["value"] is not None:
            place = (given["coverage"]["value"], given["risk"]["value"])
            axes.scatter(*place, s=50, color=ORANGE, zorder=4, label="above the threshold", clip_on=False)
        axes.set(xlabel="share of the rows that are answered", ylabel="share wrong", xlim=(0, 1.02))
        axes.set_ylim(0, max(0.05, 1.15 * max(max(risk), at_random)))
        axes.set_xticks(SHARES, [f"{100 * share:.0f} %" for share in SHARES])
        axes.yaxis.set_major_formatter(lambda share, _: f"{100 * share:.3g} %")
        axes.legend(**ABOVE)

    return draw(HEIGHT, paint)


def draw_reliability(bins: dict[str, list[list[float]]]) -> str:
    """How often the likeliest label is right, by its probability, before and after the temperature; a dot's area is
    its number of rows."""

    def paint(axes: Any) -> None:
        axes.plot([0, 1], [0, 1], color=GREY, linestyle="--", linewidth=1)
        for name, color in (("before", BLUE), ("after", ORANGE)):
            if name in bins:
                counts, confidence, right = np.transpose(bins[name])
                areas = 20 + 180 * counts / counts.sum()
                title = f"{name} the temperature" if "after" in bins else "as they are"
                axes.plot(confidence, right, color=color, linewidth=1, alpha=0.6, zorder=3)
                axes.scatter(confidence, right, s=areas, color=color, alpha=0.75, clip_on=False, zorder=3, label=title)
        axes.set(xlabel="probability of the likeliest label", ylabel="share right", xlim=(0, 1.03), ylim=(-0.03, 1.05))
        legend = axes.legend(**ABOVE)
        for handle in legend.legend_handles:
            handle.set_sizes([40])

    return draw(HEIGHT, paint)


def draw_held(curve: dict[str, list[float]], level: float) -> str:
    """Share of the true numbers within intervals of each level; on the diagonal a promise is kept."""

    def paint(axes: Any) -> None:
        axes.plot([0, 1], [0, 1], color=GREY, linestyle="--", linewidth=1)
        axes.axvline(level, color=INK, linewidth=0.8, alpha=0.5)
        axes.plot(curve["level"], curve["held"], color=BLUE, marker="o", markersize=3, linewidth=2)
        axes.set(xlabel="share that was to be held", ylabel="share held", xlim=(0, 1.02), ylim=(0, 1.03))
        for axis in (axes.xaxis, axes.yaxis):
            axis.set_major_formatter(lambda share, _: f"{100 * share:.0f} %")

    return draw(HEIGHT, paint)
