"""Rows with exchanged scans: does the model look at them? A model that answers the same did not.

The reference scans of a row are all its scans but the last, the subject's scan is the last.
"""

import itertools
import json
import random
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass

from datasets import Dataset

from umbrella.answers.text_folding import fold
from umbrella.evaluation.results import subjects_of_rows
from umbrella.rows.changed_scans import BLANK, FRAME_REPEATED, FRAMES_REVERSED, FRAMES_SHUFFLED, MIRRORED
from umbrella.scans.scan_files import find_source, open_scan
from umbrella.views.settings import VOLUME, ViewSettings, count_frames

QUICK_TRIES = 32
REFERENCE, SUBJECT = 0, -1  # places among a row's scans
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
    """

    name: str
    title: str
    rows: Dataset
    indices: list[int]
    donors: list[str] | None = None
    change: str | None = None


def build_controls(rows: Dataset, seed: int, most_rows: int, shown: ViewSettings | None = None) -> list[Control]:
    """All controls that the rows allow: those that need a reference only where rows have one, and so on.

    most_rows  each control takes at most so many rows, drawn by `seed`; donors come from all rows.
    shown      how the model is shown a scan: what only a model of volumes, or of several frames, can be shown is left
               out of the controls of others, and where this is not said.
    """
    every = list(range(len(rows)))
    asked = sorted(random.Random(seed).sample(every, most_rows)) if len(every) > most_rows else every
    counts = [len(modalities) for modalities in rows.with_format(None)["modalities"]]  # one for each scan
    with_scans = [i for i in asked if counts[i]]
    if not with_scans:
        return []
    images, metadata = _plain(rows)
    subjects = subjects_of_rows(rows)
    givers = draw_givers(rows, seed)
    permuted = replace_scans(rows, [images[giver] for giver in givers]).select(with_scans)
    lenders = [subjects[givers[i]] for i in with_scans]
    controls = [Control("scans_shuffled", "all scans permuted among the rows", permuted, with_scans, lenders)]
    alike, other = (swap_references(rows, asked, seed, same_label=same) for same in (True, False))
    reversing = find_reversing_references(rows, asked, seed)
    for name, title, place, giver_of in (
        (
            "subject_swapped",
            "subject's scan of a subject with another label",
            SUBJECT,
            swap_subjects(rows, asked, seed),
        ),
        ("reference_same_label", "reference of another subject, same label", REFERENCE, alike),
        ("reference_other_label", "reference of another subject, other label", REFERENCE, other),
        ("reference_reversed", "reference that reverses the true answer", REFERENCE, reversing),
    ):
        if giver_of:
            exchanged = [_exchange(images, place, *pair) for pair in giver_of.items()]
            variant = replace_scans(rows.select(giver_of), exchanged)
            lenders = [
                subjects[j] if place == SUBJECT else metadata[j]["reference_id"] or subjects[j]
                for j in giver_of.values()
            ]
            controls.append(Control(name, title, variant, list(giver_of), lenders))
    chosen = rows.select(with_scans)
    return [
        *controls,
        *_change_volumes(rows, with_scans, shown),
        Control("scans_blanked", "all scans blank", chosen, with_scans, change=BLANK),
        Control("text_only", "no scans, text only", remove_scans(chosen), with_scans),
    ]


def _change_volumes(rows: Dataset, asked: list[int], shown: ViewSettings | None) -> list[Control]:
    """The controls that change a volume: one for every scan, three for those that are shown as several frames."""
    if shown is None or shown.view != VOLUME:
        return []
    controls = [Control(MIRRORED, "volumes mirrored left-right", rows.select(asked), asked, change=MIRRORED)]
    images, _ = _plain(rows)
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


def _exchange(images: list[list[dict]], place: int, row: int, giver: int) -> list[dict]:
    exchanged = list(images[row])
    exchanged[place] = images[giver][place]
    return exchanged


def draw_givers(rows: Dataset, seed: int) -> list[int]:
    """For each row another one that has as many scans, each once.

    Rows of one subject count as the same row: none keeps its subject's scans, unless it is the only subject with so
    many.
    """
    images, metadata = _plain(rows)
    subjects = [entry["subject_id"] for entry in metadata]
    givers = list(range(len(images)))
    for n in {len(scans) for scans in images}:
        alike = [i for i, scans in enumerate(images) if len(scans) == n]
        for row, giver in zip(alike, _derange(alike, subjects, random.Random(seed)), strict=True):
            givers[row] = giver
    return givers


def _derange(members: list[int], subjects: list[str | None], rng: random.Random) -> list[int]:
    """The members in another order, in which none stands where one of its own subject stood."""
    order = list(members)
    rng.shuffle(order)
    # The subjects' order is drawn too: ids tell the group in many a cohort, and sorted by them most rows would be lent
    # a scan of their own group, or of the other one.
    place = {}
    for i in order:
        place.setdefault(subjects[i], len(place))
    order.sort(key=lambda i: place[subjects[i]])  # stable: subjects together
    # A shift by the most rows of one subject leaves no subject in its place.
    start = max(Counter(subjects[i] for i in order).values())
    if start * 2 > len(order):
        start = len(order) // 2
    shift = rng.randint(start, len(order) - start) if len(order) > 1 else 0
    giver = {order[i]: order[(i + shift) % len(order)] for i in range(len(order))}
    return [giver[member] for member in members]


def swap_subjects(rows: Dataset, asked: list[int], seed: int) -> dict[int, int]:
    """Row → the row of another subject with another label, which lends the subject's scan."""
    images, metadata = _plain(rows)
    of_label = [fold(entry["subject_label"] or "") for entry in metadata]

    def fits(i: int, j: int) -> bool:
        ids = {metadata[i]["subject_id"], metadata[i]["reference_id"]}
        return metadata[j]["subject_id"] not in ids and of_label[j] != of_label[i]

    scanned = [i for i, scans in enumerate(images) if scans]
    return _draw_donors(asked, scanned, fits, seed)


def swap_references(rows: Dataset, asked: list[int], seed: int, same_label: bool) -> dict[int, int]:
    """Row → the row that lends its first reference, of another subject and of the same or another label."""
    images, metadata = _plain(rows)
    of_label = [fold(entry["reference_label"] or "") for entry in metadata]

    def fits(i: int, j: int) -> bool:
        ids = {metadata[i]["subject_id"], metadata[i]["reference_id"]}
        alike = of_label[j] == of_label[i]
        return metadata[j]["reference_id"] not in ids and alike == same_label

    compared = [i for i, scans in enumerate(images) if len(scans) > 1]
    return _draw_donors(asked, compared, fits, seed)


def find_reversing_references(rows: Dataset, asked: list[int], seed: int) -> dict[int, int]:
    """Row → the row of another subject that lends its reference, which reverses the true answer.

    Needs the true sizes, `reference_size` and `subject_size` in the metadata: an answer about the change from the
    first scan to the second is reversed by a first scan from the other side of the second one's size, by at least as
    clear a change as the row's own. Rows for which no such scan exists are absent, and all where the metadata hold no
    sizes.
    """
    images, metadata = _plain(rows)
    extras = [json.loads(entry["extra"] or "{}") for entry in metadata]
    sizes = [(extra.get("reference_size"), extra.get("subject_size")) for extra in extras]

    def fits(i: int, j: int) -> bool:
        (reference, subject), (other, _) = sizes[i], sizes[j]
        change = subject - reference
        return metadata[j]["subject_id"] != metadata[i]["subject_id"] and (subject - other) * change <= -(change**2)

    sized = [i for i, pair in enumerate(sizes) if None not in pair and pair[0] != pair[1] and len(images[i]) > 1]
    return _draw_donors(asked, sized, fits, seed)


def _plain(rows: Dataset) -> tuple[list, list]:
    plain = rows.with_format(None)
    return plain["images"][:], plain["metadata"][:]


def _draw_donors(asked: list[int], members: list[int], fits: Callable[[int, int], bool], seed: int) -> dict[int, int]:
    """Those asked for among the members → a member that fits, drawn at random; whom none fits is absent."""
    donors, of_members = {}, set(members)
    for i in asked:
        if i not in of_members:
            continue
        rng = random.Random(f"{seed} {i}")  # the same donor whatever else is asked: answers on disk stay valid
        # Mostly one of a few tries fits; only where none does, all are tried, in random order.
        tries = itertools.chain(rng.choices(members, k=QUICK_TRIES), _shuffled(members, rng))
        donor = next((j for j in tries if fits(i, j)), None)
        if donor is not None:
            donors[i] = donor
    return donors


def _shuffled(members: list[int], rng: random.Random) -> Iterator[int]:
    yield from rng.sample(members, len(members))


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
