"""What an epoch has of each of several cohorts: exact shares, rows that come evenly, the same for any processes."""

import json

import numpy as np
import pytest
import torch

from umbrella.rows.batches.cohorts import Cohorts
from umbrella.rows.batches.order import BatchSizes, RowOrder
from umbrella.rows.batches.repeats import split_index
from umbrella.rows.batches.token_batches import TokenBatches, TokenPlan


def make(sizes, weights=None, names="ABCDEF"):
    members = torch.arange(sum(sizes)).split(list(sizes))
    return Cohorts(tuple(names[: len(sizes)]), members, weights)


def count(drawn, sizes):
    return np.histogram(drawn, np.cumsum([0, *sizes]))[0].tolist()


def test_every_epoch_has_the_weights_shares_of_as_many_rows_as_there_are():
    sizes, weights = (70_000, 25_000, 5_000), (0.6, 0.3, 0.1)
    for epoch in range(3):
        drawn = make(sizes, weights).draw(7, epoch)
        shares = np.array(count(drawn, sizes)) / len(drawn)
        assert len(drawn) == 100_000
        assert shares == pytest.approx(weights, abs=1e-5)  # of a row


def test_within_a_cohort_no_row_comes_more_than_once_more_often_than_another():
    sizes, weights = (97, 31, 8), (0.3, 0.45, 0.25)
    cohorts, seen = make(sizes, weights), np.zeros(136, int)
    for epoch in range(12):
        seen += np.bincount(cohorts.draw(0, epoch), minlength=136)
        for members in cohorts.members:
            assert np.ptp(seen[members]) <= 1
    assert [seen[members].sum() for members in cohorts.members] == [12 * n for n in cohorts.counts()]


def test_without_weights_every_row_comes_once():
    drawn = make((5, 9)).draw(3, 4)
    assert sorted(drawn.tolist()) == list(range(14))


def test_an_epochs_draw_is_its_own_and_none_of_the_random_state():
    cohorts = make((50, 20), (0.5, 0.5))
    first = cohorts.draw(1, 5)
    torch.manual_seed(9)
    state = torch.get_rng_state()
    assert torch.equal(cohorts.draw(1, 5), first)
    assert torch.equal(torch.get_rng_state(), state)
    assert not torch.equal(cohorts.draw(1, 6), first)
    assert not torch.equal(cohorts.draw(2, 5), first)
    large = [row for epoch in (0, 1) for row in cohorts.draw(1, epoch).tolist() if row < 50]
    assert len(set(large)) == 50  # 35 an epoch: the second begins with the 15 that the first has left


@pytest.mark.parametrize("strategy", ["random", "sequential", "group_by_length"])
def test_the_rows_of_a_step_are_the_same_for_any_division_into_processes_and_batches(strategy):
    cohorts, lengths = make((30, 12, 6), (0.2, 0.4, 0.4)), np.random.default_rng(0).integers(1, 99, 48).tolist()

    def order(rows_a_batch):
        sizes = BatchSizes(rows_a_step=8, rows_a_batch=rows_a_batch)
        return list(RowOrder(48, strategy, sizes, 0, lambda: 2, lengths, cohorts))

    steps = [[sorted(rows) for rows in np.reshape(order(n), (-1, 8))] for n in (8, 4, 2, 1)]  # 1×8 … 4×2, 2×4 …
    assert all(str(other) == str(steps[0]) for other in steps)
    assert count([split_index(place)[1] for place in order(8)], (30, 12, 6)) == cohorts.counts()


@pytest.mark.parametrize("by_tokens", [False, True])
def test_each_index_says_how_often_its_row_came_before_in_the_epoch(by_tokens):
    cohorts, lengths = make((30, 12, 6), (0.2, 0.4, 0.4)), np.random.default_rng(0).integers(1, 99, 48)
    plan = TokenPlan(lengths, lengths, 200, 4, lambda epoch: cohorts.draw(0, epoch))
    rows = RowOrder(48, "random", BatchSizes(8, 8), 0, lambda: 0, None, cohorts)
    batches = list(TokenBatches(plan, 0, lambda: 0)) if by_tokens else [list(rows)]
    if by_tokens:
        assert list(map(len, batches)) == list(map(len, plan.batches(0, 0)))
    times = {}
    for before, row in (split_index(place) for batch in batches for place in batch):
        assert before == times.get(row, 0)
        times[row] = before + 1
    assert max(times.values()) == 4  # 19 rows of 6
    assert count(np.repeat([*times], [*times.values()]), (30, 12, 6)) == cohorts.counts()


def test_blank_rows_fill_the_last_batch_behind_those_that_were_drawn():
    order = list(RowOrder(10, "random", BatchSizes(8, 4), 0, lambda: 0, None, make((8, 2), (0.5, 0.5))))
    assert count([split_index(place)[1] for place in order[:10]], (8, 2)) == [5, 5]
    assert order[10:] == [10, 11]


def test_a_cohort_without_a_row_and_a_weight_of_none_are_refused():
    with pytest.raises(ValueError, match=r"cohort B: expected training rows, found none: it has no split train"):
        make((5, 0)).check()
    with pytest.raises(ValueError, match=r"cohort B: expected a weight that comes to a row an epoch, at least 0\.1 "):
        make((8, 2), (0.98, 0.02)).check()
    make((8, 2), (0.9, 0.1)).check()


def test_what_is_recorded_and_said():
    cohorts = make((6, 4), (0.7, 0.3))
    assert json.loads(json.dumps(cohorts.shares)) == {"A": 0.7, "B": 0.3}
    assert cohorts.describe() == "cohorts: rows an epoch: A 7 (70.0%), B 3 (30.0%)"
    assert make((6, 4)).shares == {}
