"""The phrasings of a question: those of a user's file, or those in which the data's own rows ask it.

A row's question is the one text of the turn before its answer, beside the names of a study's sequences.
"""

import json
import random
import string
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from datasets import Dataset

from umbrella.conversations.layout import drop_names
from umbrella.files.yaml_files import read_yaml

MOST_PHRASINGS = 12  # of one question; more different texts say something of their rows
MOST_LOOKED_AT = 2000  # rows of a split
FIELDS = (
    *("labels", "target", "unit", "session"),
    *("reference_value", "reference_value_with_unit", "reference_session"),
)
OWN_FILE = "a YAML file of others can be given (phrasings)"
FORM = (
    "a list of questions, a mapping with the list `question`, or a template of generate_conversations.py, with the "
    "list `question` under `comparison`, `single` or both"
)


@dataclass(frozen=True)
class Phrasings:
    """In which phrasings each row can be asked.

    by_row    a dict for each row: phrasing, as it is listed → the text for this row; empty where none is known
    evidence  a sentence: where they come from, or why there are none
    """

    by_row: list[dict[str, str]]
    evidence: str


def find_question_text(conversation: Sequence[dict]) -> str | None:
    """The text of the last question; None where its turn holds no text, or several."""
    items = conversation[-2]["content"] if len(conversation) > 1 else []
    texts = [item["text"] for item in drop_names(items) if item["type"] == "text"]
    return texts[0] if len(texts) == 1 else None


def replace_question(conversation: Sequence[dict], text: str) -> list[dict]:
    """The turns with another text as their last question."""
    *before, question, answer = conversation
    own = [id(item) for item in drop_names(question["content"]) if item["type"] == "text"]
    content = [{**item, "text": text} if id(item) in own else item for item in question["content"]]
    return [*before, {**question, "content": content}, answer]


# ---------------------------------------------------------------------------------------------------- a user's file


def read_phrasings(path: str) -> dict[str, list[str]]:
    """Section → phrasings of a user's file; one section "" for all rows where it has none. Raises ValueError, which
    names the file, for another form, fewer than two phrasings, and fields that are not known."""
    place = Path(path)
    if not place.is_file():
        raise ValueError(f"--phrasings {path}: expected a YAML file, found none. Correct the path")
    content = read_yaml(place)
    if isinstance(content, list):
        content = {"question": content}
    if not isinstance(content, dict):
        raise ValueError(f"{path}: expected {FORM}, found {type(content).__name__}")
    sections: dict = {"": content} if "question" in content else content
    named = {name: sections.get(name) for name in ("", "comparison", "single")}
    found: dict[str, Any] = {
        name: section.get("question") for name, section in named.items() if isinstance(section, dict)
    }
    if not found:
        raise ValueError(f"{path}: expected {FORM}, found the keys {', '.join(content) or 'none'}")
    for texts in found.values():
        if not isinstance(texts, list) or len(set(map(str, texts))) < 2:
            raise ValueError(f"{path}: question: expected a list of two or more different questions, found {texts!r}")
        for text in texts:
            _check_fields(path, text)
    return found


def _check_fields(path: str, text: object) -> None:
    if not isinstance(text, str) or not text.strip():
        raise ValueError(f"{path}: question: expected texts that are not empty, found {text!r}")
    try:
        parsed = list(string.Formatter().parse(text))
    except ValueError as error:
        raise ValueError(f"{path}: expected {{fields}} in {text!r}, found: {error}. Write {{{{ for a brace") from None
    for _, name, form, conversion in parsed:
        if name is not None and (name not in FIELDS or form or conversion):
            raise ValueError(f"{path}: expected the fields {', '.join(FIELDS)}, found {{{name}}} in {text!r}")


def fill_phrasings(path: str, rows: Dataset, labels: Sequence[str]) -> Phrasings:
    """A user's phrasings, filled in for each row. Raises ValueError where a row has no value for a field, and where no
    row has a question that another text could stand for."""
    sections, by_row = read_phrasings(path), []
    for row in rows.with_format(None).select_columns(["conversations", "metadata", "source"]):
        if find_question_text(row["conversations"]) is None:
            by_row.append({})
            continue
        name = "comparison" if row["metadata"]["reference_id"] else "single"
        texts = sections.get(name) or next(iter(sections.values()))
        by_row.append({text: _fill(path, text, _read_fields(row, labels), row["source"]) for text in texts})
    if not any(by_row):
        raise ValueError(f"--phrasings {path}: expected rows whose last question is one text, found none")
    count = len({text for of_row in by_row for text in of_row})
    return Phrasings(by_row, f"Phrasings: the {count} of {Path(path).name} (phrasings).")


def _read_fields(row: dict, labels: Sequence[str]) -> dict[str, str]:
    known = {**json.loads(row["metadata"]["extra"] or "{}"), **row["metadata"]}
    texts = {name: "" if known.get(name) is None else str(known[name]) for name in (*FIELDS, "reference_label")}
    reference, unit = texts["reference_label"], texts["unit"]
    return texts | {
        "labels": " or ".join(filter(None, (", ".join(labels[:-1]), *labels[-1:]))),
        "target": " ".join(texts["target"].replace("_", " ").split()),
        "session": "" if known.get("subject_session") is None else str(known["subject_session"]),
        "reference_value": reference,
        "reference_value_with_unit": f"{reference} {unit}".strip() if reference else "",
    }


def _fill(path: str, text: str, fields: Mapping[str, str], source: str) -> str:
    for _, name, _, _ in string.Formatter().parse(text):
        if name and not fields[name]:
            raise ValueError(
                f"{path}: {text!r}: expected a value for {{{name}}} in each row, found none in {source}. Word it "
                "without the field"
            )
    return text.format_map(fields)


# ---------------------------------------------------------------------------------------------------- the data's own


def find_phrasings(rows: Dataset, splits: Mapping[str, Dataset]) -> Phrasings:
    """The texts in which rows of the same task ask for the same thing, from all splits.

    Rows of the same `task`, `target` and task type ask the same. A text counts as a phrasing where rows with
    different true answers, and with references of different labels, ask in it: so it says nothing of its row.
    """
    seen: dict[tuple, dict[str, list[tuple]]] = defaultdict(lambda: defaultdict(list))
    for split in splits.values():
        for row in _draw(split):
            text = find_question_text(row["conversations"])
            if text is not None:
                metadata = row["metadata"]
                seen[_read_task(row)][text].append((metadata["subject_label"], metadata["reference_label"]))
    phrasings = {task: _keep_phrasings(texts) for task, texts in seen.items()}
    by_row = []
    for row in rows.with_format(None).select_columns(["conversations", "metadata", "task_type"]):
        text, texts = find_question_text(row["conversations"]), phrasings.get(_read_task(row), [])
        is_known = text in texts and len(texts) > 1
        by_row.append({other: other for other in texts} if is_known else {})
    return Phrasings(by_row, _describe(by_row, seen))


def _draw(split: Dataset) -> Dataset:
    plain, n = split.with_format(None).select_columns(["conversations", "metadata", "task_type"]), len(split)
    return plain if n <= MOST_LOOKED_AT else plain.select(sorted(random.Random(0).sample(range(n), MOST_LOOKED_AT)))


def _read_task(row: dict) -> tuple:
    extra = json.loads(row["metadata"]["extra"] or "{}")
    return row["task_type"], row["metadata"]["task"], extra.get("target")


def _keep_phrasings(texts: dict[str, list[tuple]]) -> list[str]:
    """Those that rows with different answers and different references ask in; none where there are too many."""
    everywhere = [set(values) for values in zip(*(pair for pairs in texts.values() for pair in pairs), strict=True)]

    def says_nothing(pairs: list[tuple]) -> bool:
        here = [set(values) for values in zip(*pairs, strict=True)]
        return all(len(of_text) > 1 or len(of_all) == 1 for of_text, of_all in zip(here, everywhere, strict=True))

    kept = sorted(text for text, pairs in texts.items() if says_nothing(pairs))
    return kept if len(kept) <= MOST_PHRASINGS else []


def _describe(by_row: list[dict[str, str]], seen: Mapping[tuple, Mapping[str, list]]) -> str:
    n_texts = len({text for texts in seen.values() for text in texts})
    n_looked_at = sum(len(pairs) for texts in seen.values() for pairs in texts.values())
    n_known = sum(map(bool, by_row))
    if not n_known:
        many = "a text of its own for nearly each row" if n_texts > MOST_PHRASINGS else "no two texts that rows share"
        found = "one text alone" if n_texts == 1 else "no question that is one text" if not n_texts else many
        return (
            "Whether the wording matters cannot be told: expected one question in several phrasings, which rows with "
            f"different answers share, found {found} ({n_looked_at} rows looked at); {OWN_FILE}."
        )
    count = len({text for of_row in by_row for text in of_row})
    rest = "" if n_known == len(by_row) else f" Of {len(by_row) - n_known} rows no other phrasing is known."
    return (
        f"Phrasings: the {count} in which rows of the same task ask, whatever their answer ({n_looked_at} rows of all "
        f"splits looked at); {OWN_FILE}.{rest}"
    )
