"""The command line of generate_conversations.py: flags → options that fit one another."""

import argparse
from dataclasses import dataclass
from pathlib import Path

from cohort import MODALITIES, CohortError
from cohort_bids import SUFFIXES, Selection
from cohort_conversations import REFERENCES, RESERVED_METADATA
from cohort_splits import SplitPlan
from conversation_templates import Template, check_wordings, find_template, load_template
from split_subjects import parse_fractions
from table_delimiter import DELIMITERS
from table_file import TableOptions
from table_text import is_encoding

CONVERSATIONS_PER_SHARD = 10_000


@dataclass(frozen=True)
class Options:
    """What to read, what to ask, how to divide, where to write."""

    bids_dir: Path | None
    participants: Path | None
    image_templates: dict[str, str]  # modality → template; empty with bids_dir
    table: TableOptions  # of participants, or of the BIDS tree's participants.tsv
    derivatives: str | None
    selection: Selection
    target: str
    target_type: str | None
    labels: dict[str, str]
    unit: str
    decimals: int | None
    template: Template
    reference: str
    references_per_subject: int
    change: str | None  # "direction", "number" or None
    order_by: str | None
    metadata_columns: tuple[str, ...]
    plan: SplitPlan
    balance: bool
    check_images: bool
    output_dir: Path
    image_root: Path | None
    per_shard: int | None


def parse_options(description: str, argv: list[str] | None = None) -> Options:
    """Abbreviated flags, and flags that do not fit one another, end the program with a sentence."""
    parser = _make_parser(description)
    flags = parser.parse_args(argv)
    try:
        return _to_options(flags)
    except CohortError as error:
        parser.error(str(error))


def _make_parser(description: str) -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        description=description, allow_abbrev=False, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    group = parser.add_argument_group("cohort")
    group.add_argument("--bids_dir", type=Path, metavar="DIR", help="a BIDS tree with participants.tsv")
    group.add_argument(
        "--participants", type=Path, metavar="TABLE", help=".tsv or .csv, one row a participant or visit"
    )
    group.add_argument(
        "--image_template",
        nargs="+",
        default=[],
        metavar="[MODALITY=]PATH",
        help="where a row's scan is, with {column} or {column:03d} fields; from the table's folder or --image_root",
    )
    group.add_argument("--delimiter", choices=tuple(DELIMITERS), help="of the table (told from its name and lines)")
    group.add_argument("--encoding", metavar="NAME", help="of the table, as cp1252 (UTF-8, or as its first bytes say)")
    group.add_argument("--id_column", default="participant_id", metavar="COLUMN", help="(participant_id)")
    group.add_argument("--session_column", default="session_id", metavar="COLUMN", help="(session_id)")
    group.add_argument(
        "--modalities", nargs="+", choices=MODALITIES, help="of a BIDS tree, all in one conversation (sMRI)"
    )
    group.add_argument("--suffixes", nargs="+", default=[], metavar="MODALITY=SUFFIX", help="as sMRI=T2w")
    group.add_argument(
        "--sessions", nargs="+", default=[], metavar="SESSION", help="only these, in their order in time"
    )
    group.add_argument("--run", default="", help="first, last or an index, where a visit has several")
    group.add_argument("--entities", nargs="+", default=[], metavar="NAME=VALUE", help="as task=rest space=MNI152Lin")
    group.add_argument("--derivatives", metavar="NAME", help="take the scans from derivatives/NAME (or a folder)")
    group.add_argument("--check_images", action="store_true", help="read every scan; leave out bad and doubled ones")
    group = parser.add_argument_group("question")
    group.add_argument("--target", required=True, metavar="COLUMN", help="what is asked")
    group.add_argument("--target_type", choices=("categorical", "numeric"), help="(told from the values)")
    group.add_argument("--labels", nargs="+", default=[], metavar="VALUE=LABEL", help="as 1=male 2=female; others go")
    group.add_argument("--unit", help="of numbers, as years")
    group.add_argument("--decimals", type=int, help="round numbers to as many")
    group.add_argument("--template", metavar="NAME|FILE.yaml", help="wordings (those that fit the target)")
    group.add_argument("--question", nargs="+", metavar="TEXT", help="wordings in place of the template's")
    group.add_argument("--answer", nargs="+", metavar="TEXT", help="as 'The sex is {value}.'")
    group.add_argument("--reference", choices=tuple(REFERENCES), help="whose scan stands first, by its label (none)")
    group.add_argument("--references_per_subject", type=int, default=1, metavar="N", help="of each kind (1)")
    group.add_argument(
        "--change", choices=("direction", "number"), help="ask what has changed since an earlier session, of a number"
    )
    group.add_argument("--order_by", metavar="COLUMN", help="numbers or dates that put sessions in order")
    group.add_argument("--metadata", nargs="+", default=[], metavar="COLUMN", help="columns to keep, as sex site")
    group = parser.add_argument_group("splits")
    group.add_argument("--split", default="0.8,0.1,0.1", metavar="SHARES", help="train,validation,test (0.8,0.1,0.1)")
    group.add_argument("--stratify", metavar="COLUMNS", help="as sex,site: in equal shares in every split")
    group.add_argument("--group_by", metavar="COLUMN", help="as family_id: never in two splits")
    group.add_argument(
        "--split_file", type=Path, metavar="FILE", help="a splits.json, or a table participant_id, split"
    )
    group.add_argument("--holdout", metavar="COLUMN=VALUE", help="as site=X: an external test set, in external/")
    group.add_argument("--balance", action="store_true", help="as many of each label in train; test stays as it is")
    group.add_argument("--seed", type=int, default=0, help="the same seed gives the same files (0)")
    group = parser.add_argument_group("output")
    group.add_argument("--output_dir", type=Path, required=True, metavar="DIR", help="data folder to write")
    group.add_argument("--image_root", type=Path, metavar="DIR", help="scan paths count from here, later ones too")
    group.add_argument(
        "--jsonl",
        nargs="?",
        type=int,
        const=CONVERSATIONS_PER_SHARD,
        metavar="N",
        help=f"shards of N conversations ({CONVERSATIONS_PER_SHARD}) instead of a file a conversation",
    )
    return parser


def _to_options(flags: argparse.Namespace) -> Options:
    if flags.bids_dir is None and not (flags.participants and flags.image_template):
        raise CohortError("expected --bids_dir DIR, or --participants TABLE with --image_template PATH")
    if flags.bids_dir is not None and flags.image_template:
        raise CohortError("expected --bids_dir or --image_template, found both: a BIDS tree names its scans itself")
    for name in ("references_per_subject", "jsonl"):
        value = getattr(flags, name)
        if value is not None and value < 1:
            raise CohortError(f"--{name}: expected a number of at least 1, found {value}")
    if flags.seed < 0:
        raise CohortError(f"--seed: expected a number of at least 0, found {flags.seed}")
    if flags.run and flags.run not in ("first", "last") and not flags.run.isdigit():
        raise CohortError(f"--run: expected first, last or a number, found {flags.run}")
    template, reference, change = _choose_template(flags)
    stratify = tuple(filter(None, (flags.stratify or "").split(",")))
    holdout = _to_pair(flags.holdout, "--holdout") if flags.holdout else None
    metadata_columns = (*stratify, *(holdout[:1] if holdout else ()), *flags.metadata)
    for name in set(metadata_columns) & RESERVED_METADATA:
        raise CohortError(f"--metadata: expected columns that the conversations do not use themselves, found {name}")
    return Options(
        bids_dir=flags.bids_dir and flags.bids_dir.expanduser().resolve(),
        participants=flags.participants and flags.participants.expanduser().absolute(),
        image_templates=_to_image_templates(flags.image_template),
        table=_to_table_options(flags),
        derivatives=flags.derivatives,
        selection=_to_selection(flags),
        target=flags.target,
        target_type=flags.target_type,
        labels={value.lower(): label for value, label in _to_pairs(flags.labels, "--labels")} or template.labels,
        unit=template.unit if flags.unit is None else flags.unit,
        decimals=flags.decimals,
        template=template,
        reference=reference,
        references_per_subject=flags.references_per_subject,
        change=change,
        order_by=flags.order_by,
        metadata_columns=tuple(dict.fromkeys(metadata_columns)),
        plan=SplitPlan(parse_fractions(flags.split), stratify, flags.group_by, flags.split_file, holdout, flags.seed),
        balance=flags.balance,
        check_images=flags.check_images,
        output_dir=flags.output_dir,
        image_root=flags.image_root and flags.image_root.expanduser().resolve(),
        per_shard=flags.jsonl,
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
    section = "single" if reference == "none" else "comparison"
    if change is not None and reference != "earlier":
        raise CohortError(f"--reference {reference}: expected earlier with a question about change")
    if change == "direction" and template.directions is None:
        raise CohortError(f"--template {template.name}: expected directions (the labels of a change), found none")
    wordings = getattr(template, section)
    if wordings is None:
        raise CohortError(
            f"--template {template.name}: expected wordings for --reference {reference} (a section {section}), "
            "found none"
        )
    own = {"question": flags.question, "answer": flags.answer}
    own = {turn: check_wordings(texts, section, turn, f"--{turn}") for turn, texts in own.items() if texts}
    return template.with_wordings(section, {**wordings, **own}), reference, change


def _to_selection(flags: argparse.Namespace) -> Selection:
    suffixes = SUFFIXES | dict(_to_pairs(flags.suffixes, "--suffixes"))
    for modality in suffixes:
        if modality not in MODALITIES:
            raise CohortError(f"--suffixes: expected {', '.join(MODALITIES)} before the =, found {modality}")
    return Selection(
        suffixes={modality: suffixes[modality] for modality in flags.modalities or MODALITIES[:1]},
        sessions=tuple(session.removeprefix("ses-") for session in flags.sessions),
        run=flags.run,
        entities=dict(_to_pairs(flags.entities, "--entities")),
    )


def _to_table_options(flags: argparse.Namespace) -> TableOptions:
    if flags.encoding is not None and not is_encoding(flags.encoding):
        raise CohortError(f"--encoding: expected an encoding of text, as cp1252 or latin-1, found {flags.encoding}")
    delimiter = flags.delimiter and DELIMITERS[flags.delimiter]
    return TableOptions(delimiter, flags.encoding, flags.id_column, flags.session_column)


def _to_image_templates(texts: list[str]) -> dict[str, str]:
    templates = {}
    for text in texts:
        modality, equals, path = text.partition("=")
        if not equals or modality not in MODALITIES:
            modality, path = MODALITIES[0], text
        if modality in templates:
            raise CohortError(
                f"--image_template: expected one path a modality, found two for {modality}; write "
                f"{' or '.join(f'{name}=PATH' for name in MODALITIES)}"
            )
        templates[modality] = path
    return templates


def _to_pairs(texts: list[str], option: str) -> list[tuple[str, str]]:
    return [_to_pair(text, option) for text in texts]


def _to_pair(text: str, option: str) -> tuple[str, str]:
    name, equals, value = text.partition("=")
    if not equals or not name or not value:
        raise CohortError(f"{option}: expected NAME=VALUE, found {text!r}")
    return name, value
