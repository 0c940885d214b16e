"""What generate_conversations.py is asked to do: flags → options that fit one another."""

import argparse
from dataclasses import dataclass
from pathlib import Path

from umbrella.cohort.bids.scans import Selection
from umbrella.cohort.bids.selection import to_pair, to_pairs, to_selection
from umbrella.cohort.dicom.source import DicomSource
from umbrella.cohort.dicom_places import to_dicom_source
from umbrella.cohort.flags import make_parser, read_flags
from umbrella.cohort.idle_flags import refuse_idle_flags
from umbrella.cohort.questions.conversations import LABEL_REFERENCES, RESERVED_METADATA
from umbrella.cohort.questions.target import TargetOptions
from umbrella.cohort.questions.templates import (
    FALLBACK,
    Template,
    check_wordings,
    find_template,
    load_template,
    to_section,
)
from umbrella.cohort.shared.study import Study
from umbrella.cohort.shared.visits import CohortError
from umbrella.cohort.splits.division import parse_fractions
from umbrella.cohort.splits.participants import SplitPlan
from umbrella.cohort.tables.delimiter import DELIMITERS
from umbrella.cohort.tables.table_rows import TableOptions
from umbrella.cohort.tables.text import is_encoding
from umbrella.files.data_format import MODALITIES
from umbrella.options.list_flags import split_list


@dataclass(frozen=True)
class Options:
    """What to read, what to ask, how to divide, where to write."""

    bids_dir: Path | None
    dicom: DicomSource | None  # it becomes a tree in the place of bids_dir, with a table of its own
    participants: Path | None
    image_templates: dict[str, str]  # modality → template; empty with bids_dir
    table: TableOptions  # of participants, or of the BIDS tree's participants.tsv
    derivatives: str | None
    selection: Selection  # its study is that of a table too
    target: TargetOptions
    template: Template
    fallback: Template | None  # where the user chose none: takes the place of one that does not fit the values
    reference: str
    references_per_subject: int
    change: str | None  # "direction", "number" or None
    order_by: str | None
    metadata_columns: tuple[str, ...]
    plan: SplitPlan
    balance: bool
    check_images: bool
    dry_run: bool
    output_dir: Path | None  # None: a dry run
    image_root: Path | None
    per_shard: int | None
    given: frozenset[str]  # the flags that were given; advice names others


def parse_options(description: str, argv: list[str] | None = None) -> Options:
    """Abbreviated flags, and flags that do not fit one another, end the program with a sentence."""
    parser = make_parser(description)
    flags, given = read_flags(parser, argv)
    try:
        return _to_options(flags, given)
    except CohortError as error:
        parser.error(str(error))


def _to_options(flags: argparse.Namespace, given: frozenset[str]) -> Options:
    _check_one_source(flags)
    if flags.run and flags.run not in ("first", "last") and not flags.run.isdigit():
        raise CohortError(f"--run: expected first, last or a number, found {flags.run}")
    template, reference, change = _choose_template(flags)
    selection = to_selection(flags)
    refuse_idle_flags(flags, given, reference)
    is_chosen = flags.template is not None or reference == "earlier"
    fallback = None if is_chosen else _word(load_template(FALLBACK), flags, reference)
    target = _to_target(flags, change, reference)
    stratify = None if flags.stratify is None else tuple(split_list(flags.stratify))
    stratify = () if stratify == ("none",) else stratify
    holdout = to_pair(flags.holdout, "--holdout") if flags.holdout else None
    metadata_columns = (*(stratify or ()), *(holdout[:1] if holdout else ()), *split_list(flags.metadata))
    for name in set(metadata_columns) & RESERVED_METADATA:
        raise CohortError(f"--metadata: expected columns that the conversations do not use themselves, found {name}")
    table = _to_table_options(flags)
    columns = frozenset(filter(None, [*metadata_columns, flags.target, flags.group_by, flags.order_by]))
    return Options(
        bids_dir=flags.bids_dir and flags.bids_dir.expanduser().resolve(),
        dicom=to_dicom_source(flags, table, columns, selection.suffixes.values()) if flags.dicom_dir else None,
        participants=flags.participants and _to_place(flags.participants),
        image_templates=_to_image_templates(flags.image_template, selection.study),
        table=table,
        derivatives=flags.derivatives,
        selection=selection,
        target=target,
        template=template,
        fallback=fallback,
        reference=reference,
        references_per_subject=flags.references_per_subject,
        change=change,
        order_by=flags.order_by,
        metadata_columns=tuple(dict.fromkeys(metadata_columns)),
        plan=SplitPlan(parse_fractions(flags.split), stratify, flags.group_by, flags.split_file, holdout, flags.seed),
        balance=flags.balance,
        check_images=flags.check_images,
        dry_run=flags.dry_run,
        output_dir=flags.output_dir and flags.output_dir.expanduser().absolute(),
        image_root=flags.image_root and flags.image_root.expanduser().resolve(),
        per_shard=flags.jsonl,
        given=given,
    )


def _check_one_source(flags: argparse.Namespace) -> None:
    sources = {"--dicom_dir": flags.dicom_dir, "--bids_dir": flags.bids_dir, "--image_template": flags.image_template}
    given = [name for name, value in sources.items() if value]
    if not given or (given == ["--image_template"] and not flags.participants):
        raise CohortError(
            "expected --bids_dir DIR, --dicom_dir DIR, or --participants TABLE with --image_template PATH"
        )
    if len(given) > 1:
        raise CohortError(
            f"expected {given[0]} or {given[1]}, found both: "
            f"{'a BIDS tree names its scans itself' if given[0] == '--bids_dir' else 'it becomes a tree by itself'}"
        )


def _to_place(path: Path) -> Path:
    """The path with its folder's links followed: scans' paths count from the folder where the file is named."""
    path = path.expanduser().absolute()
    return path.parent.resolve() / path.name


def _to_target(flags: argparse.Namespace, change: str | None, reference: str) -> TargetOptions:
    labels = dict(to_pairs(flags.labels, "--labels"))
    if change and (labels or flags.target_type == "categorical"):
        raise CohortError("--change: expected a target of numbers, found --target_type categorical or --labels")
    if labels and flags.target_type == "numeric":
        raise CohortError("--labels: expected a target of classes, found --target_type numeric")
    if flags.decimals is not None and (labels or flags.target_type == "categorical"):
        raise CohortError("--decimals: expected a target of numbers, found --target_type categorical or --labels")
    needs = None
    if change or flags.decimals is not None:
        needs = "numeric"
    elif labels or flags.balance or reference in LABEL_REFERENCES:
        needs = "categorical"
    missing = None if flags.missing is None else tuple(split_list(flags.missing))
    missing = () if missing == ("none",) else missing
    unit = None if flags.unit is None else flags.unit.strip()
    return TargetOptions(
        column=flags.target,
        kind=flags.target_type,
        labels=labels,
        unit=unit,
        decimals=flags.decimals,
        missing=missing,
        is_change=change is not None,
        needs=needs,
        decimal_sign=flags.decimal_sign,
    )


def _choose_template(flags: argparse.Namespace) -> tuple[Template, str, str | None]:
    """(template with the user's own wordings, kind of reference, kind of change)."""
    change = flags.change
    if flags.template is None and change is not None:
        template = load_template({"direction": "change", "number": "change_number"}[change])
    elif flags.template is None:
        template = find_template(flags.target, flags.reference or "none")
    else:
        template = load_template(flags.template)
        change = change or {"change": "direction", "change_number": "number"}.get(template.name)
    reference = flags.reference or template.reference or ("none" if template.single else "any")
    if change is not None and reference != "earlier":
        raise CohortError(f"--reference {reference}: expected earlier with a question about change")
    if change == "direction" and template.directions is None:
        raise CohortError(f"--template {template.name}: expected directions (the labels of a change), found none")
    return _word(template, flags, reference), reference, change


def _word(template: Template, flags: argparse.Namespace, reference: str) -> Template:
    """The template with the user's own wordings."""
    section = to_section(reference)
    wordings = getattr(template, section)
    if wordings is None:
        raise CohortError(
            f"--template {template.name}: expected wordings for --reference {reference} (a section {section}), "
            "found none"
        )
    own = {"question": flags.question, "answer": flags.answer}
    own = {turn: check_wordings(texts, section, turn, f"--{turn}") for turn, texts in own.items() if texts}
    return template.with_wordings(section, {**wordings, **own})


def _to_table_options(flags: argparse.Namespace) -> TableOptions:
    if flags.encoding is not None and not is_encoding(flags.encoding):
        raise CohortError(f"--encoding: expected an encoding of text, as cp1252 or latin-1, found {flags.encoding}")
    delimiter = flags.delimiter and DELIMITERS[flags.delimiter]
    return TableOptions(delimiter, flags.encoding, flags.id_column, flags.session_column)


def _to_image_templates(texts: list[str], study: Study | None) -> dict[str, str]:
    """Name → template: a modality's, or that of a sequence of the study."""
    names, templates = MODALITIES if study is None else study.sequences, {}
    for text in texts:
        name, equals, path = text.partition("=")
        if not equals or name not in names:
            name, path = names[0], text
            if study is not None:
                expected = " ".join(f"{one}=PATH" for one in names)
                raise CohortError(
                    f"--image_template: expected {expected}, as --modalities_of_visit says, found {text}"
                )
        if name in templates:
            raise CohortError(
                f"--image_template: expected one path a modality, found two for {name}; write "
                f"{' or '.join(f'{one}=PATH' for one in MODALITIES)}, or name the sequences of a visit: "
                "--modalities_of_visit T1w,FLAIR"
            )
        templates[name] = path
    if study is not None and templates and set(templates) != set(names):
        missing = next(name for name in names if name not in templates)
        raise CohortError(f"--image_template: expected a path of each sequence, found none of {missing}")
    if len(set(templates.values())) < len(templates):
        raise CohortError("--image_template: expected a path of its own for each, found one twice")
    return {name: templates[name] for name in names if name in templates}
