"""What speaks against a model is told from what speaks for it."""

from umbrella.records.limits import list_limits


def say(verdict):
    return {"verdict": verdict, "sentence": f"It {verdict}."}


def test_weak_verdicts_overlaps_and_limits_of_evidence_are_listed_and_strong_ones_not():
    metrics = {
        "leakage": "WARNING: 3 of 9 subjects",
        "controls": {"scans_shuffled": {"paired": {}}},
        "verdicts": {"subject": say("uses"), "reference": say("reacts"), "text": say("text suffices")},
        "baselines": {"models": {"majority": say("better"), "linear": say("as well"), "other": say("cannot tell")}},
        "confounds": say("worse"),
        "evidence": {"a": {"sentences": ["Good.", "Bad."], "limits": ["Bad."]}, "b": {"sentences": ["Fine."]}},
    }
    sentences = ["It reacts.", "It text suffices.", "It as well.", "It cannot tell.", "It worse.", "Bad."]
    assert list_limits(metrics) == ["WARNING: 3 of 9 subjects", *sentences]
    assert (
        list_limits({"leakage": "No subject id is in the training data.", "verdicts": {"subject": say("uses")}}) == []
    )


def test_free_text_that_reacts_to_a_scan_is_no_weakness_and_one_that_ignores_it_is():
    metrics = {"controls": {"scans_shuffled": {"changed": 1.0}}, "verdicts": {"subject": say("reacts")}}
    assert list_limits(metrics) == []
    assert list_limits({**metrics, "verdicts": {"subject": say("ignores")}}) == ["It ignores."]


def test_of_tests_that_took_rows_as_independent_nothing_is_told_and_an_unknown_overlap_is():
    old = {"controls": {"scans_shuffled": {"mcnemar_p": 0.1}}, "verdicts": {"subject": say("ignores")}}
    assert list_limits(old) == []
    unknown = "Among the 5 recorded: none; what it was trained on is not known, so an overlap cannot be excluded."
    assert list_limits({**old, "leakage": unknown}) == [unknown]


def test_answers_that_could_not_be_read_are_a_limit():
    assert list_limits({"n": 40, "unparseable": 38}) == ["38 of 40 answers could not be read: they count as wrong."]
    assert list_limits({"n": 40, "unparseable": 0}) == []
