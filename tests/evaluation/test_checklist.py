"""checklist.json: every item of the published lists once, filled from a run's own files, and nothing without them."""

import csv
import hashlib
import json
import shutil
from collections import Counter
from types import SimpleNamespace

import eval as evaluation
import pandas as pd
import pytest
import train
from conversation_folder import write_scan
from hypothesis import given
from hypothesis import strategies as st

from umbrella.cohort.generation import generate, parse_options
from umbrella.evaluation.checklists.checklist import (
    FILLED,
    LISTS,
    OPEN,
    PARTLY,
    READERS,
    build_checklist,
    load_checklists,
)
from umbrella.evaluation.checklists.data_facts import DATA_FACTS
from umbrella.evaluation.checklists.participants import describe_subjects
from umbrella.evaluation.checklists.run_files import read_run_files
from umbrella.evaluation.evidence.gathering import GATHERERS
from umbrella.files.json_files import write_json
from umbrella.records.run import describe_process
from umbrella.records.small_groups import FEWEST, hide_small_cells, withhold_small_groups
from umbrella.report.checklist_section import WITHHELD, describe_checklist
from umbrella.report.flow_chart import list_steps
from umbrella.training.run_start import describe_checkpoint
from umbrella_dataset import load_umbrella

# The numbers as they are published: main items, and how many parts those have that are divided.
PUBLISHED = {
    "CLAIM": (44, {}),
    "TRIPOD+AI": (27, {3: 3, 5: 2, 6: 3, 8: 3, 9: 3, 12: 7, 18: 6, 20: 3, 23: 2, 27: 3}),
    "STARD-AI": (40, {15: 4, 16: 3, 17: 2, 26: 2, 40: 2}),
}


def number_items(n, parts):
    return [f"{i}{part}" for i in range(1, n + 1) for part in "abcdefg"[: parts.get(i, 0)] or [""]]


def test_every_item_of_the_published_lists_is_there_once_in_their_order():
    lists = {one["name"]: [item["item"] for item in one["items"]] for one in load_checklists()}
    assert lists == {name: number_items(*numbers) for name, numbers in PUBLISHED.items()}
    assert list(map(len, lists.values())) == [44, 52, 48]


@pytest.mark.parametrize("number", range(len(LISTS)))
def test_every_item_has_a_topic_and_who_fills_it(number):
    checklist = load_checklists()[number]
    assert checklist.keys() == {"name", "version", "doi", "items"} and checklist["doi"].startswith("10.")
    for item in checklist["items"]:
        assert {"item", "topic"} < item.keys() <= {"item", "topic", "facts", "evidence", "author"}
        assert 0 < len(item["topic"].split()) <= 10, "topics are in few words, of our own"
        assert set(item.get("facts", [])) <= READERS.keys()


def test_all_that_is_known_or_gathered_fills_an_item():
    items = [item for checklist in load_checklists() for item in checklist["items"]]
    assert {name for item in items for name in item.get("facts", [])} == READERS.keys()
    assert GATHERERS.keys() <= {name for item in items for name in item.get("evidence", [])}


# ------------------------------------------------------------------------------------------------ a run and its files


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    """A cohort of a table, of which some have no label or no scan, a model that was trained on it for one step, and
    its evaluation: `folder`/cohort and `folder`/run."""
    folder = tmp_path_factory.mktemp("checklist")
    with open(folder / "participants.tsv", "w", newline="") as file:
        writer = csv.writer(file, delimiter="\t", lineterminator="\n")
        writer.writerow(["participant_id", "sex", "age", "site"])
        for i in range(44):
            age = "n/a" if i % 9 == 0 else str(20 + i)
            writer.writerow(
                [f"sub-{i:03d}", "n/a" if i == 5 else "MF"[i % 2], age, "south" if i % 8 == 3 else "north"]
            )
            if i not in (7, 8):
                write_scan(folder / f"sub-{i:03d}.nii.gz", i)
    paths = ["--participants", str(folder / "participants.tsv"), "--output_dir", str(folder / "cohort")]
    more = ["--image_template", "{participant_id}.nii.gz", "--target", "sex", "--metadata", "age", "site"]
    generate(parse_options("", [*paths, *more, "--split", "0.6", "0.1", "0.3"]))
    data = ("--json_dir", folder / "cohort", "--max_length", 256)
    steps = ("--max_steps", 1, "--batch_size", 2, "--report_to", "none", "--output_dir", folder / "run")
    fast = ("--max_new_tokens", 4, "--bootstrap", 20, "--controls_n", 4, "--by", "site")
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        for recipe, flags in ((train, steps), (evaluation, ("--model_name_or_path", folder / "run", *fast))):
            patch.setattr("sys.argv", [recipe.__name__, *map(str, (*data, *flags))])
            recipe.main()
    return folder


@pytest.fixture(scope="module")
def splits(run):
    return load_umbrella(str(run / "cohort"))


@pytest.fixture
def copied(run, tmp_path):
    """The run's and the cohort's records in a place where they can be removed."""
    for name in ("cohort", "run"):
        names = shutil.ignore_patterns("*.safetensors", "train", "test", "validation", "samples")
        shutil.copytree(run / name, tmp_path / name, ignore=names)
    return tmp_path


def build(folder, splits):
    files = read_run_files(str(folder / "run"), str(folder / "cohort"), splits, describe_process(1))
    return build_checklist(files.add_results(folder / "run/eval"))


def read(path):
    return json.loads(path.read_text(encoding="utf-8"))


@pytest.mark.slow
def test_what_is_filled_is_what_the_files_say(run, splits):
    checklist = read(run / "run/eval/checklist.json")
    facts = {name: fact["value"] for name, fact in checklist["facts"].items()}
    metrics, settings = read(run / "run/eval/metrics.json"), read(run / "run/eval/settings.json")
    (start,) = read(run / "run/run.json")
    assert facts["performance"] == metrics["metrics"] and facts["confusion"] == metrics["confusion"]
    assert facts["left_out_rows"] == metrics["selection"] and facts["groups"] == metrics["by"]
    assert facts["leakage"] == metrics["leakage"] and facts["unreadable"] == metrics["unparseable"]
    assert facts["task"] == {name: settings[name] for name in ("task", "labels")}
    assert facts["one_model"] == settings["model"] and facts["preprocessing"]["view"] == settings["view"] == "axial"
    assert (facts["hardware"], facts["software"]) == ([start["hardware"]], [start["versions"]])
    assert (facts["seeds"], facts["start_weights"]) == ([start["seeds"]], [start["started_from"]])
    (training,) = facts["training"]
    assert training.items() <= start["arguments"].items() and training["max_steps"] == 1
    assert not [name for name in training if name.startswith(("lora", "augment_"))]
    data = (run / "cohort/splits.json").read_bytes()
    ids = json.loads(data)["splits"]
    assert facts["split_plan"]["sha256"] == hashlib.sha256(data).hexdigest() == metrics["splits_sha256"]
    assert facts["split_plan"]["participants"] == {name: len(of) for name, of in ids.items()}
    with open(run / "cohort/exclusions.tsv", newline="") as file:
        assert facts["exclusions"]["reasons"] == Counter(row["reason"] for row in csv.DictReader(file, delimiter="\t"))
    assert (facts["exclusions"]["found"], facts["exclusions"]["excluded"]) == (44, 3)
    answers = (run / "run/eval/predictions.jsonl").read_bytes()
    assert facts["outputs"] == {"sha256": hashlib.sha256(answers).hexdigest(), "lines": metrics["n"]}
    assert facts["architecture"]["architectures"] == read(run / "run/config.json")["architectures"]
    assert set(facts["disjoint"]["shared"].values()) == {0} and facts["disjoint"]["rows_without_subject"] == 0
    table = pd.read_csv(run / "participants.tsv", sep="\t").set_index("participant_id")
    for split, names in ids.items():
        of, ages = table.loc[names], facts["demographics"]["age"][split]
        assert facts["split_sizes"][split] == {"rows": len(names), "subjects": len(names)}
        assert ages["missing"] == of.age.isna().sum() and ages["n"] == len(names)
        assert (ages["mean"], ages["sd"]) == pytest.approx((of.age.mean(), of.age.std()))
        assert ages["quartiles"] == pytest.approx(of.age.quantile([0.25, 0.5, 0.75]).tolist())
        assert ages["range"] == [of.age.min(), of.age.max()]
        assert facts["demographics"]["site"][split]["counts"] == of.site.value_counts().to_dict()
    assert checklist["unknown"].keys() == {"model_on_hub", "dataset_on_hub", "licence"}


@pytest.mark.slow
@pytest.mark.parametrize(
    "name",
    [
        *("run/run.json", "run/trainer_state.json", "run/config.json", "run/eval/predictions.jsonl"),
        *("cohort/exclusions.tsv", "cohort/splits.json", "run/README.md"),
    ],
)
def test_nothing_is_claimed_of_a_file_that_is_not_there(copied, splits, name):
    (copied / "run/README.md").write_text("---\nlicense: apache-2.0\n---\n")
    before = build(copied, splits)
    (copied / name).unlink()
    after = build(copied, splits)
    source = name.split("/")[-1]
    gone = {fact for fact, entry in before["facts"].items() if entry["source"] == source}
    assert gone and gone <= after["unknown"].keys() and after["facts"].keys() == before["facts"].keys() - gone
    assert all(source in after["unknown"][fact] for fact in gone)
    for one, other in zip(before["checklists"], after["checklists"], strict=True):
        for was, item in zip(one["items"], other["items"], strict=True):
            lost = gone & set(was["facts"])
            assert set(item["missing"]) == set(was["missing"]) | lost
            if lost and set(was["facts"]) <= gone and not was["evidence"]:
                assert item["status"] == OPEN
            elif lost:
                assert item["status"] == PARTLY
            else:
                assert item == was


@pytest.mark.slow
def test_a_site_that_was_held_out_is_told_from_the_trainings_own_data(copied, splits):
    plan = read(copied / "cohort/splits.json")
    write_json(
        copied / "cohort/splits.json", {**plan, "splits": {**plan["splits"], "external": ["sub-900", "sub-901"]}}
    )
    (copied / "cohort/external").mkdir()
    (start,) = read(copied / "run/run.json")
    sha256 = hashlib.sha256((copied / "cohort/splits.json").read_bytes()).hexdigest()
    write_json(copied / "run/run.json", [{**start, "data": {}, "splits_sha256": sha256}])
    said = {}
    for name in ("cohort", "cohort/external"):
        files = read_run_files(str(copied / "run"), str(copied / name), splits, describe_process(1))
        checklist = build_checklist(files.add_results(copied / "run/eval"))
        facts, steps = checklist["facts"], list_steps(checklist, read(copied / "run/eval/metrics.json"))
        said[name] = (
            facts["same_splits"]["words"][0],
            [line for _, side in steps for line in side if "folder" in line],
        )
    assert said["cohort"] == (
        "the rows are of the division of the training's data",
        ["external: 2 participants, in another folder"],
    )
    held_out, elsewhere = said["cohort/external"]
    assert held_out == "the rows are of the site that was held out of the division of the training's data"
    assert [line.split(":")[0] for line in elsewhere] == ["train", "validation", "test"]


@pytest.mark.slow
def test_of_several_cohorts_it_is_not_said_that_none_has_a_record_of_exclusions(copied, splits):
    files = read_run_files(str(copied / "run"), None, splits, describe_process(1), n_cohorts=2)
    checklist = build_checklist(files.add_results(copied / "run/eval"))
    (left_out,) = list_steps(checklist, read(copied / "run/eval/metrics.json"))[0][1]
    assert left_out == "left out: not recorded, the exclusions.tsv of each of 2 data folders is not read here"
    assert checklist["unknown"]["split_plan"] == "the splits.json of each of 2 data folders is not read here"


@pytest.mark.slow
def test_where_the_model_was_trained_on_other_rows_the_sizes_of_the_splits_say_so(copied, splits):
    """Of another cohort's folder: its train split is none that the model has seen."""
    said = "the model was trained on other rows than the train split here, 99 (run.json)"
    facts = build(copied, splits)["facts"]
    assert not any("other rows" in word for name in ("split_sizes", "demographics") for word in facts[name]["words"])
    (start,) = read(copied / "run/run.json")
    write_json(copied / "run/run.json", [{**start, "data": {"train": {"rows": 99, "sha256": "0"}}}])
    checklist = build(copied, splits)
    assert said in checklist["facts"]["split_sizes"]["words"] and said in checklist["facts"]["demographics"]["words"]
    page = describe_checklist(checklist, read(copied / "run/eval/metrics.json"), is_public=True)
    assert page.shown["notes"] == [said]


@pytest.mark.slow
def test_a_run_that_went_on_names_its_checkpoint_and_what_it_began_with(copied, splits):
    (start,) = read(copied / "run/run.json")
    began_with = start["started_from"]
    for name in ("checkpoint-2", "checkpoint-3"):
        (copied / "run" / name).mkdir()
        (copied / "run" / name / "model.safetensors").write_bytes(b"weights")
    went_on = [
        {**start, "started_from": [describe_checkpoint(str(copied / "run/checkpoint-2")), *began_with]},
        {**start, "started_from": [describe_checkpoint(str(copied / "run/checkpoint-3"))]},
    ]
    words = []
    for n_starts in (2, 3):
        write_json(copied / "run/run.json", [start, *went_on][:n_starts])
        words.append(build(copied, splits)["facts"]["start_weights"]["words"])
    assert words == [
        ["started 2 times, at last with", "checkpoint-2", "tiny, drawn from seed 42"],
        ["started 3 times, at last with", "checkpoint-3"],
    ]


@pytest.mark.slow
def test_a_card_that_is_none_names_no_licence_and_a_broken_record_is_named(copied, splits):
    for card in (b"no metadata", b"\xff\xfe", b"---\n: [\n---\n", b"---\n- a list\n---\n"):
        (copied / "run/README.md").write_bytes(card)
        assert build(copied, splits)["unknown"]["licence"] == "the model's card, README.md, names no licence"
    (copied / "cohort/exclusions.tsv").write_text("nothing")
    with pytest.raises(ValueError, match=r"exclusions\.tsv: expected a table"):
        build(copied, splits)


@pytest.mark.slow
def test_evidence_fills_an_item_by_its_name_and_limits_are_the_ones_found(copied, splits):
    path = copied / "run/eval/metrics.json"
    metrics = read(path)
    write_json(path, {**metrics, "evidence": {}})
    before = {item["item"]: item for item in build(copied, splits)["checklists"][0]["items"]}
    assert (
        before["39"]["missing"].keys() == {"failures"} and "was not asked for" in before["39"]["missing"]["failures"]
    )
    found = {"sentences": ["All is well.", "It fails at one site."], "limits": ["It fails at one site."]}
    write_json(path, {**metrics, "evidence": {"failures": found}})
    checklist = build(copied, splits)
    (item,) = [item for item in checklist["checklists"][0]["items"] if item["item"] == "39"]
    assert (item["status"], item["evidence"], item["missing"]) == (FILLED, ["failures"], {})
    assert "It fails at one site." in checklist["facts"]["limits"]["value"]
    assert "All is well." not in checklist["facts"]["limits"]["value"]


@pytest.mark.slow
def test_the_public_page_withholds_small_groups_and_names_nobody(run, splits):
    public, page = (run / "run/eval" / name for name in ("report_public.html", "report.html"))
    texts = [path.read_text(encoding="utf-8") for path in (public, page)]
    assert all("doi:10.1148/ryai.240300: of 44 items" in text and "44 participants found" in text for text in texts)
    assert "sub-0" not in texts[0] and str(run) not in texts[0] and "participants.tsv" not in texts[0]
    checklist = read(run / "run/eval/checklist.json")
    metrics = withhold_small_groups(read(run / "run/eval/metrics.json"))
    rows = {
        is_public: {
            row["title"]: row["cells"] for row in describe_checklist(checklist, metrics, is_public).shown["subjects"]
        }
        for is_public in (True, False)
    }
    assert rows[True].keys() == rows[False].keys() - {"age, quartiles; range"}
    values = checklist["facts"]["demographics"]["value"]
    for i, split in enumerate(values["site"]):
        south = values["site"][split]["counts"].get("south", 0)
        assert (rows[True]["site: south"][i] == WITHHELD) == (
            0 < south < FEWEST or values["site"][split]["n"] < FEWEST
        )
        assert rows[False]["site: south"][i].split()[0] == str(south)


# ------------------------------------------------------------------------------------------------ counts


@given(
    st.dictionaries(st.text("abcdefgh", min_size=1, max_size=2), st.integers(0, 30) | st.integers(0, 6), min_size=1)
)
def test_no_small_count_is_shown_or_follows_from_the_others_and_the_sum(cells):
    shown = hide_small_cells(cells)
    hidden = [cells[name] for name, n in shown.items() if n is None]
    assert all(n is None or n == cells[name] for name, n in shown.items())
    assert not [n for n in shown.values() if n in range(1, FEWEST)]
    if sum(cells.values()) < FEWEST:
        assert len(hidden) == len(cells)
    elif any(0 < n < FEWEST for n in cells.values()):
        assert len(hidden) >= 2 and sum(hidden) >= FEWEST and 0 not in hidden
    else:
        assert not hidden


def test_a_subject_counts_once_by_the_first_of_its_rows_that_states_it():
    from datasets import Dataset, DatasetDict

    def make(task_id, subject, **extra):
        metadata = {"subject_id": subject, "subject_label": "x", "extra": json.dumps(extra)}
        return {"task_id": task_id, "metadata": metadata}

    rows = [make("1", "a", age=None, note="n"), make("2", "a", age="30"), make("3", "a", age="31")]
    rows += [make(str(i), f"s{i}", age=str(i)) for i in range(40, 47)] + [make("9", "b"), make("10", None, age="60")]
    described = describe_subjects(DatasetDict(test=Dataset.from_list(rows)))
    assert described.keys() == {"subject_label", "age"}
    assert described["subject_label"]["test"]["counts"] == {"x": 10}
    age = described["age"]["test"]
    assert (age["n"], age["missing"], age["range"]) == (10, 1, [30.0, 60.0])
    assert age["several"] == 1 and described["subject_label"]["test"]["several"] == 0
    files = SimpleNamespace(splits=DatasetDict(test=Dataset.from_list(rows)), metrics={}, starts=[])
    known = DATA_FACTS["demographics"].read(files)
    assert known.words[1:] == ["rows of one subject differ in age: a subject counts by the first of its rows"]
    fact = {"title": "", "source": "", "value": known.value, "words": known.words}
    sizes, left_out = {"test": {"rows": 13, "subjects": 10}}, {"found": 1, "used": 1, "excluded": {}}
    facts = {"demographics": fact} | {
        name: {"title": "", "source": "", "words": [], "value": value}
        for name, value in (("split_sizes", sizes), ("left_out_rows", left_out))
    }
    for is_public, shown in ((False, "1"), (True, WITHHELD)):
        section = describe_checklist(
            {"facts": facts, "unknown": {"exclusions": "no file"}, "checklists": []},
            {"split": "test", "n_subjects": 10},
            is_public,
        )
        (cells,) = [row["cells"] for row in section.shown["subjects"] if "several" in row["title"]]
        assert cells == [shown] and section.shown["notes"] == known.words[1:]
    assert "note" in describe_subjects(DatasetDict(test=Dataset.from_list(rows)), ("note", "not there"))
