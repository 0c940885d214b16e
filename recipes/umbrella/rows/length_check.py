"""Rows that cannot fit into --max_length are found before a long job, with the number that fits them all."""

import sys

import numpy as np
import pyarrow.compute as pc
from datasets import Dataset

from umbrella.conversations.turns import ConversationError, count_images, drop_exchanges, split_exchanges
from umbrella.files.arrow_tables import read_column, read_tables
from umbrella.rows.blank_scans import BlankScans
from umbrella.rows.label_report import count_scan_tokens
from umbrella.rows.transform import ConversationTransform
from umbrella_dataset import TOKENS_PER_SCAN

N_LONGEST = 64


def check_lengths(rows: Dataset, transform: ConversationTransform) -> None:
    """Raise ConversationError where a row cannot fit into the transform's max_length: with turns dropped, where it
    drops them. No scan is loaded.

    The longest rows, by their estimate, are measured; all are where one of those does not fit, for the message.
    """
    unbounded = BlankScans(transform.processor, **transform.settings.stated(), max_length=sys.maxsize)
    plain, lengths = rows.with_format(None), estimate_lengths(rows, transform)
    longest = np.argsort(-np.array(lengths), kind="stable")[:N_LONGEST].tolist()
    drops = transform.on_overflow == "drop_turns"
    if all(count_needed(plain[i], unbounded, drops) <= transform.max_length for i in longest):
        return
    needed = [count_needed(row, unbounded, drops) for row in plain]
    most = max(needed)
    raise ConversationError(
        f"expected rows that fit into --max_length {transform.max_length}, found "
        f"{sum(n > transform.max_length for n in needed)} of {len(needed)} that do not"
        f"{', even with their last exchange alone' if drops else ''}; {plain[needed.index(most)]['source']} needs the "
        f"most. Set --max_length to {most} or more, or use fewer or smaller scans."
    )


def estimate_lengths(rows: Dataset, transform: ConversationTransform) -> np.ndarray:
    """(rows,) The `length` of every row, with the tokens that its scans really have."""
    return np.sum(estimate_parts(rows, transform), axis=0)


def estimate_parts(rows: Dataset, transform: ConversationTransform) -> tuple[np.ndarray, np.ndarray]:
    """Two arrays (rows,) of tokens: of each row's text, about, and of its scans, by modality: few in a view for a
    small tower, many in a series of volumes."""
    tokens: dict[str, int] = {}
    texts, scans = [np.zeros(0, np.int64)], [np.zeros(0, np.int64)]
    for table in read_tables(rows, ["length", "modalities"]):
        modalities = read_column(table, "modalities")
        names = modalities.flatten().dictionary_encode()
        for name in set(names.dictionary.to_pylist()) - tokens.keys():
            tokens[name] = count_scan_tokens(transform, name)
        of_names = np.array([tokens[name] for name in names.dictionary.to_pylist()], np.int64)
        row_of = pc.list_parent_indices(modalities).to_numpy(zero_copy_only=False)
        of_rows = np.zeros(len(table), np.int64)
        np.add.at(of_rows, row_of, of_names[names.indices.to_numpy(zero_copy_only=False)])
        n_scans = np.bincount(row_of, minlength=len(table))
        texts.append(read_column(table, "length").to_numpy() - TOKENS_PER_SCAN * n_scans)
        scans.append(of_rows)
    return np.concatenate(texts), np.concatenate(scans)


def count_needed(row: dict, unbounded: BlankScans, drops_turns: bool) -> int:
    """The least max_length, in tokens, with which a row can be used."""
    turns = row["conversations"]
    if drops_turns:
        exchanges = split_exchanges(turns)
        turns = drop_exchanges(exchanges, len(exchanges) - 1)
    n_scans = count_images(turns)
    images = row["images"][len(row["images"]) - n_scans :]
    return len(unbounded.encode_row({**row, "conversations": turns, "images": images})["input_ids"])
