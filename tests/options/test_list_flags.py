"""Lists are taken with commas or spaces alike, and no part that was kept together is torn."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from umbrella.options.list_flags import split_list

WORDS = st.text(st.characters(exclude_characters=",", exclude_categories=("Z", "C")), min_size=1)
PHRASES = st.lists(WORDS, min_size=1, max_size=3).map(" ".join)


@given(st.lists(WORDS), st.sampled_from([",", " ", ", ", " , ", "  ", "\t"]))
def test_words_with_commas_or_spaces_between_come_out_as_they_went_in(words, separator):
    assert split_list(separator.join(words)) == words
    assert split_list(words) == words


@given(st.lists(PHRASES, min_size=2))
def test_phrases_stay_whole_between_commas_and_as_values_of_their_own(phrases):
    assert split_list(",".join(phrases)) == phrases
    assert split_list(", ".join(phrases)) == phrases
    assert split_list(phrases) == phrases


@given(st.lists(WORDS, min_size=2))
def test_a_shell_that_tears_a_list_at_its_spaces_changes_nothing(words):
    assert split_list(", ".join(words).split()) == words
    assert split_list(" ,".join(words).split(" ")) == words


@pytest.mark.parametrize("values", ["", " ", ",", " , ,", [], [""], [",", ""]])
def test_nothing_is_an_empty_list(values):
    assert split_list(values) == []
