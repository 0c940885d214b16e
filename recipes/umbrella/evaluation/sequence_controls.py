"""Rows of a study without one of its sequences, or with another subject's in its place: which of them does it use?

Only rows whose metadata state the sequences of their scans (`suffixes`) are asked, and only of a split that shows
several.
"""

import json
import re
from collections.abc import Sequence

from datasets import Dataset

from umbrella.answers.text_folding import fold
from umbrella.evaluation.controls import Control, draw_asked, replace_scans
from umbrella.evaluation.donors import ScanSet, draw_donors, read_scan_sets
from umbrella.evaluation.results import subjects_of_rows
from umbrella.files.studies import find_absent, word_absent, word_sequence
from umbrella.rows.scan_places import find_subject_places, name_kinds, read_suffixes
from umbrella_dataset import CHARACTERS_PER_TOKEN, TOKENS_PER_SCAN

NAME = re.compile(r"(?!subject$)\w+")  # subject_swapped is another control


def build_sequence_controls(rows: Dataset, seed: int, most_rows: int, train: Dataset | None = None) -> list[Control]:
    """Two for each sequence that the subjects' scans show: `FLAIR_swapped`, `without_FLAIR`; none where there are not
    two sequences.

    train  the rows of training, of which is told how many lack the sequence; None where they are not known
    """
    scans = read_scan_sets(rows)
    stated = [read_suffixes(row) is not None for row in _iterate(rows)]
    asked = [i for i in draw_asked(rows, seed, most_rows) if stated[i]]
    names = dict.fromkeys(name for i in asked for name in _list_own(scans[i]) if NAME.fullmatch(name))
    if len(names) < 2:
        return []
    trained = None if train is None else [_list_own_sequences(row) for row in _iterate(train)]
    controls = []
    for name in names:
        shown = [i for i in asked if name in _list_own(scans[i])]
        controls += _swap(rows, scans, [i for i, is_one in enumerate(stated) if is_one], shown, name, seed)
        left = [i for i in shown if set(_list_own(scans[i])) != {name}]
        if left:
            plain = rows.with_format(None)
            variant = Dataset.from_list([leave_out_sequence(plain[i], name) for i in left], features=rows.features)
            title = f"without the {name}, which is said to be not available"
            note = _describe_training(name, trained)
            controls.append(Control(f"without_{name}", title, variant, left, sequence=name, note=note))
    return controls


def _swap(
    rows: Dataset, scans: list[ScanSet], stated: list[int], asked: list[int], name: str, seed: int
) -> list[Control]:
    """That scan alone is another subject's, whose label is another."""
    metadata, subjects = rows.with_format(None)["metadata"][:], subjects_of_rows(rows)
    of_label = [fold(entry["subject_label"] or "") for entry in metadata]
    places = [[place for place in own.places.subject if own.kinds[place] == name] for own in scans]

    def fits(i: int, j: int) -> bool:
        ids = {metadata[i]["subject_id"], metadata[i]["reference_id"]}
        is_other = metadata[j]["subject_id"] not in ids and of_label[j] != of_label[i]
        return is_other and len(places[j]) == len(places[i])

    giver_of = draw_donors(asked, [i for i in stated if places[i]], fits, seed)
    if not giver_of:
        return []
    exchanged = [scans[i].exchange(places[i], scans[j], places[j]) for i, j in giver_of.items()]
    variant = replace_scans(rows.select(giver_of), exchanged)
    lenders = [subjects[j] for j in giver_of.values()]
    title = f"the {name} of a subject with another label"
    return [Control(f"{name}_swapped", title, variant, list(giver_of), lenders, sequence=name)]


def leave_out_sequence(row: dict, name: str) -> dict:
    """The row as it is made of a visit that lacks the sequence: its scan is gone, and it is said to be not available
    where it was named."""
    kinds = name_kinds(row)
    gone = {place for place in find_subject_places(row) if kinds[place] == name}
    turns, number, absent = [], 0, []
    for turn in row["conversations"]:
        first = number
        items: list[dict] = []
        for item in turn["content"]:
            if item["type"] != "image":
                items.append(item)
                continue
            if number not in gone:
                items.append(item)
            elif items and items[-1]["text"] == word_sequence(name):
                items[-1] = items[-1] | {"text": word_absent(name)}
            number += 1
        # A turn of nothing but the scan says so, whatever the others say.
        items = items or [{"type": "text", "text": word_absent(name), "modality": None, "image_path": None}]
        if gone & set(range(first, number)):
            absent = [found for item in items if item["text"] and (found := find_absent(item["text"]))]
        turns.append({**turn, "content": items})
    extra = json.loads(row["metadata"]["extra"])
    extra["suffixes"] = _keep(kinds, gone)
    if "absent" in extra:
        extra["absent"] = absent or [*extra["absent"], name]
    changed = row | {
        "conversations": turns,
        "metadata": row["metadata"] | {"extra": json.dumps(extra, ensure_ascii=False)},
        **{key: _keep(row[key], gone) for key in ("images", "modalities")},
    }
    if len(row["subject_ids"]) == len(kinds):
        changed["subject_ids"] = _keep(row["subject_ids"], gone)
    characters = sum(len(item["text"] or "") for turn in turns for item in turn["content"])
    return changed | {"length": characters // CHARACTERS_PER_TOKEN + TOKENS_PER_SCAN * len(changed["images"])}


def _keep(values: Sequence, gone: set[int]) -> list:
    return [value for place, value in enumerate(values) if place not in gone]


def _list_own(scans: ScanSet) -> list[str]:
    return [scans.kinds[place] for place in scans.places.subject]


def _list_own_sequences(row: dict) -> list[str] | None:
    """Those of the subject; None where they are not stated."""
    suffixes = read_suffixes(row)
    return suffixes and [suffixes[place] for place in find_subject_places(row)]


def _iterate(rows: Dataset) -> Dataset:
    names = [name for name in ("images", "metadata", "conversations", "subject_ids") if name in rows.column_names]
    return rows.with_format(None).select_columns(names)


def _describe_training(name: str, trained: list[list[str] | None] | None) -> str:
    """What an answer without the sequence is worth: whether training has shown its like."""
    stated = [own for own in trained or () if own is not None]
    if not stated:
        return "Whether training has shown rows that lack it is not known."
    n = sum(name not in own for own in stated)
    if n:
        return f"Of {len(stated)} training rows {n} {'lacks' if n == 1 else 'lack'} it."
    return f"Of {len(stated)} training rows none lacks it, so what it answers then was never practised."
