"""--uncertainty: what is said of a model's sureness, and where it cannot be known; rows that it may be fitted on."""

import json
import re

import numpy as np
import pytest
from datasets import Dataset, DatasetDict
from hypothesis import given
from hypothesis import strategies as st
from properties import examples

from umbrella.answers.reading import LabelReading
from umbrella.answers.scoring import to_probabilities
from umbrella.evaluation.asking import Asker
from umbrella.evaluation.questions import Classification, FreeText
from umbrella.evaluation.run_folder import Folder
from umbrella.evaluation.uncertainty.calibration_rows import CalibrationRows, pick_calibration_rows
from umbrella.evaluation.uncertainty.uncertainty import (
    Answered,
    describe_labels,
    describe_numbers,
    gather_uncertainty,
    list_limits,
)
from umbrella.options.arguments import EvalArguments
from umbrella.records.training_data import TrainingData
from umbrella.report.uncertainty_section import describe_uncertainty, list_coverages, list_scores, list_sets

LABELS = ["cn", "mci", "ad"]


def asked_for(**flags):
    return EvalArguments(uncertainty=True, bootstrap=20, use_cpu=True, **flags)


def answer_labels(rows):
    """(subject, true label, named label or None, log-likelihoods) → prediction records."""
    records = [
        {
            "expected_label": true,
            "parsed_label": named,
            "log_likelihoods": dict(zip(LABELS, values, strict=True)),
            "probabilities": dict(zip(LABELS, to_probabilities(values), strict=True)),
        }
        for _, true, named, values in rows
    ]
    return Answered(records, [subject for subject, *_ in rows])


def draw_answers(n_subjects, seed, sharpness=3.0, skill=1.5, guesses=False):
    """A model that is right as often as its probabilities say at a temperature of `sharpness`, or by chance; each
    subject has two rows."""
    draw, rows = np.random.default_rng(seed), []
    for i in range(2 * n_subjects):
        values = draw.normal(scale=skill, size=3)
        true = LABELS[draw.choice(3, p=None if guesses else to_probabilities(values))]
        rows.append((f"s{i // 2}", true, LABELS[values.argmax()], (sharpness * values).tolist()))
    return answer_labels(rows)


def say(parts):
    """All sentences, after what metrics.json holds was found to be JSON, and the tables to be made of it."""
    entry = json.loads(json.dumps(parts, allow_nan=False))
    if "order" in entry:
        assert len(list_coverages(entry)) >= 3 and len(list_scores(entry["temperature"]["scores"])) == 3
        assert list_sets(entry["sets"]) or entry["sets"].get("threshold") is None
    sentences = " ".join(sentence for part in parts.values() for sentence in part["sentences"])
    assert not re.search(r"\b(nan|inf|None)\b", sentences)
    return sentences


@pytest.fixture(scope="module")
def sure():
    return describe_labels(LABELS, draw_answers(150, 0), draw_answers(150, 1), asked_for(abstain_at=0.2))


def test_a_model_that_is_too_sure_is_made_softer_and_its_scores_get_better(sure):
    temperature = sure["temperature"]
    assert temperature["value"] == pytest.approx(3, rel=0.2)
    for name in ("nll", "brier", "ece"):
        score = temperature["scores"][name]
        assert score["after"]["value"] < score["before"]["value"]
        assert score["change"]["value"] == pytest.approx(score["after"]["value"] - score["before"]["value"])
        assert score["change"]["interval"][1] < 0
    assert list_limits(sure) == (
        [] if sure["abstention"]["outcome"] == "kept" else [sure["abstention"]["sentences"][0]]
    )
    assert "makes probabilities softer" in say(sure) and "It helps, by the negative log-likelihood" in say(sure)
    assert sum(n for n, *_ in temperature["bins"]["after"]) == 300


def test_the_surer_answers_are_right_more_often_and_the_threshold_is_that_of_validation(sure):
    order, abstention = sure["order"], sure["abstention"]
    assert order["outcome"] == "tells" and order["gain"]["interval"][0] > 0
    accuracies = [order["at"]["0.8"]["accuracy"], order["at"]["0.9"]["accuracy"], order["all"]]
    assert [a["value"] for a in accuracies] == sorted([a["value"] for a in accuracies], reverse=True)
    assert [a["n"] for a in accuracies] == [240, 270, 300]
    assert abstention["validation"]["risk"]["value"] <= 0.2 < 1 - order["all"]["value"]
    again = describe_labels(LABELS, draw_answers(9, 5), draw_answers(150, 1), asked_for(abstain_at=0.2))
    assert again["abstention"]["threshold"] == abstention["threshold"]  # whatever is evaluated
    given, others = abstention["evaluated"]["risk"], abstention["evaluated"]["risk_of_others"]
    assert given["n"] + others["n"] == 300 and given["value"] < others["value"]
    assert order["curve"]["risk"][-1] == pytest.approx(1 - order["all"]["value"])


def test_sets_hold_what_was_promised(sure):
    sets = sure["sets"]
    low, high = sets["coverage"]["interval"]
    assert low <= 0.9 <= high and sets["outcome"] == "as promised"
    assert sets["coverage_of_subjects"]["n"] == 150 and sum(sets["sizes"].values()) == 300
    held = sum(of["value"] * of["n"] for of in sets["by_label"].values())
    assert held / 300 == pytest.approx(sets["coverage"]["value"])
    assert sets["alone"]["n"] == sets["sizes"]["1"]


def test_other_subjects_than_those_of_validation_are_noticed():
    """Of the evaluated ones the model knows nothing, and is as sure."""
    evaluated, held = draw_answers(100, 0, 1.0, 4.0, guesses=True), draw_answers(100, 1, 1.0, 4.0)
    parts = describe_labels(LABELS, evaluated, held, asked_for(abstain_at=0.1))
    sentences = say(parts)
    assert "More than 10.0 % are wrong, by that interval: the threshold does not hold here." in sentences
    assert "That is less than the draw explains: the splits' subjects differ." in sentences
    against = [parts[name]["sentences"][0] for name in ("order", "abstention", "sets")]
    assert list_limits(parts) == against


ROWS = st.lists(
    st.tuples(
        st.sampled_from("abcdefghijkl"),
        st.sampled_from(LABELS),
        st.none() | st.sampled_from(LABELS),
        st.lists(st.sampled_from((-800.0, -3.0, -1.0, 0.0)), min_size=3, max_size=3),
    ),
    min_size=1,
    max_size=14,
)


@examples(60)
@given(ROWS, st.none() | ROWS, st.sampled_from((None, 0.0, 0.3)), st.sampled_from((0.5, 0.9)))
def test_whatever_was_answered_is_said_in_words_and_numbers(rows, held, abstain_at, level):
    """Labels that are absent, answers that were not read, a single subject, ties, all right, all wrong."""
    asked = asked_for(abstain_at=abstain_at, conformal_level=level)
    parts = describe_labels(LABELS, answer_labels(rows), held and answer_labels(held), asked)
    assert say(parts) and all(part["sentences"] for part in parts.values())
    absent = [label for label in LABELS if held and label not in {true for _, true, *_ in held}]
    assert all(f"“{label}”" in parts["temperature"]["sentences"][1] for label in absent)
    if held and abstain_at is not None and parts["abstention"]["threshold"]:
        assert parts["abstention"]["validation"]["risk"]["value"] <= abstain_at + 1e-9


@pytest.mark.parametrize(
    ("evaluated", "held", "said"),
    [
        ("right", "right", "No temperature fits validation (20 rows of 10 subjects): the likeliest label is right in"),
        ("right", "wrong", "the true labels are no likelier than the others"),
        ("right", "right", "No answer is wrong, so whether the model is surer where it is right cannot be known."),
        ("wrong", "right", "All answers are wrong, so whether"),
        (
            "right",
            "wrong",
            "No threshold leaves at most 10.0 % of the answers wrong on validation (20 rows of 10 subjects)",
        ),
        ("right", "unread", "no answer could be read there"),
        ("right", "few", "Too few validation subjects for sets of labels that hold 90.0 %: 8, at least 9 are needed"),
        ("right", None, "No temperature could be fitted; of the probabilities as they are:"),
        ("right", None, "No threshold to abstain could be set"),
        ("right", None, "No sets of labels could be set"),
    ],
)
def test_what_cannot_be_known_is_said(evaluated, held, said):
    values = {"cn": [0.0, -2.0, -4.0], "mci": [-2.0, 0.0, -4.0]}

    def make(kind):
        n, other = (16 if kind == "few" else 20), {"cn": "mci", "mci": "cn"}
        rows = []
        for i in range(n):
            true = ("cn", "mci")[i % 2]
            named = other[true] if kind == "wrong" else true
            rows.append((f"s{i // 2}", true, None if kind == "unread" else named, values[named]))
        return answer_labels(rows)

    sentences = say(describe_labels(LABELS, make(evaluated), held and make(held), asked_for(abstain_at=0.1)))
    assert said in sentences
    if held == "few":  # the remedy
        level = float(re.search(r"--conformal_level (0\.\d+)", sentences)[1])
        assert describe_labels(LABELS, make("right"), make("few"), asked_for(conformal_level=level))["sets"][
            "threshold"
        ]


# ------------------------------------------------------------------------------------------------ numbers


def answer_numbers(rows):
    """(subject, true number, answered number or None) → prediction records."""
    records = [{"expected_number": true, "parsed_number": answered} for _, true, answered in rows]
    return Answered(records, [subject for subject, *_ in rows])


def draw_ages(n_subjects, seed, rows_each=2):
    """Ages of which some subjects' answers scatter ten times as much as those of others."""
    draw, rows = np.random.default_rng(seed), []
    for i in range(n_subjects):
        age, scatter = draw.uniform(20, 80), draw.choice((0.5, 5))
        rows += [(f"s{i}", age, age + scatter * draw.normal()) for _ in range(rows_each)]
    return answer_numbers(rows)


def test_intervals_of_numbers_hold_what_was_promised_and_narrow_ones_are_told_from_the_spread():
    parts = describe_numbers("years", draw_ages(300, 0, 6), draw_ages(300, 1, 6), asked_for())
    intervals = parts["intervals"]
    for found in (intervals, intervals["normalised"]):
        low, high = found["coverage"]["interval"]
        assert low <= 0.9 <= high and found["outcome"] == "as promised"
    halves = intervals["normalised"]["half_widths"]
    assert halves["least"] < intervals["half_width"] / 2 < intervals["half_width"] < halves["most"]
    assert halves["mean"] < intervals["half_width"]
    assert halves["least"] > intervals["normalised"]["factor"] * intervals["normalised"]["floor"]  # never no width
    assert f"± {intervals['half_width']:.3g} years about the answer" in say(parts)
    assert np.abs(np.subtract(*intervals["curve"].values())).max() < 0.08


def test_one_answer_a_subject_has_no_spread_and_the_same_answers_neither():
    sentences = say(describe_numbers(None, draw_ages(30, 0, 1), draw_ages(30, 1, 1), asked_for()))
    assert "Most rows are their subject's only one" in sentences
    same = answer_numbers([(f"s{i // 2}", 40.0 + i, 45.0) for i in range(40)])
    assert "All answers to a subject are the same" in say(describe_numbers(None, same, same, asked_for()))


NUMBERS = st.lists(
    st.tuples(st.sampled_from("abcdefghijkl"), st.integers(0, 9), st.none() | st.integers(0, 9)),
    min_size=1,
    max_size=14,
)


@examples(60)
@given(NUMBERS, st.none() | NUMBERS, st.sampled_from((0.5, 0.9)))
def test_whatever_numbers_were_answered_is_said_in_words_and_numbers(rows, held, level):
    parts = describe_numbers(
        "mm", answer_numbers(rows), held and answer_numbers(held), asked_for(conformal_level=level)
    )
    assert parts["intervals"]["sentences"] and say(parts)
    if parts["intervals"].get("half_width") is not None:
        unread = sum(answered is None for *_, answered in rows)
        assert parts["intervals"]["n_unread"] == unread
        assert parts["intervals"]["coverage"]["value"] <= 1 - unread / len(rows) + 1e-12


def test_numbers_that_were_not_read_on_validation_leave_no_interval():
    held = answer_numbers([(f"s{i}", 40.0, None if i % 2 else 41.0) for i in range(40)])
    sentences = say(describe_numbers(None, draw_ages(5, 0), held, asked_for()))
    assert "No interval holds 90 % of the truths: in 20 of 40 validation answers no number could be read." in sentences


def test_free_text_is_said_to_have_no_sureness_and_nothing_is_asked(tmp_path):
    asked = asked_for()
    asker = Asker(None, lambda **_: None, FreeText(), Folder(tmp_path), asked)
    entry = gather_uncertainty(asker, asked, [], [], pick(make_rows("v"), question=FreeText())[0])
    assert entry == {"sentences": ["Of free text it is not known how sure the model is: no label has a probability."]}
    assert describe_uncertainty(entry, None).template == "sentences.html.j2"
    assert gather_uncertainty(asker, EvalArguments(use_cpu=True), [], [], CalibrationRows()) is None


# ------------------------------------------------------------------------------------------------ kept answers


def test_answers_to_another_version_of_a_split_are_never_taken_up(tmp_path):
    folder, rows, others = Folder(tmp_path), make_rows(*"ab"), make_rows(*"ac")
    folder.open({"split": "test"}, overwrite=False)
    folder.open_split("validation", others)
    folder.open_split("validation", rows)  # nothing was answered yet
    answers = folder.predictions_of("validation")
    answers.write_text('{"task_id": "row-0"}\n')
    folder.open_split("validation", rows)
    with pytest.raises(ValueError, match=f"Remove {re.escape(str(answers))}, and it is asked anew"):
        folder.open_split("validation", others)
    folder.settings_of("validation").unlink()
    with pytest.raises(ValueError, match=r"found none in settings_validation\.json"):
        folder.open_split("validation", rows)
    (tmp_path / "settings.json").unlink()
    with pytest.raises(ValueError, match=r"predictions_validation\.jsonl: expected settings\.json beside it"):
        folder.open({"split": "test"}, overwrite=False)
    folder.open({"split": "test"}, overwrite=True)
    assert [path.name for path in tmp_path.iterdir()] == ["settings.json"]


# ------------------------------------------------------------------------------------------------ rows to fit on


def make_rows(*subjects, labels=("male", "female"), **metadata):
    turns = [{"role": "assistant", "content": [{"type": "text", "text": "It is so."}]}]
    rows = [
        {
            "task_id": f"row-{i}",
            "source": f"{i}.json",
            "subject_ids": [subject] if subject else [],
            "modalities": ["sMRI"],
            "images": [],
            "conversations": turns,
            "metadata": {
                "subject_id": subject,
                "reference_id": None,
                "subject_label": labels[i % len(labels)],
                "extra": None,
                **metadata,
            },
        }
        for i, subject in enumerate(subjects)
    ]
    return Dataset.from_list(rows)


QUESTION = Classification(LabelReading(("male", "female")), "{label}")


def pick(validation, test=("t1", "t2"), model="tiny", question=QUESTION, **flags):
    rows = make_rows(*test)
    splits = DatasetDict({"test": rows} | ({} if validation is None else {"validation": validation}))
    picked = pick_calibration_rows(asked_for(**flags), splits, question, rows, str(model))
    return picked, " ".join(picked.notes)


def test_rows_of_other_labels_or_none_are_left_out_and_counted():
    picked, notes = pick(make_rows(*"abcdef", labels=("male", "intersex", None)))
    assert picked.rows["task_id"] == ["row-0", "row-3"] and picked.drawn_from is picked.rows
    assert "Of the validation rows 2 were left out: no metadata.subject_label." in notes
    assert "Of the validation rows 2 were left out: a label that the evaluated rows do not have." in notes
    assert "No subject id of the validation rows, references included, is in the training data" in notes


def test_rows_are_drawn_from_those_that_answer_the_question():
    whole = make_rows(*map(str, range(50)))
    picked, notes = pick(whole, uncertainty_n=10)
    assert (len(picked.rows), len(picked.drawn_from)) == (10, 50)
    assert "Of 50 validation rows 10 were drawn (--uncertainty_n)." in notes
    assert picked.rows["task_id"] == pick(whole, uncertainty_n=10)[0].rows["task_id"]
    assert picked.rows["task_id"] != pick(whole, uncertainty_n=10, seed=1)[0].rows["task_id"]


@pytest.mark.parametrize(
    ("validation", "flags", "said"),
    [
        (None, {}, "Nothing could be fitted: the data have no validation split, only test. Add a folder validation/."),
        (make_rows("a"), {"split": "validation"}, "Nothing could be fitted: the validation split is the one that is"),
        (make_rows("a", labels=("intersex",)), {}, "no row of the validation split has a label of this task."),
    ],
)
def test_why_nothing_could_be_fitted_is_said(validation, flags, said):
    picked, notes = pick(validation, **flags)
    assert picked.rows is None and picked.by_split == {} and said in notes


def test_subjects_in_both_splits_are_refused_and_stated_where_they_are_allowed():
    with pytest.raises(ValueError, match=r"found 1 of 2 in both, the first 't1'\. Mend the splits, of"):
        pick(make_rows("t1", "v"))
    with pytest.raises(ValueError, match="found 1 of 2 in both"):
        pick(make_rows("v", reference_id="t2"))
    assert (
        "WARNING: 1 of 2 subjects of the validation rows are evaluated"
        in pick(make_rows("t1", "v"), allow_subject_overlap=True)[1]
    )
    assert "1 rows name no subject" in pick(make_rows(None, "v"))[1]


def test_subjects_of_the_training_data_are_refused_and_stated_where_they_are_allowed(tmp_path):
    TrainingData().add_rows(make_rows("v")).save(tmp_path)
    with pytest.raises(
        ValueError, match=r"found 1 of 2 in its training data, the first 'v'\. Leave --uncertainty out, or"
    ):
        pick(make_rows("v", "w"), model=tmp_path)
    notes = pick(make_rows("v", "w"), model=tmp_path, allow_subject_overlap=True)[1]
    assert "WARNING: 1 of 2 subjects of the validation rows are in the training data" in notes


def test_a_checkpoint_that_was_chosen_on_validation_is_said(tmp_path):
    TrainingData().add_rows(make_rows("x")).save(tmp_path)
    for best, is_said in (("run/checkpoint-20", True), (None, False)):
        (tmp_path / "trainer_state.json").write_text(json.dumps({"best_model_checkpoint": best}))
        said = "checkpoint-20 was chosen by its results on the validation split"
        assert (said in pick(make_rows("v", "w"), model=tmp_path)[1]) == is_said


def test_flags_that_would_do_nothing_are_refused():
    with pytest.raises(ValueError, match="--abstain_at: expected --uncertainty true beside it"):
        EvalArguments(abstain_at=0.05)
    with pytest.raises(
        ValueError, match="--abstain_at: expected labels, whose probabilities say how sure, found text"
    ):
        pick(make_rows("v"), question=FreeText(), abstain_at=0.05)
    for wrong in ({"abstain_at": 1.0}, {"conformal_level": 1.0}, {"conformal_level": 0.0}, {"uncertainty_n": 0}):
        with pytest.raises(ValueError, match=f"--{next(iter(wrong))}: expected"):
            asked_for(**wrong)
