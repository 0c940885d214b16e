"""The page of explain.py: maps over the scans, the pointing number, and what it does not prove."""

from pathlib import Path

import numpy as np

from umbrella.answers.attribution.scan_in_row import ScanInRow
from umbrella.conversations.layout import drop_names
from umbrella.conversations.turns import join_texts
from umbrella.evaluation.pointing.explained_rows import Explained
from umbrella.report.overlay import draw_map
from umbrella.report.page import write_page
from umbrella.report.pictures import Picture
from umbrella.report.scan_roles import name_roles


def show_row(explained: Explained, scan: ScanInRow, view_name: str | None) -> dict:
    """What the page shows of a row."""
    found, metadata = explained.found, explained.row["metadata"]
    region = None if explained.region is None else found.places.find_shown(explained.region.points_mm)
    entry, view_name = explained.to_dict(), view_name or "axial"
    pictures = {"the model": draw_map(found, scan.view, view_name, region)}
    if explained.of_random is not None:
        pictures["the same model with random weights"] = draw_map(explained.of_random, scan.view, view_name, region)
    return entry | {
        "question": _last_question(explained.row),
        "label": metadata["subject_label"],
        "role": name_roles(explained.row)[explained.number],
        "region": explained.region and explained.region.name,
        "is_shown": region is None or len(region) > 0,
        "probability": float(np.exp(found.log_likelihood)),
        "pictures": pictures,
    }


def write_explanations(path: Path, metrics: dict, rows: list[dict[str, dict | str | list[Picture]]]) -> None:
    """Write the page."""
    sentences = metrics["sentences"]
    write_page(path, "explain.html.j2", metrics=metrics, rows=rows, sentences=sentences)


def _last_question(row: dict) -> str:
    turns = [turn for turn in row["conversations"] if turn["role"] == "user"]
    return join_texts(drop_names(turns[-1]["content"])) if turns else ""
