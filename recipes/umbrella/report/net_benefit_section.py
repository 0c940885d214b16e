"""The report's section on the net benefit of acting on the model's probabilities."""

from umbrella.evaluation.statistics.measures import Measure
from umbrella.report.net_benefit_chart import draw_decision_curve
from umbrella.report.section import Section

Row = dict[str, str]


def describe_net_benefit(entry: dict, measure: Measure | None) -> Section:
    """The section of `umbrella.evaluation.evidence.net_benefit`'s entry."""
    curves = [
        {"label": curve["label"], "svg": draw_decision_curve(curve), "rows": list_thresholds(curve)}
        for curve in entry["curves"]
    ]
    return Section("net_benefit", "Net benefit", entry, {"curves": curves}, "net_benefit.html.j2")


def list_thresholds(curve: dict) -> list[Row]:
    """A row each threshold."""
    rows = []
    for i, threshold in enumerate(curve["thresholds"]):
        ends = curve["intervals"] and curve["intervals"][i]
        rows.append(
            {
                "threshold": f"{100 * threshold:.0f} %",
                "model": f"{curve['model'][i]:.3f}",
                "interval": f"{ends[0]:.3f} to {ends[1]:.3f}" if ends else "none",
                "treat_all": f"{curve['treat_all'][i]:.3f}",
                "useful": "yes" if curve["is_useful"][i] else "no",
            }
        )
    return rows
