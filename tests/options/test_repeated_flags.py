"""A flag that stands twice on a command line is not read in silence."""

import argparse

import pytest
from hypothesis import given
from hypothesis import strategies as st

from umbrella.options.arguments import DataArguments
from umbrella.options.parsing import parse_arguments
from umbrella.options.plain_parser import PlainParser
from umbrella.options.repeated_flags import check_repeated

PARSER = argparse.ArgumentParser()
PARSER.add_argument("--json_dir", nargs="+")
PARSER.add_argument("--image_root")
PARSER.add_argument("--fast", action="store_true")
PARSER.add_argument("--no_fast", action="store_false", dest="fast")
PARSER.add_argument("--sure", nargs="?", const=True)


def check(*argv):
    check_repeated(argv, lambda argument: PARSER._option_string_actions.get(argument.partition("=")[0]))


def test_of_a_list_it_is_not_guessed_whether_both_are_meant():
    with pytest.raises(ValueError, match=r"found two, a and b c: .*: --json_dir a b c$"):
        check("--json_dir", "a", "--fast", "--json_dir", "b", "c")
    with pytest.raises(ValueError, match="found two, a and b"):
        check("--json_dir=a", "--json_dir=b")


@pytest.mark.parametrize(
    ("argv", "said"),
    [
        (["--image_root", "a", "--image_root", "b"], "note: --image_root is given twice: b counts, not a\n"),
        (["--image_root=a", "--image_root", "b"], "note: --image_root is given twice: b counts, not a\n"),
        (["--fast", "--no_fast"], "note: --no_fast is given twice: --no_fast counts, not --fast\n"),
        (["--sure", "--sure=false"], "note: --sure is given twice: false counts, not --sure\n"),
        (["--sure", "--sure", "true", "--fast", "place", "--fast"], ""),
        (["--image_root", "a", "place", "--image_root", "a"], ""),
        (["--fast", "--fast", "--json_dir", "a", "--json_dir", "a", "--unknown", "1", "--unknown", "2"], ""),
    ],
)
def test_of_a_value_the_last_counts_and_that_is_said_once_of_all_processes(argv, said, capfd, monkeypatch):
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

    for parse, name in (
        (lambda argv: parse_arguments((DataArguments,), argv), "--json_dir"),
        (parse_plainly, "--metadata"),
    ):
        with pytest.raises(SystemExit):
            parse([name, "a", name, "b"])
        assert f"error: {name}: expected one list, found two, a and b: " in capsys.readouterr().err


def test_what_the_command_line_overrides_in_a_yaml_is_no_repetition(tmp_path, capsys):
    (tmp_path / "recipe.yaml").write_text("json_dir: [a, b]\nimage_root: c\n")
    (found,) = parse_arguments(
        (DataArguments,), [str(tmp_path / "recipe.yaml"), "--json_dir", "d", "--image_root", "e"]
    )
    assert (found.json_dir, found.image_root) == ("d", "e")
    assert capsys.readouterr().err == ""
