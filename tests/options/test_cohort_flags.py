"""Several data folders by flags or by a file: what is no division of a whole is one sentence, and its remedy works."""

import re
from fractions import Fraction

import numpy as np
import pytest

from umbrella.evaluation.folds.arguments import FoldArguments, check_fold_flags
from umbrella.options.arguments import DataArguments, ModelArguments
from umbrella.options.data.cohort_flags import share_out
from umbrella.options.parsing import parse_arguments
from umbrella.options.push_arguments import PushDatasetArguments
from umbrella.options.training_flags import TrainFlags
from umbrella.report.demo.arguments import DemoArguments


def parse(*flags):
    return parse_arguments((DataArguments,), list(flags))[0]


@pytest.mark.parametrize("name", ["data", "my data", "a,b", "data/"])
def test_one_folder_is_what_it_was_whatever_its_name(name):
    data = parse("--json_dir", name, "--image_root", "scans")
    assert (data.json_dir, data.image_root, data.cohort_places, data.data_name) == (name, "scans", [], name.strip("/"))
    assert DataArguments(json_dir=name).json_dir == name


def test_several_are_named_by_their_last_part_and_weighed_in_their_order():
    data = parse("--json_dir", "x/A", "my B/", "C", "--cohort_weights", "0.6,0.3,0.1", "--image_root", "scans")
    assert [(place.name, place.json_dir, place.weight) for place in data.cohort_places] == [
        ("A", "x/A", 0.6), ("my B", "my B/", 0.3), ("C", "C", 0.1),
    ]  # fmt: skip
    assert {place.image_root for place in data.cohort_places} == {"scans"}
    assert (data.json_dir, data.data_name) == (None, "A+my B+C")
    assert [place.weight for place in parse("--json_dir", "A", "B").cohort_places] == [None, None]


def test_a_file_names_them_and_one_alone_is_one_folder(tmp_path):
    path = tmp_path / "cohorts.yaml"
    path.write_text(
        "one:\n  json_dir: x/conversations\n  weight: 0.7\ntwo: {json_dir: y, weight: 0.3, image_root: s}\n"
    )
    one, two = parse("--cohorts", str(path), "--image_root", "scans").cohort_places
    assert (one.name, one.json_dir, one.weight, one.image_root) == ("one", "x/conversations", 0.7, "scans")
    assert (two.name, two.json_dir, two.weight, two.image_root) == ("two", "y", 0.3, "s")
    path.write_text("one: {json_dir: x, image_root: s}\n")
    data = parse("--cohorts", str(path))
    assert (data.json_dir, data.image_root, data.cohort_places) == ("x", "s", [])


@pytest.mark.parametrize(
    ("flags", "sentence"),
    [
        (("A", "B", "C", "--cohort_weights", "0.6", "0.4"), "expected 3 shares, one for each .* found 2: 0.6 0.4"),
        (("A", "B", "--cohort_weights", "1.2", "-0.2"), r"expected shares above 0 that add up to 1, found 1.2 -0.2"),
        (("A", "B", "--cohort_weights", "nan", "1"), r"expected shares above 0 that add up to 1, found nan 1"),
        (("A", "B", "--cohort_weights", "0", "1"), r"expected shares above 0, found 0 1\. .* is left out of the list"),
        (("A", "B", "C", "--cohort_weights", "0", "0", "0"), r"expected shares above 0, found 0 0 0\."),
        (("A", "B", "C", "--cohort_weights", "1e-13", "1", "1"), r"expected shares above 0, found 1e-13 1 1\."),
        (("A", "B", "--cohort_weights", "1e308", "1e308"), r"expected shares above 0 that add up to 1, found 1e\+308"),
        (("A", "--cohort_weights", "1"), r"--cohort_weights: expected several folders, --json_dir A B C, found 1"),
        (("A", "--same_ids", "same"), r"--same_ids same: expected several cohorts, .* found one\. Leave it out"),
        (("x/A", "y/A"), r"a name of its own for each, found A of x/A and of y/A\. Name them in a file: --cohorts"),
        (("A", "A/"), r"expected each folder once, found A/ and A, which are one"),
        ((), "--json_dir: expected a folder, or several with spaces between them, found none"),
        (("",), "--json_dir: expected a folder, or several with spaces between them, found none"),
    ],
)
def test_what_is_no_division_is_refused(flags, sentence, capsys):
    with pytest.raises(SystemExit):
        parse("--json_dir", *flags)
    assert re.search(sentence, capsys.readouterr().err)


@pytest.mark.parametrize("weights", [(0.6, 0.3, 0.2), (6, 3, 1), (2, 1, 1e-5), (2, 1, 1e-11), (0.2, 0.2, 0.2)])
def test_the_weights_that_are_proposed_are_taken_and_in_proportion(weights, capsys):
    with pytest.raises(SystemExit):
        parse("--json_dir", "A", "B", "C", "--cohort_weights", *map(str, weights))
    proposed = re.search(r"Write (.*) for the same proportions", capsys.readouterr().err)[1].split()
    taken = [place.weight for place in parse("--json_dir", "A", "B", "C", "--cohort_weights", *proposed).cohort_places]
    assert taken == pytest.approx(np.array(weights) / sum(weights), abs=1e-3)


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("", "expected cohorts as NAME"),
        ("- A\n- B\n", "expected cohorts as NAME: .*; found a list"),
        ("A: x\nB: y\n", "A: expected NAME: .*; found a text without a json_dir"),
        (
            "A: {json_dir: x, weigth: 1}\n",
            "A: expected no key but json_dir, weight, image_root, found weigth. Did you mean weight",
        ),
        ("A: {json_dir: x, weight: 0,6}\n", "A: expected no key but .*, found 6. Write numbers with a point, as 0.6"),
        ("A: {json_dir: [x, y]}\n", "A: json_dir: expected one value, found a list"),
        ("A: {json_dir: x, weight: much}\n", "A: weight: expected a number as 0.6, found 'much'"),
        (
            "A: {json_dir: x, weight: 0.5}\nB: {json_dir: y}\n",
            "a weight for each of 2 cohorts, or none at all, found 1",
        ),
        ("A/1: {json_dir: x}\nB: {json_dir: y}\n", "expected a name without a slash, found 'A/1'"),
        ("share_A: {json_dir: x}\nA: {json_dir: y}\n", "found A and share_A, which both log loss_share_A"),
    ],
)
def test_a_file_that_names_no_cohorts_is_refused(text, sentence, tmp_path, capsys):
    path = tmp_path / "cohorts.yaml"
    path.write_text(text)
    with pytest.raises(SystemExit):
        parse("--cohorts", str(path))
    assert re.search(sentence, capsys.readouterr().err)


def test_beside_other_data_or_without_a_file_they_are_refused(tmp_path):
    with pytest.raises(ValueError, match="or of the two and --cohorts FILE"):
        DataArguments(json_dir="A", cohorts="c.yaml")
    with pytest.raises(ValueError, match=r"--cohorts: expected a YAML file, found none at .*c\.yaml"):
        DataArguments(cohorts=str(tmp_path / "c.yaml"))


def test_recipes_for_one_folder_refuse_several():
    for kind in (PushDatasetArguments, DemoArguments):
        with pytest.raises(ValueError, match=r"--json_dir: expected one folder, found 2: A B\. (Publish|Start)"):
            kind(json_dir=["A", "B"])
    assert DemoArguments(json_dir=["A"], use_cpu=True).json_dir == "A"
    arguments = (ModelArguments(), DataArguments(json_dir=["A", "B"]), TrainFlags(output_dir="o"), FoldArguments())
    with pytest.raises(ValueError, match=r"expected one folder, whose people are divided anew, found 2 cohorts"):
        check_fold_flags(arguments)


def test_shares_are_those_of_the_largest_remainders_in_exact_numbers():
    rng = np.random.default_rng(0)
    for _ in range(300):
        n = int(rng.integers(1, 10_000))
        weights = rng.integers(1, 1000, rng.integers(1, 7)).tolist()
        exact = [Fraction(n * weight, sum(weights)) for weight in weights]
        shares = [int(part) for part in exact]
        order = sorted(range(len(weights)), key=lambda i: (shares[i] - exact[i], i))
        for i in order[: n - sum(shares)]:
            shares[i] += 1
        assert share_out(n, [weight / sum(weights) for weight in weights]) == shares
        assert sum(shares) == n
    assert share_out(30, [0.6, 0.3, 0.1]) == [18, 9, 3]
