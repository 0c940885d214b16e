"""The specification's example is valid, and what it says of the rows is so."""

import json
import re
from pathlib import Path

import validate_json_format

from umbrella_dataset import METADATA_FIELDS, MODALITIES, SPLIT_FOLDERS, find_problems, load_umbrella

SPECIFICATION = Path(__file__).parents[2] / "sample_data" / "JSON_FORMAT_SPECIFICATION.md"
TEXT = SPECIFICATION.read_text(encoding="utf-8")


def _example() -> str:
    (example,) = re.findall(r"^```json\n(.*?)^```", TEXT, re.DOTALL | re.MULTILINE)
    return example


def test_the_example_has_no_problem_and_the_validator_passes_it(tmp_path, capsys):
    assert find_problems(json.loads(_example())) == []
    (tmp_path / "train").mkdir()
    (tmp_path / "train" / "example.json").write_text(_example(), encoding="utf-8")
    assert validate_json_format.main([str(tmp_path)]) == 0
    assert capsys.readouterr().out.endswith("✓ VALIDATION PASSED\nAll files conform to format specification\n")


def test_the_example_becomes_a_row_that_loses_nothing(tmp_path):
    (tmp_path / "train").mkdir()
    (tmp_path / "train" / "example.json").write_text(_example(), encoding="utf-8")
    row = load_umbrella(str(tmp_path), split="train", cache_dir=str(tmp_path / "cache"))[0]
    record = json.loads(_example())
    metadata = {name: row["metadata"][name] for name in METADATA_FIELDS}
    assert metadata | json.loads(row["metadata"]["extra"]) == record["metadata"]
    assert [image["path"] for image in row["images"]] == [f"{tmp_path}/{image['path']}" for image in record["images"]]


def test_the_specification_names_every_word_that_the_rules_know():
    for word in (*METADATA_FIELDS, *MODALITIES, *SPLIT_FOLDERS):
        assert word in TEXT, word
