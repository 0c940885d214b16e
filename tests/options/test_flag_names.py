"""A flag that does not exist is answered by the one that was meant, in the guide's spelling where it has one."""

import string

import pytest
from hypothesis import given
from hypothesis import strategies as st

from umbrella.options.arguments import DataArguments, EvalArguments, ModelArguments
from umbrella.options.flag_names import (
    GUIDE_SPELLINGS,
    is_one_typo_away,
    spell_as_given,
    suggest,
    translate_guide_spellings,
)
from umbrella.options.parsing import _Parser
from umbrella.options.training_arguments import TrainArguments

TRAIN = [*(f"--{guide}" for guide in GUIDE_SPELLINGS), *_Parser((ModelArguments, DataArguments, TrainArguments)).flags]
EVAL = _Parser((ModelArguments, DataArguments, EvalArguments)).flags
LETTERS = string.ascii_lowercase + string.digits + "_"


@st.composite
def typos(draw, word):
    """The word with one letter left out, added, changed, or exchanged with its neighbour."""
    i, letter = draw(st.integers(0, len(word) - 1)), draw(st.sampled_from(LETTERS))
    kinds = (
        word[:i] + word[i + 1 :],
        word[:i] + letter + word[i:],
        word[:i] + letter + word[i + 1 :],
        word[:i] + word[i + 1 : i + 2] + word[i] + word[i + 2 :],
    )
    return draw(st.sampled_from(kinds))


@pytest.mark.parametrize("flags", [TRAIN, EVAL], ids=["train", "eval"])
@given(st.data())
def test_any_flag_with_one_typo_is_suggested(flags, data):
    meant = data.draw(st.sampled_from([flag for flag in flags if flag.startswith("--") and flag != "--local_rank"]))
    typed = data.draw(typos(meant.removeprefix("--")))
    if f"--{typed}" in flags:
        return
    found = suggest(f"--{typed}", flags)
    guides = [f"--{guide}" for guide, today in GUIDE_SPELLINGS.items() if meant.removeprefix("--") in today]
    assert meant in found or set(guides) & set(found) or all(is_one_typo_away(f"--{typed}", flag) for flag in found)


@pytest.mark.parametrize(
    "typed, meant",
    [
        ("--epoch", "--epochs"),
        ("--lr", "--learning_rate"),
        ("--batchsize", "--batch_size"),
        ("--Batch-Size", "--batch_size"),
        ("--bs", "--batch_size"),
        ("--model", "--model_name_or_path"),
        ("--learning_rte", "--learning_rate"),
        ("--eval_stratgy", "--eval_strategy"),
        ("--json", "--json_dir"),
        ("--epoch=3", "--epochs"),
    ],
)
def test_the_likeliest_comes_first(typed, meant):
    assert suggest(typed, TRAIN)[0] == meant


def test_what_resembles_nothing_has_no_suggestion():
    assert suggest("--zzzzzzqq", TRAIN) == []


def test_a_message_names_the_flag_as_it_was_given():
    message = "--per_device_train_batch_size: expected at least 1, found 0"
    assert spell_as_given(message, ["--batch_size", "0"]) == "--batch_size: expected at least 1, found 0"
    assert spell_as_given(message, ["--per_device_train_batch_size", "0"]) == message
    assert spell_as_given(message, ["--batch_size", "0"], known=["--batch_size"]) == message


def test_a_guides_flag_without_a_value_takes_none_from_the_next_flag():
    assert translate_guide_spellings(["--epochs", "--seed", "1"]) == ["--num_train_epochs", "--seed", "1"]
    assert translate_guide_spellings(["--epochs"]) == ["--num_train_epochs"]
    assert translate_guide_spellings(["--epochs="]) == ["--num_train_epochs", ""]
