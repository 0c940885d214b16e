"""Conversations that are told to be harmless by their signs are those in which the whole check finds nothing."""

import random

import pyarrow as pa
import pytest
from families import FAMILIES

from umbrella.conversations import text_watch
from umbrella.conversations.encoder import ConversationEncoder, ConversationError
from umbrella.files.arrow_tables import ROWS_AT_ONCE

HARMLESS = [
    "What is it?",
    "größer als 5 cm",
    "脳は正常です",
    "a_b (1.5) - c/d; e: f!",
    " ",
    "",
    "line\nline",
    "im_end",
    "image",
]
N = 150
ODD = [
    "<",
    "|>",
    "<|im_",
    "end|>",
    "<ima",
    "ge>",
    "\u226e",
    "＜image＞",
    "\u0338",
    "\u200b",
    "[",
    "]",
    "</s",
    "s>",
    "<image",
    "x<5",
]


TOKENS = ["<image>", "<|im_end|>", "</s>", "<bos>", "<end_of_turn>", "<|image_pad|>"]


def draw_turns(rng, words):
    def draw(role):
        texts = [rng.choice(words) for _ in range(rng.choice([1, 1, 2, 3]))]
        if words is not HARMLESS and rng.random() < 0.2:  # a control token in two pieces, or whole
            token = rng.choice(TOKENS)
            cut = rng.randrange(len(token))
            texts += [token[:cut], token[cut:]]
        items = [{"type": "text", "text": text} for text in texts]
        if role == "user" and rng.random() < 0.5:
            items.insert(rng.randrange(len(items) + 1), {"type": "image", "text": None})
        return {"role": role, "content": items}

    return [draw(role) for role in ["user", "assistant"] * rng.choice([1, 2])]


def is_refused(encoder, turns):
    try:
        encoder.check_text(turns)
    except ConversationError:
        return True
    return False


@pytest.mark.parametrize("family", ["llava_1_5", "qwen2_5_vl", "idefics3", "gemma3"])
def test_no_conversation_is_passed_over_in_which_the_check_finds_something(family):
    encoder, rng = ConversationEncoder(FAMILIES[family]()), random.Random(0)
    drawn = [draw_turns(rng, HARMLESS + ODD if i % 2 else HARMLESS) for i in range(N)]
    refused = {i for i, turns in enumerate(drawn) if is_refused(encoder, turns)}
    watch, table = encoder.watch_texts(), pa.array(drawn)
    unsure = {start + i for start in range(0, N, 50) for i in watch.find_unsure(table[start : start + 50])}
    again = {repr(drawn[i]) for i in unsure}
    assert refused and all(i in unsure or repr(drawn[i]) in again for i in refused)


def test_of_many_ordinary_conversations_one_of_each_form_is_checked():
    encoder = ConversationEncoder(FAMILIES["llava_1_5"]())
    said = [
        [
            {"role": "user", "content": [{"type": "image", "text": None}, {"type": "text", "text": f"Größe {i}?"}]},
            {"role": "assistant", "content": [{"type": "text", "text": f"{i} cm."}]},
        ]
        for i in range(ROWS_AT_ONCE)
    ]
    watch = encoder.watch_texts()
    assert watch.find_unsure(pa.array(said)) == [0]
    assert watch.find_unsure(pa.array(said)) == []
    said[7][0]["content"][1]["text"] = "Is it <5 cm?"
    assert watch.find_unsure(pa.array(said + said)) == [7]


def test_a_tokenizer_of_which_nothing_can_be_told_has_each_different_conversation_checked(monkeypatch):
    monkeypatch.setattr(text_watch, "MOST_KNOWN", 2)
    watch = text_watch.TextWatch(None, "umbrella")
    said = [[{"role": "user", "content": [{"type": "text", "text": text}]}] for text in "abacada"]
    assert watch.find_unsure(pa.array(said)) == [0, 1, 3, 4, 5, 6]
