"""The decision curve."""

from typing import Any

from umbrella.report.charts import BLUE, GREY, INK, draw


def draw_decision_curve(curve: dict) -> str:
    """Net benefit of acting by the model, on everybody and on nobody, by threshold; `curve` as `DecisionCurve`."""

    def paint(axes: Any) -> None:
        percents = [100 * threshold for threshold in curve["thresholds"]]
        top = max(curve["prevalence"], *curve["model"])
        if curve["intervals"] is not None:
            low, high = zip(*curve["intervals"], strict=True)
            axes.fill_between(percents, low, high, color=BLUE, alpha=0.18, linewidth=0)
            top = max(top, *high)
        axes.plot(percents, curve["model"], color=BLUE, linewidth=2, label="by the model")
        axes.plot(percents, curve["treat_all"], color=GREY, linewidth=1.5, label="on everybody")
        axes.axhline(0, color=INK, linewidth=1, linestyle="--", label="on nobody")
        # Far below 0 lies what nobody would do; the table has it.
        axes.set(xlabel="threshold probability, %", ylabel="net benefit", xlim=(0, 100), ylim=(-0.35 * top, 1.1 * top))
        axes.legend(frameon=False, loc="lower left")

    return draw(3.2, paint)
