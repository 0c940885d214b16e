"""What generate_conversations.py does: a cohort's table and scans into conversations with honest splits."""

import random
import shlex
import sys
import tempfile
from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import replace
from pathlib import Path

from umbrella.cohort import flags
from umbrella.cohort.bids.tree import find_sidecars, resolve_sessions
from umbrella.cohort.dicom.cohort_tables import list_columns
from umbrella.cohort.dicom.listing import describe_series
from umbrella.cohort.dicom.source import DicomSource
from umbrella.cohort.dicom.tree import make_tree
from umbrella.cohort.dry_run import describe_choice, describe_source
from umbrella.cohort.folder import Cohort, write_cohort, write_exclusions
from umbrella.cohort.options import Options, parse_options
from umbrella.cohort.order import make_session_order
from umbrella.cohort.questions.cases import Case, ChangeQuestion, make_cases, make_change_cases
from umbrella.cohort.questions.conversations import LABEL_REFERENCES, Style
from umbrella.cohort.questions.target import Target, understand_target
from umbrella.cohort.questions.templates import Template, to_section
from umbrella.cohort.shared.findings import Finding
from umbrella.cohort.shared.visits import CohortError, Exclusions, NoScansError, ShortageError, Visit, check_column
from umbrella.cohort.sources import find_visits_scans, read_visits
from umbrella.cohort.splits.notes import describe_large_groups, describe_splits
from umbrella.cohort.splits.participants import assign_splits, find_groups
from umbrella.cohort.tables.column_description import describe_column
from umbrella.cohort.tables.column_labels import unify_column
from umbrella.cohort.tables.table_rows import TableOptions
from umbrella.files.written_files import writing
from umbrella.options.plain_parser import name_program
from umbrella.records.cohort import EXCLUSIONS, EXTERNAL


def generate(options: Options) -> str:
    """Write the data folder and return its summary. Raises CohortError, FileExistsError: see the parts. Where no scan
    can be used, exclusions.tsv is written all the same."""
    exclusions = Exclusions()
    try:
        if options.dicom is not None:
            options = _convert(options, options.dicom, exclusions)
        return _generate(options, exclusions)
    except NoScansError as error:
        if not exclusions.rows or options.dry_run:
            raise
        raise NoScansError(f"{error}. {_write_reasons(options.output_dir, exclusions)}") from None


def _write_reasons(output_dir: Path, exclusions: Exclusions) -> str:
    """A sentence on exclusions.tsv: where it is, or why it could not be written."""
    try:
        with writing(output_dir / EXCLUSIONS, "choose another --output_dir"):
            return f"Everything that was left out, and why: {write_exclusions(output_dir, exclusions)}"
    except OSError as error:
        return f"What was left out is in no table: {error}"


def _convert(options: Options, source: DicomSource, exclusions: Exclusions) -> Options:
    """DICOM becomes a tree with tables of its own; from there on it is a tree like any other."""
    _check_columns(list_columns(source), options)
    return replace(options, bids_dir=make_tree(source, exclusions), participants=None, table=TableOptions())


def _generate(options: Options, exclusions: Exclusions) -> str:
    found = read_visits(options, exclusions)
    sessions = resolve_sessions(options.selection.sessions, found)
    options = replace(options, selection=replace(options.selection, sessions=sessions))
    columns = dict.fromkeys(column for visit in found for column in visit.values)
    _check_columns(columns, options)
    target, template = _read_target(found, options)
    has_labels = target.kind == "categorical" or options.change == "direction"
    _check_labels_are_asked(has_labels, options)
    visits = find_visits_scans(found, options, exclusions)
    cases = _make_cases(visits, target, template, options, exclusions)
    # After the scans and the answers, which are told from the cells as they are written.
    unified = [unify_column(found, name) for name in columns if name in options.metadata_columns]
    splits = assign_splits(cases, options.plan, exclusions, target.column, has_labels, options.given)
    findings = [*target.findings, *filter(None, unified), _say_how_divided(target, options)]
    notes = exclusions.notes + [finding.to_line(options.given) for finding in findings]
    notes.append(f"labels are {'balanced' if options.balance else 'as they come'} in train, as they come elsewhere")
    fractions = None if options.plan.split_file else options.plan.fractions
    notes += describe_splits(
        splits,
        has_labels,
        fractions,
        options.given,
        lambda **plan: assign_splits(
            cases, replace(options.plan, **plan), Exclusions(), target.column, has_labels, options.given
        ),
    )
    if options.plan.group_by:
        groups = find_groups([case for some in splits.values() for case in some], options.plan.group_by)
        notes += describe_large_groups(splits, groups, options.plan.group_by)
    if options.balance:
        splits["train"] = balance(splits["train"], options.plan.seed, exclusions)
    style = Style(
        template=template,
        target=target,
        labels=_order_labels(cases, target, template, options) if has_labels else (),
        reference=options.reference,
        n_references=options.references_per_subject,
        unit="" if options.change == "direction" else target.unit,
        metadata_columns=options.metadata_columns,
        seed=options.plan.seed,
        given=options.given,
        study=options.selection.study,
    )
    shown = [name for name in columns if name in options.metadata_columns or name.lower() in ("sex", "gender", "site")]
    return write_cohort(Cohort(found, splits, exclusions), style, options, shown, notes)


def _check_columns(columns: Iterable[str], options: Options) -> None:
    """Raises CohortError for a flag that names a column which the table has not."""
    for option, names in {
        "--target": [options.target.column],
        "--stratify": options.plan.stratify or (),
        "--group_by": filter(None, [options.plan.group_by]),
        "--holdout": options.plan.holdout[:1] if options.plan.holdout else [],
        "--metadata": options.metadata_columns,
        "--order_by": filter(None, [options.order_by]),
    }.items():
        names = list(names)
        if len(names) > 1 and " ".join(names) in columns:
            raise CohortError(
                f"{option}: expected columns, found one whose name holds spaces, which are taken for a list. With a "
                f'comma behind it, it is one name: {option} "{" ".join(names)},"'
            )
        for name in names:
            check_column(name, columns, "the table", option)


def _read_target(visits: list[Visit], options: Options) -> tuple[Target, Template]:
    """The target as it is understood, and wordings that fit it."""
    if options.bids_dir is not None:
        sidecars = find_sidecars(options.bids_dir, options.participants)
    else:
        sidecars = [options.participants.with_suffix(".json")]
    description = describe_column(sidecars, options.target.column)
    target = understand_target(visits, options.target, options.template, description)
    if options.fallback is not None and not options.template.fits(target.kind, to_section(options.reference)):
        # The unit of a template that is not taken is not said either.
        unit = target.unit if target.kind == "numeric" else options.target.unit or ""
        return replace(target, unit=unit), options.fallback
    return target, options.template


def _check_labels_are_asked(has_labels: bool, options: Options) -> None:
    """Raises CohortError for a flag about labels where the answers are numbers."""
    if has_labels:
        return
    column = options.target.column
    remedy = ". Are they codes of classes? Add --target_type categorical"
    if "--target_type" in options.given or options.target.needs == "numeric":
        remedy = ""
    if options.reference in LABEL_REFERENCES:
        raise CohortError(
            f"--reference {options.reference}: expected any, earlier or none for a target of numbers ({column}), "
            f"which has no labels{remedy}"
        )
    if options.balance:
        raise CohortError(f"--balance: expected a target with labels, found the numbers of {column}{remedy}")


def _say_how_divided(target: Target, options: Options) -> Finding:
    plan = options.plan
    if plan.split_file is not None:
        return Finding("splits", f"those of {plan.split_file.name}, by --split_file", is_stated=True)
    if plan.stratify is None:
        kind = "labels" if target.kind == "categorical" or options.change == "direction" else "bins of the numbers"
        subject = target.column if options.change is None else "the change"
        text = f"the {kind} of {subject} in equal shares in each, as far as their numbers allow"
        return Finding("splits", text, (("--stratify", "--stratify COLUMNS or none for others"),))
    if not plan.stratify:
        return Finding("splits", "as drawn, by --stratify none", is_stated=True)
    return Finding("splits", f"{', '.join(plan.stratify)} in equal shares in each, by --stratify", is_stated=True)


def _make_cases(
    visits: list[Visit], target: Target, template: Template, options: Options, exclusions: Exclusions
) -> list[Case]:
    if options.reference != "earlier":
        return make_cases(visits, target, exclusions, options.given)
    order = make_session_order(visits, options.selection.sessions, options.order_by)
    question = ChangeQuestion(
        as_change=options.change is not None,
        directions=template.directions if options.change == "direction" else None,
        needs_earlier_value=options.change is not None or template.says_reference_value(),
    )
    return make_change_cases(
        visits, target, question, options.references_per_subject, order, exclusions, options.given
    )


def balance(cases: list[Case], seed: int, exclusions: Exclusions) -> list[Case]:
    """As many cases of each label as the rarest has, drawn by the seed; the others are counted as left out."""
    of_label = defaultdict(list)
    for case in cases:
        of_label[case.label].append(case)
    fewest = min(map(len, of_label.values()))
    rng, kept = random.Random(f"{seed} balance"), set()
    for label in sorted(of_label):
        kept |= {id(case) for case in rng.sample(of_label[label], fewest)}
    for case in cases:
        if id(case) not in kept:
            exclusions.add_visit(case.visit, "balance", f"train: {fewest} of each label, as many as the rarest has")
    return [case for case in cases if id(case) in kept]


def _order_labels(cases: list[Case], target: Target, template: Template, options: Options) -> tuple[str, ...]:
    """The labels that the cases have, for "a, b or c"."""
    used = {case.label for case in cases}
    order = template.directions if options.change == "direction" else target.label_order
    return tuple(label for label in order if label in used)


def _run_dry(options: Options) -> None:
    """Print what is there and what these flags make of it, and write nothing."""
    if options.dicom is not None:
        if options.target.column:
            _check_columns(list_columns(options.dicom), options)
        print(f"{describe_series(options.dicom)}\nNothing was written (--dry_run).")
        return
    print(describe_source(options))
    if not options.target.column:
        print(describe_choice(options))
        return
    try:
        with tempfile.TemporaryDirectory() as folder:
            print(generate(replace(options, output_dir=Path(folder, "data"))))
    except NoScansError as error:
        print(f"chosen: no scan. {error}")
    except ShortageError as error:
        print(f"{describe_choice(options)}\nWith these flags no conversations are made: {error}")
    print("Nothing was written (--dry_run).")


def main(argv: list[str] | None = None, validator: Sequence[str] = ("-m", "umbrella.validation")) -> int:
    """`validator`: how python starts the validator, for the command that is printed at the end."""
    options = parse_options(flags.__doc__, argv)
    try:
        if options.dry_run:
            _run_dry(options)
            return 0
        summary = generate(options)
    except (CohortError, FileExistsError, ChildProcessError) as error:
        print(f"{name_program()}: {error}", file=sys.stderr)
        return 1
    except PermissionError as error:
        print(f"{error.filename}: expected permission to use it, found: {error.strerror}. Grant it", file=sys.stderr)
        return 1
    print(summary)
    root = ["--image_root", str(options.image_root)] if options.image_root else []
    folders = [str(options.output_dir)]
    if (options.output_dir / EXTERNAL).is_dir():
        folders.append(str(options.output_dir / EXTERNAL))
    print(f"Wrote {' and '.join(folders)}. Check it:")
    print(f"  {shlex.join(['python', *validator, *folders, *root, '--check_images'])}")
    return 0
