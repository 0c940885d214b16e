"""The report's section on the gap between the best and the worst group."""

from umbrella.evaluation.statistics.measures import ACCURACY, Measure
from umbrella.report.section import Section

Row = dict[str, str]


def describe_group_gaps(entry: dict, measure: Measure | None) -> Section:
    """The section of `umbrella.evaluation.evidence.group_gaps`'s entry."""
    known = measure or ACCURACY  # free text has no groups
    shown = {"gaps": list_gaps(entry, known), "unit": known.unit_of_difference.strip()}
    return Section("group_gaps", "The best and the worst group", entry, shown, "group_gaps.html.j2")


def list_gaps(entry: dict, measure: Measure) -> list[Row]:
    """A row each gap that could be measured."""
    rows = []
    for name, found in entry["by"].items():
        title = name.replace("_", " ")
        for part in found["gaps"]:
            gap, groups = part["gap"], part["groups"]
            if gap is None:
                continue
            of = measure.name if part["of"] is None else f"right, of those with the true label {part['of']}"
            chance = "not known" if gap["by_chance"] is None else _show(gap["by_chance"], measure)
            best, worst = (
                f"{gap[end]}: {_fix(measure.show(groups[gap[end]][measure.key]))}" for end in ("best", "worst")
            )
            rows.append(
                {"by": title, "of": of, "best": best, "worst": worst, "chance": chance, **_show_gap(gap, measure)}
            )
        if found["equalised_odds"] is not None:
            odds = _show_gap(found["equalised_odds"], measure)
            rows.append({"by": title, "of": "equalised odds", "best": "", "worst": "", "chance": "", **odds})
    return rows


def _fix(shown: str) -> str:
    """A number and its unit in one line."""
    return shown.replace(" ", "\N{NO-BREAK SPACE}")


def _show(size: float, measure: Measure) -> str:
    return measure.show_difference(size).removeprefix("+")


def _show_gap(gap: dict, measure: Measure) -> Row:
    ends = gap["interval"]
    interval = "none" if ends is None else " to ".join(_show(end, measure) for end in ends)
    return {"gap": _show(gap["difference"], measure), "interval": interval}
