"""Claims about a run's DataLoader workers: when training ends, whichever way, none is left."""

import multiprocessing
import os
import signal

import pytest
import train
from torch.utils.data import DataLoader, Dataset

from umbrella.options.commands.ending import run
from umbrella.training.trainer import ConversationTrainer

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


@pytest.mark.slow
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


class Deadly(Dataset):
    """Rows of which each kills the process that reads it."""

    def __len__(self):
        return 4

    def __getitem__(self, index):
        os.kill(os.getpid(), signal.SIGKILL)


def test_a_worker_that_was_killed_is_said_in_a_sentence():
    with pytest.raises(
        SystemExit, match=r"^error: expected the processes .* one that has ended \(DataLoader worker .*\)\. "
    ):
        run(lambda: list(DataLoader(Deadly(), num_workers=2)))
