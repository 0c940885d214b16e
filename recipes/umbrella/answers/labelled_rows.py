"""The rows of a dataset that have a true label, with their own answers: a million of them too."""

import json
from collections.abc import Iterator

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from datasets import Dataset

from umbrella.answers.labelled_answer import LabelledAnswer
from umbrella.conversations.turn_columns import join_texts_of_all
from umbrella.files.arrow_tables import find_last, read_column, read_field, read_tables, take_or_null

NAMED = ("target_type", "unit", "reference_label")  # what an answer takes of the metadata beside the label
MARKS = ('"target_type"', '"unit"', '"reference_label"', "\\u")  # without one of them `extra` holds none of these


def find_labelled(rows: Dataset) -> list[int]:
    """The numbers of the rows that have a label."""
    labelled = [
        read_field(read_column(table, "metadata"), "subject_label") for table in read_tables(rows, ["metadata"])
    ]
    return np.flatnonzero(pa.chunked_array(labelled, pa.string()).is_valid()).tolist() if labelled else []


def read_labelled(rows: Dataset) -> list[LabelledAnswer]:
    """The rows that have a label, with their own answers. Equal texts are one in memory."""
    known: dict[str, str] = {}
    labelled = []
    for table in read_tables(rows, ["metadata", "conversations", "source"]):
        metadata, conversations = read_column(table, "metadata"), read_column(table, "conversations")
        labels = read_field(metadata, "subject_label").to_pylist()
        contents = pc.struct_field(conversations.flatten(), "content")
        answers = join_texts_of_all(take_or_null(contents, find_last(conversations))).to_pylist()
        sources = table["source"].to_pylist()
        for source, label, answer, stored in zip(sources, labels, answers, _read_stored(metadata), strict=True):
            if label is not None:
                label, answer = (known.setdefault(text, text) for text in (label, answer))
                labelled.append(LabelledAnswer.of_metadata(source, answer, stored | {"subject_label": label}))
    return labelled


def read_kinds(rows: Dataset) -> list[str | None]:
    """Of every row the task that its stored target_type means, see `LabelledAnswer.kind`."""
    return [
        LabelledAnswer.of_metadata("", "", stored | {"subject_label": ""}).kind
        for table in read_tables(rows, ["metadata"])
        for stored in _read_stored(read_column(table, "metadata"))
    ]


def _read_stored(metadata: pa.Array) -> Iterator[dict]:
    """Of each row what its metadata say beside the label; a column of the table goes before what `extra` holds."""
    columns = {field.name for field in metadata.type}.intersection(NAMED)
    stated = {name: pc.struct_field(metadata, name).to_pylist() for name in columns}
    for number, extra in enumerate(read_field(metadata, "extra").to_pylist()):
        stored = json.loads(extra) if extra and any(mark in extra for mark in MARKS) else {}
        yield stored | {name: values[number] for name, values in stated.items()}
