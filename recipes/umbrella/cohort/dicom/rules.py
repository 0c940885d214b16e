"""Rules by which a series gets its name in BIDS: words of its description → datatype, suffix, entities."""

import re
import unicodedata
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace

from umbrella.cohort.dicom.instances import Series

SAID = "*"  # an entity's value that the description says itself, as func_task-nback
PARTS = {"M": "mag", "P": "phase", "R": "real", "I": "imag"}  # as BIDS calls them

Words = tuple[str, ...]
Where = Mapping[str, Words]

# Fields of the header that `where` may name.
FIELDS: dict[str, Callable[[Series], str]] = {
    "SeriesDescription": lambda series: series.first.description,
    "ProtocolName": lambda series: series.first.protocol,
    "BodyPartExamined": lambda series: series.first.body_part,
    "ImageType": lambda series: " ".join(series.first.image_type),
    "ContrastBolusAgent": lambda series: series.first.contrast,
}
_NO_AGENT = frozenset("0 n na nil no non none unknown without".split())  # first words of "0 ml", "n/a", "no contrast"


@dataclass(frozen=True)
class Rule:
    """Which series it names, and how.

    any, none   a series fits whose description has one of the first and none of the second
    where       field of the header → words, of which each field must have one
    derived     whether also what was computed from other pictures is taken
    """

    name: str
    datatype: str
    suffix: str
    any: Words
    none: Words = ()
    where: Where = field(default_factory=dict)
    entities: Mapping[str, str] = field(default_factory=dict)
    derived: bool = False


@dataclass(frozen=True)
class Rules:
    """The rules of a file, by its name without folders; the words of a description that say that nothing of it is
    wanted, those that say that a contrast agent was given, and those that say that none was."""

    file: str
    rules: tuple[Rule, ...]
    ignore: Words = ()
    ignore_where: Where = field(default_factory=dict)
    contrast: Words = ()
    no_contrast: Words = ()


@dataclass(frozen=True)
class Unmatched:
    """A series without a name: why, in words of the rules alone. `names` are the rules that fit, two or more."""

    reason: str  # "ignored by the rules", "no rule", "several rules"
    detail: str
    names: tuple[str, ...] = ()


def choose_rule(series: Series, rules: Rules) -> Rule | Unmatched:
    """The one rule that names a series, its entities whole; else why none does. Nothing is guessed: of two rules that
    fit neither is taken."""
    said = series.first.description or series.first.protocol
    text = fold_words(said)
    word = _find_ignored(series, text, rules)
    if word:
        return Unmatched("ignored by the rules", f"{word} stands under ignore in {rules.file}")
    fitting = [rule for rule in rules.rules if _fits(rule, series, text)]
    filled = [(rule, _fill_entities(rule, said)) for rule in fitting]
    named = [(rule, entities) for rule, entities in filled if entities is not None]
    named = [one for one in named if "part" in one[1]] or named  # a rule for phases goes before one that says no part
    if len(named) > 1:
        names = tuple(rule.name for rule, _ in named)
        detail = f"expected one rule that fits, found {', '.join(names)}. Tell them apart by `none` in {rules.file}"
        return Unmatched("several rules", detail, names)
    if not named:
        return Unmatched("no rule", f"expected a rule that fits its description, found none in {rules.file}. Add one")
    [(rule, entities)] = named
    if rule.datatype == "anat" and "ce" not in entities and _has_contrast(series, text, rules):
        entities = {**entities, "ce": "gadolinium"}
    return replace(rule, entities=entities)


def fold_words(text: str) -> str:
    """ " t1 mprage sag " of "T1_MPRAGE-sag": words of letters and digits in lower case, of whatever width and however
    accents are composed, `*` and `+` as words of their own, a space on both sides of each."""
    words = re.findall(r"[^\W_]+|[*+]", unicodedata.normalize("NFKC", text).casefold())
    return f" {' '.join(words)} "


def _find_ignored(series: Series, text: str, rules: Rules) -> str:
    word = next((word for word in rules.ignore if word in text), "")
    if word:
        return f"'{word.strip()}'"
    for name, words in rules.ignore_where.items():
        found = next((word for word in words if word in fold_words(FIELDS[name](series))), "")
        if found:
            return f"{name} '{found.strip()}'"
    return ""


def _fits(rule: Rule, series: Series, text: str) -> bool:
    return (
        rule.entities.get("part") in (None, PARTS[series.first.part])
        and any(word in text for word in rule.any)
        and not any(word in text for word in rule.none)
        and all(any(w in fold_words(FIELDS[name](series)) for w in words) for name, words in rule.where.items())
    )


def _fill_entities(rule: Rule, said: str) -> dict[str, str] | None:
    """The entities with what the description says for `*`: None where it does not say one."""
    entities = {}
    for name, value in rule.entities.items():
        if value == SAID:
            found = re.search(rf"(?<![^\W_]){name}-([A-Za-z0-9]+)", said)
            if found is None:
                return None
            value = found[1]
        entities[name] = value
    return entities


def _has_contrast(series: Series, text: str, rules: Rules) -> bool:
    """By the description; where it is silent, by the agent of the header."""
    if any(word in text for word in rules.no_contrast):
        return False
    agent = fold_words(series.first.contrast).split()
    return any(word in text for word in rules.contrast) or (bool(agent) and agent[0] not in _NO_AGENT)
