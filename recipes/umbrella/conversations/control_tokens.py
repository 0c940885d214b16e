"""Control tokens: what may come from a chat template and from scans only, never from the texts of a conversation."""

import json
import re
from collections.abc import Callable
from typing import Any

from umbrella.conversations.text_watch import Signs
from umbrella.conversations.turns import ConversationError, text_item, to_messages

CHATML_MARKS = ("<|im_start|>", "<|im_end|>")
NEUTRAL = "umbrella"
EXCERPT = 40
MOST_FORMS = 1000
# Normalizers that rewrite each sign for itself, up to how letters are composed.
SIGN_BY_SIGN = {
    "NFC",
    "NFD",
    "NFKC",
    "NFKD",
    "Lowercase",
    "StripAccents",
    "Strip",
    "BertNormalizer",
    "Nmt",
    "Precompiled",
}


class ControlTokens:
    """The control tokens of a processor, and the check that texts make none.

    They are the tokenizer's special tokens, the processor's tokens for images and other media, and every added token
    that the chat template itself writes around turns (some role marks are not flagged as special). Other added tokens
    are text: a location in an answer, a thought, runs of white space.

    A text that spells one is refused, not rewritten: data never change in silence. Texts can also make one together
    (`"<ima"` and `"ge>"` in two items, which many templates join by nothing), with the template's own marks, or by the
    tokenizer's normalizer (full-width signs). So the conversation as a whole is compared with the same one of harmless
    words: both must come to the same control tokens.

    Args:
        processor: a transformers processor with a fast tokenizer.
        render: (messages, add_generation_prompt) → the conversation's text, each image one placeholder.
    """

    def __init__(self, processor: Any, render: Callable[[list[dict], bool], str]) -> None:
        self.name = type(processor).__name__
        self.tokenizer, self.render = processor.tokenizer, render
        added = {i: token for i, token in self.tokenizer.added_tokens_decoder.items() if token.content.strip()}
        # Not around the last answer: Qwen3 opens that with a thought, which answers may have of their own.
        turns = [{"role": role, "content": [text_item(NEUTRAL)]} for role in ("user", "assistant", "user")]
        written = set(self._tokenize(render(turns, False))["input_ids"])
        control = {token.content for i, token in added.items() if token.special or i in written}
        control |= {*self.tokenizer.all_special_tokens, *processor.all_special_multimodal_tokens}
        if processor.chat_template is None:
            control |= set(CHATML_MARKS)
        self._control = sorted(c for c in control if c.strip())
        self._text = re.compile("|".join(re.escape(c) for c in sorted(control, key=len, reverse=True) if c.strip()))
        vocabulary = self.tokenizer.get_vocab()
        # Not the unknown token: it also stands for signs that the tokenizer does not know.
        self._ids = {vocabulary[c] for c in control if c in vocabulary} - {self.tokenizer.unk_token_id}
        self._expected: dict[str, list[str | int]] = {}

    def check(self, messages: list[dict], add_generation_prompt: bool = False) -> None:
        """Raise ConversationError where the texts of the messages make a control token, alone or together."""
        for i, message in enumerate(messages):
            for item in message["content"]:
                if item["type"] == "text" and (match := self._text.search(item["text"])):
                    raise ConversationError(
                        f"conversations[{i}]: expected text, found the control token {match[0]!r} of {self.name} in "
                        f"{item['text'][:60]!r}. It would steer the model as the template's own marks do: reword it."
                    )
        text = self.render(messages, add_generation_prompt)
        found, expected = self._find(text), self._expect(messages, add_generation_prompt)
        if [token for token, _ in found] != expected:
            raise ConversationError(self._describe(text, found, expected))

    def _find(self, text: str) -> list[tuple[str | int, int]]:
        """The control tokens that a text spells, and those that the tokenizer makes of it, each with its place."""
        spelled = [(match[0], match.start()) for match in self._text.finditer(text)]
        encoding = self._tokenize(text, return_offsets_mapping=True)
        pairs = zip(encoding["input_ids"], encoding["offset_mapping"], strict=True)
        return spelled + [(token, start) for token, (start, _) in pairs if token in self._ids]

    def _expect(self, messages: list[dict], add_generation_prompt: bool) -> list[str | int]:
        """The control tokens of a conversation of this form, whose texts are harmless words."""
        neutral = _neutralize(messages)
        form = f"{add_generation_prompt} {neutral}"
        if form not in self._expected:
            if len(self._expected) == MOST_FORMS:
                self._expected.clear()
            self._expected[form] = [token for token, _ in self._find(self.render(neutral, add_generation_prompt))]
        return self._expected[form]

    def find_signs(self) -> Signs | None:
        """What tells, of a text's signs alone, that it makes no control token; None where nothing does."""
        added = {token.content: (i, token) for i, token in self.tokenizer.added_tokens_decoder.items()}
        ends = frozenset(sign for content in self._control for sign in (content[0], content[-1]))
        known = self._ids <= {i for i, _ in added.values()}
        whole_words = any(content in added and added[content][1].single_word for content in self._control)
        normalizer = self.tokenizer.backend_tokenizer.normalizer
        if not known or whole_words or any(sign.isalnum() or sign.isspace() for sign in ends):
            return None
        if normalizer is None:
            return Signs(ends, str, self._leaves_open)
        if not _keeps_signs(json.loads(normalizer.__getstate__()), ends):
            return None
        return Signs(ends, normalizer.normalize_str, self._leaves_open)

    def _leaves_open(self, turns: list[dict]) -> bool:
        """Whether the template begins a control token before a text, which the text could go on."""
        *before, _ = self.render(_neutralize(to_messages(turns)), False).split(NEUTRAL)
        return any(
            piece.endswith(content[:n])
            for piece in before
            for content in self._control
            for n in range(1, len(content))
        )

    def _describe(self, text: str, found: list[tuple[str | int, int]], expected: list[str | int]) -> str:
        position = next((i for i, pair in enumerate(found) if expected[i : i + 1] != [pair[0]]), len(found) - 1)
        token, start = found[position]
        token = token if isinstance(token, str) else self.tokenizer.convert_ids_to_tokens(token)
        excerpt = text[max(0, start - EXCERPT) : start + EXCERPT]
        return (
            f"conversations: expected texts, found that together they make the control token {token!r} of {self.name} "
            f"in the prompt ({excerpt!r}). It would steer the model as the template's own marks do: reword them."
        )

    def _tokenize(self, text: str, **options: Any) -> dict:
        return self.tokenizer(text, add_special_tokens=False, verbose=False, **options)


def _neutralize(messages: list[dict]) -> list[dict]:
    """The messages with harmless words as their texts."""
    return [
        {**message, "content": [text_item(NEUTRAL) if _has_words(item) else item for item in message["content"]]}
        for message in messages
    ]


def _keeps_signs(normalizer: dict, ends: frozenset[str]) -> bool:
    """Whether a normalizer (as `tokenizers` writes it) makes none of these signs of several others."""
    if normalizer["type"] == "Sequence":
        return all(_keeps_signs(part, ends) for part in normalizer["normalizers"])
    if normalizer["type"] == "Replace":
        return not ends & set(normalizer["content"])
    return normalizer["type"] in SIGN_BY_SIGN


def _has_words(item: dict) -> bool:
    return item["type"] == "text" and not item["text"].isspace() and item["text"] != ""
