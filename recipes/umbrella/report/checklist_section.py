"""The report's section for reporting checklists: the flow of participants, who they are, every item with its state.

On the page that everybody can read small groups of subjects are withheld, see `hide_small_cells`.
"""

from umbrella.evaluation.checklists.checklist import FILLED, OPEN, PARTLY
from umbrella.evaluation.checklists.participants import LABEL, MOST_CATEGORIES
from umbrella.evaluation.statistics.notation import number, percent
from umbrella.records.limits import list_limits
from umbrella.records.small_groups import FEWEST, hide_small_cells
from umbrella.report.flow_chart import draw_flow, list_steps
from umbrella.report.section import Section

WITHHELD = "withheld"


def describe_checklist(checklist: dict, metrics: dict, is_public: bool) -> Section:
    """The section of a checklist.json, for the public page or for its author's.

    metrics  as in metrics.json; for the public page as `withhold_small_groups` leaves them
    """
    facts = dict(checklist["facts"])
    if is_public and "limits" in facts:
        facts["limits"] = {**facts["limits"], "words": list_limits(metrics)}
    steps = list_steps(checklist, metrics)
    subjects = facts["demographics"]["value"] if "demographics" in facts else {}
    shown = {
        "flow": draw_flow(steps),
        "flow_text": "; ".join(", ".join([*main, *side]) for main, side in steps),
        "splits": list(facts["split_sizes"]["value"]),
        "subjects": [row for name, of in subjects.items() for row in _list_rows(name, of, is_public)],
        "notes": facts["demographics"]["words"][1:] if "demographics" in facts else [],
        "no_subjects": checklist["unknown"].get("demographics"),
        "fewest": FEWEST if is_public else None,
        "facts": {name: fact["words"] for name, fact in facts.items()},
        "titles": {name: fact["title"] for name, fact in facts.items()},
        "sources": {name: fact["source"] for name, fact in facts.items()},
        "lists": [_count(one) for one in checklist["checklists"]],
        "states": {FILLED: "good", PARTLY: "", OPEN: "soft"},
    }
    return Section("checklist", "For reporting checklists", checklist, shown, "checklist.html.j2")


def _count(checklist: dict) -> dict:
    states = [item["status"] for item in checklist["items"]]
    counts = {state: states.count(state) for state in (FILLED, PARTLY, OPEN)}
    return {**checklist, "counts": ", ".join(f"{n} {state}" for state, n in counts.items())}


def _list_rows(name: str, of_splits: dict[str, dict], is_public: bool) -> list[dict]:
    """The table's rows of one thing that is stated of subjects, a cell a split."""
    title = "label" if name == LABEL else name.replace("_", " ")
    columns = list(of_splits.values())
    if "mean" in columns[0]:
        cells = [{"stated": of["n"] - of["missing"], "missing": of["missing"]} for of in columns]
        first = [(f"{title}, mean (SD)", [_show_mean(of, is_public) for of in columns])]
        if not is_public:
            first.append((f"{title}, quartiles; range", [_show_spread(of) for of in columns]))
        groups = []
    else:
        first, cells = [], [{**of["counts"], "missing": of["missing"]} for of in columns]
        groups = sorted({group for of in columns for group in of["counts"]})
    cells = [{**dict.fromkeys(groups, 0), **of} for of in cells]
    if is_public:
        cells = [hide_small_cells(of) for of in cells]
    totals = [of["n"] for of in columns]
    if len(groups) > MOST_CATEGORIES:
        first.append((f"{title}, different values", [str(len(of["counts"])) for of in columns]))
        groups = []
    rows = [*first, *((f"{title}: {group}", _show_counts(cells, totals, group)) for group in groups)]
    if any(of["missing"] for of in columns):
        rows.append((f"{title}: not stated", _show_counts(cells, totals, "missing")))
    if any(of["several"] for of in columns):
        several = [WITHHELD if is_public and 0 < of["several"] < FEWEST else str(of["several"]) for of in columns]
        rows.append((f"{title}: subjects of whom rows state several", several))
    return [{"title": row, "cells": shown} for row, shown in rows]


def _show_counts(cells: list[dict], totals: list[int], group: str) -> list[str]:
    return [
        WITHHELD if of[group] is None else f"{of[group]} ({percent(of[group] / n)})" if n else "0"
        for of, n in zip(cells, totals, strict=True)
    ]


def _show_mean(of: dict, is_public: bool) -> str:
    if is_public and of["n"] - of["missing"] < FEWEST:
        return WITHHELD
    if of["mean"] is None:
        return "none"
    return number(of["mean"]) if of["sd"] is None else f"{number(of['mean'])} ({number(of['sd'])})"


def _show_spread(of: dict) -> str:
    if of["mean"] is None:
        return "none"
    low, high = of["range"]
    return f"{', '.join(map(number, of['quartiles']))}; {number(low)} to {number(high)}"
