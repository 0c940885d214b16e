"""docs/tour.ipynb runs from top to bottom, and shows what is stored in it."""

import csv
import re
from pathlib import Path

import nbformat
import pytest
import run_tour
from notebooks import write_notebook

MOST_KB = 400
PLACE = re.compile(r"(?<![\w.~}])/(?:tmp|home|root|work|usr|var|Users|private|mnt)/\S+")


@pytest.fixture(scope="module")
def stored():
    return nbformat.read(run_tour.TOUR, as_version=4)


def read_texts(cell):
    return "".join(output.text for output in cell.get("outputs", ()) if output.output_type == "stream")


def count_pictures(cell):
    return sum("image/png" in output.get("data", {}) for output in cell.get("outputs", ()))


def find_text(notebook, command):
    (cell,) = [cell for cell in notebook.cells if cell.cell_type == "code" and command in cell.source]
    return read_texts(cell)


@pytest.mark.slow
def test_the_tour_leads_from_scans_to_answers_and_leaves_nothing_behind(stored, tmp_path, monkeypatch):
    home = tmp_path / "home"
    home.mkdir()
    monkeypatch.setenv("HOME", str(home))
    ran = nbformat.read(run_tour.TOUR, as_version=4)
    run_tour.execute(ran, tmp_path / "place")  # a cell that fails raises
    run_tour.strip_runs(ran, tmp_path / "place")
    assert list(home.iterdir()) == []
    for cell, before in zip(ran.cells, stored.cells, strict=True):
        assert count_pictures(cell) == count_pictures(before), cell.source
        if "inspect_labels" in cell.source or cell.source.startswith("record ="):
            assert read_texts(cell) == read_texts(before)  # the same on every machine
    (work,) = (tmp_path / "place" / "work").glob("umbrella-tour-*")
    first, last = map(
        float, re.search(r"^loss (\S+) → (\S+) in 60 steps", find_text(ran, "train.py"), re.MULTILINE).groups()
    )
    assert first > 5 and last < 1
    evaluated = find_text(ran, "eval.py")
    assert re.search(r"^unparseable +0$", evaluated, re.MULTILINE)
    assert re.search(r"^accuracy +[01]\.\d+  \(95 % interval", evaluated, re.MULTILINE)
    assert re.search(r"^accuracy_scans_shuffled +[01]\.\d+ ", evaluated, re.MULTILINE)
    assert (work / "my_run/eval/report.html").stat().st_size > 10_000
    with open(work / "answers.csv", newline="") as file:
        answers = list(csv.DictReader(file))
    assert len(answers) == 28 and {row["label"] for row in answers} <= {"female", "male"}
    assert not any(row["error"] for row in answers)


def test_what_is_stored_of_the_tour_is_whole_small_and_names_no_machine(stored):
    code = [cell for cell in stored.cells if cell.cell_type == "code"]
    assert sum(map(count_pictures, code)) == 6
    assert all(cell.outputs for cell in code[1:]) and [cell.execution_count for cell in code] == list(
        range(1, len(code) + 1)
    )
    assert run_tour.TOUR.stat().st_size < MOST_KB * 1024
    assert not [found for cell in stored.cells for found in PLACE.findall(f"{cell.source} {read_texts(cell)}")]
    assert stored.metadata.kernelspec.name == "python3"


def test_the_tours_page_has_its_text_its_code_and_its_pictures(stored):
    page = write_notebook(Path(run_tour.TOUR))
    assert page.startswith("# From a folder of scans to a model's answers\n")
    assert page.count("data:image/png;base64,") == 6
    assert page.count("```python\n") == sum(cell.cell_type == "code" for cell in stored.cells)
    assert all(cell.source in page for cell in stored.cells)
