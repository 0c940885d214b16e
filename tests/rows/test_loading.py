"""A split that is not there is told by what asked for it."""

import pytest
from datasets import Dataset, DatasetDict

from umbrella.rows.loading import pick_split, pick_training_splits

ROWS = Dataset.from_dict({"a": [1]})


def test_training_reads_what_it_evaluates_on():
    splits = DatasetDict({"train": ROWS, "validation": ROWS})
    assert list(pick_training_splits(splits, "no")) == ["train"]
    assert list(pick_training_splits(splits, "epoch")) == ["train", "validation"]


def test_evaluation_without_a_validation_split_names_the_flag_that_asked_for_it():
    with pytest.raises(ValueError, match=r"split 'validation' .* only train, test\. --eval_strategy epoch") as end:
        pick_training_splits(DatasetDict({"train": ROWS, "test": ROWS}), "epoch")
    assert "--split" not in str(end.value)


def test_training_without_a_train_split_names_no_flag():
    with pytest.raises(ValueError, match="expected a split 'train' in the data, found only test") as end:
        pick_training_splits(DatasetDict({"test": ROWS}), "no")
    assert "--" not in str(end.value)


def test_a_split_that_is_chosen_is_chosen_by_its_flag():
    with pytest.raises(ValueError, match=r"found only train\. Choose one of them with --split"):
        pick_split(DatasetDict({"train": ROWS}), "test")
