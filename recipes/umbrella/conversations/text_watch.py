"""Which of very many conversations could spell a control token, told by their signs; the others need not be rendered.

A control token that begins and ends with signs which a text does not hold must have both from the chat template. The
template's own pieces around the texts are the same for all conversations of a form (roles, kinds of items, texts
without words), so one conversation of each form is checked as it is, and none of these pieces may end in the beginning
of a control token, which a text would go on. Where a tokenizer or a text does not allow the conclusion, the
conversation is checked as it is.
"""

import unicodedata
from collections.abc import Callable
from typing import NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from umbrella.files.arrow_json import join_texts, list_texts, to_json
from umbrella.files.arrow_tables import regroup

NOT_ASCII = r"[^\x09\x0a\x0d -~]"
MOST_KNOWN = 10_000  # conversations, word by word, that were checked


class Signs(NamedTuple):
    """What control tokens begin and end with, the tokenizer's own rewriting of a text, and a form's check: whether its
    template leaves a control token open before a text."""

    ends: frozenset[str]
    normalize: Callable[[str], str]
    leaves_open: Callable[[list[dict]], bool]


class TextWatch:
    """Tells, table by table, which conversations are to be checked as they are.

    Args:
        signs: None where each of them is.
        neutral: what a text with words counts as.
    """

    def __init__(self, signs: Signs | None, neutral: str) -> None:
        self.neutral = neutral
        self._ends, self._normalize, self._leaves_open = signs or Signs(frozenset(), str, lambda turns: True)
        self._is_open: dict[str, bool] = {}  # by form
        self._known: set[str] = set()
        self._of_sign: dict[str, bool] = {}

    def find_unsure(self, conversations: pa.Array) -> list[int]:
        """The numbers of the conversations that are to be checked, in their order: of equal ones the first."""
        turns = conversations.flatten()
        contents = pc.struct_field(turns, "content")
        items = contents.flatten()
        texts = pc.struct_field(items, "text")
        unsure = self._hold_signs(texts)
        in_turns = _any_in(contents, unsure)
        found = _any_in(conversations, in_turns)
        for number, form in enumerate(self._find_forms(conversations, turns, contents, items, texts)):
            if form not in self._is_open:
                self._is_open[form] = self._leaves_open(conversations[number].as_py())
                found[number] = True
            elif self._is_open[form]:
                found[number] = True
        return [number for number in np.flatnonzero(found).tolist() if self._is_new(conversations[number].as_py())]

    def _find_forms(
        self, conversations: pa.Array, turns: pa.Array, contents: pa.Array, items: pa.Array, texts: pa.Array
    ) -> list[str]:
        has_words = pc.and_(pc.not_equal(texts, ""), pc.invert(pc.utf8_is_space(texts)))
        shown = pc.if_else(pc.fill_null(has_words, False), self.neutral, texts)
        of_items = join_texts(to_json(pc.struct_field(items, "type")), to_json(shown))
        of_turns = join_texts(to_json(pc.struct_field(turns, "role")), list_texts(contents, of_items))
        return list_texts(conversations, of_turns).to_pylist()

    def _hold_signs(self, texts: pa.Array) -> np.ndarray:
        """(n,) whether a text holds a sign that a control token begins or ends with, or may become one."""
        holds = np.zeros(len(texts), bool)
        for sign in filter(str.isascii, self._ends):
            holds |= _to_bools(pc.match_substring(texts, sign))
        for number in np.flatnonzero(_to_bools(pc.match_substring_regex(texts, NOT_ASCII))).tolist():
            holds[number] = holds[number] or any(map(self._may_become_end, set(texts[number].as_py())))
        return holds

    def _may_become_end(self, sign: str) -> bool:
        if sign not in self._of_sign:
            forms = {sign, self._normalize(sign), unicodedata.normalize("NFKC", sign)}
            combines = not (sign.isprintable() or sign.isspace()) or unicodedata.category(sign)[0] == "M"
            self._of_sign[sign] = combines or bool(self._ends & set("".join(forms)))
        return self._of_sign[sign]

    def _is_new(self, turns: list[dict]) -> bool:
        key = repr([(turn["role"], [(item["type"], item["text"]) for item in turn["content"]]) for turn in turns])
        if key in self._known:
            return False
        if len(self._known) == MOST_KNOWN:
            self._known.clear()
        self._known.add(key)
        return True


def _to_bools(found: pa.Array) -> np.ndarray:
    return pc.fill_null(found, False).to_numpy(zero_copy_only=False).copy()


def _any_in(lists: pa.Array, values: np.ndarray) -> np.ndarray:
    """(n,) whether some value of each list is true."""
    grouped = regroup(lists, pa.array(values))
    inside = pc.list_parent_indices(grouped).to_numpy()
    found = np.zeros(len(lists), bool)
    found[inside[values]] = True
    return found
