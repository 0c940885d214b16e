"""tiny's defaults train it, and losses, evaluations and checkpoints suit the run's length, where nobody has said."""

import pytest

from umbrella.options.arguments import DataArguments, ModelArguments
from umbrella.options.parsing import parse_arguments
from umbrella.options.training_arguments import TrainArguments
from umbrella.rows.batches.token_batches import TokenPlan
from umbrella.training.run_defaults import count_steps, settle_run


@pytest.fixture
def parse(tmp_path):
    def parse_flags(*flags, yaml=None):
        front = []
        if yaml is not None:
            (tmp_path / "recipe.yaml").write_text(yaml)
            front = [str(tmp_path / "recipe.yaml")]
        needed = ["--json_dir", "data", "--output_dir", str(tmp_path / "out"), "--report_to", "none"]
        return parse_arguments((ModelArguments, DataArguments, TrainArguments), [*front, *needed, *flags])[2]

    return parse_flags


def settings(args):
    return args.learning_rate, args.per_device_train_batch_size, args.num_train_epochs


def test_tiny_has_a_learning_rate_a_batch_size_and_epochs_of_its_own(parse):
    args = parse()
    args, said = settle_run(args, "tiny", 64)
    assert settings(args) == (1e-3, 8, 38) and count_steps(args, 64) == 304
    assert said == [
        "defaults of tiny: --learning_rate 0.001 --per_device_train_batch_size 8 --epochs 38 (they train random "
        "weights; 64 rows make 304 steps; flags overrule them)"
    ]


def test_what_a_flag_or_a_yaml_says_stands(parse):
    for args in (
        parse("--epochs", "2", "--batch_size", "4", "--learning_rate", "2e-5"),
        parse("--learning-rate=2e-5", yaml="num_train_epochs: 2\nbatch_size: 4\n"),
    ):
        args, said = settle_run(args, "tiny", 64)
        assert said == [] and settings(args) == (2e-5, 4, 2)
    args, _ = settle_run(parse("--max_steps", "7"), "tiny", 64)
    assert (args.max_steps, args.num_train_epochs) == (7, 3)


def test_another_model_and_many_rows_keep_the_guides_defaults(parse):
    args = parse("--model_name_or_path", "some-lab/some-model")
    args, said = settle_run(args, "some-lab/some-model", 64)
    assert said == [] and settings(args) == (2e-5, 4, 3)
    args, _ = settle_run(parse(), "tiny", 10_000)
    assert settings(args) == (1e-3, 8, 3)


def test_a_run_by_tokens_has_the_steps_of_its_plan(parse):
    plan = TokenPlan(
        [100] * 40 + [400] * 20, [16] * 60, 800, batches_a_step=4
    )  # 5 + 10 batches, 16 so that steps are whole
    args, said = settle_run(parse("--tokens_per_batch", "800", "--gradient_accumulation_steps", "4"), "tiny", 60, plan)
    assert plan.n_steps == 4 and count_steps(args, 60, plan) == 4 * 75 == 4 * args.num_train_epochs
    assert said[0].startswith("defaults of tiny: --learning_rate 0.001 --epochs 75 (they train random weights; 60 ro")
    assert said[1].startswith(
        "--tokens_per_batch 800: an epoch has 16 batches in 4 steps; a batch has 2 to 7 rows, 3.8"
    )
    args, _ = settle_run(parse("--tokens_per_batch", "800", "--max_steps", "7"), "tiny", 60, plan)
    assert count_steps(args, 60, plan) == 7


@pytest.mark.parametrize("n_rows, steps", [(16, 15), (64, 16), (8_000, 50), (1_000_000, 50)])
def test_losses_are_shown_from_the_first_step_on(parse, n_rows, steps):
    args, _ = settle_run(parse(), "tiny", n_rows)
    assert (args.logging_first_step, args.logging_steps) == (True, steps)


def test_given_logging_stands(parse):
    args, _ = settle_run(parse("--logging_steps", "500", "--logging_first_step", "false"), "tiny", 64)
    assert (args.logging_first_step, args.logging_steps) == (False, 500)


def test_evaluations_by_steps_happen_in_a_short_run_too(parse):
    args = parse("--eval_strategy", "steps", "--load_best_model_at_end", "true", "--max_steps", "40")
    args, said = settle_run(args, "tiny", 64)
    assert (args.eval_steps, args.save_steps) == (4, 4) and said[-1] == "--eval_steps 4: the run has 40 steps"
    args, _ = settle_run(parse("--eval_strategy", "steps", "--eval_steps", "30", "--max_steps", "40"), "tiny", 64)
    assert args.eval_steps == 30


def test_the_arguments_that_were_given_stay_as_they_were(parse):
    args = parse("--eval_strategy", "steps", "--load_best_model_at_end", "true", "--max_steps", "40")
    before = args.to_dict()
    settled, _ = settle_run(args, "tiny", 64)
    assert args.to_dict() == before != settled.to_dict()


@pytest.mark.parametrize(
    "flags, n_rows, steps",
    [((), 65, 27), (("--dataloader_drop_last", "true"), 65, 24), (("--gradient_accumulation_steps", "4"), 65, 9)],
)
def test_steps_are_counted_as_they_are_taken(parse, flags, n_rows, steps):
    assert count_steps(parse("--epochs", "3", *flags), n_rows) == steps
