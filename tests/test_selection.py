"""What the rows ask for, told from the rows."""

import json

import pytest
from datasets import Dataset

from umbrella.arguments import EvalArguments
from umbrella.evaluation.selection import find_task


def make_rows(labels, **extra):
    return Dataset.from_list([{"metadata": {"subject_label": label, "extra": json.dumps(extra)}} for label in labels])


@pytest.mark.parametrize(
    "labels, extra, task",
    [
        (["male", "female"], {}, "classification"),
        (["61.5", "44"], {}, "regression"),
        (["61.5", "44"], {"target_type": "numeric"}, "regression"),
        (["0", "1"], {"target_type": "categorical"}, "classification"),
    ],
)
def test_numbers_are_regression_unless_the_data_call_them_labels(labels, extra, task):
    assert find_task(make_rows(labels, **extra), EvalArguments()) == task
