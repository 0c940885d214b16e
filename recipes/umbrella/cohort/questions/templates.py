"""Wordings of conversations from YAML (wordings/*.yaml): which there are, which fits a target, which fields."""

import re
import string
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from umbrella.answers.text_folding import fold
from umbrella.cohort.shared.visits import CohortError, suggest
from umbrella.files.yaml_files import read_yaml

FOLDER = Path(__file__).resolve().parent / "wordings"
FALLBACK = "value"  # for targets that no template names
FOLLOW_UP = "follow_up"  # for any target, where the reference is the subject's own earlier scan

# What a wording may say. With a reference the last three are known too.
_FIELDS = ("value", "value_with_unit", "unit", "target", "labels", "session")
_REFERENCE_FIELDS = ("reference_value", "reference_value_with_unit", "reference_session")
_TURNS = {"single": ("question", "answer"), "comparison": ("introduction", "acknowledgement", "question", "answer")}


@dataclass(frozen=True)
class Template:
    """Several wordings of each turn, and what they are about."""

    name: str
    task: str
    single: dict[str, list[str]] | None  # question, answer
    comparison: dict[str, list[str]] | None  # introduction, acknowledgement, question, answer
    targets: tuple[str, ...] = ()  # columns that this template is chosen for
    target_type: str = ""  # "numeric" or "categorical" where the wordings fit one of them only
    labels: dict[str, str] = field(default_factory=dict)  # folded value → label
    unit: str = ""
    reference: str = ""  # the default of --reference
    directions: tuple[str, str] | None = None  # labels of a change: decreased, increased

    def says_reference_value(self) -> bool:
        return any("{reference_value" in text for texts in (self.comparison or {}).values() for text in texts)

    def find_fields(self, section: str) -> dict[str, tuple[str, str]]:
        """Field → (turn, wording) of the first in the section that says it."""
        found: dict[str, tuple[str, str]] = {}
        for turn, wordings in getattr(self, section).items():
            for wording in wordings:
                for name in _read_fields(wording):
                    found.setdefault(name, (turn, wording))
        return found

    def fits(self, kind: str, section: str) -> bool:
        """Whether its wordings suit a target that is "numeric" or "categorical"."""
        lists_labels = "labels" in self.find_fields(section)
        return self.target_type in ("", kind) and not (lists_labels and kind == "numeric")

    def with_wordings(self, section: str, wordings: dict[str, list[str]]) -> "Template":
        changed: dict[str, Any] = {section: wordings}
        return replace(self, **changed)


def to_section(reference: str) -> str:
    """The section of a template that a kind of reference takes its wordings from."""
    return "single" if reference == "none" else "comparison"


def load_template(name_or_path: str) -> Template:
    """A template of wordings/ by its name, or a YAML file. Raises CohortError that names the file and the field."""
    path = Path(name_or_path)
    if path.suffix not in (".yaml", ".yml"):
        path = FOLDER / f"{name_or_path}.yaml"
        if not path.is_file():
            names = [file.stem for file in sorted(FOLDER.glob("*.yaml"))]
            raise CohortError(
                f"--template {name_or_path}: expected a .yaml file or the name of a template"
                f"{suggest(name_or_path, names)}"
            )
    if not path.is_file():
        raise CohortError(f"--template: expected a file, found none at {path}")
    try:
        recipe = read_yaml(path)  # texts: YAML itself would read the label `no` as false and 1 as a number
    except ValueError as error:
        raise CohortError(str(error)) from None
    if not isinstance(recipe, dict):
        raise CohortError(f"{path}: expected a mapping, found {type(recipe).__name__}")
    return _build(path, recipe)


def _build(path: Path, recipe: dict) -> Template:
    known = set(Template.__dataclass_fields__) - {"name"}
    for key in recipe:
        if key not in known:
            raise CohortError(f"{path}: expected the keys of a template, found {key!r}{suggest(key, sorted(known))}")
    sections = {name: _read_section(path, name, recipe[name]) for name in _TURNS if name in recipe}
    if not sections:
        raise CohortError(f"{path}: expected wordings under single or comparison (or both), found neither")
    directions = recipe.get("directions")
    if directions is not None and (not _is_words(directions) or len(directions) != 2):
        raise CohortError(f"{path}: directions: expected two labels, decreased and increased, found {directions}")
    labels = recipe.get("labels", {})
    if not isinstance(labels, dict) or not all(isinstance(label, str) and label.strip() for label in labels.values()):
        raise CohortError(f"{path}: labels: expected a mapping of values to labels, none empty, found {labels!r}")
    for key, expected in {"task": r"[\w.-]+", "unit": r"\s*\S.*", "target_type": "numeric|categorical"}.items():
        value = recipe.get(key)
        if value is not None and (not isinstance(value, str) or not re.fullmatch(expected, value)):
            form = {"task": "a name of letters, digits, _ and -", "unit": "a unit as years"}.get(key, expected)
            raise CohortError(f"{path}: {key}: expected {form}, found {value!r}")
    targets = recipe.get("targets", [])
    if not _is_words(targets):
        raise CohortError(f"{path}: targets: expected a list of columns, found {targets!r}")
    if not isinstance(recipe.get("reference", ""), str):
        raise CohortError(f"{path}: reference: expected a word, found {recipe['reference']!r}")
    return Template(
        name=path.stem,
        task=recipe.get("task", path.stem),
        single=sections.get("single"),
        comparison=sections.get("comparison"),
        targets=tuple(targets),
        target_type=recipe.get("target_type", "numeric" if "unit" in recipe else ""),
        labels={fold(value): label for value, label in labels.items()},
        unit=recipe.get("unit", "").strip(),
        reference=recipe.get("reference", ""),
        directions=directions and tuple(directions),
    )


def _is_words(value: Any) -> bool:
    return isinstance(value, list) and all(isinstance(word, str) for word in value)


def _read_section(path: Path, section: str, turns: dict) -> dict[str, list[str]]:
    expected = _TURNS[section]
    if not isinstance(turns, dict) or set(turns) != set(expected):
        found = ", ".join(turns) if isinstance(turns, dict) else repr(turns)
        raise CohortError(f"{path}: {section}: expected {', '.join(expected)}, found {found}")
    read = {}
    for name in expected:
        wordings = turns[name] if isinstance(turns[name], list) else [turns[name]]
        read[name] = check_wordings(wordings, section, name, f"{path}: {section}.{name}")
    return read


def check_wordings(wordings: list[str], section: str, turn: str, place: str) -> list[str]:
    """The wordings. Raises CohortError for an unknown field, an empty wording, an answer without its value."""
    known = (*_FIELDS, *(_REFERENCE_FIELDS if section == "comparison" else ()))
    for wording in wordings:
        if not isinstance(wording, str) or not wording.strip():
            raise CohortError(f"{place}: expected wordings that are not empty, found {wording!r}")
        try:
            fields = _read_fields(wording)
        except ValueError as error:
            raise CohortError(f"{place}: expected {{fields}} in {wording!r}, found: {error}") from None
        for name in fields:
            if name not in known:
                raise CohortError(
                    f"{place}: expected the fields {', '.join(known)}, found {{{name}}}{suggest(name, known)}"
                )
        if turn == "answer" and not {"value", "value_with_unit"} & set(fields):
            raise CohortError(f"{place}: expected {{value}} or {{value_with_unit}} in an answer, found {wording!r}")
        if turn != "answer" and {"value", "value_with_unit"} & set(fields):
            raise CohortError(f"{place}: expected the true value in the answer only, found it in {wording!r}")
    if not wordings:
        raise CohortError(f"{place}: expected at least one wording, found none")
    return wordings


def _read_fields(wording: str) -> list[str]:
    """The names of its {fields}. Raises ValueError for a brace without its other, and for a {field:format}."""
    fields = []
    for _, name, form, conversion in string.Formatter().parse(wording):
        if form or conversion:
            raise ValueError(f"{{{name}}} with a format (numbers are rounded by --decimals)")
        if name is not None:
            fields.append(name)
    return fields


def find_template(target: str, reference: str) -> Template:
    """The first template (by name) that names the target column and has the wordings for the kind of reference, else
    the fallback."""
    if reference == "earlier":
        return load_template(FOLLOW_UP)
    for path in sorted(FOLDER.glob("*.yaml")):
        template = load_template(path.stem)
        section = template.single if reference == "none" else template.comparison
        if section is not None and target.lower() in template.targets:
            return template
    return load_template(FALLBACK)
