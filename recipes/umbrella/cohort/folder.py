"""Writes the data folder of a cohort: conversations a split, splits.json, exclusions.tsv, summary.txt."""

import functools
import os
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

from umbrella.cohort.generated_folder import replace_folder, write_manifest
from umbrella.cohort.options import Options
from umbrella.cohort.questions.cases import Case
from umbrella.cohort.questions.conversations import Style, make_records
from umbrella.cohort.questions.writer import write_conversations, write_shards
from umbrella.cohort.shared.visits import CohortError, Exclusions, Visit
from umbrella.cohort.splits.participants import write_splits
from umbrella.files.written_files import writing
from umbrella.records.cohort import CONTRADICTING, EXCLUSIONS, EXTERNAL, SPLITS_FILE, Exclusion
from umbrella_dataset import MANIFEST

N_SAMPLES = 10
_MOST_GROUPS = 12  # a column with more values than this is not shown in the summary


@dataclass(frozen=True)
class Cohort:
    """The visits that a table names, the cases of each split that were made of them, and what was left out."""

    found: list[Visit]
    splits: dict[str, list[Case]]
    exclusions: Exclusions


def write_cohort(cohort: Cohort, style: Style, options: Options, summary_columns: list[str], notes: list[str]) -> str:
    """Write everything into `output_dir`, whole or not at all, and return the summary's text.

    The external split is a data folder of its own, `external/test`. Scan paths count from the data folder, or from
    `image_root` where that is given. Raises FileExistsError where `output_dir` holds files that no generator wrote.
    """
    splits, exclusions = cohort.splits, cohort.exclusions
    output_dir, per_shard = options.output_dir.expanduser().resolve(), options.per_shard
    with writing(output_dir, "choose another --output_dir"), replace_folder(output_dir) as folder:
        counts, samples = {}, []
        for split, cases in splits.items():
            place = Path(EXTERNAL, "test") if split == EXTERNAL else Path(split)
            to_path = make_relative((output_dir / place).parent, options.image_root)
            records = make_records(split, cases, style, to_path, exclusions)
            if split == "train":
                records = _keep_first(records, samples)
            if per_shard is None:
                counts[split] = write_conversations(records, folder / place)
            else:
                counts[split] = write_shards(records, folder / place, per_shard)
            if not counts[split]:
                reasons = ", ".join(exclusions.count_reasons())
                raise CohortError(f"{split}: expected at least one conversation, found none; left out: {reasons}")
        if EXTERNAL in splits:
            write_manifest(folder / EXTERNAL)
        write_conversations(samples, folder / "samples")
        subjects = {split: [case.visit.participant_id for case in cases] for split, cases in splits.items()}
        sha256 = write_splits(folder / SPLITS_FILE, subjects, options.plan, style.target.to_record())
        exclusions.write(folder / EXCLUSIONS)
        summary = summarise(cohort, counts, summary_columns)
        summary += "\n".join([*notes, f"{SPLITS_FILE} sha256 {sha256}"]) + "\n"
        (folder / "summary.txt").write_text(summary, encoding="utf-8")
    _remove_refusal(_beside(output_dir))
    return summary


def write_exclusions(output_dir: Path, exclusions: Exclusions) -> Path:
    """Write exclusions.tsv alone into `output_dir`, where no data folder is made; beside it, under its name, where it
    holds anything else. Returns the path."""
    output_dir = output_dir.expanduser().resolve()
    there = {path.name for path in output_dir.iterdir()} if output_dir.is_dir() else set()
    if output_dir.exists() and not there <= {MANIFEST, EXCLUSIONS}:
        path = _beside(output_dir)
        _remove_refusal(path)
        exclusions.write(path)
        return path
    with replace_folder(output_dir) as folder:
        exclusions.write(folder / EXCLUSIONS)
    return output_dir / EXCLUSIONS


def _beside(output_dir: Path) -> Path:
    return output_dir.with_name(f"{output_dir.name}.{EXCLUSIONS}")


def _remove_refusal(path: Path) -> None:
    """Remove what a refused run has left; another's file of that name stays."""
    if path.is_file() and path.read_bytes().startswith("\t".join(Exclusion._fields).encode() + b"\n"):
        path.unlink()


def _keep_first(records: Iterator[dict], kept: list[dict]) -> Iterator[dict]:
    for record in records:
        if len(kept) < N_SAMPLES:
            kept.append(record)
        yield record


def make_relative(data_folder: Path, image_root: Path | None) -> Callable[[str], str]:
    """A function from an absolute path to the path from `image_root`, else from `data_folder` (both without links),
    with forward slashes.

    It raises CohortError for a path outside `image_root`, which no reader of the data would accept.
    """

    @functools.cache
    def folders(folder: str) -> str:
        relative = Path(os.path.relpath(folder, image_root or data_folder)).as_posix()
        if image_root is not None and relative.split("/")[0] == "..":
            relative = Path(os.path.relpath(os.path.realpath(folder), image_root)).as_posix()
        if image_root is not None and relative.split("/")[0] == "..":
            raise CohortError(f"--image_root {image_root}: expected all scans in it, found {folder}")
        return relative

    def to_path(path: str) -> str:
        folder, name = os.path.split(path)
        return name if folders(folder) == "." else f"{folders(folder)}/{name}"

    return to_path


def summarise(cohort: Cohort, counts: dict[str, int], columns: list[str]) -> str:
    """Found → excluded → used: in all, by reason, by split, label and the values of `columns`.

    counts  split → its conversations
    """
    found, splits, exclusions = cohort.found, cohort.splits, cohort.exclusions
    used = {split: {case.visit.participant_id for case in cases} for split, cases in splits.items()}
    # Rows that contradict each other made no visit.
    dropped = {row.participant_id for row in exclusions.rows if row.reason == CONTRADICTING}
    n_found = len({visit.participant_id for visit in found} | dropped)
    n_used = sum(map(len, used.values()))
    lines = [
        f"found     {n_found:>8} participants with a row, {len(found)} visits",
        f"excluded  {n_found - n_used:>8} participants wholly; by reason (exclusions.tsv):",
        *(f"          {n:>8} {reason}" for reason, n in exclusions.count_reasons().most_common()),
        f"used      {n_used:>8} participants in {sum(counts.values())} conversations",
        "",
        _format_row("participants", ["found", "excluded", *splits]),
        _format_row("all", [n_found, n_found - n_used, *map(len, used.values())]),
    ]
    for column in columns:
        lines += _summarise_column(column, found, splits)
    lines += [_format_row("conversations", ["", "", *counts.values()])]
    labels = Counter((split, case.label) for split, cases in splits.items() for case in cases)
    distinct = sorted({label for _, label in labels})
    if len(distinct) <= _MOST_GROUPS:
        lines += [
            _format_row(f"answers: {label}", ["", "", *(labels[split, label] for split in splits)])
            for label in distinct
        ]
    return "\n".join(lines) + "\n"


def _summarise_column(column: str, found: list[Visit], splits: dict[str, list[Case]]) -> list[str]:
    of_found = _first_values(column, found)
    of_splits = [_first_values(column, [case.visit for case in cases]) for cases in splits.values()]
    values = sorted(set(of_found.values()))
    if len(values) > _MOST_GROUPS:
        return []
    tallies = [Counter(of_split.values()) for of_split in of_splits]
    totals = Counter(of_found.values())
    return [
        _format_row(
            f"{column}: {value or '(empty)'}",
            [
                totals[value],
                totals[value] - sum(tally[value] for tally in tallies),
                *(tally[value] for tally in tallies),
            ],
        )
        for value in values
    ]


def _first_values(column: str, visits: list[Visit]) -> dict[str, str]:
    """Participant → the value at the first of its visits."""
    values: dict[str, str] = {}
    for visit in visits:
        values.setdefault(visit.participant_id, visit.values.get(column, ""))
    return values


def _format_row(name: str, cells: list) -> str:
    return f"{name:<28}" + "".join(f"{cell:>12}" for cell in cells)
