"""The preview: data as training will see them, before any training."""

import random
from collections import Counter
from pathlib import Path

import numpy as np
from datasets import Dataset

from umbrella.answers.label_parsing import count_labels
from umbrella.options.commands.progress import show_progress
from umbrella.options.tool_arguments import PreviewArguments
from umbrella.report import charts
from umbrella.report.on_grid import place_on_grid
from umbrella.report.page import write_page
from umbrella.report.pictures import N_PLANES, draw_scan
from umbrella.report.scan_roles import name_roles
from umbrella.rows.label_report import describe_counts, describe_scan_tokens, find_runs
from umbrella.rows.transform import ConversationTransform
from umbrella.scans.scan_files import find_source
from umbrella.scans.survey import ScanFacts, find_oddities, survey_scan
from umbrella.scans.volumes import load_volume
from umbrella.views.planes import make_view

VIEWS = ("axial", "coronal", "sagittal")
VIEW_PIXELS = 128
MOST_VALUES = 50_000  # voxels in a histogram


def write_preview(
    path: Path, rows: Dataset, asked: PreviewArguments, transform: ConversationTransform, process: dict
) -> list[tuple[str, str]]:
    """Write a page of some rows drawn from a split; returns what is odd, (scan, sentence) each.

    process  see `umbrella.records.run.describe_process`
    """
    draw, plain = random.Random(asked.seed), rows.with_format(None)
    facts = _survey(plain, draw, asked.most_scans)
    shown = sorted(draw.sample(range(len(plain)), min(asked.n, len(plain))))
    labels = count_labels(entry["subject_label"] or "no label" for entry in plain["metadata"])
    oddities = find_oddities(facts)
    write_page(
        path,
        "preview.html.j2",
        split=asked.split,
        n_rows=len(plain),
        n_subjects=len({subject for ids in plain["subject_ids"] for subject in ids}),
        labels=labels.most_common(12),
        tables=_count_facts(facts),
        n_scans=len(facts),
        oddities=oddities,
        rows=[_show_row(plain[i], transform) for i in show_progress(shown, desc="drawing rows", unit="row")],
        view=transform.settings.describe(),
        tokens=describe_scan_tokens(transform, {fact.modality for fact in facts}).splitlines(),
        process=process,
    )
    return oddities


def _survey(rows: Dataset, draw: random.Random, most_scans: int) -> list[ScanFacts]:
    places = {}  # not the scans, which a table may hold in bytes
    for index, row in enumerate(rows.select_columns("images")):
        for number, scan in enumerate(row["images"]):
            places[scan["path"]] = index, number
    chosen = draw.sample(list(places.values()), min(most_scans, len(places)))
    facts = []
    for index, number in show_progress(chosen, desc="surveying scans", unit="scan"):
        scan = rows[index]["images"][number]
        facts.append(survey_scan(find_source(scan), scan["modality"])[0])
    return facts


def _count_facts(facts: list[ScanFacts]) -> dict[str, list[tuple[str, int]]]:
    """What is counted → (value, number of scans), the commonest first."""
    values = {
        "size, voxels": [" × ".join(map(str, fact.shape)) for fact in facts],
        "spacing, mm": [" × ".join(f"{value:g}" for value in fact.spacing_mm) for fact in facts],
        "stored orientation": [fact.orientation for fact in facts],
        "number type": [fact.dtype for fact in facts],
    }
    return {title: Counter(of_scans).most_common(12) for title, of_scans in values.items()}


def _show_row(row: dict, transform: ConversationTransform) -> dict:
    example = transform.encode_row(row)
    image_token_ids = transform.encoder.image_token_ids
    runs = find_runs(example, transform.processor.tokenizer, image_token_ids)
    return {
        "task_id": row["task_id"],
        "source": row["source"],
        "label": row["metadata"]["subject_label"],
        "counts": describe_counts(example, image_token_ids),
        "runs": [(run.text, run.is_supervised) for run in runs],
        "scans": [_show_scan(row, number, transform) for number in range(len(row["images"]))],
    }


def _show_scan(row: dict, number: int, transform: ConversationTransform) -> dict:
    scan = row["images"][number]
    source = find_source(scan)
    facts, intensities = survey_scan(source, scan["modality"])
    volume, spacing_mm = load_volume(source, scan["modality"], normalize=True, standardize=False)
    sides_known = facts.orientation != "not stated"
    values = intensities.ravel()[:: max(1, intensities.size // MOST_VALUES)]
    shown = transform.load_images(row, number)
    as_trained = draw_scan(shown, transform.settings.view, sides_known)
    n_shown = N_PLANES if transform.is_volume else len(as_trained)
    on_grid = place_on_grid(row, number, transform, shown, sides_known) if transform.is_volume else None
    return {
        "name": Path(facts.name).name,
        "facts": facts,
        "role": name_roles(row)[number],
        "views": {
            view: draw_scan(make_view(volume, view, VIEW_PIXELS, spacing_mm), view, sides_known)[0] for view in VIEWS
        },
        "as_trained": as_trained[:n_shown],
        "frames": as_trained[n_shown:],
        "grid": on_grid,
        "histogram": charts.draw_histogram(np.asarray(values), f"intensity, {facts.modality}"),
    }
