"""Templates of wordings: those that ship, those of a user, and what is wrong with one."""

import pytest

from umbrella.cohort.questions.templates import FOLDER, find_template, load_template
from umbrella.cohort.shared.visits import CohortError

FIELDS = {
    "value": "male",
    "value_with_unit": "34 years",
    "unit": "years",
    "target": "age",
    "labels": "male or female",
    "session": "2",
    "reference_value": "female",
    "reference_value_with_unit": "31 years",
    "reference_session": "1",
}


@pytest.mark.parametrize("name", sorted(path.stem for path in FOLDER.glob("*.yaml")))
def test_every_shipped_wording_can_be_filled_in_and_turns_vary(name):
    template = load_template(name)
    for section in filter(None, (template.single, template.comparison)):
        for wordings in section.values():
            assert len({text.format_map(FIELDS) for text in wordings}) >= 2
            assert not any("{" in text.format_map(FIELDS) for text in wordings)


@pytest.mark.parametrize(
    "target, reference, name",
    [
        ("sex", "none", "sex_classification"),
        ("Sex", "both", "sex_comparison"),
        ("age", "none", "age"),
        ("age", "any", "age"),
        ("diagnosis", "same", "diagnosis"),
        ("bmi", "none", "value"),
        ("bmi", "any", "value"),
        ("diagnosis", "earlier", "follow_up"),
    ],
)
def test_a_template_is_chosen_by_target_and_reference(target, reference, name):
    assert find_template(target, reference).name == name


def test_a_template_of_the_user_keeps_values_as_they_are_written(tmp_path):
    path = tmp_path / "mine.yaml"
    path.write_text("labels: {No: well, 1: ill}\nsingle:\n  question: Ill?\n  answer: ['{value}.']\n")
    template = load_template(str(path))
    assert template.labels == {"no": "well", "1": "ill"}
    assert template.single == {"question": ["Ill?"], "answer": ["{value}."]}
    assert template.task == "mine"


@pytest.mark.parametrize(
    "text, message",
    [
        ("single: {question: 'Q?', answer: '{vlaue}'}", r"single.answer: .*found \{vlaue\}. Did you mean value"),
        ("single: {question: '{reference_value}?', answer: '{value}'}", r"found \{reference_value\}"),
        ("single: {question: 'Q?', answer: 'A{'}", r"single.answer: expected \{fields\} in 'A\{'"),
        ("single: {question: '', answer: '{value}'}", "single.question: expected wordings that are not empty"),
        ("single: {question: 'Q?'}", "single: expected question, answer, found question"),
        ("singel: {question: 'Q?', answer: '{value}'}", "found 'singel'. Did you mean single"),
        ("task: x", "expected wordings under single or comparison"),
        ("- a", "expected a mapping, found list"),
        ("a: [", "expected YAML"),
        ("task: a/b\nsingle: {question: 'Q?', answer: '{value}'}", "task: expected a name of letters"),
        ("unit: ''\nsingle: {question: 'Q?', answer: '{value}'}", "unit: expected a unit as years, found ''"),
        ("targets: age\nsingle: {question: 'Q?', answer: '{value}'}", "targets: expected a list of columns"),
        ("labels: {m: ''}\nsingle: {question: 'Q?', answer: '{value}'}", "labels: expected a mapping .*none empty"),
        ("target_type: number\nsingle: {question: 'Q?', answer: '{value}'}", "target_type: expected numeric"),
        ("single: {question: 'Q?', answer: '{value:.1f}'}", "with a format .numbers are rounded by --decimals"),
        ("directions: [up]\nsingle: {question: 'Q?', answer: '{value}'}", "directions: expected two labels"),
    ],
)  # fmt: skip
def test_what_is_wrong_with_a_template_is_named(tmp_path, text, message):
    (tmp_path / "mine.yaml").write_text(text)
    with pytest.raises(CohortError, match=message):
        load_template(str(tmp_path / "mine.yaml"))
