"""Rows with exchanged scans: does the model look at them? A model that answers the same did not.

Which scans are the subject's and which the reference's, `umbrella.rows.scan_places` tells; all of them are exchanged.
"""

import json
import random
from dataclasses import dataclass

from datasets import Dataset

from umbrella.answers.text_folding import fold
from umbrella.evaluation.donors import ScanSet, draw_donors, draw_givers, read_scan_sets
from umbrella.evaluation.results import subjects_of_rows
from umbrella.rows.changed_scans import BLANK, FRAME_REPEATED, FRAMES_REVERSED, FRAMES_SHUFFLED, MIRRORED
from umbrella.scans.scan_files import find_source, open_scan
from umbrella.views.settings import VOLUME, ViewSettings, count_frames

OF_FRAMES = (
    (FRAMES_SHUFFLED, "frames in another order"),
    (FRAMES_REVERSED, "frames reversed in time"),
    (FRAME_REPEATED, "one frame repeated"),
)


@dataclass(frozen=True)
class Control:
    """A variant of some rows, to be answered and compared with the answers to the rows as they are.

    rows     the variant, a row for each of `indices`
    indices  which of the evaluated rows these are
    donors   whose scan each row is shown in place of its own; None where no scan is another's
    change   how every scan is shown, a name of `umbrella.rows.changed_scans.CHANGES`; None as it is
    several  whether a row may have several scans exchanged of one person
    sequence which sequence of a study it is about, "" where about none; note: what is to be said of it
    """

    name: str
    title: str
    rows: Dataset
    indices: list[int]
    donors: list[str] | None = None
    change: str | None = None
    several: bool = False
    sequence: str = ""
    note: str = ""


def build_controls(rows: Dataset, seed: int, most_rows: int, shown: ViewSettings | None = None) -> list[Control]:
    """All controls that the rows allow: those that need a reference only where rows have one, and so on.

    most_rows  each control takes at most so many rows, drawn by `seed`; donors come from all rows.
    shown      how the model is shown a scan: what only a model of volumes, or of several frames, can be shown is left
               out of the controls of others, and where this is not said.
    """
    asked = draw_asked(rows, seed, most_rows)
    scans = read_scan_sets(rows)
    with_scans = [i for i in asked if scans[i].images]
    if not with_scans:
        return []
    chosen = rows.select(with_scans)
    return [
        _shuffle_scans(rows, scans, with_scans, seed),
        *_exchange_people(rows, scans, asked, seed),
        *_change_volumes(rows, with_scans, shown),
        Control("scans_blanked", "all scans blank", chosen, with_scans, change=BLANK),
        Control("text_only", "no scans, text only", remove_scans(chosen), with_scans),
    ]


def draw_asked(rows: Dataset, seed: int, most_rows: int) -> list[int]:
    """At most so many rows, by their indices: the same for all controls."""
    every = list(range(len(rows)))
    return sorted(random.Random(seed).sample(every, most_rows)) if len(every) > most_rows else every


def _shuffle_scans(rows: Dataset, scans: list[ScanSet], asked: list[int], seed: int) -> Control:
    """Not of a row whose subject alone has scans of these kinds, where there are others."""
    givers = draw_givers(scans, [entry["subject_id"] for entry in _read_metadata(rows)], seed)
    every, subjects = [range(len(own.images)) for own in scans], subjects_of_rows(rows)
    asked = [i for i in asked if subjects[givers[i]] != subjects[i]] or asked
    lent = [scans[i].exchange(every[i], scans[givers[i]], every[givers[i]]) for i in asked]
    several = any(len(scans[i].places.subject) > 1 for i in asked)
    variant = replace_scans(rows.select(asked), lent)
    lenders = [subjects[givers[i]] for i in asked]
    title = "all scans permuted among the rows"
    return Control("scans_shuffled", title, variant, asked, lenders, several=several)


def _exchange_people(rows: Dataset, scans: list[ScanSet], asked: list[int], seed: int) -> list[Control]:
    """Those that exchange all scans of the subject, or all of the reference."""
    metadata, subjects, controls = _read_metadata(rows), subjects_of_rows(rows), []
    alike, other = (swap_references(rows, asked, seed, same_label=same, scans=scans) for same in (True, False))
    reversing = find_reversing_references(rows, asked, seed, scans=scans)
    swapped = swap_subjects(rows, asked, seed, scans=scans)
    for name, title, who, giver_of in (
        ("subject_swapped", "subject's scan of a subject with another label", "subject", swapped),
        ("reference_same_label", "reference of another subject, same label", "reference", alike),
        ("reference_other_label", "reference of another subject, other label", "reference", other),
        ("reference_reversed", "reference that reverses the true answer", "reference", reversing),
    ):
        if not giver_of:
            continue
        places = [getattr(own.places, who) for own in scans]
        exchanged = [scans[i].exchange(places[i], scans[j], places[j]) for i, j in giver_of.items()]
        several = any(len(places[i]) > 1 for i in giver_of)
        lenders = [
            subjects[j] if who == "subject" else metadata[j]["reference_id"] or subjects[j] for j in giver_of.values()
        ]
        variant = replace_scans(rows.select(giver_of), exchanged)
        title = title.replace("scan", "scans").replace("reference ", "all scans of a reference ") if several else title
        controls.append(Control(name, title, variant, list(giver_of), lenders, several=several))
    return controls


def _change_volumes(rows: Dataset, asked: list[int], shown: ViewSettings | None) -> list[Control]:
    """The controls that change a volume: one for every scan, three for those that are shown as several frames."""
    if shown is None or shown.view != VOLUME:
        return []
    controls = [Control(MIRRORED, "volumes mirrored left-right", rows.select(asked), asked, change=MIRRORED)]
    images = rows.with_format(None)["images"]
    moving = [i for i in asked if count_frames(shown.frames) > 1 and any(map(is_series, images[i]))]
    if moving:
        controls += [Control(name, title, rows.select(moving), moving, change=name) for name, title in OF_FRAMES]
    return controls


def is_series(scan: dict) -> bool:
    """Whether its file holds several volumes, which are shown as frames."""
    if scan["modality"] == "sMRI":
        return False
    with open_scan(find_source(scan)) as (header, _):
        return header.n_volumes > 1


def swap_subjects(rows: Dataset, asked: list[int], seed: int, scans: list[ScanSet] | None = None) -> dict[int, int]:
    """Row → the row of another subject with another label, which lends the subject's scans: as many of each kind."""
    scans, metadata = scans or read_scan_sets(rows), _read_metadata(rows)
    kinds = [own.name_kinds(own.places.subject) for own in scans]
    of_label = [fold(entry["subject_label"] or "") for entry in metadata]

    def fits(i: int, j: int) -> bool:
        ids = {metadata[i]["subject_id"], metadata[i]["reference_id"]}
        return metadata[j]["subject_id"] not in ids and of_label[j] != of_label[i] and kinds[j] == kinds[i]

    scanned = [i for i, own in enumerate(scans) if own.images]
    return draw_donors(asked, scanned, fits, seed)


def swap_references(
    rows: Dataset, asked: list[int], seed: int, same_label: bool, scans: list[ScanSet] | None = None
) -> dict[int, int]:
    """Row → the row that lends its reference's scans, of another subject and of the same or another label."""
    scans, metadata = scans or read_scan_sets(rows), _read_metadata(rows)
    kinds = [own.name_kinds(own.places.reference) for own in scans]
    of_label = [fold(entry["reference_label"] or "") for entry in metadata]

    def fits(i: int, j: int) -> bool:
        ids = {metadata[i]["subject_id"], metadata[i]["reference_id"]}
        alike = of_label[j] == of_label[i]
        return metadata[j]["reference_id"] not in ids and alike == same_label and kinds[j] == kinds[i]

    compared = [i for i, own in enumerate(scans) if own.places.reference]
    return draw_donors(asked, compared, fits, seed)


def find_reversing_references(
    rows: Dataset, asked: list[int], seed: int, scans: list[ScanSet] | None = None
) -> dict[int, int]:
    """Row → the row of another subject that lends its reference, which reverses the true answer.

    Needs the true sizes, `reference_size` and `subject_size` in the metadata: an answer about the change from the
    first scan to the second is reversed by a first scan from the other side of the second one's size, by at least as
    clear a change as the row's own. Rows for which no such scan exists are absent, and all where the metadata hold no
    sizes.
    """
    scans, metadata = scans or read_scan_sets(rows), _read_metadata(rows)
    kinds = [own.name_kinds(own.places.reference) for own in scans]
    extras = [json.loads(entry["extra"] or "{}") for entry in metadata]
    sizes = [(extra.get("reference_size"), extra.get("subject_size")) for extra in extras]

    def fits(i: int, j: int) -> bool:
        (reference, subject), (other, _) = sizes[i], sizes[j]
        change = subject - reference
        is_other = metadata[j]["subject_id"] != metadata[i]["subject_id"] and kinds[j] == kinds[i]
        return is_other and (subject - other) * change <= -(change**2)

    sized = [i for i, pair in enumerate(sizes) if None not in pair and pair[0] != pair[1]]
    sized = [i for i in sized if scans[i].places.reference]
    return draw_donors(asked, sized, fits, seed)


def _read_metadata(rows: Dataset) -> list[dict]:
    return rows.with_format(None)["metadata"][:]


def replace_scans(rows: Dataset, images: list[list[dict]]) -> Dataset:
    """The rows with other scans: `images` holds a list of {path, token, modality} a row."""
    return _replace_column(rows, "images", images)


def remove_scans(rows: Dataset) -> Dataset:
    """The rows without scans: their conversations hold the text alone."""
    turns = [
        [{**turn, "content": [item for item in turn["content"] if item["type"] != "image"]} for turn in conversation]
        for conversation in rows.with_format(None)["conversations"]
    ]
    bare = _replace_column(replace_scans(rows, [[] for _ in turns]), "modalities", [[] for _ in turns])
    return _replace_column(bare, "conversations", turns)


def _replace_column(rows: Dataset, name: str, values: list) -> Dataset:
    feature = rows.features[name]
    return rows.with_format(None).remove_columns(name).add_column(name, values, feature=feature)
