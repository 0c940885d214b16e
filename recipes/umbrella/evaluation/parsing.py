"""From an answer's text to the label or the number that it states."""

import re
from collections.abc import Iterable

# Any of these in the clause of a label makes the answer unparseable: what remains after "not male" is no statement.
NEGATION = re.compile(
    r"\b(?:not|no|non|never|neither|nor|cannot|without|unlikely|exclude[sd]?|rather than|instead of)\b|n't\b", re.I
)
CLAUSE_END = re.compile(r"[.!?;:,\n]")

NUMBER = r"[-+−]?\d+(?:[.,]\d+)*"
RANGE = re.compile(r"\d\s*(?:-|–|to|or)\s*\d|\bbetween\b", re.I)
UNITS = {  # unit → what one of it is in the unit that answers are compared in
    "years": {"years": 1.0, "year": 1.0, "yrs": 1.0, "yr": 1.0, "y": 1.0, "months": 1 / 12, "month": 1 / 12},
    "kg/m2": {"kg/m2": 1.0, "kg/m²": 1.0, "kg/m^2": 1.0},
}


def parse_label(text: str, labels: Iterable[str]) -> str | None:
    """The label that a text states, by whole words in any case; None where it states none, several or a negated one.

    Where one label is a part of another ("impaired", "not impaired") the longer one counts.

    >>> parse_label("The subject is Female.", ["male", "female"])
    'female'
    >>> [parse_label(text, ["male", "female"]) for text in ("male or female", "It is not male.", "No idea.")]
    [None, None, None]
    >>> parse_label("No, this is a male.", ["male", "female"])
    'male'
    """
    by_folded = {label.casefold(): label for label in labels}
    longest_first = sorted(by_folded, key=len, reverse=True)
    pattern = re.compile(r"(?<!\w)(?:" + "|".join(map(re.escape, longest_first)) + r")(?!\w)")
    named = set()

    def take(match: re.Match) -> str:
        named.add(match[0])
        return " \0 "  # marks the place: words of a label ("no lesion") are no negation

    rest = pattern.sub(take, text.casefold().replace("’", "'"))
    if len(named) != 1:
        return None
    if any("\0" in clause and NEGATION.search(clause) for clause in CLAUSE_END.split(rest)):
        return None
    return by_folded[named.pop()]


def parse_number(text: str, unit: str | None = None) -> float | None:
    """The one number that a text states; None where it states none, several different ones, or negates it.

    unit  "years" or "kg/m2" (or any other word): where the text has numbers with that unit, only these count, and
          months count as parts of years. Numbers in words ("forty") are not read.

    >>> parse_number("The subject of scan 2 is 45.5 years old.", "years"), parse_number("between 40 and 45")
    (45.5, None)
    >>> parse_number("The BMI is 23,4 kg/m2.")
    23.4
    """
    if RANGE.search(text):
        return None
    known = UNITS.get(unit, {unit: 1.0}) if unit else {}
    every_unit = sorted({name for names in [*UNITS.values(), known] for name in names}, key=len, reverse=True)
    pattern = re.compile(rf"(?<![\w.,])({NUMBER})(?:[\s-]*({'|'.join(map(re.escape, every_unit))})(?!\w))?(?![\w²^])")
    found = []
    for match in pattern.finditer(text.casefold()):
        clause = CLAUSE_END.split(text[: match.start()])[-1]
        if NEGATION.search(clause.replace("’", "'")):
            return None
        try:
            found.append((_to_float(match[1]), match[2]))
        except ValueError:  # a date or a version, such as 12.10.2020
            return None
    with_unit = [value * known[name] for value, name in found if name in known]
    values = set(with_unit) or {value for value, _ in found}
    return values.pop() if len(values) == 1 else None


def _to_float(number: str) -> float:
    number = number.replace("−", "-")
    if re.fullmatch(r"[-+]?\d+,(?!\d{3}$)\d+", number):
        return float(number.replace(",", "."))  # a decimal comma: "1,234" is a thousand
    return float(number.replace(",", ""))
