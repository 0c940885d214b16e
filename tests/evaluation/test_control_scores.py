"""Controls of 100 subjects tell a model that compares two scans from one that looks at the last alone."""

import json

import pytest
from generate_longitudinal_change_conversations import plan_split

from umbrella.cohort.questions.writer import write_conversations
from umbrella.evaluation.control_scores import compare_labels
from umbrella.evaluation.controls import build_controls
from umbrella.evaluation.results import subjects_of_rows
from umbrella_dataset import load_umbrella


@pytest.fixture(scope="module")
def rows(tmp_path_factory):
    """200 rows of 100 subjects: have the ventricles grown? The scans that they name are never read."""
    folder = tmp_path_factory.mktemp("longitudinal")
    write_conversations(plan_split("test", 1, 100, seed=0)[0], folder / "test")
    return load_umbrella(str(folder), split="test")


def sizes_of(rows):
    sizes = {}
    for images, entry in zip(rows["images"], rows["metadata"], strict=True):
        extra = json.loads(entry["extra"])
        sizes |= {images[0]["path"]: extra["reference_size"], images[1]["path"]: extra["subject_size"]}
    return sizes


@pytest.mark.slow
@pytest.mark.parametrize(
    ("looks_at", "reference"),
    [("both", "uses"), ("the last", "ignores")],
)
def test_a_model_that_ignores_the_reference_is_told_from_one_that_compares(looks_at, reference, rows):
    sizes = sizes_of(rows)
    middle = sorted(sizes.values())[len(sizes) // 2]

    def answer(images):
        if not images:
            return "shrunk"
        first, second = (sizes[image["path"]] for image in images)
        return "grown" if second > (first if looks_at == "both" else middle) else "shrunk"

    records = [
        {"parsed_label": answer(images), "expected_label": entry["subject_label"]}
        for images, entry in zip(rows["images"], rows["metadata"], strict=True)
    ]
    exchanged = {
        control.name: (control, [{"parsed_label": answer(images)} for images in control.rows["images"]])
        for control in build_controls(rows, 0, 500)
        if control.change is None
    }
    found = compare_labels(records, exchanged, subjects_of_rows(rows))
    verdicts = {key: verdict["verdict"] for key, verdict in found["verdicts"].items()}
    assert verdicts == {"subject": "uses", "reference": reference, "text": "needs scans"}
    assert found["n_reversed"] == 79
