"""The rows of a dataset that have a true label, with their own answers: a million of them too."""

import json

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from datasets import Dataset

from umbrella.answers.labelled_answer import STORED_KINDS, LabelledAnswer
from umbrella.conversations.turn_columns import join_texts_of_all
from umbrella.files.arrow_tables import find_last, read_column, read_field, read_tables, take_or_null

NAMED = ("target_type", "unit", "reference_label")  # what an answer takes of the metadata beside the label
MARKS = rf'"(?:{"|".join(NAMED)})"|\\u'  # without one of them `extra` holds none of these

MOST_KNOWN = 100_000  # of different rows that are compared with; beyond, each row is an object of its own


def find_labelled(rows: Dataset) -> list[int]:
    """The numbers of the rows that have a label."""
    labelled = [
        read_field(read_column(table, "metadata"), "subject_label") for table in read_tables(rows, ["metadata"])
    ]
    return np.flatnonzero(pa.chunked_array(labelled, pa.string()).is_valid()).tolist() if labelled else []


def read_labelled(rows: Dataset) -> list[LabelledAnswer]:
    """The rows that have a label, with their own answers. Rows that say the same are one object, which names the first
    of them: a million take no more memory than their list."""
    known: dict[tuple[str | None, ...], LabelledAnswer] = {}
    labelled: list[LabelledAnswer] = []
    for table in read_tables(rows, ["metadata", "conversations", "source"]):
        metadata = read_column(table, "metadata")
        labels = read_field(metadata, "subject_label")
        has_label = labels.is_valid()
        conversations = read_column(table, "conversations")
        contents = pc.struct_field(conversations.flatten(), "content")
        answers = join_texts_of_all(take_or_null(contents, find_last(conversations)))
        texts = [labels, answers, *_read_stored(metadata)]
        sources = read_column(table, "source").filter(has_label)
        for number, said in enumerate(zip(*(column.filter(has_label).to_pylist() for column in texts), strict=True)):
            row = known.get(said)
            if row is None:
                row = LabelledAnswer(sources[number].as_py(), *said)
                if len(known) < MOST_KNOWN:
                    known[said] = row
            labelled.append(row)
    return labelled


def read_kinds(rows: Dataset) -> list[str | None]:
    """Of every row the task that its stored target_type means, see `LabelledAnswer.kind`."""
    tables = read_tables(rows, ["metadata"])
    return [
        STORED_KINDS.get(one)
        for table in tables
        for one in _read_stored(read_column(table, "metadata"))[0].to_pylist()
    ]


def _read_stored(metadata: pa.Array) -> list[pa.Array]:
    """What metadata say beside the label, a text or null a row: a column of the table goes before `extra`."""
    extras: list[dict] | None = None
    columns = []
    for name in NAMED:
        if metadata.type.get_field_index(name) >= 0:
            stated = pc.struct_field(metadata, name).cast(pa.string())
            columns.append(pc.if_else(pc.equal(stated, ""), pa.scalar(None, pa.string()), stated))
            continue
        extras = _parse_all(read_field(metadata, "extra")) if extras is None else extras
        texts = [value if isinstance(value, str) and value else None for value in (one.get(name) for one in extras)]
        columns.append(pa.array(texts, pa.string()))
    return columns


def _parse_all(extras: pa.Array) -> list[dict]:
    """What `extra` holds, of those in which one of the names can stand; else nothing."""
    found: list[dict] = [{}] * len(extras)
    holds = pc.fill_null(pc.match_substring_regex(extras, MARKS), False).to_numpy(zero_copy_only=False)
    for number in np.flatnonzero(holds).tolist():
        found[number] = json.loads(extras[number].as_py())
    return found
