"""A YAML file of rules, read and checked: rules/default.yaml, or a copy that the user has edited."""

import re
from collections.abc import Mapping
from pathlib import Path

from umbrella.cohort.dicom.rules import FIELDS, SAID, Rule, Rules, Words, fold_words
from umbrella.cohort.shared.visits import CohortError, suggest
from umbrella.files.yaml_files import read_yaml

DEFAULT = Path(__file__).resolve().parent / "rules" / "default.yaml"
DATATYPES = ("anat", "dwi", "func", "perf", "fmap")
ENTITIES = ("task", "acq", "ce", "rec", "dir", "part")  # in the order of a BIDS name


def load_rules(path: str | None = None) -> Rules:
    """The rules of a YAML file, of rules/default.yaml without one. Raises CohortError that names file and key."""
    place = Path(path) if path else DEFAULT
    if not place.is_file():
        raise CohortError(f"--dicom_rules: expected a file, found none at {place}")
    try:
        recipe = read_yaml(place)
    except ValueError as error:
        raise CohortError(str(error)) from None
    if not isinstance(recipe, dict):
        raise CohortError(f"{place}: expected a mapping with the key rules, found {type(recipe).__name__}")
    _check_keys(recipe, {"rules", "ignore", "ignore_where", "contrast", "no_contrast"}, str(place))
    entries = recipe.get("rules")
    if not isinstance(entries, list) or not entries:
        raise CohortError(f"{place}: rules: expected a list of rules, found {_show(entries)}")
    rules = tuple(_read_rule(entry, f"{place}: rule {number}") for number, entry in enumerate(entries, 1))
    names = [rule.name for rule in rules]
    for name in names:
        if names.count(name) > 1:
            raise CohortError(f"{place}: rule {name}: expected a name of its own, found {names.count(name)} of it")
    words = {key: _read_words(recipe.get(key, []), f"{place}: {key}") for key in ("ignore", "contrast", "no_contrast")}
    where = _read_where(recipe.get("ignore_where", {}), f"{place}: ignore_where")
    return Rules(place.name, rules, ignore_where=where, **words)


def _read_rule(entry: object, place: str) -> Rule:
    if not isinstance(entry, dict):
        raise CohortError(f"{place}: expected a mapping with name, datatype, suffix and any, found {_show(entry)}")
    _check_keys(entry, set(Rule.__dataclass_fields__), place)
    name, datatype, suffix = (_read_text(entry.get(key), f"{place}: {key}") for key in ("name", "datatype", "suffix"))
    place = f"{place} ({name})"
    if datatype not in DATATYPES:
        raise CohortError(f"{place}: datatype: expected one of BIDS, found {datatype!r}{suggest(datatype, DATATYPES)}")
    entities = entry.get("entities", {})
    if not isinstance(entities, dict):
        raise CohortError(f"{place}: entities: expected a mapping, found {_show(entities)}")
    _check_keys(entities, set(ENTITIES), f"{place}: entities")
    for entity, value in entities.items():
        if value != SAID:
            _read_text(value, f"{place}: entities: {entity}")
    if suffix in ("bold", "sbref") and "task" not in entities:
        raise CohortError(f"{place}: entities: expected a task for {suffix}, as BIDS asks for, found none")
    words = _read_words(entry.get("any"), f"{place}: any")
    if not words:
        raise CohortError(f"{place}: any: expected a list of words, found none. Without one nothing fits")
    derived = entry.get("derived", "false")
    if derived not in ("true", "false"):
        raise CohortError(f"{place}: derived: expected true or false, found {_show(derived)}")
    none, where = (
        _read_words(entry.get("none", []), f"{place}: none"),
        _read_where(entry.get("where", {}), f"{place}: where"),
    )
    return Rule(name, datatype, suffix, words, none, where, entities, derived == "true")


def _read_where(value: object, place: str) -> dict[str, Words]:
    if not isinstance(value, dict):
        raise CohortError(f"{place}: expected a mapping of the header's fields to words, found {_show(value)}")
    _check_keys(value, set(FIELDS), place)
    return {name: _read_words(words, f"{place}: {name}") for name, words in value.items()}


def _read_words(value: object, place: str) -> Words:
    """Words as `fold_words` gives them, with the spaces at their ends, which say where a word begins or ends."""
    if not isinstance(value, list):
        raise CohortError(f"{place}: expected a list of words, found {_show(value)}")
    words = []
    for word in value:
        folded = fold_words(word).strip() if isinstance(word, str) else ""
        if not folded:
            raise CohortError(f"{place}: expected words of letters and digits, found {_show(word)}")
        words.append(" " * word[0].isspace() + folded + " " * word[-1].isspace())
    return tuple(words)


def _read_text(value: object, place: str) -> str:
    if not isinstance(value, str) or not re.fullmatch(r"[A-Za-z0-9]+", value):
        raise CohortError(f"{place}: expected letters and digits, found {_show(value)}")
    return value


def _check_keys(mapping: Mapping[str, object], known: set[str], place: str) -> None:
    for key in mapping:
        if key not in known:
            raise CohortError(f"{place}: expected known keys, found {key!r}{suggest(str(key), sorted(known))}")


def _show(value: object) -> str:
    return "none" if value is None else repr(value)
