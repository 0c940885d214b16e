"""The number that is asked for --max_length works when it is followed, whatever rows there are."""

import re

import pytest

from umbrella.conversations.encoder import ConversationError
from umbrella.models.loading import load_processor
from umbrella.rows.length_check import check_lengths
from umbrella.rows.transform import ConversationTransform
from umbrella_dataset import load_umbrella


@pytest.mark.parametrize("on_overflow", ["drop_turns", "raise"])
def test_the_number_in_the_message_fits_every_row_and_one_less_does_not(small_data, on_overflow):
    rows, processor = load_umbrella(str(small_data), split="train"), load_processor("tiny")

    def transform(max_length):
        return ConversationTransform(processor, max_length=max_length, on_overflow=on_overflow)

    with pytest.raises(ConversationError, match=r"--max_length 20, found 8 of 8 that do not") as end:
        check_lengths(rows, transform(20))
    (number,) = map(int, re.findall(r"Set --max_length to (\d+)", str(end.value)))
    check_lengths(rows, transform(number))
    encoded = [transform(number).encode_row(row) for row in rows]
    assert max(len(row["input_ids"]) for row in encoded) <= number
    with pytest.raises(ConversationError):
        check_lengths(rows, transform(number - 1))
    with pytest.raises(ConversationError):
        [transform(number - 1).encode_row(row) for row in rows]
