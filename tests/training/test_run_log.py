"""A run's log is lines of numbers, and its end says whether the model has learned and what to change if not."""

from types import SimpleNamespace

import pytest

from umbrella.options.training_arguments import TrainArguments
from umbrella.training.run_log import describe_learning, to_line


@pytest.fixture
def describe(tmp_path):
    def describe_run(losses, model="tiny", given=(), unparseable=None, steps=48, **options):
        args = TrainArguments(output_dir=str(tmp_path), report_to="none", **options)
        args.given = dict(given)
        history = [{"loss": loss, "step": step} for step, loss in enumerate(losses)]
        history += [] if unparseable is None else [{"eval_unparseable": unparseable, "step": steps}]
        state = SimpleNamespace(log_history=[*history, {"train_loss": 5.9, "step": steps}], global_step=steps)
        return describe_learning(state, args, model, vocabulary_size=600)

    return describe_run


def test_a_log_is_a_line_of_numbers_and_that_of_the_whole_run_none():
    state = SimpleNamespace(global_step=20, max_steps=200, epoch=2.5)
    logs = {"loss": 5.0891, "grad_norm": 3.33, "learning_rate": 0.00095, "epoch": 2.5, "eval_steps_per_second": 3}
    assert to_line(logs, state) == "step 20 of 200  epoch 2.5  loss 5.089  grad_norm 3.33  learning_rate 0.00095"
    assert to_line({"train_runtime": 2.57, "train_loss": 5.915, "epoch": 3}, state) is None


def test_a_model_that_learned_has_its_two_losses_said(describe):
    assert describe([6.41, 2.0, 0.11]) == ["loss 6.41 → 0.11 in 48 steps"]


def test_tiny_as_the_readme_had_it_is_told_to_leave_its_flags_out(describe):
    said = describe([6.41, 5.98], given={"num_train_epochs": "--epochs"}, num_train_epochs=3)
    assert said[1:] == [
        "The model has hardly learned: guessing among its 600 tokens has loss 6.4. To let the model learn "
        "more: leave out --epochs, tiny has defaults that train it."
    ]


def test_of_two_lengths_the_one_that_rules_is_to_be_left_out_where_it_stands(describe):
    given = {"num_train_epochs": "--num_train_epochs (in a.yaml)", "max_steps": "--max_steps"}
    assert "leave out --max_steps, tiny" in describe([6.41, 5.98], given=given, max_steps=3)[1]
    said = describe([6.4, 5.9], given=given | {"learning_rate": "--learning_rate"}, learning_rate=1.0)[1]
    assert "leave out --num_train_epochs (in a.yaml) and --learning_rate, tiny" in said


def test_without_logged_losses_the_mean_of_the_run_tells(describe):
    assert describe([])[0] == "loss 5.9 in 48 steps"
    assert "has hardly learned" in describe([])[1]


def test_a_loss_that_barely_fell_says_by_how_much_and_what_to_change(describe):
    said = describe([0.9, 0.87], "lab/model", learning_rate=1e-6, num_train_epochs=1, train="projector")
    assert said[1] == (
        "The loss fell by 3.3% only. To let the model learn more: try a higher --learning_rate (it was 1e-06), "
        "more --epochs (48 steps were done) or more parts in --train (they were projector)."
    )
    assert describe([0.9], "lab/model", steps=1)[0] == "loss 0.9 in 1 step"
    assert "(1 step was done)" in describe([6.4], "lab/model", steps=1)[1]
    assert "rose by 11.1%" in describe([0.9, 1.0], "lab/model")[1]
    assert "a lower --learning_rate (it was 1)" in describe([6.4, 9.0], "lab/model", learning_rate=1.0)[1]
    assert describe([0.9, 0.8], "lab/model") == ["loss 0.9 → 0.8 in 48 steps"]


def test_unreadable_answers_are_told(describe):
    assert describe([6.4, 0.5], unparseable=0.5) == ["loss 6.4 → 0.5 in 48 steps"]
    said = describe([6.4, 0.5], unparseable=1.0)[1]
    assert said.startswith("100% of the answers to validation rows state no label or number. To let the model learn")
