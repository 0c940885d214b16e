"""Cases → conversations: references from the same split, wordings drawn from a template, paths to the scans."""

import random
from collections import defaultdict
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import NamedTuple

from umbrella.cohort.questions.cases import Case
from umbrella.cohort.questions.target import Target
from umbrella.cohort.questions.templates import FALLBACK, Template, to_section
from umbrella.cohort.questions.writer import Scan, make_conversation
from umbrella.cohort.shared.findings import advise
from umbrella.cohort.shared.study import Study
from umbrella.cohort.shared.visits import CohortError, Exclusions, Visit, is_missing
from umbrella.files.studies import find_modality, word_absent, word_sequence
from umbrella.records.cohort import to_key

# The kinds of reference that one value of --reference asks for.
REFERENCES = {
    "none": (),
    "same": ("same",),
    "different": ("different",),
    "both": ("same", "different"),
    "any": ("any",),
    "earlier": ("earlier",),
}
LABEL_REFERENCES = ("same", "different", "both")  # those that are chosen by their label
RESERVED_METADATA = frozenset(
    f"{name}_{what}" for name in ("subject", "reference") for what in ("id", "label", "session", "size", "value")
) | {"comparison_type", "task", "target", "target_type", "unit", "suffixes", "absent", "_record"}
TASK_TYPES = {"single": "T1", "comparison": "T3"}


@dataclass(frozen=True)
class Style:
    """How the conversations of a cohort are made."""

    template: Template
    target: Target
    labels: tuple[str, ...]  # all labels, for the question; empty for numbers
    reference: str = "none"  # a key of REFERENCES
    n_references: int = 1
    unit: str = ""  # of the answer
    metadata_columns: tuple[str, ...] = ()
    seed: int = 0
    given: frozenset[str] = frozenset()  # flags of the user: advice names others
    study: Study | None = None


class Reference(NamedTuple):
    """The visit that a case is compared with, and what is said of it."""

    visit: Visit
    label: str


class Comparison(NamedTuple):
    """A case, what it is compared with if with anything, and the kind of that reference."""

    case: Case
    reference: Reference | None
    kind: str


def make_records(
    split: str, cases: list[Case], style: Style, to_path: Callable[[str], str], exclusions: Exclusions
) -> Iterator[dict]:
    """The conversations of a split, one after another; the same arguments give the same.

    A case for which the split has too few references is counted as `no reference`; it gets those there are.
    """
    rng = random.Random(f"{style.seed} {split}")
    said = style.template.find_fields(to_section(style.reference))
    cases = sorted(cases, key=lambda case: (to_key(case.visit.participant_id), case.visit.session))
    for number, comparison in enumerate(_pair(split, cases, style, rng, exclusions)):
        fields = _make_fields(comparison, style)
        _check_no_hole(said, fields, comparison.case, style)
        task_id = f"{style.template.task}_{split}_{number:06d}"
        yield _make_record(task_id, comparison, style, fields, rng, to_path)


def _pair(
    split: str, cases: list[Case], style: Style, rng: random.Random, exclusions: Exclusions
) -> Iterator[Comparison]:
    if style.reference == "none":
        yield from (Comparison(case, None, "none") for case in cases)
    elif style.reference == "earlier":
        yield from (Comparison(case, Reference(case.earlier, case.earlier_label), "same") for case in cases)
    else:
        rings = _Rings(cases, rng)
        for case in cases:
            for kind in REFERENCES[style.reference]:
                found = rings.pick(case, kind, style.n_references)
                if len(found) < style.n_references:
                    detail = f"{split}: {len(found)} of {style.n_references} of {kind} label"
                    exclusions.add_visit(case.visit, "no reference", detail)
                yield from (Comparison(case, Reference(other.visit, other.label), kind) for other in found)


class _Rings:
    """The cases of a split in shuffled rings, so that each is the reference of about as many others."""

    def __init__(self, cases: list[Case], rng: random.Random) -> None:
        self._all = rng.sample(cases, len(cases))
        self._of_label: dict[str, list[Case]] = defaultdict(list)
        for case in self._all:
            self._of_label[case.label].append(case)
        self._others: dict[str, list[Case]] = {}
        self._place = {id(case): i for i, case in enumerate(self._all)}
        self._place_of_label = {id(case): i for ring in self._of_label.values() for i, case in enumerate(ring)}

    def pick(self, case: Case, kind: str, n: int) -> list[Case]:
        """At most n cases of n other participants."""
        if kind == "any":
            return _walk(self._all, self._place[id(case)] + 1, case.visit.participant_id, n)
        place = self._place_of_label[id(case)]
        if kind == "same":
            return _walk(self._of_label[case.label], place + 1, case.visit.participant_id, n)
        if case.label not in self._others:
            self._others[case.label] = [other for other in self._all if other.label != case.label]
        return _walk(self._others[case.label], place * n, case.visit.participant_id, n)


def _walk(ring: list[Case], start: int, participant_id: str, n: int) -> list[Case]:
    found, subjects = [], {participant_id}
    for i in range(len(ring)):
        case = ring[(start + i) % len(ring)]
        if case.visit.participant_id not in subjects:
            found.append(case)
            subjects.add(case.visit.participant_id)
            if len(found) == n:
                break
    return found


def _make_record(
    task_id: str,
    comparison: Comparison,
    style: Style,
    fields: dict[str, str],
    rng: random.Random,
    to_path: Callable[[str], str],
) -> dict:
    case, reference, _ = comparison
    section = to_section(style.reference)
    wordings = getattr(style.template, section)
    texts = {turn: rng.choice(choices).format_map(fields) for turn, choices in wordings.items()}
    order = None if style.study is None else style.study.order(style.seed, task_id)
    turns = [[*_to_items(case.visit, to_path, order), texts["question"]], [texts["answer"]]]
    if reference is not None:
        shown = _to_items(reference.visit, to_path, order)
        turns = [[texts["introduction"], *shown], [texts["acknowledgement"]], *turns]
    metadata = _make_metadata(comparison, style)
    if order is not None:
        visits = [case.visit] if reference is None else [reference.visit, case.visit]
        metadata["suffixes"] = [name for visit in visits for name in order if name in visit.scans]
        metadata["absent"] = [name for name in order if name not in case.visit.scans]
    return make_conversation(task_id, TASK_TYPES[section], turns, metadata)


# What to do where a wording has a field that has no value.
_REMEDIES = {
    "unit": [("--unit", "--unit UNIT says it")],
    "labels": [("--target_type", "--target_type categorical makes labels of the values")],
    "session": [("--session_column", "--session_column COLUMN names the sessions")],
    "reference_session": [("--session_column", "--session_column COLUMN names the sessions")],
}


def _check_no_hole(said: dict[str, tuple[str, str]], fields: dict[str, str], case: Case, style: Style) -> None:
    """Raises CohortError where any wording, drawn or not, would say a field that is empty.

    said  field → (turn, wording)
    """
    for name, (turn, wording) in said.items():
        if fields[name]:
            continue
        remedies = list(_REMEDIES.get(name, []))
        if name == "labels" and style.target.needs == "numeric":
            remedies = []
        if style.template.name != FALLBACK:
            remedies.append(("--template", f"--template {FALLBACK} has wordings for any column"))
        if turn in ("question", "answer"):
            remedies.append((f"--{turn}", f"--{turn} TEXT words it otherwise"))
        remedy = advise(style.given, remedies) or "word it without the field"
        place = f"{to_section(style.reference)}.{turn}: {wording!r}"
        raise CohortError(
            f"--template {style.template.name}: {place}: expected a value for {{{name}}}, found none for "
            f"{case.visit.participant_id}. Remedy: {remedy}"
        )


def _make_fields(comparison: Comparison, style: Style) -> dict[str, str]:
    case, reference, _ = comparison
    fields = {
        "value": case.label,
        "value_with_unit": _with_unit(case.label, style.unit),
        "unit": style.unit,
        "target": " ".join(style.target.column.replace("_", " ").split()),
        "labels": " or ".join(filter(None, (", ".join(style.labels[:-1]), *style.labels[-1:]))),
        "session": case.visit.session,
    }
    if reference is not None:
        fields |= {
            "reference_value": reference.label,
            "reference_value_with_unit": _with_unit(reference.label, style.target.unit),
            "reference_session": reference.visit.session,
        }
    return fields


def _with_unit(value: str, unit: str) -> str:
    """ "34 years"; a value without a unit alone, and nothing where there is no value."""
    return f"{value} {unit}".rstrip() if value else ""


def _make_metadata(comparison: Comparison, style: Style) -> dict:
    case, reference, kind = comparison
    visit = case.visit
    columns = {name: visit.values[name] for name in style.metadata_columns if not is_missing(visit.values.get(name))}
    metadata = {
        **columns,
        "subject_id": visit.participant_id,
        "subject_label": case.label,
        "task": style.template.task,
        "target": style.target.column,
        "target_type": "categorical" if style.labels else "numeric",
        **case.extra,
    }
    if style.unit and not style.labels:
        metadata["unit"] = style.unit
    if visit.session:
        metadata["subject_session"] = visit.session
    if reference is not None:
        metadata |= {"reference_id": reference.visit.participant_id, "comparison_type": kind}
        if reference.label:
            metadata["reference_label"] = reference.label
        if reference.visit.session:
            metadata["reference_session"] = reference.visit.session
    return metadata


def _to_items(visit: Visit, to_path: Callable[[str], str], order: list[str] | None) -> list[str | Scan]:
    """The scans of a visit; of a study in this order, each by its name, and what is absent in words."""
    scans = {
        name: Scan(visit.participant_id, to_path(path), find_modality(name)) for name, path in visit.scans.items()
    }
    if order is None:
        return list(scans.values())
    items: list[str | Scan] = []
    for name in order:
        items += [word_sequence(name), scans[name]] if name in scans else [word_absent(name)]
    return items
