"""Whatever stands in a YAML or in a flag's JSON: a value or one sentence that names the place and quotes no secret."""

import sys
import tempfile
from collections import Counter
from pathlib import Path

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st
from properties import examples

from umbrella.cohort.questions.templates import load_template
from umbrella.files.json_files import parse_json, read_json
from umbrella.files.yaml_files import MOST_LEVELS, read_yaml
from umbrella.hub.model import find_in_model
from umbrella.models.folder_check import check_model_folder
from umbrella.options.parsing import parse_arguments, read_yaml_flags
from umbrella.options.push_arguments import PushModelArguments

LAUGHS = "a: &a [x, x]\n" + "".join(
    f"{name}: &{name} [{', '.join(['*' + before] * 9)}]\n" for before, name in zip("abcdefgh", "bcdefghi", strict=True)
)
ROOT = Path(__file__).parents[2]
SECRET = "hf_" + "x" * 34
WRONG = {
    LAUGHS: r"line 2, column 8: an alias of a list or a mapping: write it out",
    "a: " + "[" * 30 + "]" * 30: rf"line 1, column {MOST_LEVELS + 3}: more than 20 levels",
    "a: " + "{b: " * 30 + "}" * 30: "more than 20 levels",
    "- " * 500 + "a": "more than 20 levels",
    "a: 1\nb: 2\na: 3\n": "line 3, column 1: a key that line 1 has already",
    "a: {b: 1, b: 2}": "line 1, column 11: a key that line 1 has already",
    "{a: b}: 1": "a key that is no word",
    "a: &x 1\nb: *y\n": "found undefined alias",
    f"token: {SECRET}: b\n": "line 1, column 45: mapping values are not allowed here",
    f"a: [{SECRET}": "line 1, column",
    f"a: *{SECRET}": "found undefined alias '…'",
    f"a: !{SECRET}!b c": "found undefined tag handle",
    "a: b\n\tc: d": "cannot start any token",
    "a: \x07": r"the sign U\+0007",
    "a: 1\n---\nb: 2\n": "but found another document",
    "a: b\n" * 60000: "at most 262,144 bytes, found 300,000",
}


@pytest.mark.parametrize("text", WRONG, ids=WRONG.values())
def test_a_yaml_that_will_not_do_is_refused_with_its_place_and_at_once(tmp_path, text):
    path = tmp_path / "recipe.yaml"
    path.write_text(text)
    calls = Counter()
    with pytest.raises(ValueError, match=WRONG[text]) as error:
        sys.setprofile(lambda frame, event, argument: calls.update([event]))
        try:
            read_yaml(path)
        finally:
            sys.setprofile(None)
    assert calls.total() < 20_000  # of functions: a bomb makes millions
    assert str(error.value).startswith(f"{path}: expected YAML") and "\n" not in str(error.value)
    assert SECRET not in str(error.value) and SECRET[:20] not in str(error.value)


def test_bytes_that_are_no_utf8_are_refused_by_the_files_name(tmp_path):
    (tmp_path / "recipe.yaml").write_bytes(b"a: \xff\n")
    with pytest.raises(ValueError, match=r"recipe\.yaml: expected YAML in UTF-8"):
        read_yaml(tmp_path / "recipe.yaml")


VALUES = st.recursive(
    st.text(st.characters(codec="utf-8", exclude_categories=["C"]), max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text("abc<: -", max_size=4), inner, max_size=3),
    max_leaves=8,
)


@examples(25)
@given(VALUES)
def test_every_yaml_of_texts_is_read_as_it_was_written(value):
    with tempfile.NamedTemporaryFile("w", suffix=".yaml", encoding="utf-8") as file:
        yaml.dump(value, file, allow_unicode=True)
        file.flush()
        assert read_yaml(Path(file.name)) == value


@given(st.text("abc:{}[]&*!,'\"#|>-? \n\t%@~1", max_size=60))
def test_any_text_is_a_value_or_a_value_error(tmp_path_factory, text):
    path = tmp_path_factory.getbasetemp() / "any.yaml"
    path.write_text(text)
    for read in (read_yaml, lambda path: read_yaml_flags(str(path))):
        try:
            read(path)
        except ValueError as error:
            assert str(error).startswith(f"{path}: ")


@pytest.mark.parametrize("path", sorted((ROOT / "ds_configs").glob("*.*")), ids=lambda path: path.name)
def test_each_config_that_ships_has_each_key_once(path):
    if path.suffix in (".json", ".yaml"):
        (read_json if path.suffix == ".json" else read_yaml)(path)


def test_an_alias_of_a_word_is_that_word(tmp_path):
    (tmp_path / "a.yaml").write_text("batch: &n 4\nother: *n\n")
    assert read_yaml(tmp_path / "a.yaml") == {"batch": "4", "other": "4"}


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("train: [[a]]", "train: expected a list of words or numbers, found a list or a mapping in it"),
        ("train: [{a: 1}]", "train: expected a list of words or numbers"),
        ("train: [all, --push_to_hub]", "train: expected a value, found a flag in its place"),
        ("output_dir: --use_cpu", "output_dir: expected a value, found a flag in its place"),
        ("- a", "expected a mapping of flags to values, found list"),
        ("", "expected a mapping of flags to values, found NoneType"),
    ],
)
def test_a_value_that_no_flag_takes_is_refused(tmp_path, text, message):
    (tmp_path / "recipe.yaml").write_text(text)
    with pytest.raises(ValueError, match=message):
        read_yaml_flags(str(tmp_path / "recipe.yaml"))


@pytest.mark.parametrize(
    ("written", "flag"),
    [
        ("{a: 1, b: 2e-5, c: true, d: no, e: null}", '{"a": 1, "b": 2e-05, "c": true, "d": "no", "e": null}'),
        ("{a: 1e999, b: NaN, c: '[[1]]', d: 01}", '{"a": "1e999", "b": "NaN", "c": "[[1]]", "d": "01"}'),
        (f"{{a: '{'[' * 5000}'}}", '{"a": "' + "[" * 5000 + '"}'),
        (f"{{a: {'1' * 5000}}}", '{"a": "' + "1" * 5000 + '"}'),
    ],
)
def test_numbers_in_a_mapping_are_numbers_and_all_else_is_text(tmp_path, written, flag):
    (tmp_path / "recipe.yaml").write_text(f"lr_scheduler_kwargs: {written}")
    assert read_yaml_flags(str(tmp_path / "recipe.yaml")) == ["--lr_scheduler_kwargs", flag]


@pytest.mark.parametrize(
    "text", [LAUGHS, "single: {answer: a, answer: b}", "directions: [[a], [b]]", "targets: [{a: b}]"]
)
def test_a_template_obeys_the_same_rules(tmp_path, text):
    (tmp_path / "mine.yaml").write_text(
        text if "single" in text else f"single: {{question: a, answer: '{{value}}'}}\n{text}"
    )
    with pytest.raises(ValueError, match=r"mine\.yaml: "):
        load_template(str(tmp_path / "mine.yaml"))


@pytest.mark.parametrize("value", ['{"a": 1, "a": 2}', '{"b": {"a": 1, "a": 2}}', '{"a": ', '{"a": ' * 9999])
def test_a_flags_json_has_each_key_once(value, capsys):
    with pytest.raises(SystemExit):
        parse_arguments((PushModelArguments,), ["--model", value])
    assert "--model: expected a mapping as JSON" in capsys.readouterr().err


def test_a_json_file_has_each_key_once(tmp_path):
    path = tmp_path / "zero2.json"
    path.write_text('{"zero_optimization": {"stage": 2}, "bf16": 1, "bf16": 2}')
    with pytest.raises(ValueError, match=r"zero2\.json: .*the key 'bf16' twice in one object"):
        read_json(path)
    assert parse_json('[{"a": 1}, {"a": 2}]') == [{"a": 1}, {"a": 2}]


def test_a_models_own_files_may_have_a_key_twice_as_libraries_take_them(tmp_path):
    for name in ("config.json", "tokenizer_config.json"):
        (tmp_path / name).write_text('{"model_type": "llava", "a": 1, "a": 2}')
    check_model_folder(tmp_path)
    assert read_json(tmp_path / "config.json", keys_twice=True)["a"] == 2
    with pytest.raises(ValueError, match="the key 'a' twice"):
        find_in_model(tmp_path)
