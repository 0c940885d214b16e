"""A flag that stands twice on a command line is not read in silence."""

import argparse

import pytest
from hypothesis import given
from hypothesis import strategies as st

from umbrella.options.arguments import DataArguments
from umbrella.options.parsing import parse_arguments
from umbrella.options.plain_parser import PlainParser
from umbrella.options.repeated_flags import note_repeated

TWICE, MEANT = "is given twice: ", ". If all are meant, give them behind one flag\n"
PARSER = argparse.ArgumentParser()
PARSER.add_argument("--json_dir", nargs="+")
PARSER.add_argument("--image_root")
PARSER.add_argument("--fast", action="store_true")
PARSER.add_argument("--no_fast", action="store_false", dest="fast")
PARSER.add_argument("--sure", nargs="?", const=True)


def check(*argv):
    note_repeated(argv, lambda argument: PARSER._option_string_actions.get(argument.partition("=")[0]))


@pytest.mark.parametrize(
    ("argv", "said"),
    [
        (["--image_root", "a", "--image_root", "b"], "note: --image_root is given twice: b counts, not a\n"),
        (["--image_root=a", "--image_root", "b"], "note: --image_root is given twice: b counts, not a\n"),
        (["--json_dir", "a", "--fast", "--json_dir", "b", "c"], f"note: --json_dir {TWICE}b c counts, not a{MEANT}"),
        (["--json_dir=a", "b", "--json_dir=c"], f"note: --json_dir {TWICE}c counts, not a b{MEANT}"),
        (["--fast", "--no_fast"], "note: --no_fast is given twice: --no_fast counts, not --fast\n"),
        (["--sure", "--sure=false"], "note: --sure is given twice: false counts, not --sure\n"),
        (["--sure", "--sure", "true", "--fast", "place", "--fast"], ""),
        (["--image_root", "a", "place", "--image_root", "a"], ""),
        (["--fast", "--fast", "--json_dir", "a", "--json_dir", "a", "--unknown", "1", "--unknown", "2"], ""),
    ],
)
def test_the_last_counts_and_that_is_said_once_of_all_processes(argv, said, capfd, monkeypatch):
    check(*argv)
    assert capfd.readouterr().err == said
    monkeypatch.setenv("RANK", "1")
    check(*argv)
    assert capfd.readouterr().err == ""


@given(st.permutations([["--json_dir", "a", "b"], ["--image_root", "c"], ["--fast"], ["place"]]))
def test_flags_that_stand_once_are_fine_in_any_order(parts):
    check(*(argument for part in parts for argument in part))


def test_every_kind_of_command_line_is_asked(capsys):
    def parse_plainly(argv):
        parser = PlainParser()
        parser.add_argument("--metadata", nargs="+")
        parser.parse_args(argv)

    parse_plainly(["--metadata", "a", "--metadata", "b"])
    assert capsys.readouterr().err == f"note: --metadata {TWICE}b counts, not a{MEANT}"
    (found,) = parse_arguments((DataArguments,), ["--json_dir", "a", "--json_dir", "b"])
    assert found.json_dir == "b"
    assert capsys.readouterr().err == f"note: --json_dir {TWICE}b counts, not a{MEANT}"


def test_what_the_command_line_overrides_in_a_yaml_is_no_repetition(tmp_path, capsys):
    (tmp_path / "recipe.yaml").write_text("json_dir: [a, b]\nimage_root: c\n")
    (found,) = parse_arguments(
        (DataArguments,), [str(tmp_path / "recipe.yaml"), "--json_dir", "d", "--image_root", "e"]
    )
    assert (found.json_dir, found.image_root) == ("d", "e")
    assert capsys.readouterr().err == ""
