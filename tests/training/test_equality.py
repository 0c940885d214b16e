"""Claims about several processes: gradients and losses as of one process, every row once, whatever the rows hold.

Rows without a scan, with one and with five come to the processes in one step; volumes in three sizes, and series.
"""

from pathlib import Path

import equality_program
import pytest
import torch
from conversation_folder import write_folder
from family_models import MODELS
from forking import run_ranks

TESTS = Path(__file__).parents[1]
N_SCANS = [0, 1, 5, 0, 1, 1, 0, 0, 2, 1, 0, 0, 0, 5, 1, 1, 0, 1, 2, 0, 0, 1]  # a row; 22 do not fill batches of 4


@pytest.fixture(scope="module")
def mixed_data(tmp_path_factory):
    return write_folder(tmp_path_factory.mktemp("mixed") / "data", {"train": N_SCANS})


@pytest.fixture(scope="module")
def alone(mixed_data, tmp_path_factory):
    """One process with batches of four."""
    return equality_program.train("tiny", mixed_data, tmp_path_factory.mktemp("alone"), 4, 1)


def launch_two(data, output, deepspeed, *families):
    """Two processes with batches of two each; what each wrote down, by family."""
    run_ranks([TESTS / "equality_program.py", data, output, 2, 1, deepspeed, *families], output)
    return [torch.load(output / f"rank{rank}.pt", weights_only=False) for rank in range(2)]


def relative_difference(one, other):
    """The norm of the whole gradients' difference over the norm."""
    assert one.keys() == other.keys()
    difference = sum(float(((one[name] - other[name]) ** 2).sum()) for name in one)
    return (difference / sum(float((value**2).sum()) for value in one.values())) ** 0.5


def check_equal(found, expected):
    assert relative_difference(found["gradient"], expected["gradient"]) < 1e-6
    assert len(found["losses"]) == len(expected["losses"])
    assert found["losses"] == pytest.approx(expected["losses"], abs=1e-4)


def check_rows(ranks, n_rows, steps, per_epoch=None):
    """Each epoch, every row is seen once over all processes."""
    per_epoch = per_epoch or -(-n_rows // 4)
    for start in range(0, steps - per_epoch + 1, per_epoch):
        names = [name for rank in ranks for batch in rank["seen"][start : start + per_epoch] for name in batch]
        assert sorted(names) == sorted(f"train_{number}" for number in range(n_rows))


@pytest.mark.slow
def test_one_process_sees_each_row_once_an_epoch(alone):
    check_rows([alone], len(N_SCANS), 20)
    assert alone["losses"][-1] < 0.5 * alone["losses"][0]


@pytest.mark.slow
def test_accumulation_of_two_batches_is_one_batch_of_twice_the_size(alone, mixed_data, tmp_path):
    check_equal(equality_program.train("tiny", mixed_data, tmp_path, 2, 2), alone)


@pytest.mark.slow
@pytest.mark.parametrize("family", MODELS)
def test_accumulation_weighs_the_tokens_of_every_family_alike(family, mixed_data, tmp_path):
    whole, halves = (
        equality_program.train(family, mixed_data, tmp_path / str(size), size, 4 // size) for size in (4, 2)
    )
    check_equal(halves, whole)


@pytest.fixture(scope="module")
def alone_by_tokens(mixed_data, tmp_path_factory):
    """One process that takes two batches by tokens a step."""
    return equality_program.train("tokens", mixed_data, tmp_path_factory.mktemp("tokens"), 2, 2)


def check_tokens(ranks, alone):
    """Two processes with one batch by tokens each, of two epochs: in each step the rows of the one with two."""
    check_equal(ranks[0], alone)
    n_steps = len(alone["losses"])
    check_rows(ranks, len(N_SCANS), n_steps, n_steps // 2)
    for step in range(n_steps):
        both = [alone["seen"][2 * step + rank] for rank in range(2)]
        assert [rank["seen"][step] for rank in ranks] == both
    assert len({len(batch) for batch in alone["seen"]}) > 1


OTHERS = ("qwen2_5_vl", "gemma3", "idefics3", "volumes")  # the first takes no number of tokens


@pytest.mark.slow
def test_two_processes_of_ddp_are_one_process(alone, alone_by_tokens, mixed_data, tmp_path):
    ranks = launch_two(mixed_data, tmp_path, "none", "tiny", "tokens", *OTHERS)
    check_tokens([rank["tokens"] for rank in ranks], alone_by_tokens)
    check_equal(ranks[0]["tiny"], alone)
    check_rows([rank["tiny"] for rank in ranks], len(N_SCANS), 20)
    assert {rank["tiny"]["model_type"] for rank in ranks} == {"DistributedDataParallel"}
    for family in OTHERS:
        check_equal(ranks[0][family], equality_program.train(family, mixed_data, tmp_path / family, 4, 1))


@pytest.mark.slow
@pytest.mark.parametrize("stage", [2, pytest.param(3, marks=pytest.mark.nightly)])
def test_two_processes_of_deepspeed_are_one_process(stage, alone, alone_by_tokens, mixed_data, tmp_path):
    ranks = launch_two(
        mixed_data, tmp_path, TESTS.parent / f"ds_configs/zero{stage}.json", "tiny", "tokens", "volumes"
    )
    check_tokens([rank["tokens"] for rank in ranks], alone_by_tokens)
    check_equal(ranks[0]["tiny"], alone)
    check_equal(ranks[0]["volumes"], equality_program.train("volumes", mixed_data, tmp_path / "volumes", 4, 1))
    check_rows([rank["tiny"] for rank in ranks], len(N_SCANS), 20)
    assert {rank["tiny"]["model_type"] for rank in ranks} == {"DeepSpeedEngine"}
