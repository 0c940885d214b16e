"""Claims about the threads of the model where workers of the loader need cores of the same CPU."""

import os

import pytest
import torch

from umbrella.options.training_arguments import TrainArguments
from umbrella.training.cpu_threads import leave_cores_to_workers


@pytest.fixture
def four_cores(monkeypatch):
    before = torch.get_num_threads()
    monkeypatch.delenv("OMP_NUM_THREADS", raising=False)
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: set(range(4)), raising=False)
    torch.set_num_threads(4)
    yield
    torch.set_num_threads(before)


@pytest.mark.parametrize(("n_workers", "n_threads"), [(0, 4), (1, 3), (2, 2), (4, 1), (9, 1)])
def test_each_worker_has_a_core_and_the_model_one_at_least(n_workers, n_threads, four_cores, tmp_path):
    said = leave_cores_to_workers(TrainArguments(str(tmp_path), dataloader_num_workers=n_workers, use_cpu=True))
    assert torch.get_num_threads() == n_threads
    assert said is None if n_threads == 4 else said.startswith(f"threads of the model: {n_threads}, since {n_workers}")


def test_who_says_how_many_has_as_many(four_cores, monkeypatch, tmp_path):
    monkeypatch.setenv("OMP_NUM_THREADS", "4")
    assert leave_cores_to_workers(TrainArguments(str(tmp_path), dataloader_num_workers=2, use_cpu=True)) is None
    assert torch.get_num_threads() == 4
