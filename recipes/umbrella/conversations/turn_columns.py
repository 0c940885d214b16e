"""The turns of very many conversations, as Arrow holds them: what `umbrella.conversations.turns` says of one."""

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from umbrella.files.arrow_tables import regroup

NAMES_SEQUENCE = r"\A\S+:( not available\.\n)?\z"  # and other texts too, which are then read one by one


def join_texts_of_all(contents: pa.Array) -> pa.Array:
    """The texts of each turn, joined by line breaks, as `turns.join_texts` does of one."""
    items = contents.flatten()
    is_text = pc.equal(pc.struct_field(items, "type"), "text").to_numpy(zero_copy_only=False)
    return pc.binary_join(
        regroup(contents, pc.struct_field(items, "text").cast(pa.large_string()), is_text), _of("\n")
    )


def join_types(contents: pa.Array) -> pa.Array:
    """What each turn holds, in words: "image text"."""
    kinds = pc.struct_field(contents.flatten(), "type").cast(pa.large_string())
    return pc.binary_join(regroup(contents, kinds), _of(" "))


def join_turns(conversations: pa.Array, texts: pa.Array, kept: np.ndarray, separator: str) -> pa.Array:
    """A text a conversation: those of its turns that are kept, joined.

    texts  (n,) one a turn
    kept   (n,) bool
    """
    return pc.binary_join(regroup(conversations, texts, kept), _of(separator))


def may_show_study(conversations: pa.Array) -> pa.Array:
    """(n,) bool, whether a text of the conversation may name a sequence, as `umbrella.files.studies` words it."""
    turns = conversations.flatten()
    items = pc.struct_field(turns, "content")
    texts = pc.struct_field(items.flatten(), "text")
    found = pc.fill_null(pc.match_substring_regex(texts, NAMES_SEQUENCE), False).to_numpy(zero_copy_only=False)
    of_turns = np.bincount(pc.list_parent_indices(items).to_numpy()[found], minlength=len(turns)) > 0
    of_rows = pc.list_parent_indices(conversations).to_numpy()[of_turns]
    return pa.array(np.bincount(of_rows, minlength=len(conversations)) > 0)


def _of(text: str) -> pa.Scalar:
    return pa.scalar(text, pa.large_string())
