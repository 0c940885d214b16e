"""Of the libraries' messages those are left out that are not true here, and no other."""

import io
import logging

import pytest

from umbrella.options.commands.ending import run
from umbrella.options.commands.library_lines import LEFT_OUT


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
