"""The report's section on repeatability: what was said, answers beside answers, the chart of Bland and Altman."""

from typing import Any

from umbrella.evaluation.statistics.agreement import Limits
from umbrella.evaluation.statistics.measures import Measure
from umbrella.evaluation.statistics.notation import number
from umbrella.report.agreement_chart import draw_bland_altman
from umbrella.report.section import Section

MOST_LABELS = 12  # of a table of answers


def describe_repeatability(entry: dict, measure: Measure | None) -> Section:
    """The section of the entry `repeatability`."""
    shown: dict[str, Any] = {"chart": None, "text": "", "counts": [], "labels": []}
    if entry.get("low"):
        limits = Limits(*(entry[name]["value"] for name in ("bias", "low", "high")))
        shown["chart"] = draw_bland_altman(entry["pairs"], limits, entry["unit"] or "")
        shown["text"] = (
            f"{entry['n']} pairs; mean {number(limits.bias)}, limits of agreement {number(limits.low)} to "
            f"{number(limits.high)}"
        )
    if "counts" in entry and len(entry["labels"]) <= MOST_LABELS:
        used = [i for i, label in enumerate(entry["labels"]) if _is_said(entry["counts"], i)]
        shown["labels"] = [entry["labels"][i] for i in used]
        shown["counts"] = [[entry["counts"][i][j] for j in used] for i in used]
    return Section("repeatability", "Repeatability", entry, shown, "repeatability.html.j2")


def _is_said(counts: list[list[int]], label: int) -> bool:
    return any(counts[label]) or any(row[label] for row in counts)
