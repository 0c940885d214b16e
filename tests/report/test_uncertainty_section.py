"""The section on how sure a model is, whatever could be fitted: and sound on a phone."""

from pathlib import Path

import numpy as np
import pytest
from page_probe import needs_chromium, probe

from umbrella.answers.scoring import to_probabilities
from umbrella.evaluation.statistics.measures import ACCURACY
from umbrella.evaluation.uncertainty.uncertainty import Answered, describe_labels, describe_numbers
from umbrella.options.arguments import EvalArguments
from umbrella.report import page
from umbrella.report.evidence_sections import list_sections

LABELS = ["cognitively normal", "mild cognitive impairment", "Alzheimer's disease"]
ASKED = EvalArguments(uncertainty=True, abstain_at=0.3, bootstrap=20, use_cpu=True)
NOTES = ["No subject id of the validation rows, references included, is in the training data."]


def answer(n, seed):
    draw, records = np.random.default_rng(seed), []
    for _ in range(n):
        values = draw.normal(scale=1.5, size=3)
        true = LABELS[draw.choice(3, p=to_probabilities(values))]
        likely = dict(zip(LABELS, 2 * values, strict=True))
        records.append(
            {"expected_label": true, "parsed_label": max(likely, key=likely.get), "log_likelihoods": likely}
        )
    return Answered(records, [f"s{i // 2}" for i in range(n)])


def answer_numbers(n, seed):
    true, noise = np.random.default_rng(seed).normal(40, 9, (2, n))
    records = [{"expected_number": a, "parsed_number": a + b - 40} for a, b in zip(true, noise, strict=True)]
    return Answered(records, [f"s{i // 2}" for i in range(n)])


def write_section(folder, parts):
    entry = {"sentences": [], "validation": {"n": 60, "n_subjects": 30, "notes": NOTES}, **parts}
    (section,) = list_sections({"evidence": {"uncertainty": entry}}, ACCURACY)
    path = folder / "page.html"
    page.write_page(path, section.template, section=section)
    body = path.read_text(encoding="utf-8")
    style = (Path(page.__file__).parent / "templates/base.html.j2").read_text(encoding="utf-8")
    head = f"<head><title>x</title>{style[style.index('<style>') : style.index('</style>')]}</style></head>"
    path.write_text(f"<!doctype html><html>{head}<body><main>{body}</main></body></html>", encoding="utf-8")
    return path


@pytest.mark.slow
@pytest.mark.parametrize("held", [60, 4, None])
def test_labels_have_their_charts_and_tables_whatever_could_be_fitted(held, tmp_path):
    parts = describe_labels(LABELS, answer(80, 0), held and answer(held, 1), ASKED)
    shown = write_section(tmp_path, parts).read_text(encoding="utf-8")
    assert shown.count("data:image/svg+xml") == 2 and NOTES[0] in shown and "the surest 80 %" in shown
    assert ("<th>a set of</th>" in shown) == (held == 60) == ("<td>Alzheimer&#39;s disease</td>" in shown)
    assert ("at the temperature" in shown) == (held is not None)
    assert ("above the threshold" in shown) == (parts["abstention"].get("threshold") is not None)


@pytest.mark.slow
@needs_chromium
def test_the_section_is_sound_on_a_phone(tmp_path):
    parts = describe_labels(LABELS, answer(80, 0), answer(60, 1), ASKED)
    assert probe(write_section(tmp_path, parts), 375, tmp_path) == ("[]", [])


@pytest.mark.slow
def test_numbers_have_a_chart_where_there_are_intervals(tmp_path):
    parts = describe_numbers("years", answer_numbers(40, 0), answer_numbers(60, 1), ASKED)
    assert write_section(tmp_path, parts).read_text().count("data:image/svg+xml") == 1
