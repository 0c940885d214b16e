"""The report's tables of scores: each control, each simple model, each confound, in the digits of its charts."""

from collections.abc import Sequence

from umbrella.evaluation.statistics.measures import Measure
from umbrella.evaluation.statistics.notation import format_p, percent
from umbrella.evaluation.verdicts import say_rows

Row = dict[str, str]


def list_controls(metrics: dict, measure: Measure | None) -> list[Row]:
    """A row each control; the scores are absent for free text, of which only changes are counted."""
    rows = []
    for control in metrics["controls"].values():
        row = {
            "title": control["title"],
            "rows": say_rows(control),
            "changed": percent(control["changed"]),
            "changed_interval": _show_ends([percent(end) for end in control["changed_interval"]]),
        }
        if measure:
            row |= _show_score(control[measure.key], control[f"{measure.key}_interval"], measure)
            row["p"] = format_p(control["paired"]["p"]).removeprefix("= ")
        rows.append(row)
    return rows


def list_baselines(metrics: dict, measure: Measure) -> list[Row]:
    """This model, then a row each simple model."""
    own = metrics["metrics"][measure.key]
    rows = [{"title": "this model", "p": ""} | _show_score(own["value"], own["interval"], measure)]
    for baseline in metrics["baselines"]["models"].values():
        p = format_p(baseline["paired"]["p"]).removeprefix("= ")
        score = _show_score(baseline[measure.key], baseline["interval"], measure)
        rows.append({"title": baseline["title"], "p": p} | score)
    return rows


def list_confounds(metrics: dict, measure: Measure) -> list[Row]:
    """A row each of what the confounds and the model get right."""
    return [
        {"title": entry["title"], "rows": say_rows(entry)} | _show_score(entry["accuracy"], entry["interval"], measure)
        for entry in metrics["confounds"]["rows"]
    ]


def _show_score(value: float, interval: Sequence[float] | None, measure: Measure) -> Row:
    ends = "none" if interval is None else _show_ends([measure.show(end) for end in interval])
    return {"score": measure.show(value), "interval": ends}


def _show_ends(ends: Sequence[str]) -> str:
    return " to ".join(ends)
