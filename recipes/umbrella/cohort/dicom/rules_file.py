"""A YAML file of rules, read and checked: rules/default.yaml, or a copy that the user has edited."""

import re
from collections.abc import Iterable, Mapping, Set
from pathlib import Path

from umbrella.cohort.dicom.rules import FIELDS, PARTS, SAID, Rule, Rules, Words, fold_words
from umbrella.cohort.shared.visits import CohortError, suggest
from umbrella.files.yaml_files import read_yaml

DEFAULT = Path(__file__).resolve().parent / "rules" / "default.yaml"
SUFFIXES = {  # of BIDS 1.10, those that are a scan by themselves
    "anat": "T1w T2w PDw T2starw FLAIR inplaneT1 inplaneT2 PDT2 angio".split(),
    "dwi": ["dwi", "sbref"],
    "func": ["bold", "cbv", "sbref"],
    "perf": ["asl", "m0scan"],
    "fmap": "phasediff phase1 phase2 magnitude magnitude1 magnitude2 fieldmap epi".split(),
}
ENTITIES = frozenset("task acq ce rec dir part".split())  # those that a rule may state


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


def list_unofficial(named: Iterable[tuple[str, str]]) -> list[str]:
    """Of (datatype, suffix) the suffixes that BIDS does not have, as swi: .bidsignore names them to its validator."""
    return sorted({suffix for datatype, suffix in named if suffix not in SUFFIXES[datatype]})


def _read_rule(entry: object, place: str) -> Rule:
    if not isinstance(entry, dict):
        raise CohortError(f"{place}: expected a mapping with name, datatype, suffix and any, found {_show(entry)}")
    _check_keys(entry, set(Rule.__dataclass_fields__), place)
    name = entry.get("name")
    if not isinstance(name, str) or not re.fullmatch(r"[\w-]+", name):
        raise CohortError(f"{place}: name: expected letters, digits, _ and -, found {_show(name)}")
    place = f"{place} ({name})"
    datatype, suffix = (_read_text(entry.get(key), f"{place}: {key}") for key in ("datatype", "suffix"))
    if datatype not in SUFFIXES:
        raise CohortError(f"{place}: datatype: expected one of BIDS, found {datatype!r}{suggest(datatype, SUFFIXES)}")
    _check_suffix(suffix, datatype, place)
    entities = _read_entities(entry.get("entities", {}), f"{place}: entities")
    if datatype == "func" and "task" not in entities:
        raise CohortError(f"{place}: entities: expected a task, as BIDS asks for in func, found none")
    words = _read_words(entry.get("any"), f"{place}: any")
    if not words:
        raise CohortError(f"{place}: any: expected a list of words, found none. Without one nothing fits")
    derived = entry.get("derived", "false")
    if derived not in ("true", "false"):
        raise CohortError(f"{place}: derived: expected true or false, found {_show(derived)}")
    none = _read_words(entry.get("none", []), f"{place}: none")
    where = _read_where(entry.get("where", {}), f"{place}: where")
    return Rule(name, datatype, suffix, words, none, where, entities, derived == "true")


def _check_suffix(suffix: str, datatype: str, place: str) -> None:
    known = {known.lower(): known for some in SUFFIXES.values() for known in some}.get(suffix.lower(), suffix)
    if suffix != known:
        raise CohortError(f"{place}: suffix: expected it as BIDS writes it, {known}, found {suffix}")
    places = [name for name, some in SUFFIXES.items() if suffix in some]
    if places and datatype not in places:
        raise CohortError(f"{place}: datatype: expected {' or '.join(places)} for {suffix}, found {datatype}")


def _read_entities(value: object, place: str) -> dict[str, str]:
    if not isinstance(value, dict):
        raise CohortError(f"{place}: expected a mapping, found {_show(value)}")
    _check_keys(value, ENTITIES, place)
    for entity, said in value.items():
        if said != SAID:
            _read_text(said, f"{place}: {entity}")
    if value.get("part", "mag") not in PARTS.values():
        raise CohortError(f"{place}: part: expected {', '.join(PARTS.values())}, found {value['part']}")
    return value


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


def _check_keys(mapping: Mapping[str, object], known: Set[str], place: str) -> None:
    for key in mapping:
        if key not in known:
            raise CohortError(f"{place}: expected known keys, found {key!r}{suggest(str(key), sorted(known))}")


def _show(value: object) -> str:
    return "none" if value is None else repr(value)
