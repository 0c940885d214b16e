"""The classes of a column: which cells are one label however they are spelled, and what the label is called."""

import shlex
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from umbrella.answers.label_parsing import find_spellings
from umbrella.answers.numbers import USUAL, find_number_format, read_plain_number
from umbrella.answers.text_folding import fold
from umbrella.cohort.shared.findings import Finding
from umbrella.cohort.shared.visits import Visit, is_missing
from umbrella.cohort.tables.column_kind import format_number, read_numbers


def to_value_key(cell: str, numbers: dict[str, float]) -> str:
    """What two spellings of one value share: "AD" and " ad "; "1", "01" and "1.0" where they are numbers."""
    return format_number(numbers[cell]) if cell in numbers else fold(cell)


def merge_spellings(cells: Iterable[str]) -> tuple[dict[str, str], list[str]]:
    """Cell → the commonest spelling of its label (of equally common ones the first in order of signs), and a phrase
    for each label that had several: "AD (31), ad (2) → AD"."""
    counts = Counter(cells)
    kept = find_spellings(counts.elements())
    written: dict[str, list[str]] = {}
    for cell in sorted(counts, key=lambda cell: (-counts[cell], cell)):
        written.setdefault(kept[cell], []).append(f"{cell} ({counts[cell]})")
    return kept, [f"{', '.join(found)} → {label}" for label, found in written.items() if len(found) > 1]


def unify_column(visits: list[Visit], column: str) -> Finding | None:
    """Give each label of a column its commonest spelling, in `visits` themselves, and numbers their usual signs
    ("23,5" → "23.5"), so that all who read the conversations see the same. None where nothing changed."""
    cells = [cell for visit in visits if not is_missing(cell := visit.values.get(column))]
    number_format, told_from = find_number_format(cells)
    numbers = read_numbers(cells, number_format)
    if cells and len(numbers) == len(set(cells)):
        changed = {cell: format_number(number) for cell, number in numbers.items()} if number_format != USUAL else {}
        finding = Finding(column, f"{told_from}; written with a point") if changed else None
    else:
        changed, phrases = merge_spellings(cells)
        finding = Finding(column, f"spellings of one value: {'; '.join(phrases)}") if phrases else None
    if finding is not None:
        for visit in visits:
            cell = visit.values.get(column)
            visit.values[column] = changed.get(cell, cell)
    return finding


@dataclass(frozen=True)
class Codebook:
    """What names the values of a column where the user does not.

    levels  the sidecar's: folded value → label
    source  the sidecar's name
    usual   the template's: folded value or level → label; where there are any, values that neither they nor a level
            name are not taken
    """

    levels: dict[str, str]
    source: str
    usual: dict[str, str]


def name_labels(
    column: str, cells: Sequence[str], numbers: dict[str, float], named: dict[str, str], codebook: Codebook
) -> tuple[dict[str, str], list[Finding]]:
    """(cell → label, what was inferred). A cell that is not in it has a value that nothing names.

    cells    all that are not missing, as often as they come
    numbers  of cells, empty unless the column's values are codes
    named    the user's: value → label; where there are any, others are not taken
    """
    findings, levels, usual = [], codebook.levels, codebook.usual
    if named:
        by_key = _key_names(named)
        texts = {cell: by_key.get(to_value_key(cell, numbers)) for cell in set(cells)}
    else:
        by_key = _key_names(levels)
        level_of = {cell: by_key.get(to_value_key(cell, numbers)) for cell in set(cells)}
        texts = {cell: _name(cell, level, numbers, usual) for cell, level in level_of.items()}
        used = {cell: texts[cell] for cell in texts if level_of[cell] is not None}
        if used:
            phrase = ", ".join(f"{cell} = {label}" for cell, label in sorted(used.items()))
            findings.append(Finding(column, f"Levels in {codebook.source} say {phrase}", _NAME_THEM))
        counts = Counter(cells)
        renamed: dict[str, list[str]] = {}
        for cell in sorted(counts, key=lambda cell: (-counts[cell], cell)):
            if level_of[cell] is None and texts[cell] not in (None, cell):
                renamed.setdefault(texts[cell], []).append(f"{cell} ({counts[cell]})")
        if renamed:
            phrase = "; ".join(f"{', '.join(of)} = {label}" for label, of in sorted(renamed.items()))
            findings.append(Finding(column, f"the template says {phrase}", _NAME_THEM))
    known = [texts[cell] for cell in cells if texts[cell] is not None]
    kept, phrases = merge_spellings(known)
    if phrases:
        findings.append(Finding(column, f"spellings of one label: {'; '.join(phrases)}", _NAME_THEM))
    return {cell: kept[text] for cell, text in texts.items() if text is not None}, findings


def describe_misfits(
    column: str, cells: Sequence[str], numbers: dict[str, float], labels: dict[str, str], codebook: Codebook
) -> list[Finding]:
    """What the sidecar's levels and the column's values do not tell of each other, with the flags that tell it: levels
    of which no value has one, and values without a level. As `name_labels`, whose `labels` are {} for numbers."""
    levels, source = codebook.levels, codebook.source
    if not levels or not cells:
        return []
    by_key = _key_names(levels)
    counts = Counter(to_value_key(cell, numbers) for cell in cells)
    unnamed = {key: n for key, n in sorted(counts.items()) if key not in by_key}
    if len(unnamed) == len(counts):
        text = f"Levels in {source} name {_list(levels)}, none of the values, which are {_list(_say_counts(unnamed))}"
        return [Finding(column, f"{text}: not used", (("--labels", _name_by_reversed(unnamed, levels)),))]
    known_to_template = {to_value_key(cell, numbers) for cell in cells if fold(cell) in codebook.usual}
    unnamed = {key: n for key, n in unnamed.items() if key not in known_to_template}
    if not labels or not unnamed:
        return []
    taken = {to_value_key(cell, numbers) for cell in labels}
    fate = "taken as classes all the same" if taken.issuperset(unnamed) else "left out"
    all_named = " ".join([*(shlex.quote(f"{key}={by_key[key]}") for key in counts if key in by_key), "VALUE=LABEL"])
    remedies = [("--labels", f"--labels {all_named} names them")]
    if fate != "left out" and not any(" " in key or "," in key for key in unnamed):
        remedies.insert(0, ("--missing", f"--missing={','.join(unnamed)} where they mean “missing”"))
    text = f"Levels in {source} do not name {_list(_say_counts(unnamed))}: {fate}"
    return [Finding(column, text, tuple(remedies))]


def _name_by_reversed(values: Iterable[str], levels: dict[str, str]) -> str:
    """The flag that names the values by levels that were written the wrong way round, as {"male": "0"}."""
    name_of = _key_names({code: name for name, code in levels.items()})
    named = [shlex.quote(f"{value}={name_of[value]}") for value in values if value in name_of]
    return f"--labels {' '.join(named)} names them" if named else "--labels VALUE=LABEL names them"


def _say_counts(counts: dict[str, int]) -> list[str]:
    return [f"{key} ({n} row{'s' * (n != 1)})" for key, n in counts.items()]


def _list(names: Iterable[str]) -> str:
    """ "a, b and c"; of many the first five."""
    names = list(names)
    names = names if len(names) <= 6 else [*names[:5], f"{len(names) - 5} more"]
    return " and ".join(filter(None, [", ".join(names[:-1]), names[-1]]))


_NAME_THEM = (("--labels", "--labels VALUE=LABEL names them otherwise"),)


def _key_names(names: dict[str, str]) -> dict[str, str]:
    """Names by `to_value_key` of their values, so that `1=male` names a cell "1.0"."""
    keyed = {}
    for value, label in names.items():
        number = read_plain_number(value)
        keyed[fold(value)] = label
        if number is not None:
            keyed[format_number(number)] = label
    return keyed


def _name(cell: str, level: str | None, numbers: dict[str, float], usual: dict[str, str]) -> str | None:
    if level is not None:
        return usual.get(fold(level), level)
    if usual:
        return usual.get(fold(cell))
    return format_number(numbers[cell]) if cell in numbers else cell
