"""The number that is asked for --max_length works when it is followed, whatever rows there are."""

import json
import re

import pytest
from conversation_folder import make_record, write_folder

from umbrella.conversations.encoder import ConversationError
from umbrella.models.loading import load_processor
from umbrella.rows.length_check import N_LONGEST, check_lengths
from umbrella.rows.transform import ConversationTransform
from umbrella_dataset import load_umbrella


@pytest.mark.slow
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


@pytest.mark.slow
def test_a_series_whose_frames_make_it_the_longest_row_is_found_among_many_longer_looking_ones(tmp_path):
    """Of two structural scans, 2 × 64 tokens, the estimate says more than of one series, 32 / 8 × 64."""
    folder = write_folder(tmp_path, {"train": [2] * (N_LONGEST + 1)})
    record = json.dumps(make_record("series", ["series.nii"])).replace("sMRI", "fMRI")
    (folder / "train" / "series.json").write_text(record)
    rows, processor = load_umbrella(str(folder), split="train"), load_processor("tiny3d")
    processor.image_processor.pools_time = False

    def transform(max_length):
        return ConversationTransform(processor, "volume", volume_size="32", frames="32", max_length=max_length)

    with pytest.raises(ConversationError, match=r"series\.json needs the most") as end:
        check_lengths(rows, transform(200))
    (number,) = map(int, re.findall(r"Set --max_length to (\d+)", str(end.value)))
    check_lengths(rows, transform(number))
