"""Of the libraries' messages those are left out that are not true here, and no other."""

import io
import logging

import pytest

from umbrella import command
from umbrella.command import describe_launcher, run
from umbrella.evaluation.readability import describe_unreadable
from umbrella.library_lines import LEFT_OUT


@pytest.mark.parametrize("name", LEFT_OUT)
def test_one_message_of_a_logger_is_left_out_and_others_are_not(name):
    run(lambda: None)
    shown = io.StringIO()
    logger, handler = logging.getLogger(name), logging.StreamHandler(shown)
    logger.addHandler(handler)
    logger.warning(f"{LEFT_OUT[name].start} and so on")
    logger.warning("something else")
    logger.removeHandler(handler)
    assert shown.getvalue() == "something else\n"


@pytest.mark.parametrize(
    "variable, words",
    [
        (
            "ACCELERATE_MIXED_PRECISION",
            "what accelerate may print below only says that this command has ended; `accelerate launch --quiet`",
        ),
        ("TORCHELASTIC_RUN_ID", "what the launcher may print below"),
    ],
)
def test_an_error_says_that_the_launchers_traceback_is_the_launchers(monkeypatch, variable, words):
    for name in ("ACCELERATE_MIXED_PRECISION", "TORCHELASTIC_RUN_ID", "CROSS_RANK"):
        monkeypatch.delenv(name, raising=False)
    assert describe_launcher() == ""
    monkeypatch.setenv(variable, "no")
    monkeypatch.setattr(command.Path, "read_bytes", lambda path: b"accelerate\0launch\0train.py\0")

    def fail():
        raise ValueError("expected a, found b")

    with pytest.raises(SystemExit, match=r"^error: expected a, found b\n\(") as end:
        run(fail)
    assert words in str(end.value)


def test_answers_of_which_most_are_unreadable_are_told_with_the_first():
    records = [{"parsed_label": None, "prediction": "......"}] * 7 + [{"parsed_label": "male", "prediction": "male"}]
    assert describe_unreadable(records, 64).startswith("7 of 8 answers state none of the labels, the first: '......'.")
    assert describe_unreadable(records[3:], 64) is not None and describe_unreadable(records[6:], 64) is None
    assert "state no number" in describe_unreadable([{"parsed_number": None, "prediction": "x"}], 64)
    assert describe_unreadable([{"prediction": "free text"}], 64) is None


def test_accelerate_that_is_quiet_is_not_said_to_print(monkeypatch):
    for name in ("TORCHELASTIC_RUN_ID", "CROSS_RANK"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("ACCELERATE_MIXED_PRECISION", "no")
    monkeypatch.setattr(command.Path, "read_bytes", lambda path: b"accelerate\0launch\0--quiet\0train.py\0")
    assert describe_launcher() == ""
