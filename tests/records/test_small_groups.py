"""What everybody can read of an evaluation has no group of fewer than five subjects, nor one that would follow."""

import json
from collections import Counter
from types import SimpleNamespace

import numpy as np
import pytest
from datasets import Dataset

from umbrella.evaluation.checklists.participants import LABEL
from umbrella.evaluation.evidence.group_gaps import gather_group_gaps
from umbrella.evaluation.evidence.site_tell import tell_sites
from umbrella.evaluation.group_tests import add_group_tests, say_groups
from umbrella.evaluation.results import score_by_group
from umbrella.evaluation.statistics.measures import ACCURACY
from umbrella.records.limits import list_limits
from umbrella.records.small_groups import (
    FEWEST,
    MATCHED,
    NOT_PUBLISHED,
    shows_no_small_groups,
    withhold_small_groups,
)

SITES = ("Aarhus", "Basel", "Crete", "Davos", "Essen")


def make_metrics(sizes, rows_each=1, by=("site",), seed=0):
    """metrics.json of rows of so many subjects of each site, as `put_in_context` and the evidence write it."""
    draw = np.random.default_rng(seed)
    subjects = [f"{site.upper()}-{i}" for site, n in sizes.items() for i in range(n)]
    rows, records = [], []
    for number, subject in enumerate(np.repeat(subjects, rows_each).tolist()):
        truth = "ad" if draw.random() < 0.5 else "cn"
        extra = json.dumps({"site": subject.split("-")[0].title()})
        metadata = {"subject_id": subject, LABEL: truth, "extra": extra}
        rows.append({"task_id": str(number), "metadata": metadata, "images": []})
        said = truth if draw.random() < (0.9 if "BASEL" in subject else 0.4) else "cn"
        records.append({"task_id": str(number), "parsed_label": said, "expected_label": truth})
    table = Dataset.from_list(rows)
    scores = np.array([r["parsed_label"] == r["expected_label"] for r in records], float)
    groups = add_group_tests(score_by_group(scores, ACCURACY, table, list(by)), scores, table, 0)
    asked = SimpleNamespace(site_tell=by[0], seed=0)
    evidence = {"group_gaps": gather_group_gaps(by, table, records)}
    evidence["site_tell"] = tell_sites(SimpleNamespace(rows=table, asked=asked))
    metrics = {"n_subjects": len(subjects), "by": groups, "by_sentences": say_groups(groups, ACCURACY)}
    return json.loads(json.dumps(metrics | {"evidence": evidence}, allow_nan=False))


def find_counts(value):
    """Every n_subjects in it."""
    if isinstance(value, dict):
        return [n for key, n in value.items() if key == "n_subjects"] + find_counts(list(value.values()))
    return [n for inner in value for n in find_counts(inner)] if isinstance(value, list) else []


@pytest.mark.parametrize("seed", range(6))
def test_no_small_group_is_named_or_follows_from_what_is_published(seed):
    draw = np.random.default_rng(seed)
    sizes = dict(zip(SITES, draw.choice([1, 2, 3, 4, 6, 12, 25], 5).tolist(), strict=True))
    metrics = make_metrics(sizes, rows_each=1 + seed % 2, seed=seed)
    published = withhold_small_groups(metrics)
    small = [site for site, n in sizes.items() if n < FEWEST]
    text = json.dumps(published)
    assert not [site for site in small if site in text]
    assert not [n for n in find_counts(published) if n < FEWEST]
    hidden = sizes.keys() - published["by"]["site"].keys()
    assert set(small) <= hidden
    if small:
        assert len(hidden) >= 2 and sum(sizes[site] for site in hidden) >= FEWEST  # of a known total none follows
        assert NOT_PUBLISHED in text
        assert not [site for site in hidden if site in text]
    else:
        assert published["by"] == metrics["by"] and published["by_sentences"] == metrics["by_sentences"]
    for part in published["evidence"]["group_gaps"]["by"]["site"]["gaps"]:
        assert part["gap"] is None or {part["gap"]["best"], part["gap"]["worst"]} <= part["groups"].keys()
    assert withhold_small_groups(published) == published


def test_what_is_hidden_among_the_rows_of_one_label_does_not_follow_from_those_of_the_other():
    """Of 20 subjects of a site 3 have one label: with the other 17 and all 20 theirs would be told."""
    metrics = make_metrics(dict.fromkeys(SITES[:3], 20))
    gaps = metrics["evidence"]["group_gaps"]["by"]["site"]["gaps"]
    for part, n in ((gaps[1], 3), (gaps[2], 17)):
        part["groups"].pop("Crete", None)
        part["left_out" if n < FEWEST else "groups"]["Crete"] = {"accuracy": 0.5, "n": n, "n_subjects": n}
    everyone, *of_labels = withhold_small_groups(metrics)["evidence"]["group_gaps"]["by"]["site"]["gaps"]
    assert "Crete" in everyone["groups"]
    for part in of_labels:
        assert "Crete" not in part["groups"] | part["left_out"] and len(part["groups"]) == 1


def test_groups_that_are_single_subjects_name_nobody_and_few_sentences_name_many():
    metrics = make_metrics({"Aarhus": 30, "Basel": 20}, by=("subject_id",), rows_each=2)
    text = json.dumps(withhold_small_groups(metrics))
    assert "AARHUS-1" in json.dumps(metrics) and "AARHUS-" not in text and "BASEL-" not in text
    assert "By subject id: all groups are withheld" in text
    assert max(map(len, metrics["by_sentences"])) < 250 and len(metrics["by_sentences"]) < 10


def test_the_larger_groups_keep_their_figures_and_what_is_said_of_them():
    """Two small sites together are five subjects, so nothing else need be withheld."""
    metrics = make_metrics({"Aarhus": 40, "Basel": 40, "Crete": 40, "Davos": 3, "Essen": 2}, seed=1)
    assert any("Davos" in sentence for sentence in metrics["evidence"]["group_gaps"]["sentences"])
    published = withhold_small_groups(metrics)
    assert published["by"]["site"].keys() == {"Aarhus", "Basel", "Crete"}
    assert any(
        "By site: the accuracy differs from that of all other rows in Basel" in said
        for said in published["by_sentences"]
    )
    assert published["by_sentences"][-1] == f"By site: 2 of 5 groups are withheld: {NOT_PUBLISHED}."
    said = published["evidence"]["group_gaps"]["sentences"]
    assert said[0].startswith("By site, the accuracy is best of Basel (")
    assert "By site: 2 of 5 groups are withheld" in said[-2]
    assert "among the rows of one label 2 more of 5 groups" in said[-1]  # there the small ones are fewer than five
    assert published["evidence"]["group_gaps"]["by"]["site"]["equalised_odds"] is None


def test_an_older_sentence_that_names_a_small_group_goes_as_a_whole():
    metrics = make_metrics({"Aarhus": 40, "Basel": 40, "Crete": 40, "Davos": 3, "Essen": 2}, seed=1)
    metrics["by_sentences"] = ["By site: the accuracy differs in Basel by +1; Davos by +2.", "By site bin: Davos."]
    assert withhold_small_groups(metrics)["by_sentences"][0] == "By site bin: Davos."
    assert not shows_no_small_groups("<p>an earlier version's page</p>", metrics)
    assert shows_no_small_groups(f"<p>{NOT_PUBLISHED}</p>", metrics)


def test_repeats_of_two_subjects_and_few_matched_rows_are_withheld_also_among_the_limits():
    repeats = {"n": 4, "n_subjects": 2, "found_by": "metadata.session", "pairs": [[1.5, 2.5]]}
    said = "Repeatability: two answers differ by less than 3.1 (4 questions of 2 subjects)."
    rows = [{"title": title, "n": n, "n_subjects": n, "accuracy": 0.5} for title, n in [("a", 40), ("b", 40)]]
    few = [{"title": title, "n": 4, "n_subjects": 4, "accuracy": 0.75} for title in ("c", "d")]
    sentence = f"They alone get 50 %.{MATCHED}the model is better."
    metrics = {
        "n_subjects": 40,
        "evidence": {"repeatability": repeats | {"sentences": [said], "limits": [said]}},
        "confounds": {"names": ["age"], "verdict": "cannot tell", "sentence": sentence, "rows": rows + few},
    }
    published = withhold_small_groups(metrics)
    assert list_limits(published) == [
        f"They alone get 50 %. Of rows matched on them: {NOT_PUBLISHED}.",
        f"Repeatability is withheld: {NOT_PUBLISHED}.",
    ]
    assert Counter(find_counts(published)) == {40: 3} and "3.1" not in json.dumps(published)
    metrics["confounds"]["rows"][2:] = [row | {"n": 38, "n_subjects": 38} for row in few]  # the other two would follow
    assert len(withhold_small_groups(metrics)["confounds"]["rows"]) == 2
    metrics["evidence"]["repeatability"]["n_subjects"] = 8
    metrics["confounds"]["rows"][2:] = [row | {"n": 30, "n_subjects": 30} for row in few]
    assert withhold_small_groups(metrics) == metrics
