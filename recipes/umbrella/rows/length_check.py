"""Rows that cannot fit into --max_length are found before a long job, with the number that fits them all."""

import sys

import numpy as np
import pyarrow.compute as pc
from datasets import Dataset

from umbrella.conversations.turns import ConversationError, count_images, drop_exchanges, split_exchanges
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
    longest = sorted(range(len(lengths)), key=lengths.__getitem__, reverse=True)[:N_LONGEST]
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
    table = rows.select_columns(["length", "modalities"]).with_format("arrow")[:]
    modalities = table["modalities"].combine_chunks()
    names = modalities.flatten().dictionary_encode()
    tokens = np.array([count_scan_tokens(transform, name) for name in names.dictionary.to_pylist()], np.int64)
    row_of = pc.list_parent_indices(modalities).to_numpy(zero_copy_only=False)
    lengths = table["length"].to_numpy()
    scans, n_scans = np.zeros_like(lengths), np.bincount(row_of, minlength=len(lengths))
    np.add.at(scans, row_of, tokens[names.indices.to_numpy(zero_copy_only=False)])
    return lengths - TOKENS_PER_SCAN * n_scans, scans


def count_needed(row: dict, unbounded: BlankScans, drops_turns: bool) -> int:
    """The least max_length, in tokens, with which a row can be used."""
    turns = row["conversations"]
    if drops_turns:
        exchanges = split_exchanges(turns)
        turns = drop_exchanges(exchanges, len(exchanges) - 1)
    n_scans = count_images(turns)
    images = row["images"][len(row["images"]) - n_scans :]
    return len(unbounded.encode_row({**row, "conversations": turns, "images": images})["input_ids"])
