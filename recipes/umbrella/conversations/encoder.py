"""Turns of a conversation → text → `input_ids` and `labels`. Knows processors, knows nothing of NIfTI.

One algorithm serves every model family: the conversation is rendered by the processor's own chat template, rendered
again with sentinels in place of the assistant's texts (which tells where those texts stand), tokenized by the
processor's own call with character offsets, and the tokens that overlap an assistant's text are supervised, with
the token that ends the turn.
"""

from bisect import bisect_left
from collections.abc import Sequence
from functools import lru_cache
from itertools import accumulate, groupby, islice
from typing import Any

import numpy as np
import torch

from umbrella.conversations.control_tokens import NEUTRAL, ControlTokens
from umbrella.conversations.ignore_index import IGNORE_INDEX
from umbrella.conversations.text_watch import TextWatch
from umbrella.conversations.turns import (
    ConversationError,
    ConversationTooLongError,
    count_images,
    drop_exchanges,
    format_conversation,
    split_exchanges,
    text_item,
    to_messages,
)

__all__ = ["IGNORE_INDEX", "ConversationEncoder", "ConversationError", "format_conversation", "to_messages"]


class ConversationEncoder:
    """Encodes conversations for one processor.

    Args:
        processor: a transformers processor with a fast tokenizer. Without a chat template it is prompted with ChatML.
        images_kwargs: options for the image part of the processor's call, such as `do_resize=False`.

    Raises:
        ConversationError: slow tokenizer, no image token in the tokenizer, no token to end a turn with, or a chat
            template that rewrites the assistant's text so that its place cannot be told.
    """

    def __init__(self, processor: Any, **images_kwargs: Any) -> None:
        self.processor = processor
        self.tokenizer = processor.tokenizer
        self.images_kwargs = images_kwargs
        self.name = type(processor).__name__
        if not self.tokenizer.is_fast:
            raise ConversationError(
                f"{self.name}: expected a fast tokenizer, which tells where in the text each token stands; found the "
                f"slow {type(self.tokenizer).__name__}. Load the processor with its fast tokenizer."
            )
        self._check_image_token()
        self.end_token_id = self._find_end_token()
        self._control_tokens = ControlTokens(processor, self._apply_template)

    @property
    def image_token_ids(self) -> list[int]:
        """The ids that stand for image features in `input_ids`."""
        return list(self.processor.image_token_ids)

    def encode(
        self, turns: list[dict], images: Sequence[np.ndarray] | np.ndarray = (), add_generation_prompt: bool = False
    ) -> dict:
        """Encode one conversation.

        Args:
            turns: [{role, content: [{type, text, ...}]}].
            images: n arrays (3, H, W), float32, one for each image item, in their order.
            add_generation_prompt: leave the last assistant turn out and put the prompt for it in; nothing is
                supervised.

        Returns:
            `input_ids`, `attention_mask`, `labels` and further keys of the same length (list of T ints each), and the
            processor's image keys as tensors (none without images).

        Raises:
            ConversationError: texts that make a control token, or another number of images than the turns hold.
        """
        if add_generation_prompt:
            turns = turns[:-1]
        if count_images(turns) != len(images):
            raise ConversationError(
                f"expected {count_images(turns)} scans, as many as the turns have image items; found {len(images)}"
            )
        messages = to_messages(turns)
        self._control_tokens.check(messages, add_generation_prompt)
        text, spans = self._render(messages, add_generation_prompt)
        encoding = self._call_processor(text, images)
        offsets, replacements = encoding.pop("offset_mapping")[0], encoding.pop("text_replacement_offsets", [])
        tokens, image_keys = _split_encoding(encoding)
        labels, ends = self._label(tokens["input_ids"], offsets, text, spans, replacements[0] if replacements else [])
        tokens["labels"] = labels
        for position in reversed(ends):
            self._insert_end_token(tokens, position)
        if add_generation_prompt:
            tokens["labels"] = [IGNORE_INDEX] * len(tokens["input_ids"])
        return tokens | image_keys

    def encode_images(self, images: Sequence[np.ndarray]) -> dict[str, torch.Tensor]:
        """The image keys that `encode` gives for a conversation of these images, by the image processor alone."""
        return dict(self.processor.image_processor([list(images)], return_tensors="pt", **self.images_kwargs))

    def render_prompt(self, turns: list[dict]) -> str:
        """The prompt for the last assistant turn as text, each scan one image token."""
        return self._render(to_messages(turns[:-1]), add_generation_prompt=True)[0]

    def encode_within(
        self,
        turns: list[dict],
        images: Sequence[np.ndarray],
        max_length: int,
        on_overflow: str,
        add_generation_prompt: bool = False,
    ) -> dict:
        """`encode`, in at most `max_length` tokens: with `on_overflow="drop_turns"` the oldest whole exchanges go,
        each with its scans, and the last one always stays; with "raise", or when the last one alone is too long,
        it is an error. A scan's tokens are never cut."""
        encoded = self.encode(turns, images, add_generation_prompt)
        if len(encoded["input_ids"]) <= max_length:
            return encoded
        if on_overflow != "drop_turns":
            raise ConversationTooLongError(self._describe_overflow(encoded, turns, max_length, "the conversation"))
        queue = iter(images)
        exchanges = split_exchanges([{**turn, "images": list(islice(queue, count_images([turn])))} for turn in turns])

        @lru_cache
        def encode_without(n: int) -> dict:
            kept = drop_exchanges(exchanges, n)
            return self.encode(kept, [image for turn in kept for image in turn["images"]], add_generation_prompt)

        def fits(n: int) -> bool:
            return len(encode_without(n)["input_ids"]) <= max_length

        # Fewer exchanges are fewer tokens, so that the first that fits is found by halving. Not across these borders:
        # LLaVA-OneVision gives the only scan of a row more tokens than one of several.
        left = [len(images) - dropped for dropped in accumulate(map(count_images, exchanges))]
        for _, group in groupby(range(1, len(exchanges)), key=lambda n: min(left[n - 1], 2)):
            numbers = list(group)
            if fits(numbers[-1]):
                return encode_without(numbers[bisect_left(numbers, True, key=fits)])
        last = len(exchanges) - 1
        turns = drop_exchanges(exchanges, last)
        raise ConversationTooLongError(
            self._describe_overflow(encode_without(last), turns, max_length, "the last exchange alone")
        )

    def _describe_overflow(self, encoded: dict, turns: list[dict], max_length: int, what: str) -> str:
        found = len(encoded["input_ids"])
        of_scans = sum(token in self.image_token_ids for token in encoded["input_ids"])
        return (
            f"expected at most max_length={max_length} tokens, found {found} in {what} ({of_scans} of them for "
            f"{count_images(turns)} scans). Set --max_length to {found} or more for this row, or use fewer or smaller "
            "scans."
        )

    def _call_processor(self, text: str, images: Sequence[np.ndarray] | np.ndarray) -> dict:
        bos = self.tokenizer.bos_token
        options = self.images_kwargs if len(images) else {}
        # Templates that write bos themselves would otherwise get a second one (transformers does the same).
        no_specials = {"add_special_tokens": False} if bos and text.startswith(bos) else {}
        try:
            return dict(
                self.processor(
                    text=[text],
                    images=[list(images)] if len(images) else None,  # as one row: it matters to LLaVA-OneVision
                    return_offsets_mapping=True,
                    return_text_replacement_offsets=True,
                    **no_specials,
                    **options,
                )
            )
        except ValueError as error:
            raise ConversationError(f"{self.name} refuses the conversation: {error}") from error

    def _apply_template(self, messages: list[dict], add_generation_prompt: bool) -> str:
        if self.processor.chat_template is None:
            return format_conversation(messages, add_generation_prompt, self.processor.image_token)
        return self.processor.apply_chat_template(
            messages, add_generation_prompt=add_generation_prompt, tokenize=False
        )

    def _render(self, messages: list[dict], add_generation_prompt: bool = False) -> tuple[str, list[tuple[int, int]]]:
        """The conversation's text and, for each assistant turn, the span of its words, without outer white space."""
        text = self._apply_template(messages, add_generation_prompt)
        sentinel = "umbrellasentinel"
        while sentinel in text:
            sentinel += "x"
        marked, answers = [], []  # answers: [(turn, words)]
        for i, message in enumerate(messages):
            items = []
            for item in message["content"]:
                if message["role"] == "assistant" and item["type"] == "text":
                    answers.append((i, item["text"]))
                    item = text_item(sentinel)
                items.append(item)
            marked.append({"role": message["role"], "content": items})
        pieces = self._apply_template(marked, add_generation_prompt).split(sentinel)
        if len(pieces) != len(answers) + 1 or not text.startswith(pieces[0]):
            raise ConversationError(self._describe_template(answers[0][1] if answers else ""))
        position, spans = len(pieces[0]), {}
        for (turn, words), after in zip(answers, pieces[1:], strict=True):
            variants = (words, words.rstrip(), words.lstrip(), words.strip())
            found = next((v for v in variants if text.startswith(v + after, position)), None)
            if found is None:
                raise ConversationError(self._describe_template(words))
            start, end = position + len(found) - len(found.lstrip()), position + len(found.rstrip())
            if start < end:
                spans[turn] = (spans.get(turn, (start, end))[0], end)
            position += len(found) + len(after)
        if position != len(text):
            raise ConversationError(self._describe_template(answers[-1][1]))
        return text, list(spans.values())

    def _describe_template(self, words: str) -> str:
        return (
            f"{self.name}: expected a chat template that writes each assistant text as it is, found one that changes, "
            f"moves or drops it (at {words[:40]!r}). Set another processor.chat_template."
        )

    def _label(
        self,
        input_ids: list[int],
        offsets: Sequence[tuple[int, int]],
        text: str,
        spans: Sequence[tuple[int, int]],
        replacements: list[dict],
    ) -> tuple[list[int], list[int]]:
        """Labels of the tokens, and the positions before which an end token is missing."""
        labels = [IGNORE_INDEX] * len(input_ids)
        missing = []
        for span, (shift, inside) in zip(spans, _find_tokens(offsets, spans, replacements), strict=True):
            self._check_edges(text, offsets[inside[0]][0] - shift, offsets[inside[-1]][1] - shift, span)
            for i in inside:
                labels[i] = input_ids[i]
            end = inside[-1] + 1
            while end < len(offsets) and text[offsets[end][0] - shift : offsets[end][1] - shift].isspace():
                end += 1
            if end < len(input_ids) and input_ids[end] == self.end_token_id:
                # White space before the end mark too: the model must learn to get from its last word to the mark.
                labels[inside[-1] : end + 1] = input_ids[inside[-1] : end + 1]
            else:
                missing.append(inside[-1] + 1)
        return labels, missing

    def _check_edges(self, text: str, start: int, end: int, span: tuple[int, int]) -> None:
        foreign = text[start : span[0]] + text[span[1] : end]
        if foreign.strip():
            raise ConversationError(
                f"{self.name}: expected token borders at both ends of {text[slice(*span)][:40]!r}, found a token that "
                f"joins it with {foreign!r} of the chat template: such a tokenizer and template cannot be labelled."
            )

    def _insert_end_token(self, tokens: dict[str, list[int]], position: int) -> None:
        values = {"input_ids": self.end_token_id, "labels": self.end_token_id, "attention_mask": 1}
        for key, values_of_row in tokens.items():
            values_of_row.insert(position, values.get(key, 0))  # type ids: 0 is text

    def _find_end_token(self) -> int:
        """The special token that the template puts behind an assistant's text, else the tokenizer's eos, which is then
        inserted: LLaVA-1.5's own training did so, and without it the model would never learn to stop."""
        messages = to_messages([{"role": "user", "content": "a"}, {"role": "assistant", "content": "b"}])
        text, spans = self._render(messages)
        encoding = self._call_processor(text, ())
        for token, (start, end) in zip(encoding["input_ids"][0], encoding["offset_mapping"][0], strict=True):
            if start >= spans[0][1] and text[start:end].strip():
                if token in self.tokenizer.added_tokens_decoder:
                    return token
                break
        if self.tokenizer.eos_token_id is None:
            raise ConversationError(
                f"{self.name}: expected a chat template that ends the assistant's turn with a special token, or a "
                "tokenizer with an eos token; found neither. Set processor.tokenizer.eos_token."
            )
        return self.tokenizer.eos_token_id

    def _check_image_token(self) -> None:
        token = self.processor.image_token
        if token not in self.tokenizer.get_vocab():
            raise ConversationError(
                f"{self.name}: expected its image token {token!r} in the tokenizer's vocabulary, found none. Use the "
                "tokenizer that belongs to the processor, or add the token and resize the model's embedding."
            )

    def check_text(self, turns: list[dict]) -> None:
        """Raise ConversationError where texts make a control token of this model, also where they do so only once
        they stand side by side."""
        self._control_tokens.check(to_messages(turns))

    def watch_texts(self) -> TextWatch:
        """Tells which of many conversations `check_text` is to look at."""
        return TextWatch(self._control_tokens.find_signs(), NEUTRAL)


def _width(span: tuple[int, int]) -> int:
    return span[1] - span[0]


def _find_tokens(
    offsets: Sequence[tuple[int, int]], spans: Sequence[tuple[int, int]], replacements: list[dict]
) -> list[tuple[int, list[int]]]:
    """For each span of the text, in order: how far image tokens, expanded before it, have moved it, and the positions
    of the tokens that overlap it."""
    found, shift, token = [], 0, 0
    replacements = iter([*replacements, None])
    replaced = next(replacements)
    for start, end in spans:
        while replaced is not None and replaced["span"][1] <= start:
            shift += _width(replaced["new_span"]) - _width(replaced["span"])
            replaced = next(replacements)
        inside = []
        while token < len(offsets) and offsets[token][0] < end + shift:
            if offsets[token][1] > start + shift:
                inside.append(token)
            token += 1
        found.append((shift, inside))
    return found


def _split_encoding(encoding: dict) -> tuple[dict[str, list[int]], dict[str, torch.Tensor]]:
    """The token keys as lists of ints and the image keys as tensors."""
    length = len(encoding["input_ids"][0])
    tokens, image_keys = {}, {}
    for key, value in encoding.items():
        if isinstance(value, list) and len(value) == 1 and isinstance(value[0], list) and len(value[0]) == length:
            tokens[key] = list(value[0])
        elif isinstance(value, list) and isinstance(value[0], torch.Tensor):
            image_keys[key] = torch.stack(value)
        else:
            image_keys[key] = torch.as_tensor(value)
    return tokens, image_keys
