"""report.html: self-contained, complete, small, and sound in a browser on a desk, on a phone and in print."""

import json
import re
from collections import Counter

import eval as evaluation
import numpy as np
import pytest
from datasets import Dataset
from hypothesis import given
from hypothesis import strategies as st
from page_probe import needs_chromium, probe

from umbrella.evaluation.statistics.measures import ACCURACY
from umbrella.report import charts, evaluation_report, examples
from umbrella.report.examples import take_turns
from umbrella.report.failures_page import write_failures

WIDTHS = {"desk": 1280, "phone": 375}


@pytest.fixture(scope="module")
def report(small_data, tmp_path_factory):
    """The report of an untrained model: all answers unparseable, so ten mistakes and no right answer."""
    folder = tmp_path_factory.mktemp("report")
    with pytest.MonkeyPatch.context() as patch:
        flags = ("--model_name_or_path", "tiny", "--json_dir", small_data, "--output_dir", folder, "--max_length", 256)
        more = ("--max_new_tokens", 4, "--bootstrap", 50, "--by", "comparison_type", "--confounds", "head_volume")
        changed = ("--robustness", "true", "--wording", "true", "--robustness_n", 2)
        patch.setattr("sys.argv", ["eval.py", *map(str, (*flags, *more, *changed))])
        evaluation.main()
    return folder / "report.html"


@pytest.mark.slow
def test_the_report_is_one_file_that_asks_for_nothing_else(report):
    page = report.read_text(encoding="utf-8")
    addresses = re.findall(r'(?:src|href)\s*=\s*"([^"]*)"', page) + re.findall(r"url\(([^)]*)\)", page)
    assert addresses.pop(addresses.index("failures.html"))  # a page beside it, to go on to
    assert addresses and all(address.startswith("data:") for address in addresses)
    assert "<script" not in page and "@import" not in page
    assert len(page) < 1_000_000


def test_the_public_report_is_the_same_without_single_rows(report):
    page, public = (
        report.with_name(name).read_text(encoding="utf-8") for name in ("report.html", "report_public.html")
    )
    rows = [json.loads(line) for line in report.with_name("predictions.jsonl").read_text().splitlines()]
    assert "data:image/png" in page and all(row["task_id"] in page for row in rows[:1])
    assert "data:image/png" not in public and "<article" not in public and "data:image/svg+xml" in public
    assert not [row for row in rows if row["task_id"] in public or row["answer"] in public]
    sections = [re.findall(r"<section>.*?</section>", text, re.DOTALL) for text in (page, public)]
    kept = [section for section in sections[0] if 'class="examples"' not in section]
    (of_groups,) = [section for section in kept if "<h2>By group" in section]
    (withheld,) = [section for section in sections[1] if "<h2>By group" in section]
    assert "<table>" in of_groups and "same" in of_groups and "<table>" not in withheld  # of four subjects in all
    assert "By comparison type: all groups are withheld: what is of fewer than 5 subjects" in withheld
    kept[kept.index(of_groups)] = withheld
    assert kept[:-1] == sections[1][:-1]
    command = "".join(re.findall(r"<pre>.*?</pre>", kept[-1], re.DOTALL))
    assert "--confounds head_volume" in command and kept[-1].replace(command, "") == sections[1][-1]
    assert str(report.parent) not in public and "--" not in re.sub(r"<style>.*?</style>", "", public, flags=re.DOTALL)


def test_failures_are_a_page_of_their_own_that_no_public_page_leads_to(report):
    """All eight rows are wrong: they are shown, and the groups of so few subjects are named and not compared."""
    page, public = (
        report.with_name(name).read_text(encoding="utf-8") for name in ("failures.html", "report_public.html")
    )
    addresses = re.findall(r'(?:src|href)\s*=\s*"([^"]*)"', page)
    assert addresses.pop(addresses.index("report.html"))
    assert addresses and all(address.startswith("data:") for address in addresses) and "<script" not in page
    records = [json.loads(line) for line in report.with_name("predictions.jsonl").read_text().splitlines()]
    surest = sorted(records, key=lambda record: -max(record["probabilities"].values()))
    assert re.findall("<h4>(.*?)</h4>", page) == [record["task_id"] for record in surest]
    assert page.count("data:image/png") == 8 * 2 and "comparison type: same" in page
    assert "8 of 8 rows of 4 subjects are answered wrongly. No group could be compared with the rest" in page
    assert "Too few subjects inside or outside to compare: comparison type: different (4 rows of 4 subjects)" in page
    assert 'href="failures.html"' in report.read_text(encoding="utf-8") and 'href="failures.html"' not in public
    assert "head volume in ml: " in page and "head volume in ml: " not in public


def test_groups_that_fail_stand_in_a_table_and_where_nothing_is_wrong_that_is_said(report, tmp_path):
    group = {"column": "site", "group": "Bergen <1>", "n": 16, "n_subjects": 8, "error": 0.875, "rest": 0.125}
    group |= {"difference": 0.75, "interval": [0.39, 0.95], "p": 0.0004, "p_holm": 0.012}
    found = {"key": "wrong", "sentences": ["None."], "notes": ["Not measured: x"], "columns": {}, "too_small": []}
    (tmp_path / "failures.json").write_text(json.dumps({**found, "groups": [group] + [group | {"group": "x"}] * 12}))
    described = {
        "metrics": {"n": 2, "n_subjects": 2}, "measure": ACCURACY, "model": {"name": "m"}, "split": "test",
        "process": {"started": "now"},
    }  # fmt: skip
    right = [{"parsed_label": "a", "expected_label": "a", "probabilities": {"a": 1.0}}] * 2
    write_failures(tmp_path, Dataset.from_list([{"x": 1}, {"x": 2}]), right, None, described)
    page = (tmp_path / "failures.html").read_text(encoding="utf-8")
    (cells, *others) = re.findall(r"<tr><td>(.*?)</tr>", page)
    assert re.sub(r"</td>(<td[^>]*>)?", "|", cells) == (
        "site: Bergen &lt;1&gt;|16|8|87.5 %|12.5 %|+75.0|+39.0 to +95.0|&lt; 0.001|0.012|"
    )
    assert len(others) == 12 and "<summary>1 more</summary>" in page and "<p>There are none.</p>" in page


def test_the_report_says_what_was_found(report):
    page = report.read_text(encoding="utf-8")
    metrics = json.loads((report.parent / "metrics.json").read_text())
    for sentence in (
        "Does the model look at the scans?",
        "The most confident mistakes, of each true label in turn",
        "Beside simple models",
        "Confounds",
    ):
        assert sentence in page
    assert "8 found, 0 excluded, 8 used" in page
    assert "8 of 8 answers could not be read; they count as wrong" in page
    assert "is in the training data: tiny was never trained" in page
    assert "evaluated once by this run folder" in page
    assert "--confounds head_volume" in page  # the command
    assert page.count("<article>") == 8
    assert set(metrics["by"]["comparison_type"]) == {"same", "different"}


def test_every_picture_has_an_alt_text_and_every_scan_is_shown(report):
    pictures = re.findall(r"<img [^>]*>", report.read_text(encoding="utf-8"))
    assert all(re.search(r'alt="[^"]{10,}"', picture) for picture in pictures)
    assert sum("data:image/png" in picture for picture in pictures) == 8 * 2


def test_every_scan_stands_between_letters_and_says_what_it_is(report):
    page = report.read_text(encoding="utf-8")
    assert len(re.findall(r'<b>L</b><img src="data:image/png[^>]*><b>R</b>', page)) == 8 * 2
    assert re.findall('<p class="role">(.*?)</p>', page) == ["reference", "the subject&#39;s scan"] * 8
    assert "L and R beside a picture are the subject’s left and right" in page


def test_which_checkpoint_of_the_run_was_evaluated_is_said(tmp_path):
    def describe(**state):
        (tmp_path / "trainer_state.json").write_text(json.dumps({"best_metric": None, "log_history": [], **state}))
        return evaluation_report._describe_choice(evaluation_report._read_state(tmp_path))["checkpoint"]

    assert evaluation_report._describe_choice(evaluation_report._read_state(tmp_path)) == {}
    best = describe(best_model_checkpoint="run/checkpoint-20", best_metric=0.8125, global_step=40)
    assert best == "checkpoint-20 is the run's best on the validation split (0.8125)"
    assert describe(best_model_checkpoint=None, global_step=40).startswith("the last of the run, step 40; none was")


# ------------------------------------------------------------------------------------------------ which rows are shown


@given(st.lists(st.sampled_from("abcd"), max_size=40))
def test_labels_take_turns_and_keep_their_own_order(labels):
    turns = take_turns(range(len(labels)), labels)
    assert sorted(turns) == list(range(len(labels)))
    for n in range(len(turns) + 1):
        counts = Counter(labels[i] for i in turns[:n])
        left = [label for label in set(labels) if counts[label] < labels.count(label)]
        assert all(counts[label] >= max(counts.values(), default=0) - 1 for label in left)
    for label in set(labels):
        own = [i for i in turns if labels[i] == label]
        assert own == sorted(own)


def answered(task_id, expected, parsed, probability):
    probabilities = dict.fromkeys(("cn", "mci", "ad"), (1 - probability) / 2) | {parsed: probability}
    return {
        "task_id": task_id,
        "expected_label": expected,
        "parsed_label": parsed,
        "probabilities": probabilities,
    }


def test_right_answers_and_mistakes_are_shown_of_every_label_that_has_some(monkeypatch):
    monkeypatch.setattr(examples, "show_row", lambda row, record, transform: record["task_id"])
    records = [answered(f"cn {i}", "cn", "cn", 0.95 - i / 100) for i in range(20)]  # surer than all others
    records += [answered(f"mci {i}", "mci", "mci", 0.5 + i / 100) for i in range(3)]
    records += [answered(f"cn as ad {i}", "cn", "ad", 0.9) for i in range(12)]
    records += [answered(f"ad as mci {i}", "ad", "mci", 0.4) for i in range(2)]
    wrong, right = examples.pick_examples(range(len(records)), records, None)
    assert right["title"] == "The most confident right answers, of each true label in turn (none of ad)"
    assert right["rows"][:6] == ["cn 0", "mci 2", "cn 1", "mci 1", "cn 2", "mci 0"]
    assert right["rows"][6:] == ["cn 3", "cn 4", "cn 5", "cn 6"]
    assert wrong["title"] == "The most confident mistakes, of each true label in turn (none of mci)"
    assert wrong["rows"][:4] == ["cn as ad 0", "ad as mci 0", "cn as ad 1", "ad as mci 1"]
    assert len(wrong["rows"]) == 10


@given(st.lists(st.none() | st.integers(0, 90), min_size=1, max_size=40))
def test_of_numbers_no_row_is_both_far_and_near_and_what_was_not_read_is_not_near(answered):
    records = [
        {"task_id": str(i), "expected_number": 40, "parsed_number": number, "prediction": "x", "answer": "40"}
        for i, number in enumerate(answered)
    ]
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(examples, "show_row", lambda row, record, transform: record)
        furthest, nearest = examples.pick_examples(range(len(records)), records, None)
    far, near = furthest["rows"], nearest["rows"]
    assert not {row["task_id"] for row in far} & {row["task_id"] for row in near} and far
    assert all(row["parsed_number"] is not None for row in near)
    n_read = sum(number is not None for number in answered)
    assert len(near) == min(10, n_read, len(answered) // 2)
    offs = [abs(row["parsed_number"] - 40) for row in far if row["parsed_number"] is not None]
    assert not near or not offs or min(offs) >= max(abs(row["parsed_number"] - 40) for row in near)


def test_wrong_cells_of_a_confusion_matrix_are_orange_and_right_ones_blue():
    red, green, blue = np.moveaxis(charts._tint(np.array([[0.9, 0.1, 0], [0.2, 0.4, 0.4]])), -1, 0)
    right = np.eye(2, 3, dtype=bool)
    assert (blue > red)[right].all() and (red > blue)[~right & (red < 1)].all() and (red < 1).sum() == 5
    assert (red[0, 2], green[0, 2], blue[0, 2]) == (1, 1, 1)


@pytest.mark.slow
@needs_chromium
@pytest.mark.parametrize("width", WIDTHS.values(), ids=WIDTHS)
@pytest.mark.parametrize("page", ["report.html", "failures.html"])
def test_nothing_overlaps_or_fails_in_chromium(report, page, width, tmp_path):
    assert probe(report.with_name(page), width, tmp_path) == ("[]", [])


@pytest.mark.slow
@needs_chromium
def test_the_probe_sees_an_overlap_a_broken_picture_and_a_script_error(tmp_path):
    page = tmp_path / "bad.html"
    page.write_text(
        '<html><head></head><body><div><p>a</p><p style="margin-top:-3em">b</p></div><img src="data:," alt="x">'
        "<script>nothing()</script></body></html>"
    )
    found, console = probe(page, 375, tmp_path)
    assert "overlap" in found and "broken picture" in found and "nothing is not defined" in found
    assert console
