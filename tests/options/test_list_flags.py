"""Lists are taken with commas or spaces alike, and no part that was kept together is torn."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from umbrella.options.arguments import DataArguments
from umbrella.options.list_flags import split_list
from umbrella.options.parsing import parse_arguments
from umbrella.validation.flags import parse_options

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


@pytest.mark.parametrize("separator", [",", " ", ", "])
def test_addresses_may_hold_commas_and_spaces(separator):
    roots = ["s3://bucket/my study, of 2020", "hf://datasets/a/b", "s3://bucket/x y"]
    assert split_list(separator.join(roots)) == split_list(roots) == roots
    assert split_list(roots[0]) == roots[:1]
    flags = ["--remote_roots", *roots, "--image_root", roots[0]]
    assert parse_arguments((DataArguments,), ["--json_dir", "d", *flags])[0].remote_roots == roots
    assert parse_options(["d", "--remote_roots", separator.join(roots)]).remote_roots == roots


@pytest.mark.parametrize("values", ["", " ", ",", " , ,", [], [""], [",", ""]])
def test_nothing_is_an_empty_list(values):
    assert split_list(values) == []
