"""What data bring along gives a terminal no orders and no page signs that HTML does not have, whoever prints it."""

import io
import json
import re
import sys
from pathlib import Path

import pytest
import validate_json_format
from conversation_folder import make_record, write_folder
from hypothesis import example, given
from hypothesis import strategies as st
from jinja2 import DictLoader
from properties import examples
from tqdm import tqdm

from umbrella.options.commands.control_signs import COLOURS, guard_terminal, print_exactly, show_controls
from umbrella.options.commands.ending import run
from umbrella.report import page

HOSTILE = "x\x1b[2J\x1b]0;pwn\x07\x9b5m\x7f\u202e"
ORDERS = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069]")


def print_guarded(name, write):
    stream = io.TextIOWrapper(io.BytesIO(), encoding="utf-8", newline="")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(sys, name, stream)
        guard_terminal()
        guard_terminal()  # once is enough
        write(stream)
    stream.flush()
    return stream.buffer.getvalue().decode()


@pytest.mark.parametrize(("is_terminal", "expected"), [(False, "x\x1b[2J\n"), (True, "x\\x1b[2J\n")])
def test_an_answer_is_exact_where_no_terminal_reads_it(is_terminal, expected):
    def write(stream):
        stream.isatty = lambda: is_terminal
        print_exactly("x\x1b[2J")

    assert print_guarded("stdout", write) == expected


@examples(40)
@given(
    st.text(max_size=30).filter(lambda text: text.isprintable()) | st.text("\x1b[0m;24A]\r\n\tx\x9b\x07", max_size=30)
)
@example(HOSTILE)
def test_standard_output_shows_all_and_obeys_our_colours_alone(text):
    printed = print_guarded("stdout", lambda stream: print(text, file=stream))
    for colour in COLOURS.values():
        text, printed = text.replace(colour, ""), printed.replace(colour, "")
    assert not ORDERS.search(printed)
    assert printed == show_controls(text) + "\n"


def test_standard_error_draws_bars_and_obeys_nothing_else():
    bar = print_guarded(
        "stderr", lambda stream: [None for _ in tqdm(range(3), file=stream, position=1, mininterval=0)]
    )
    assert "\r" in bar and "\x1b[A" in bar and "3/3" in bar and "\\x" not in bar
    assert print_guarded("stderr", lambda stream: stream.write(HOSTILE)) == show_controls(HOSTILE)


def test_the_validators_findings_on_hostile_names_and_ids(tmp_path, capsys):
    """A task_id twice, a scan that is missing, a file's own name."""
    folder = write_folder(tmp_path / "data", {"train": [1]})
    record = make_record(HOSTILE, [f"{HOSTILE}.nii"])
    for name in ("a", HOSTILE.replace("/", "")):
        (folder / f"train/{name}.json").write_text(json.dumps(record))
    with pytest.raises(SystemExit):
        run(lambda: sys.exit(validate_json_format.main([str(folder), "--check_images"])))
    printed = capsys.readouterr().out
    assert not ORDERS.search(printed)
    assert printed.count(r"x\x1b[2J\x1b]0;pwn\x07") >= 3


def test_a_page_holds_no_control_signs(tmp_path, monkeypatch):
    monkeypatch.setattr(page._ENVIRONMENT, "loader", DictLoader({"x": "<p>{{ text }}</p>\n<b>{{ text|safe }}</b>\n"}))
    page.write_page(Path(tmp_path / "x.html"), "x", text="a\x1b[2J\x00\x9b\x7f\n\tb")
    text = "a\ufffd[2J\ufffd\ufffd\ufffd\n\tb"
    assert (tmp_path / "x.html").read_text() == f"<p>{text}</p>\n<b>{text}</b>"
