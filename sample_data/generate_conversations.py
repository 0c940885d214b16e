"""Generate conversations about your own cohort, from a BIDS tree or a participants table, with honest splits.

    python sample_data/generate_conversations.py --bids_dir /data/bids --target sex --reference both \\
        --stratify sex,site --output_dir my_conversations
    python sample_data/generate_conversations.py --participants table.csv --target age --group_by family_id \\
        --image_template "{participant_id}/anat/{participant_id}_T1w.nii.gz" --output_dir my_conversations

writes `train/`, `validation/`, `test/` and `samples/` with conversations that name the scans where they are,
splits.json, exclusions.tsv (everything found and not used, with its reason) and summary.txt. The scans are only
listed, not opened, unless --check_images is given. The same options give the same files, byte for byte.
"""

import random
import sys
from collections import defaultdict
from pathlib import Path

from check_cohort_scans import drop_bad_scans
from cohort import CohortError, Exclusions, Visit, check_column
from cohort_bids import find_bids_scans, find_scan_root, read_bids
from cohort_conversations import Style
from cohort_folder import write_cohort
from cohort_options import Options, parse_options
from cohort_splits import EXTERNAL, assign_splits, describe_large_groups
from cohort_table import find_scans, to_visits
from cohort_target import Case, ChangeQuestion, Target, infer_kind, make_cases, make_change_cases, make_session_order
from table_file import read_table


def generate(options: Options) -> str:
    """Write the data folder and return its summary. Raises CohortError, FileExistsError: see the parts."""
    exclusions = Exclusions()
    found = read_visits(options, exclusions)
    columns = dict.fromkeys(column for visit in found for column in visit.values)
    for option, names in {
        "--target": [options.target],
        "--stratify": options.plan.stratify,
        "--group_by": filter(None, [options.plan.group_by]),
        "--holdout": options.plan.holdout[:1] if options.plan.holdout else [],
        "--metadata": options.metadata_columns,
    }.items():
        for name in names:
            check_column(name, columns, "the table", option)
    target = _read_target(found, options)
    visits = _find_scans(found, options, exclusions)
    if options.check_images:
        visits = drop_bad_scans(visits, exclusions)
    cases = _make_cases(visits, target, options, exclusions)
    splits = assign_splits(cases, options.plan, exclusions)
    notes = [f"labels are {'balanced' if options.balance else 'as they come'} in train, as they come elsewhere"]
    notes += exclusions.notes + _check_splits(splits) + describe_large_groups(splits, options.plan.group_by)
    has_labels = target.kind == "categorical" or options.change == "direction"
    if options.balance and not has_labels:
        raise CohortError(f"--balance: expected a target with labels, found the numbers of {options.target}")
    if options.balance:
        splits["train"] = balance(splits["train"], options.plan.seed, exclusions)
    style = Style(
        template=options.template,
        target=target,
        labels=_order_labels(cases, target, options) if has_labels else (),
        reference=options.reference,
        n_references=options.references_per_subject,
        unit="" if has_labels else target.unit,
        metadata_columns=options.metadata_columns,
        seed=options.plan.seed,
    )
    shown = [name for name in columns if name in options.metadata_columns or name.lower() in ("sex", "gender", "site")]
    return write_cohort(
        options.output_dir,
        splits,
        found,
        style,
        options.plan,
        exclusions,
        options.image_root,
        options.per_shard,
        shown,
        notes,
    )


def read_visits(options: Options, exclusions: Exclusions) -> list[Visit]:
    """A visit for every row of the cohort's table, with or without a scan."""
    if options.bids_dir is not None:
        return read_bids(options.bids_dir, options.derivatives, options.participants, options.table, exclusions)
    table = read_table(options.participants, options.table)
    exclusions.notes += table.notes
    return to_visits(table, options.table.id_column, options.table.session_column, exclusions)


def _find_scans(visits: list[Visit], options: Options, exclusions: Exclusions) -> list[Visit]:
    if options.bids_dir is not None:
        root = find_scan_root(options.bids_dir, options.derivatives)
        return find_bids_scans(visits, root, options.selection, exclusions)
    sessions = options.selection.sessions
    chosen = [visit for visit in visits if not sessions or visit.session in sessions]
    for visit in visits:
        if sessions and visit.session not in sessions:
            exclusions.add_visit(visit, "session not chosen", f"--sessions {' '.join(sessions)}")
    root = options.image_root or options.participants.parent
    return find_scans(chosen, options.image_templates, str(root), options.table.id_column, exclusions)


def _read_target(visits: list[Visit], options: Options) -> Target:
    inferred = "numeric" if options.change else infer_kind(visits, options.target)
    kind = options.target_type or ("categorical" if options.labels else inferred)
    if kind == "numeric" and options.reference in ("same", "different", "both"):
        raise CohortError(
            f"--reference {options.reference}: expected any, earlier or none for a target of numbers "
            f"({options.target}), which has no labels. Are they codes of classes? Add --target_type categorical"
        )
    if kind == "categorical" and options.change:
        raise CohortError("--change: expected a target of numbers, found --target_type categorical or --labels")
    return Target(options.target, kind, options.unit, options.labels, options.decimals)


def _make_cases(visits: list[Visit], target: Target, options: Options, exclusions: Exclusions) -> list[Case]:
    if options.reference != "earlier":
        return make_cases(visits, target, exclusions)
    order = make_session_order(visits, options.selection.sessions, options.order_by)
    question = ChangeQuestion(
        as_change=options.change is not None,
        directions=options.template.directions if options.change == "direction" else None,
        needs_earlier_value=options.change is not None or options.template.says_reference_value(),
    )
    return make_change_cases(visits, target, question, options.references_per_subject, order, exclusions)


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


def _check_splits(splits: dict[str, list[Case]]) -> list[str]:
    """Notes about splits with one label. Raises CohortError where training has one."""
    notes = []
    for split, cases in splits.items():
        labels = {case.label for case in cases}
        if len(labels) == 1 and split == "train":
            raise CohortError(f"train: expected at least two labels, found only {labels.pop()!r}. Use --stratify")
        if len(labels) == 1:
            notes.append(f"WARNING {split} has only the label {labels.pop()!r}: it cannot be scored. Use --stratify")
    if "train" not in splits:
        raise CohortError(f"expected participants in train, found only {', '.join(splits)}")
    return notes


def _order_labels(cases: list[Case], target: Target, options: Options) -> tuple[str, ...]:
    """The labels for "a, b or c", in the order of the options or template, else sorted."""
    used = {case.label for case in cases}
    named = options.template.directions if options.change == "direction" else target.labels.values()
    return tuple(dict.fromkeys([*(label for label in named if label in used), *sorted(used)]))


def main(argv: list[str] | None = None) -> int:
    options = parse_options(__doc__, argv)
    try:
        summary = generate(options)
    except (CohortError, FileExistsError) as error:
        print(f"{Path(sys.argv[0]).name}: {error}", file=sys.stderr)
        return 1
    print(summary)
    root = f" --image_root {options.image_root}" if options.image_root else ""
    folders = [str(options.output_dir)]
    if (options.output_dir / EXTERNAL).is_dir():
        folders.append(str(options.output_dir / EXTERNAL))
    validator = Path(__file__).with_name("validate_json_format.py")
    print(f"Wrote {' and '.join(folders)}. Check it:")
    print(f"  python {validator} {' '.join(folders)}{root} --check_images")
    return 0


if __name__ == "__main__":
    sys.exit(main())
