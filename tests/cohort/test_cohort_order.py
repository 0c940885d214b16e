"""The order of sessions in time, from numbers and dates of one form; what could mean two orders is refused."""

import random
from datetime import date, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from umbrella.cohort.order import make_session_order
from umbrella.cohort.shared.visits import CohortError, Visit

DAYS = st.lists(st.dates(date(1950, 1, 1), date(2040, 12, 31)), min_size=2, max_size=8, unique=True)


def order(cells):
    visits = [Visit("sub-01", str(i), {"when": cell}) for i, cell in enumerate(cells)]
    random.Random(0).shuffle(visits)
    return [int(visit.session) for visit in make_session_order(visits, (), "when")(visits)]


@given(DAYS, st.sampled_from(["%Y-%m-%d", "%d.%m.%Y", "%Y%m%d", "%Y-%m-%dT10:00:00", "%Y-%m-%d 09:30"]))
def test_dates_of_one_form_are_in_order_of_time(days, form):
    assert order([day.strftime(form) for day in days]) == sorted(range(len(days)), key=lambda i: days[i])


@given(DAYS, st.sampled_from(["%d/%m/%Y", "%m/%d/%Y", "%d-%m-%Y"]))
def test_day_and_month_are_told_from_the_whole_column_or_asked_about(days, form):
    cells = [day.strftime(form) for day in days]
    if all(day.day <= 12 for day in days):
        with pytest.raises(CohortError, match="whether the day or the month stands first"):
            order(cells)
    else:
        assert order(cells) == sorted(range(len(days)), key=lambda i: days[i])


def test_numbers_may_have_decimal_commas():
    assert order(["10,5", "9,25", "100"]) == [1, 0, 2]


def test_times_with_zones_are_compared_as_one_clock():
    assert order(["2020-01-31T10:00:00+02:00", "2020-01-31T09:00:00+00:00"]) == [0, 1]


@pytest.mark.parametrize(
    "cells, message",
    [
        (["2020-01-31", "3"], "found '.*' and '.*'"),
        (["2020-01-31", "spring"], "found 'spring'"),
        (["2020-02-31", "2020-01-01"], "found '2020-02-31'"),
        (["31.02.2020", "01.01.2020"], "found '31.02.2020'"),
        (["31/01/2020", "01/31/2020"], "whether the day or the month stands first .* found both"),
        (["2020-01-31", "n/a"], "found 'n/a' at sub-01 session 1"),
    ],
)
def test_what_cannot_be_put_in_order_is_refused_with_the_cell(cells, message):
    with pytest.raises(CohortError, match=f"--order_by when: expected .*{message}.*--sessions in their order"):
        order(cells)


def test_a_hundred_days_in_a_row_keep_their_order_over_new_year():
    days = [date(2019, 12, 1) + timedelta(days=7 * i) for i in range(9)]
    assert order([day.strftime("%d.%m.%Y") for day in days]) == list(range(9))
