"""Which exchanges stay where a row is too long: as dropping them one by one would have it, and without its cost."""

import numpy as np
import pytest
from families import FAMILIES, image_shape
from hypothesis import given, settings
from hypothesis import strategies as st

from umbrella.conversations.encoder import ConversationEncoder, ConversationError

FLOAT_IMAGES = {"do_resize": False, "do_rescale": False, "do_normalize": False, "input_data_format": "channels_first"}
ITEMS = st.one_of(
    st.just({"type": "image"}), st.builds(lambda n: {"type": "text", "text": "word " * n}, st.integers(0, 12))
)


def turn(role, items):
    return {"role": role, "content": items}


ANSWERS = st.builds(lambda n: turn("assistant", [{"type": "text", "text": "yes " * n}]), st.integers(1, 12))
USERS = st.builds(turn, st.just("user"), st.lists(ITEMS, min_size=1, max_size=3))
SYSTEM = turn("system", [{"type": "text", "text": "Answer in one word."}])


@st.composite
def rows(draw):
    """A system turn or none, then turns of user and assistant in any order, one of each at the end."""
    turns = draw(st.lists(st.one_of(USERS, ANSWERS), max_size=6))
    return [*draw(st.sampled_from(([], [SYSTEM]))), draw(USERS), *turns, draw(USERS), draw(ANSWERS)]


def drop_oldest(turns):
    """The turns without their oldest exchange, or None where there is one only."""
    start = next(i for i, turn in enumerate(turns) if turn["role"] != "system")
    answered = False
    for i in range(start, len(turns)):
        if answered and turns[i]["role"] == "user":
            return turns[:start] + turns[i:]
        answered = answered or turns[i]["role"] == "assistant"
    return None


def count_images(turns):
    return sum(item["type"] == "image" for turn in turns for item in turn["content"])


def drop_one_by_one(encoder, turns, images, max_length):
    encoded = encoder.encode(turns, images)
    while len(encoded["input_ids"]) > max_length:
        turns = drop_oldest(turns)
        if turns is None:
            return None
        encoded = encoder.encode(turns, images[len(images) - count_images(turns) :])
    return encoded


@pytest.mark.parametrize("name", FAMILIES)
def test_the_longest_run_of_exchanges_that_fits_stays(name):
    encoder = ConversationEncoder(FAMILIES[name](), **FLOAT_IMAGES)

    @settings(max_examples=8, deadline=None)
    @given(rows(), st.floats(0, 1.1))
    def check(turns, share):
        images = [np.full(image_shape(name), number, np.float32) for number in range(count_images(turns))]
        max_length = int(share * len(encoder.encode(turns, images)["input_ids"]))
        expected = drop_one_by_one(encoder, turns, images, max_length)
        if expected is None:
            with pytest.raises(ConversationError, match="the last exchange alone"):
                encoder.encode_within(turns, images, max_length, "drop_turns")
            return
        kept = encoder.encode_within(turns, images, max_length, "drop_turns")
        assert kept["input_ids"] == expected["input_ids"]
        assert kept["labels"] == expected["labels"]
        assert ("pixel_values" in kept) == ("pixel_values" in expected)
        if "pixel_values" in kept:
            np.testing.assert_array_equal(kept["pixel_values"], expected["pixel_values"])

    check()


def test_the_scan_of_a_system_turn_stays_with_it():
    encoder = ConversationEncoder(FAMILIES["qwen2_5_vl"](), **FLOAT_IMAGES)
    image, yes = {"type": "image"}, turn("assistant", [{"type": "text", "text": "yes"}])
    asked = turn("user", [image, {"type": "text", "text": "word"}])
    turns = [turn("system", [image]), asked, yes, asked, yes]
    images = [np.full((3, 56, 56), number, np.float32) for number in range(3)]
    expected = encoder.encode([turns[0], *turns[3:]], [images[0], images[2]])
    kept = encoder.encode_within(turns, images, len(expected["input_ids"]), "drop_turns")
    np.testing.assert_array_equal(kept["pixel_values"], expected["pixel_values"])


def test_a_row_of_many_exchanges_costs_few_encodings(monkeypatch):
    encoder = ConversationEncoder(FAMILIES["qwen2_5_vl"](), **FLOAT_IMAGES)
    asked, encode = turn("user", [{"type": "text", "text": "word"}]), encoder.encode
    turns, encoded = [asked, turn("assistant", [{"type": "text", "text": "yes"}])] * 250, []
    monkeypatch.setattr(encoder, "encode", lambda turns, *rest: [encoded.append(turns), encode(turns, *rest)][1])
    kept = encoder.encode_within(turns, [], 400, "drop_turns")
    assert len(encoded) <= 10
    n_kept = max(n for n in range(2, 60, 2) if len(encode(turns[:n])["input_ids"]) <= 400)
    assert kept["input_ids"] == encode(turns[:n_kept])["input_ids"]
