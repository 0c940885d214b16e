"""Claims about the threads of the model where workers of the loader need cores of the same CPU."""

import os
from types import SimpleNamespace

import pytest
import torch
from datasets import Dataset

from umbrella.answers import generation
from umbrella.answers.generation import Answerer
from umbrella.rows.cpu_threads import cores_left_to_workers, leave_cores_to_workers, share_cores

CPU = torch.device("cpu")


@pytest.fixture
def four_cores(monkeypatch):
    before = torch.get_num_threads()
    monkeypatch.delenv("OMP_NUM_THREADS", raising=False)
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: set(range(4)), raising=False)
    torch.set_num_threads(4)
    yield
    torch.set_num_threads(before)


@pytest.mark.parametrize(("n_workers", "n_threads"), [(0, 4), (1, 3), (2, 2), (4, 1), (9, 1)])
def test_each_worker_has_a_core_and_the_model_one_at_least(n_workers, n_threads, four_cores):
    said = leave_cores_to_workers(n_workers, CPU)
    assert torch.get_num_threads() == n_threads
    assert said is None if n_threads == 4 else said.startswith(f"threads of the model: {n_threads}, since {n_workers}")


def test_who_says_how_many_has_as_many(four_cores, monkeypatch):
    monkeypatch.setenv("OMP_NUM_THREADS", "4")
    assert leave_cores_to_workers(2, CPU) is None
    assert torch.get_num_threads() == 4


def test_a_model_that_answers_shares_the_cores_as_long_as_its_workers_run(four_cores, capsys):
    """All who ask a model do it through `Answerer`."""

    class Asking(Answerer):
        def __init__(self, n_workers):
            self.model, self.num_workers, self.batch_size = torch.nn.Linear(1, 1), n_workers, 1
            self.model.device = CPU
            self.prompts, self.answers, self.candidates = SimpleNamespace(fetch_ahead=None), None, ()

        def _ask(self, batch):
            return [torch.get_num_threads()]

    rows = Dataset.from_dict({"a": [1, 2]})
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(generation._Questions, "__getitem__", lambda self, index: [])
        found = [list(Asking(n_workers).answer(rows, None)) for n_workers in (0, 1)]
    assert found == [[[4], [4]], [[3], [3]]] and torch.get_num_threads() == 4
    with pytest.raises(ZeroDivisionError), cores_left_to_workers(3, CPU):
        assert torch.get_num_threads() == 1 / 0
    assert torch.get_num_threads() == 4
    assert capsys.readouterr().out.count("threads of the model: 3, since 1 worker loads scans on 4 cores") == 1


def test_runs_beside_one_another_have_a_part_of_the_cores_each(four_cores):
    assert share_cores(2, {}, has_gpu=False) == {"OMP_NUM_THREADS": "2"}
    assert share_cores(9, {}, has_gpu=False) == {"OMP_NUM_THREADS": "1"}
    assert not share_cores(1, {}, False) and not share_cores(2, {}, True)
    assert not share_cores(2, {"OMP_NUM_THREADS": "4"}, False)
