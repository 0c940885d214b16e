"""The report's sections on scans recorded otherwise and on questions worded otherwise."""

from collections.abc import Callable, Sequence

from umbrella.evaluation.statistics.measures import MARGIN, Measure
from umbrella.evaluation.statistics.notation import percent
from umbrella.report.robustness_chart import draw_flips
from umbrella.report.section import Section

MARKS = {"stay": "stays", "flip": "flips", "cannot tell": "cannot tell"}


def describe_robustness(entry: dict, measure: Measure | None) -> Section:
    """A chart of the answers that flip, and a table of all kinds and strengths."""
    kinds = list(entry["kinds"].values())
    shown: dict = {"rows": [], "measure": measure, "margin": percent(MARGIN), "chart": None}
    for kind in kinds:
        for found, mark in zip(kind["strengths"], kind["by_strength"], strict=True):
            row = {"title": kind["title"], "strength": found["strength"], "mark": MARKS[mark]}
            shown["rows"].append(row | _show_numbers(found, measure))
    if kinds:
        shown["chart"] = draw_flips(kinds)
        shown["alt"] = "Share of answers that flip, with intervals, for each kind of change in three strengths; the "
        shown["alt"] += "numbers are in the table below"
    return Section("robustness", "Scans recorded otherwise", entry, shown, "robustness.html.j2")


def describe_wording(entry: dict, measure: Measure | None) -> Section:
    """A table of the phrasings."""
    rows = [{"title": found["phrasing"]} | _show_numbers(found, measure) for found in entry["phrasings"]]
    return Section(
        "wording", "Questions worded otherwise", entry, {"rows": rows, "measure": measure}, "wording.html.j2"
    )


def _show_numbers(found: dict, measure: Measure | None) -> dict[str, str]:
    ends = "same views" if found.get("most_difference") == 0 else _show_ends(found["changed_interval"], percent)
    shown = {"flipped": percent(found["changed"]), "flipped_interval": ends}
    if measure:
        ends = found[f"{measure.key}_interval"]
        shown |= {"score": measure.show(found[measure.key]), "interval": _show_ends(ends, measure.show)}
    if "moved" in found and measure:
        shown["moved"] = "none read" if found["moved"] is None else measure.show(found["moved"])
    return shown


def _show_ends(ends: Sequence[float] | None, show: Callable[[float], str]) -> str:
    return "none" if ends is None else " to ".join(show(end) for end in ends)
