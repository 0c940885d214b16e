"""failures.html: the surest wrong answers with their scans, and the groups of rows that fail more than the others.

It has single rows and what the metadata say of them, so it is never published.
"""

from pathlib import Path

from datasets import Dataset

from umbrella.evaluation.statistics.measures import Measure
from umbrella.evaluation.statistics.notation import format_p
from umbrella.evaluation.verdicts import say_rows
from umbrella.files.json_files import read_json
from umbrella.records.evaluations import FAILURES, FAILURES_PAGE, REMEDY
from umbrella.report.examples import rank_wrong, show_row
from umbrella.report.page import write_page
from umbrella.rows.transform import ConversationTransform

MOST_SHOWN = 24  # rows
MOST_IN_TABLE = 12  # groups; the others are there to unfold
TITLES = {
    "classification": "The surest wrong answers",
    "regression": "The answers furthest from the truth",
    "text": "The answers furthest from the truth",
}
Row = dict[str, str]


def write_failures(
    folder: Path, rows: Dataset, records: list[dict], transform: ConversationTransform, described: dict
) -> None:
    """Write failures.html into `folder`, from its failures.json.

    described  what the report shows: its `metrics`, `measure`, `model` and `split`
    """
    found = read_json(folder / FAILURES, dict, ("groups", "too_small", "columns", "sentences", "notes"), REMEDY)
    measure = described["measure"]
    wrong = rank_wrong(records)
    plain = rows.with_format(None)
    shown = [show_row(plain[i], records[i], transform) | {"of": _list_groups(found, i)} for i in wrong[:MOST_SHOWN]]
    groups = [_show_group(group, measure) for group in found["groups"]]
    write_page(
        folder / FAILURES_PAGE,
        "failures.html.j2",
        **{name: described[name] for name in ("metrics", "model", "split", "process")},
        found=found,
        error="wrong" if found["key"] == "wrong" else "mean error",
        tables=[groups[:MOST_IN_TABLE], groups[MOST_IN_TABLE:]],
        small=[f"{say_group(group)} ({say_rows(group)})" for group in found["too_small"]],
        title=TITLES["text" if measure is None else "classification" if measure.better > 0 else "regression"],
        n_wrong=len(wrong),
        rows=shown,
    )


def say_group(group: dict) -> str:
    """A group by its column: "site: Basel"."""
    return f"{group['column'].replace('_', ' ')}: {group['group']}"


def _list_groups(found: dict, i: int) -> list[str]:
    return [say_group({"column": name, "group": groups[i]}) for name, groups in found["columns"].items()]


def _show_group(group: dict, measure: Measure) -> Row:
    ends = group["interval"]
    interval = "none" if ends is None else " to ".join(measure.show_difference(end) for end in ends)
    return {
        "title": say_group(group),
        "n": f"{group['n']:,}",
        "n_subjects": f"{group['n_subjects']:,}",
        "error": measure.show(group["error"]),
        "rest": measure.show(group["rest"]),
        "difference": measure.show_difference(group["difference"]),
        "interval": interval,
        "p": format_p(group["p"]).removeprefix("= "),
        "p_holm": format_p(group["p_holm"]).removeprefix("= "),
    }
