"""Participants → train, validation, test: families together, strata in equal shares, the same by the seed."""

from collections import Counter
from collections.abc import Sequence
from pathlib import Path

from umbrella.cohort.shared.findings import advise
from umbrella.cohort.shared.visits import CohortError, ShortageError, is_missing
from umbrella.cohort.tables.table_rows import read_table
from umbrella.files.data_format import SPLITS
from umbrella.files.json_files import parse_json
from umbrella.options.list_flags import split_list
from umbrella.records.cohort import to_key
from umbrella.rows.division import divide
from umbrella.scans.not_a_scan import find_unfetched

_TOLERANCE = 0.05  # how far the share of a split may be from what was asked for


def parse_fractions(values: str | Sequence[str]) -> dict[str, float]:
    """ "0.8,0.1,0.1" → the share of each split. Raises CohortError unless three add up to 1."""
    parts = split_list(values)
    try:
        shares = [float(part) for part in parts]
    except ValueError:
        shares = []
    if (
        len(shares) != 3
        or any(not 0 <= share <= 1 for share in shares)
        or abs(sum(shares) - 1) > 1e-6
        or not shares[0]
    ):
        raise CohortError(
            f"--split: expected three shares for train, validation, test that add up to 1, as 0.8,0.1,0.1, "
            f"found {','.join(parts)}"
        )
    return dict(zip(SPLITS, shares, strict=True))


def split_subjects(
    subjects: Sequence[str],
    strata: Sequence[str],
    groups: Sequence[str],
    fractions: dict[str, float],
    seed: int,
    given: frozenset[str] = frozenset(),
) -> dict[str, str]:
    """Participant → split. `strata` and `groups` hold one value a participant; see `umbrella.rows.division.divide`.

    Raises CohortError, whose advice names no flag that was `given`, for a group larger than every split and for shares
    that the cohort cannot be divided into.
    """
    sizes = Counter(groups)
    _check_group_sizes(sizes, fractions, len(subjects))
    split_of = divide(subjects, strata, groups, fractions, seed)
    n_families = sum(size > 1 for size in sizes.values())
    _check_shares(split_of, fractions, n_families, given)
    return split_of


def _check_group_sizes(sizes: Counter, fractions: dict[str, float], n_subjects: int) -> None:
    largest = max(fractions, key=lambda name: fractions[name])
    room = fractions[largest] * n_subjects
    for group, size in sizes.most_common(1):
        if size > 1 and size > room:
            raise ShortageError(
                f"--group_by: expected groups that fit into a split (the largest, {largest}, is to have {room:.0f} of "
                f"{n_subjects} participants), found the group {group!r} with {size}. Choose another column: this one "
                "may not be of families"
            )


def _check_shares(
    split_of: dict[str, str], fractions: dict[str, float], n_families: int, given: frozenset[str]
) -> None:
    counts = Counter(split_of.values())
    n = len(split_of)
    for name, fraction in fractions.items():
        if (fraction and not counts[name]) or abs(counts[name] / n - fraction) > _TOLERANCE + 1 / n:
            why = "its groups are too large" if n_families else "it is too small"
            remedies = [] if n_families else [("--split", "--split 0.6,0.2,0.2 gives the small splits more")]
            advice = advise(given, remedies) if n >= 5 else ""
            advice = advice or ("a column of smaller groups divides better" if n_families else "more would do")
            raise ShortageError(
                f"--split: expected about {fraction:.0%} of {n} participants in {name}, found a division of the "
                f"cohort that gives it {counts[name]}: {why}; {advice}"
            )


def read_split_file(path: Path) -> tuple[dict[str, str], list[str]]:
    """(participant without "sub-" → split, what was inferred in sentences) of a splits.json, or of a table with the
    columns participant_id and split."""
    unfetched = find_unfetched(path, "file")
    if unfetched is not None:
        raise CohortError(f"--split_file {path}: expected a table or a splits.json, found {unfetched}")
    if path.suffix.lower() == ".json":
        pairs, notes = _read_splits_json(path), []
    else:
        table = read_table(path)
        if not {"participant_id", "split"} <= set(table.columns):
            raise CohortError(
                f"--split_file {path}: expected the columns participant_id and split, found {', '.join(table.columns)}"
            )
        pairs, notes = [(row["participant_id"], row["split"]) for row in table.rows], table.notes
    split_of = {}
    for name, split in pairs:
        if is_missing(name):
            raise CohortError(f"--split_file {path}: expected an id in every row, found {name!r} in {split}")
        if split not in (*SPLITS, "external"):
            raise CohortError(
                f"--split_file {path}: {name}: expected {', '.join(SPLITS)} or external, found {split!r}"
            )
        if split_of.setdefault(to_key(name), split) != split:
            raise CohortError(
                f"--split_file {path}: {name}: expected one split, found {split_of[to_key(name)]}, {split}"
            )
    return split_of, notes


def _read_splits_json(path: Path) -> list[tuple[str, str]]:
    """(participant, split)."""
    try:
        splits = parse_json(path.read_text(encoding="utf-8"))["splits"]
        return [(str(name), split) for split, names in splits.items() for name in names]
    except (OSError, ValueError, RecursionError, KeyError, AttributeError, TypeError):
        raise CohortError(
            f"--split_file {path}: expected a splits.json as this program writes it, each split in it once"
        ) from None
