"""Robustness: what changed scans do to a model of which it is known, and the sentences that say so."""

import json
from collections import Counter
from types import SimpleNamespace

import eval as evaluation
import numpy as np
import pytest
from volume_rows import write_series_folder

from umbrella.answers.generation import Answer
from umbrella.answers.reading import LabelReading
from umbrella.evaluation.evidence.drawn_rows import draw_rows
from umbrella.evaluation.evidence.robustness import gather_robustness
from umbrella.evaluation.evidence.robustness_verdicts import judge_equal, judge_kind
from umbrella.evaluation.questions import Classification
from umbrella.evaluation.statistics.measures import ACCURACY, measure_errors
from umbrella.models.loading import load_processor
from umbrella.rows.kept_views import CachingTransform, ViewCache
from umbrella.views.perturbation import KINDS, list_kinds
from umbrella_dataset import load_umbrella

# ------------------------------------------------------------------------------------------------ who is asked


def test_subjects_are_drawn_whole_and_as_many_as_fit():
    subjects = [f"s{i // 4}" for i in range(80)]
    drawn = draw_rows(subjects, 30, seed=0)
    assert (len(drawn.indices), drawn.n_subjects, drawn.are_whole) == (28, 7, True)
    assert set(Counter(subjects[i] for i in drawn.indices).values()) == {4}
    assert drawn == draw_rows(subjects, 30, seed=0) != draw_rows(subjects, 30, seed=1)
    assert drawn.describe() == "28 rows of 7 subjects out of 80 rows, subjects with all their rows, drawn by the seed"
    assert draw_rows(subjects, 80, seed=3).describe() == "all 80 rows of 20 subjects"
    few = draw_rows(subjects, 3, seed=0)
    assert (len(few.indices), few.are_whole) == (3, False)


# ------------------------------------------------------------------------------------------------ a known model


class PlantedAsker:
    """A model that knows every answer and gives the other one where the subject's view is rougher than it was."""

    def __init__(self, rows, limit):
        self.views, self.limit, self.asked = ViewCache(), limit, Counter()
        self.question = Classification(LabelReading(("female", "male")), "{label}")
        self.processor, self.prompts = load_processor("tiny"), None
        self.prompts = self.make_transform()
        truths = [entry["subject_label"] for entry in rows["metadata"]]
        self.rough = [self.measure(self.prompts, row) for row in rows]
        self.records = [{"parsed_label": truth, "expected_label": truth} for truth in truths]

    def make_transform(self, **shown):
        return CachingTransform(self.processor, self.views, seed=0, max_length=256, **shown)

    def measure(self, transform, row):
        return float(np.abs(np.diff(transform.load_images(row, len(row["images"]) - 1))).mean())

    def ask_variants(self, variants, rows, name, **shown):
        transform, records = self.make_transform(variants_of=rows, **shown), []
        for variant in variants:
            self.asked[variant["perturbation"]] += 1
            rough = self.measure(transform, {**rows[variant["row"]], **variant})
            truth = self.records[variant["row"]]["expected_label"]
            other = {"female": "male", "male": "female"}[truth]
            text = other if rough > self.limit * self.rough[variant["row"]] else truth
            records.append(self.question.to_control_record(variant, Answer(variant["task_id"], text, [])))
        return records


@pytest.mark.slow
def test_of_a_model_that_noise_alone_disturbs_noise_alone_is_said_to_flip_answers(small_data):
    rows = load_umbrella(str(small_data), split="test").with_format(None)
    asker = PlantedAsker(rows, limit=1.15)
    entry = gather_robustness(
        asker, SimpleNamespace(robustness=True, robustness_n=200, seed=0, num_workers=0), rows, asker.records
    )
    flipped = {name: [one["changed"] for one in kind["strengths"]] for name, kind in entry["kinds"].items()}
    assert flipped["noise"] == [0, 0, 1]
    for kind in ("blur", "bias", "shift", "rotation", "slices", "storage", "intensity"):
        assert flipped[kind] == [0, 0, 0], kind
    noise = entry["kinds"]["noise"]["strengths"][2]
    assert (noise["accuracy"], noise["accuracy_real"], noise["n"], noise["n_subjects"]) == (0, 1, 8, 4)
    assert entry["sentences"][1].startswith("Noise: ") and "100.0 % of the answers flip" in entry["sentences"][1]
    # Views that are the same to the bit are not asked again; all else is, each kind in three strengths.
    assert asker.asked == {kind: 24 for kind in KINDS if kind not in ("storage", "intensity")}
    assert [one["most_difference"] for one in entry["kinds"]["storage"]["strengths"]] == [0, 0, 0]
    assert len(entry["sentences"]) == 1 + len(KINDS) and set(entry["limits"]) <= set(entry["sentences"])
    flipping = [kind["sentence"] for kind in entry["kinds"].values() if kind["verdict"] == "flip"]
    assert entry["limits"] == [entry["sentences"][0], *flipping]


@pytest.mark.slow
def test_rows_without_scans_among_others_are_said_to_be_left_out(small_data):
    rows = load_umbrella(str(small_data), split="test").with_format(None)
    asker = PlantedAsker(rows, limit=1.15)
    some = rows.remove_columns("modalities").add_column("modalities", [[], *rows["modalities"][1:]])
    asked = SimpleNamespace(robustness=True, robustness_n=2, seed=0, num_workers=0)
    sentences = gather_robustness(asker, asked, some, asker.records)["sentences"]
    assert sentences[-1] == "Left out of robustness: 1 row without a scan."


def test_rows_without_scans_cannot_be_told_of(small_data):
    rows = load_umbrella(str(small_data), split="test").with_format(None)
    bare = rows.remove_columns("modalities").add_column("modalities", [[] for _ in rows])
    entry = gather_robustness(None, SimpleNamespace(robustness=True, robustness_n=9, seed=0), bare, [{}] * 8)
    assert (
        entry["sentences"]
        == entry["limits"]
        == ["Robustness cannot be told: no row has a scan that could be changed."]
    )
    assert gather_robustness(None, SimpleNamespace(robustness=False), bare, []) is None


# ------------------------------------------------------------------------------------------------ sentences


def flips(name, changed, low, high, **more):
    found = {"strength": name, "changed": changed, "changed_interval": (low, high), "accuracy": 0.9 - changed}
    return found | {"accuracy_real": 0.9, "accuracy_interval": (0.6, 0.95)} | more


STAYS, FLIPS, UNCLEAR = (0.01, 0.0, 0.05), (0.3, 0.2, 0.4), (0.1, 0.03, 0.2)


@pytest.mark.parametrize(
    ("strengths", "verdict", "said"),
    [
        ((STAYS, STAYS, STAYS), "stay", "Blur: the answers stay up to c. At c: 1.0 % of the answers flip"),
        ((STAYS, UNCLEAR, FLIPS), "flip", "Blur: the answers stay up to a, and flip from c on. At c: 30.0 %"),
        ((FLIPS, FLIPS, FLIPS), "flip", "Blur: the answers flip from a on. At c: 30.0 % of the answers flip"),
        ((STAYS, STAYS, UNCLEAR), "cannot tell", "Blur: the answers stay up to b; beyond, too few rows to tell."),
        ((UNCLEAR, STAYS, STAYS), "cannot tell", "Blur: too few rows to tell."),
    ],
)
def test_a_kind_is_judged_by_the_interval_of_the_answers_that_flip(strengths, verdict, said):
    found = [flips(name, *numbers) for name, numbers in zip("abc", strengths, strict=True)]
    judged = judge_kind("blur", found, ACCURACY)
    assert judged["verdict"] == verdict and judged["sentence"].startswith(said)
    assert "and the accuracy is" in judged["sentence"] and "instead of 90.0 %" in judged["sentence"]


def test_numbers_are_judged_by_their_error():
    measure = measure_errors([30, 50, 70])
    found = {"strength": "a", "changed": 1.0, "changed_interval": (0.9, 1), "moved": 2.5, "mae": 7.0, "mae_real": 4.0}
    found |= {"mae_interval": None}
    outcomes = ("equal", "unclear", "better")
    strengths = [found | {"strength": n, "paired": {"outcome": o}} for n, o in zip("abc", outcomes, strict=True)]
    judged = judge_kind("noise", strengths, measure)
    assert judged["by_strength"] == ["stay", "cannot tell", "flip"]
    assert judged["sentence"] == (
        "Noise: the error stays up to a, and grows from c on. At c: the answered numbers change by 2.5 on average, "
        "and the mean absolute error is 7 (no interval) instead of 4."
    )


def test_what_should_change_nothing_is_judged_by_any_answer_that_flips():
    same, rounded, wrong = (
        judge_equal("storage order", [flips("LPS", changed, 0, 1, most_difference=most)])
        for changed, most in ((0, 0), (0, 2e-6), (0.25, 3e-6))
    )
    assert same["sentence"].endswith("all views are the same to the bit, so the model was not asked again.")
    assert "changes no answer; values of the views differ by at most 2e-06" in rounded["sentence"]
    assert wrong["verdict"] == "flip" and "flips 25.0 % of the answers" in wrong["sentence"]


# ------------------------------------------------------------------------------------------------ eval.py


@pytest.mark.slow
def test_eval_asks_a_model_of_volumes_and_a_second_run_asks_nothing(call, tmp_path, monkeypatch):
    data = write_series_folder(tmp_path / "data", {"train": 2, "test": 3}, n_volumes=9)
    flags = ["--model_name_or_path", "tiny3d", "--json_dir", data, "--output_dir", tmp_path / "out", "--frames", 8]
    flags += ["--volume_size", "16x16x8", "--volume_spacing", 8, "--max_new_tokens", 2, "--bootstrap", 10]
    flags += ["--controls", "false", "--baselines", "false", "--robustness", "true", "--wording", "true"]
    call(evaluation, *flags, "--report", "false")
    evidence = json.loads((tmp_path / "out/metrics.json").read_text())["evidence"]
    assert list(evidence["robustness"]["kinds"]) == list_kinds("volume")
    assert evidence["robustness"]["sentences"][-1].startswith("Other slices: not asked, since a whole volume is shown")
    lines = [json.loads(line) for line in (tmp_path / "out/controls.jsonl").read_text().splitlines()]
    asked = Counter(line["task_id"].split(" · ")[1] for line in lines if line["control"] == "robustness")
    assert set(asked.values()) == {3} and len(asked) >= 18 and asked["rotation 5°"] == 3
    assert evidence["wording"]["sentences"][0].startswith("Whether the wording matters cannot be told")
    monkeypatch.setattr("umbrella.answers.generation.Answerer._ask", lambda *_: pytest.fail("asked again"))
    call(evaluation, *flags)
    again = json.loads((tmp_path / "out/metrics.json").read_text())["evidence"]
    assert [again[name] for name in ("robustness", "wording")] == [
        evidence[name] for name in ("robustness", "wording")
    ]
    page = (tmp_path / "out/report_public.html").read_text()
    assert "Scans recorded otherwise" in page and "Other slices: not asked" in page
