"""The report's tables of scores: each control, each simple model, each confound, in the digits of its charts."""

from collections.abc import Sequence

from umbrella.evaluation.statistics.measures import Measure
from umbrella.evaluation.statistics.notation import format_p, percent
from umbrella.evaluation.statistics.paired import is_shown
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
            row |= _show_p(control["paired"])
        rows.append(row)
    return rows


def list_baselines(metrics: dict, measure: Measure) -> list[Row]:
    """This model, then a row each simple model."""
    own = metrics["metrics"][measure.key]
    nothing = {"p": "", "p_holm": "", "detectable": ""}
    rows = [{"title": "this model"} | nothing | _show_score(own["value"], own["interval"], measure)]
    for baseline in metrics["baselines"]["models"].values():
        score = _show_score(baseline[measure.key], baseline["interval"], measure)
        tested = _show_p(baseline["paired"]) | {"detectable": show_detectable(baseline["paired"], measure)}
        rows.append({"title": baseline["title"]} | tested | score)
    return rows


def list_confounds(metrics: dict, measure: Measure) -> list[Row]:
    """A row each of what the confounds and the model get right; p where it is the model beside the confounds."""
    rows = []
    for entry in metrics["confounds"]["rows"]:
        row = {"title": entry["title"], "rows": say_rows(entry), "p": "", "p_holm": ""}
        row |= _show_score(entry["accuracy"], entry["interval"], measure)
        rows.append(row | (_show_p(entry["paired"]) if "paired" in entry else {}))
    return rows


def list_groups(groups: dict[str, dict], measure: Measure) -> list[Row]:
    """A row each group of one name, beside all other rows."""
    rows = []
    for group, entry in groups.items():
        test = entry["against_rest"]
        difference = test["difference"]
        shown = "none" if difference is None else measure.show_difference(difference) + measure.unit_of_difference
        row = {"title": group, "rows": say_rows(entry), "difference": shown, "p": "none", "p_holm": "none"}
        row |= _show_score(entry[measure.key], entry["interval"], measure)
        detectable = "not known" if test["detectable"] is None else measure.show_size(test["detectable"])
        rows.append(row | {"detectable": detectable} | ({} if test["p"] is None else _show_p(test)))
    return rows


def show_detectable(test: dict, measure: Measure) -> str:
    """The smallest difference that a test could have shown; where one was shown all the same, it is not none."""
    if test["detectable"] is None:
        return "not known" if is_shown(test) else "none"
    return measure.show_size(test["detectable"])


def _show_p(test: dict) -> Row:
    return {name: format_p(test[name]).removeprefix("= ") for name in ("p", "p_holm")}


def _show_score(value: float, interval: Sequence[float] | None, measure: Measure) -> Row:
    ends = "none" if interval is None else _show_ends([measure.show(end) for end in interval])
    return {"score": measure.show(value), "interval": ends}


def _show_ends(ends: Sequence[str]) -> str:
    return " to ".join(ends)
