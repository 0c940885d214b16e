"""The examples of a report: mistakes and right answers, each with its turns, its scans and what the model said."""

from collections.abc import Sequence
from itertools import zip_longest
from typing import Any

import numpy as np
from datasets import Dataset

from umbrella.evaluation.statistics.notation import number, percent
from umbrella.report.on_grid import place_on_grid
from umbrella.report.pictures import draw_scan
from umbrella.report.scan_roles import name_roles
from umbrella.rows.transform import ConversationTransform
from umbrella.scans.scan_files import find_source
from umbrella.scans.survey import states_orientation

MOST_EXAMPLES = 10


def pick_examples(rows: Dataset, records: list[dict], transform: ConversationTransform) -> list[dict]:
    """The surest mistakes and as many right answers, of each label in turn; for numbers and text, the worst and the
    best."""
    ranked = _rank(records)
    if "parsed_label" in records[0]:
        wrong = rank_wrong(records)
        right = [i for i in ranked if _is_right(records[i])]
        labels = [record["expected_label"] for record in records]
        wrong, right = (take_turns(chosen, [labels[i] for i in chosen]) for chosen in (wrong, right))
        titles = (
            "The most confident mistakes" + say_labels(labels, [labels[i] for i in wrong[:MOST_EXAMPLES]]),
            "The most confident right answers" + say_labels(labels, [labels[i] for i in right[:MOST_EXAMPLES]]),
        )
    else:
        wrong, right = split_ranked(ranked, [i for i in ranked if records[i].get("parsed_number", 0) is None])
        titles = ("The answers furthest from the truth", "The answers nearest to the truth")
    return [
        {"title": title, "rows": [show_row(rows[i], records[i], transform) for i in chosen[:MOST_EXAMPLES]]}
        for title, chosen in zip(titles, (wrong, right), strict=True)
    ]


def _rank(records: Sequence[dict]) -> list[int]:
    return sorted(range(len(records)), key=lambda i: -_badness(records[i]))


def rank_wrong(records: Sequence[dict]) -> list[int]:
    """Indices of the wrong answers, the surest first; of numbers and texts, of all that are not the truth, the
    furthest first."""
    if "parsed_label" in records[0]:
        return [i for i in _rank(records) if not _is_right(records[i])]
    if "parsed_number" in records[0]:
        return [i for i in _rank(records) if records[i]["parsed_number"] != records[i]["expected_number"]]
    return [i for i in _rank(records) if records[i]["prediction"].strip() != records[i]["answer"].strip()]


def split_ranked(ranked: Sequence[int], unread: Sequence[int]) -> tuple[list[int], list[int]]:
    """(the worst first, the best first) of rows ranked from the worst on, no row in both: those that were not read
    are among the worst, and so is the middle one."""
    n_best = min(len(ranked) // 2, len(ranked) - len(unread))
    cut = len(ranked) - n_best
    return list(ranked[:cut]), list(ranked[cut:])[::-1]


def take_turns(ranked: Sequence[int], labels: Sequence[str]) -> list[int]:
    """The first of each label, then the second of each, and so on; `labels` are those of `ranked`, best first."""
    queues = {}
    for i, label in zip(ranked, labels, strict=True):
        queues.setdefault(label, []).append(i)
    return [i for round_ in zip_longest(*queues.values()) for i in round_ if i is not None]


def say_labels(labels: Sequence[str], shown: Sequence[str]) -> str:
    """For a heading: that the labels take turns, and those of which no row is shown."""
    missing = sorted(set(labels) - set(shown))
    if not shown or len(set(labels)) < 2:
        return ""
    none_of = f"{', '.join(missing[:3])}{' and others' if len(missing) > 3 else ''}"
    return ", of each true label in turn" + (f" (none of {none_of})" if missing else "")


def _is_right(record: dict) -> bool | None:
    return record["parsed_label"] == record["expected_label"] if "parsed_label" in record else None


def _colour(record: dict) -> str:
    """The class of an answer: a label is right or wrong; a number or a text is neither, unless none could be read."""
    if record.get("parsed_number", 0) is None or not record["prediction"]:
        return "wrong"
    return {True: "right", False: "wrong", None: ""}[_is_right(record)]


def _confidence(record: dict) -> float:
    """The probability of the label that was answered; of the likeliest one where none could be read."""
    return record["probabilities"].get(record["parsed_label"], max(record["probabilities"].values()))


def _badness(record: dict) -> float:
    if "parsed_label" in record:
        return _confidence(record)
    if "parsed_number" in record:
        answered = record["parsed_number"]
        return np.inf if answered is None else abs(answered - record["expected_number"])
    shared = set(record["prediction"].split()) & set(record["answer"].split())
    return -len(shared) / max(1, len(set(record["prediction"].split()) | set(record["answer"].split())))


def show_row(row: dict, record: dict, transform: ConversationTransform) -> dict:
    """What a page shows of a row: its turns with their scans, the answer and the truth."""
    return {
        "task_id": record["task_id"],
        "turns": show_turns(row, transform, row["conversations"][:-1]),
        "prediction": record["prediction"],
        "colour": _colour(record),
        "expected": record.get("expected_label") or record["answer"],
        "note": _note(record),
    }


def _note(record: dict) -> str:
    """The probabilities of labels, or how far a number is off."""
    if record.get("parsed_number") is not None:
        return f"off by {number(abs(record['parsed_number'] - record['expected_number']))}"
    return ", ".join(f"{label} {percent(value)}" for label, value in record.get("probabilities", {}).items())


def show_turns(row: dict, transform: ConversationTransform, turns: list[dict]) -> list[dict]:
    """Turns as the conversation template takes them: texts, and scans as the model sees them, in their places."""
    scan, roles, shown = 0, name_roles(row), []
    for turn in turns:
        parts = []
        for item in turn["content"]:
            if item["type"] == "image":
                file = row["images"][scan]
                sides_known = states_orientation(find_source(file))
                shown_scan = transform.load_images(row, scan)
                pictures = draw_scan(shown_scan, transform.settings.view, sides_known)
                alt = f"Scan {scan + 1} of {row['task_id']}, {item['modality']}"
                part: dict[str, Any] = {"pictures": pictures, "alt": alt, "role": roles[scan]}
                part |= {"caption": "", "on_grid": None}
                if transform.is_volume:
                    part["caption"] = ", ".join(picture.name for picture in pictures)
                    part["on_grid"] = place_on_grid(row, scan, transform, shown_scan, sides_known)
                parts.append(part)
                scan += 1
            else:
                parts.append({"text": item["text"]})
        shown.append({"role": turn["role"], "parts": parts})
    return shown
