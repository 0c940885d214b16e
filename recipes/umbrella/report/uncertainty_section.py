"""The report's section on how far a model's sureness can be used."""

from collections.abc import Sequence

from umbrella.evaluation.statistics.measures import ACCURACY, Measure
from umbrella.evaluation.statistics.notation import number, percent
from umbrella.evaluation.uncertainty.tempering import TITLES
from umbrella.evaluation.verdicts import say_rows
from umbrella.report.section import Section
from umbrella.report.uncertainty_chart import draw_held, draw_reliability, draw_risk_by_coverage

NAME, TITLE = "uncertainty", "How sure, and how far that can be used"
Row = dict[str, str]


def describe_uncertainty(entry: dict, measure: Measure | None) -> Section:
    """The section of `umbrella.evaluation.uncertainty.uncertainty`'s entry."""
    if "validation" not in entry:
        return Section(NAME, TITLE, entry)
    shown: dict = dict.fromkeys(("risk", "reliability", "held"))
    if "order" in entry:
        shown["risk"] = draw_risk_by_coverage(entry["order"], entry["abstention"])
        shown["reliability"] = draw_reliability(entry["temperature"]["bins"])
        shown["coverages"] = list_coverages(entry)
        shown["scores"] = list_scores(entry["temperature"]["scores"])
        shown["sets"] = list_sets(entry["sets"])
    elif entry["intervals"].get("curve"):
        shown["held"] = draw_held(entry["intervals"]["curve"], entry["intervals"]["level"])
    return Section(NAME, TITLE, entry, shown, "uncertainty.html.j2")


def list_coverages(entry: dict) -> list[Row]:
    """A row each way to leave out the least sure: all rows, shares of them, and the threshold."""
    order, abstention = entry["order"], entry["abstention"]
    rows = [_show_coverage("all rows", 1.0, order["all"])]
    rows += [
        _show_coverage(f"the surest {100 * float(name):g} %", point["coverage"], point["accuracy"])
        for name, point in reversed(order["at"].items())
    ]
    if "evaluated" in abstention:
        given = abstention["evaluated"]
        title = f"above the threshold for {percent(abstention['most_risk'])} wrong"
        rows.append(_show_coverage(title, given["coverage"]["value"], _turn(given["risk"])))
        rows.append(_show_coverage("below it", 1 - given["coverage"]["value"], _turn(given["risk_of_others"])))
    return rows


def _turn(risk: dict) -> dict:
    """The share of right answers, of that of wrong ones."""
    if risk["value"] is None:
        return risk
    low, high = risk["interval"]
    return {**risk, "value": 1 - risk["value"], "interval": (1 - high, 1 - low)}


def _show_coverage(title: str, coverage: float, share: dict) -> Row:
    return {"title": title, "coverage": percent(coverage), **_show_share(share)}


def _show_share(share: dict) -> Row:
    if share["value"] is None:
        return {"rows": "no row", "share": "", "interval": ""}
    interval = _show_ends([ACCURACY.show(end) for end in share["interval"]])
    return {"rows": say_rows(share), "share": percent(share["value"]), "interval": interval}


def _show_ends(ends: Sequence[str]) -> str:
    return " to ".join(ends)


def list_scores(scores: dict[str, dict]) -> list[Row]:
    """A row each score of the probabilities, before the temperature, and after it where there is one."""
    rows = []
    for name, score in scores.items():
        row = {"title": TITLES[name] + (" (nats)" if name == "nll" else "")}
        for setting in ("before", "after", "change"):
            row[setting] = number(score[setting]["value"]) if setting in score else ""
            ends = score.get(setting, {}).get("interval")
            row[f"{setting}_interval"] = _show_ends([number(end) for end in ends]) if ends else ""
        rows.append(row)
    return rows


def list_sets(sets: dict) -> dict[str, list[Row]]:
    """`sizes`: how many rows have a set of so many labels; `held`: of each true label the share in its sets."""
    if "sizes" not in sets:
        return {}
    n = sum(sets["sizes"].values())
    sizes = [
        {"title": f"{size} label{'' if size == '1' else 's'}", "rows": str(rows), "share": percent(rows / n)}
        for size, rows in sets["sizes"].items()
        if rows
    ]
    held = [{"title": label, **_show_share(share)} for label, share in sets["by_label"].items()]
    return {"sizes": sizes, "held": [{"title": "all", **_show_share(sets["coverage"])}, *held]}
