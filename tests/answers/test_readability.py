"""Answers of a model that has not learned to answer are told, and what to change."""

from umbrella.answers.readability import describe_unreadable


def test_answers_of_which_most_are_unreadable_are_told_with_the_first():
    records = [{"parsed_label": None, "prediction": "......"}] * 7 + [{"parsed_label": "male", "prediction": "male"}]
    assert describe_unreadable(records, 64).startswith("7 of 8 answers state none of the labels, the first: '......'.")
    assert describe_unreadable(records[3:], 64) is not None and describe_unreadable(records[6:], 64) is None
    assert "state no number" in describe_unreadable([{"parsed_number": None, "prediction": "x"}], 64)
    assert describe_unreadable([{"prediction": "free text"}], 64) is None
