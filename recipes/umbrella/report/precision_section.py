"""The report's section on how much so many subjects can tell."""

from umbrella.evaluation.statistics.measures import EXACT_MATCH, Measure
from umbrella.evaluation.statistics.notation import format_p
from umbrella.report.score_tables import show_detectable
from umbrella.report.section import Section


def describe_precision(entry: dict, measure: Measure | None) -> Section:
    """Two tables: subjects by the interval's width, and which differences from the controls would have shown."""
    shown = {"widths": _list_widths(entry, measure or EXACT_MATCH)}
    shown["comparisons"] = [] if measure is None else _list_comparisons(entry, measure)
    return Section("precision", "How much these subjects can tell", entry, shown, "precision.html.j2")


def _list_widths(entry: dict, measure: Measure) -> list[dict[str, str]]:
    """The interval that there is and narrower ones, each with the subjects that it takes."""
    if entry["width"] is None:
        return []
    rows = [{"width": measure.show_size(entry["width"]), "subjects": f"{entry['n_subjects']:,} (as it is)"}]
    for wished in entry["wished"]:
        subjects = "more than can be named" if wished["subjects"] is None else f"about {wished['subjects']:,}"
        rows.append({"width": measure.show_size(wished["width"]), "subjects": subjects})
    return rows


def _list_comparisons(entry: dict, measure: Measure) -> list[dict[str, str]]:
    """A row each control: by how much it differs from the real run, and how small a difference would have shown."""
    return [
        {
            "title": one["title"],
            "difference": measure.show_difference(measure.better * one["difference"]) + measure.unit_of_difference,
            "detectable": show_detectable(one, measure),
            "p_holm": format_p(one["p_holm"]).removeprefix("= "),
        }
        for one in entry["comparisons"]
    ]
