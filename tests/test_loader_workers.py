"""Claims about a run's DataLoader workers: when training ends, whichever way, none is left."""

import multiprocessing

import pytest
import train

from umbrella.trainer import ConversationTrainer

FLAGS = (
    "--output_dir",
    "run",
    "--report_to",
    "none",
    "--batch_size",
    2,
    "--max_steps",
    8,
    "--dataloader_num_workers",
    2,
)


@pytest.mark.slow
def test_after_training_no_worker_is_left(call, small_data):
    call(train, "--json_dir", small_data, *FLAGS, "--batch_size", 2, "--eval_strategy", "steps", "--eval_steps", 4)
    assert multiprocessing.active_children() == []


def test_after_an_error_no_worker_is_left(call, small_data):
    with pytest.raises(SystemExit, match="expected a finite loss"):
        call(
            train, "--json_dir", small_data, *FLAGS, "--batch_size", 2, "--learning_rate", "1e30", "--max_grad_norm", 0
        )
    assert multiprocessing.active_children() == []


@pytest.mark.slow
def test_a_try_with_too_many_rows_leaves_no_worker(call, small_data, monkeypatch):
    compute_loss, present = ConversationTrainer.compute_loss, []

    def fit_two_rows(self, model, inputs, *args, **kwargs):
        if len(inputs["input_ids"]) > 2:
            raise RuntimeError("CUDA out of memory. Tried to allocate")
        present.append(len(multiprocessing.active_children()))
        return compute_loss(self, model, inputs, *args, **kwargs)

    monkeypatch.setattr(ConversationTrainer, "compute_loss", fit_two_rows)
    call(train, "--json_dir", small_data, *FLAGS, "--batch_size", 4, "--auto_find_batch_size", "true")
    assert set(present) == {2}
