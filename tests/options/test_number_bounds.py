"""Every number that a recipe takes is refused, by its flag's name, where it makes no sense."""

import math
import typing
from dataclasses import MISSING, fields

import pytest

from umbrella.cohort.many.arguments import ManyArguments
from umbrella.evaluation.folds.arguments import FoldArguments
from umbrella.evaluation.pointing.arguments import ExplainArguments
from umbrella.options.arguments import DataArguments, EvalArguments
from umbrella.options.number_bounds import Bounds
from umbrella.options.serve_arguments import CheckServedArguments, ServeArguments
from umbrella.options.tool_arguments import (
    BenchmarkArguments,
    CacheArguments,
    EstimateArguments,
    InspectArguments,
    PredictArguments,
    PreviewArguments,
)
from umbrella.options.training_arguments import TrainArguments

NEEDED = {
    TrainArguments: {"output_dir": "out", "report_to": "none"},
    DataArguments: {"json_dir": "data"},
    EvalArguments: {},
    InspectArguments: {},
    PredictArguments: {"image": "a.nii", "question": "b"},
    ManyArguments: {"folder": "scans", "output": "a.csv", "question": "b"},
    CacheArguments: {},
    BenchmarkArguments: {},
    EstimateArguments: {},
    PreviewArguments: {},
    ExplainArguments: {},
    FoldArguments: {},
    ServeArguments: {},
    CheckServedArguments: {},
}
# Where zero says something: none of it, or the first.
ZEROS = {
    "abstain_at", "adam_beta1", "adam_beta2", "data_seed", "dataloader_num_workers", "eval_answers", "eval_delay",
    "fold_seed", "folds", "label_smoothing_factor", "learning_rate", "lora_dropout", "max_grad_norm", "max_unreadable",
    "n", "neftune_noise_alpha", "num_workers", "seed", "shard_index", "warmup_steps", "weight_decay",
}  # fmt: skip
NEGATIVES = {"max_steps"}  # -1: as many as the epochs have
NOT_TYPED = {"local_rank"}  # a launcher's


def numbers(kind):
    """Fields whose value is one int or float, None aside."""
    hints = typing.get_type_hints(kind)
    for field in fields(kind):
        types = {*(typing.get_args(hints[field.name]) or (hints[field.name],))} - {type(None)}
        if field.init and types <= {int, float} and field.name not in NOT_TYPED:
            assert field.default is not MISSING
            yield field.name


EVERY = [(kind, name) for kind in NEEDED for name in numbers(kind)]


@pytest.mark.parametrize("kind, name", EVERY, ids=[f"{kind.__name__}-{name}" for kind, name in EVERY])
def test_no_number_of_any_recipe_may_be_senseless(kind, name):
    senseless = [math.nan] + ([] if name in NEGATIVES else [-1]) + ([-2] if name in NEGATIVES else [])
    senseless += [] if name in ZEROS and not (kind is PreviewArguments and name == "n") else [0]
    for value in senseless:
        with pytest.raises(ValueError, match=rf"^--{name}: expected .*found {value:g}"):
            kind(**NEEDED[kind], **{name: value})


def test_bounds_say_what_they_take():
    assert str(Bounds(1)) == "at least 1"
    assert str(Bounds(0, 1, open_above=True)) == "at least 0 and less than 1"
    assert str(Bounds(0, 2, open_below=True)) == "more than 0 and at most 2"
    assert str(Bounds(1, also=(-1,))) == "at least 1, or -1"
    assert math.inf not in Bounds(0) and math.nan not in Bounds(0) and -1 in Bounds(1, also=(-1,))


def test_scans_are_changed_twice_as_much_at_most():
    TrainArguments(**NEEDED[TrainArguments], augment_strength=2)
    with pytest.raises(ValueError, match=r"^--augment_strength: .* at most 2, found 2\.5"):
        TrainArguments(**NEEDED[TrainArguments], augment_strength=2.5)
