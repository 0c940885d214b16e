"""A participants table → conversations: what is said, who is in which split, what is left out and why."""

import csv
import json
from collections import Counter

import nibabel
import numpy as np
import pytest
import validate_json_format
from hypothesis import given
from hypothesis import strategies as st
from properties import examples

from umbrella.cohort.generation import generate, main, parse_options
from umbrella.cohort.shared.visits import CohortError
from umbrella.evaluation.checklists.participants import count_exclusions
from umbrella.records import cohort
from umbrella.validation import validator
from umbrella_dataset import find_problems, load_umbrella

TEMPLATE = "{participant_id}_T1w.nii.gz"


def write_table(folder, rows, name="table.tsv"):
    """Write rows (dicts) and an empty scan for each id; those whose id ends in "-noscan" get none."""
    with open(folder / name, "w", newline="") as file:
        writer = csv.DictWriter(file, rows[0].keys(), delimiter="\t", lineterminator="\n")
        writer.writeheader()
        writer.writerows(rows)
    for row in rows:
        if not row["participant_id"].endswith(("-noscan", "n/a")):
            (folder / f"{row['participant_id']}_T1w.nii.gz").write_bytes(b"\0")
    return folder / name


def make_rows(n=40, **columns):
    rows = []
    for i in range(n):
        row = {"participant_id": f"sub-{i:03d}", "sex": "MF"[i % 2], "age": str(20 + i), "site": "AB"[i // 2 % 2]}
        rows.append(row | {name: make(i) for name, make in columns.items()})
    return rows


def run(table, *flags, output="out", template=TEMPLATE):
    """Generate and return (split → conversations, exclusions, summary)."""
    out = table.parent / output
    scans = [] if "--image_template" in flags else ["--image_template", template]
    summary = generate(parse_options("", ["--participants", str(table), "--output_dir", str(out), *scans, *flags]))
    return read_splits(out), read_exclusions(out), summary


def read_splits(out):
    splits = {}
    for name in ("train", "validation", "test", "external/test"):
        if (out / name).is_dir():
            splits[name] = [json.loads(file.read_text()) for file in sorted((out / name).glob("*.json"))]
    return splits


def read_exclusions(out):
    with open(out / "exclusions.tsv", newline="") as file:
        return list(csv.DictReader(file, delimiter="\t"))


def subjects_of(records):
    return {subject for record in records for subject in record["subject_ids"]}


def texts_of(record):
    return [item["text"] for turn in record["conversations"] for item in turn["content"] if item["type"] == "text"]


def test_one_scan_one_question_one_answer(tmp_path):
    splits, _, _ = run(write_table(tmp_path, make_rows()), "--target", "sex", "--stratify", "sex,site")
    assert {name: len(records) for name, records in splits.items()} == {"train": 32, "validation": 4, "test": 4}
    record = splits["train"][0]
    assert find_problems(record) == []
    assert [turn["role"] for turn in record["conversations"]] == ["user", "assistant"]
    assert record["images"][0]["path"] == f"../{record['subject_ids'][0]}_T1w.nii.gz"
    assert record["metadata"] | {"site": "", "subject_id": ""} == {
        "sex": "M" if record["metadata"]["subject_label"] == "male" else "F",
        "site": "",
        "subject_id": "",
        "subject_label": record["metadata"]["subject_label"],
        "task": "sex_classification",
        "target": "sex",
        "target_type": "categorical",
    }
    assert f" {record['metadata']['subject_label']}" in texts_of(record)[-1]


def test_the_rows_load_and_name_scans_that_exist(tmp_path):
    run(write_table(tmp_path, make_rows()), "--target", "sex", "--stratify", "sex", "--reference", "both")
    rows = load_umbrella(str(tmp_path / "out"), split="test", cache_dir=str(tmp_path / "cache"))
    assert len(rows) == 8
    assert rows[0]["images"][0]["path"].startswith(f"{tmp_path}/sub-")


def test_both_references_have_the_label_that_they_say(tmp_path):
    splits, _, _ = run(write_table(tmp_path, make_rows()), "--target", "sex", "--reference", "both")
    for records in splits.values():
        for record in records:
            metadata = record["metadata"]
            is_same = metadata["subject_label"] == metadata["reference_label"]
            assert metadata["comparison_type"] == ("same" if is_same else "different")
            assert metadata["reference_id"] != metadata["subject_id"]
            assert f" {metadata['reference_label']}" in "".join(texts_of(record)[:2])
            assert record["subject_ids"] == [metadata["reference_id"], metadata["subject_id"]]
        pairs = Counter((r["metadata"]["subject_id"], r["metadata"]["comparison_type"]) for r in records)
        assert set(pairs.values()) == {1}


def test_references_are_spread_over_the_split(tmp_path):
    splits, _, _ = run(
        write_table(tmp_path, make_rows()), "--target", "sex", "--stratify", "sex", "--reference", "both"
    )
    uses = Counter(record["metadata"]["reference_id"] for record in splits["train"])
    assert set(uses.values()) == {2}


def test_references_per_subject_are_different_subjects(tmp_path):
    splits, exclusions, _ = run(
        write_table(tmp_path, make_rows(60)), "--target", "sex", "--reference", "different",
        "--references_per_subject", "2", "--stratify", "sex",
    )  # fmt: skip
    uses = Counter(record["metadata"]["subject_id"] for record in splits["train"])
    assert set(uses.values()) == {2}
    assert len({(r["metadata"]["subject_id"], r["metadata"]["reference_id"]) for r in splits["train"]}) == 96
    assert exclusions == []


def test_a_number_is_answered_with_its_unit(tmp_path):
    splits, _, _ = run(write_table(tmp_path, make_rows()), "--target", "age")
    record = splits["train"][0]
    label = record["metadata"]["subject_label"]
    assert label.isdigit() and f"{label} years" in texts_of(record)[-1]
    assert record["metadata"]["target_type"] == "numeric" and record["metadata"]["unit"] == "years"


def test_question_and_answer_of_the_user_take_the_place_of_the_template(tmp_path):
    rows = make_rows(bmi=lambda i: f"{20 + i / 4:.2f}0")
    splits, _, _ = run(
        write_table(tmp_path, rows), "--target", "bmi", "--unit", "kg/m²", "--decimals", "1",
        "--question", "BMI?", "--answer", "It is {value} {unit}.",
    )  # fmt: skip
    answers = {record["metadata"]["subject_id"]: texts_of(record) for record in splits["train"]}
    values = {row["participant_id"]: f"{float(row['bmi']):.1f}".removesuffix(".0") for row in rows}
    assert all(texts == ["BMI?", f"It is {values[name]} kg/m²."] for name, texts in answers.items())


def test_several_modalities_stand_in_one_conversation(tmp_path):
    table = write_table(tmp_path, make_rows())
    for row in make_rows():
        (tmp_path / f"{row['participant_id']}_bold.nii.gz").write_bytes(b"\0")
    splits, _, _ = run(
        table, "--target", "sex", "--reference", "same",
        "--image_template", "sMRI={participant_id}_T1w.nii.gz", "fMRI={participant_id}_bold.nii.gz",
    )  # fmt: skip
    record = splits["train"][0]
    assert record["modalities"] == ["sMRI", "fMRI", "sMRI", "fMRI"]
    assert find_problems(record) == []


def test_labels_are_renamed_and_others_counted(tmp_path):
    rows = make_rows(dx=lambda i: ("0", "1", "9")[i % 3])
    splits, exclusions, _ = run(write_table(tmp_path, rows), "--target", "dx", "--labels", "0=control", "1=patient")
    assert {r["metadata"]["subject_label"] for records in splits.values() for r in records} == {"control", "patient"}
    assert Counter(row["reason"] for row in exclusions) == {"unknown label": 13}
    assert "control or patient" in "".join(text for r in splits["train"] for text in texts_of(r)[:1])


def test_a_held_out_site_is_external_and_its_relatives_are_left_out(tmp_path):
    rows = make_rows(family=lambda i: f"f{i // 4}" if i < 8 else "n/a")
    splits, exclusions, _ = run(
        write_table(tmp_path, rows), "--target", "sex", "--holdout", "site=B", "--group_by", "family"
    )
    site = {row["participant_id"]: row["site"] for row in rows}
    assert {site[name] for name in subjects_of(splits["external/test"])} == {"B"}
    inside = set().union(*(subjects_of(splits[name]) for name in ("train", "validation", "test")))
    assert {site[name] for name in inside} == {"A"}
    assert [row["participant_id"] for row in exclusions] == ["sub-000", "sub-001", "sub-004", "sub-005"]
    assert {row["reason"] for row in exclusions} == {"relative held out"}
    rows = load_umbrella(str(tmp_path / "out/external"), split="test", cache_dir=str(tmp_path / "cache"))
    assert rows[0]["images"][0]["path"].startswith(f"{tmp_path}/sub-")


def test_the_splits_of_one_run_are_those_of_the_next_by_its_file(tmp_path):
    table = write_table(tmp_path, make_rows())
    first, _, _ = run(table, "--target", "sex", "--seed", "5")
    second, exclusions, _ = run(table, "--target", "age", "--split_file", f"{tmp_path}/out/splits.json", output="two")
    assert {k: subjects_of(v) for k, v in first.items()} == {k: subjects_of(v) for k, v in second.items()}
    assert exclusions == []


def test_a_family_larger_than_a_split_is_in_train_and_said(tmp_path):
    rows = make_rows(family=lambda i: "large" if i < 9 else f"f{i}")
    splits, _, summary = run(write_table(tmp_path, rows), "--target", "sex", "--group_by", "family")
    assert {f"sub-{i:03d}" for i in range(9)} <= subjects_of(splits["train"])
    assert "WARNING group large (family) has 9 participants, more than validation: all of them are in train" in summary
    assert summary.count("WARNING group") == 1


def test_a_split_file_may_leave_people_out_but_not_part_a_family(tmp_path):
    table = write_table(tmp_path, make_rows(family=lambda i: f"f{i // 2}"))
    splits = [f"{i:03d}\t{'train' if i < 20 else 'test'}\n" for i in range(38)]
    (tmp_path / "splits.tsv").write_text("participant_id\tsplit\n" + "".join(splits))
    flags = ("--target", "sex", "--group_by", "family", "--split_file", str(tmp_path / "splits.tsv"))
    records, exclusions, _ = run(table, *flags)
    assert {name: len(some) for name, some in records.items()} == {"train": 20, "test": 18}
    assert [row["participant_id"] for row in exclusions] == ["sub-038", "sub-039"]
    assert {row["reason"] for row in exclusions} == {"not in the split file"}
    splits[20] = splits[20].replace("test", "train")
    (tmp_path / "splits.tsv").write_text("participant_id\tsplit\n" + "".join(splits))
    with pytest.raises(CohortError, match="expected group f10 in one split, found sub-021 in test, sub-020 in train"):
        run(table, *flags)


def test_balance_evens_out_train_alone_and_counts_who_went(tmp_path):
    rows = make_rows(dx=lambda i: "ill" if i % 5 == 0 else "well")
    splits, exclusions, summary = run(
        write_table(tmp_path, rows), "--target", "dx", "--balance", "--stratify", "dx", "--split", "0.5,0.25,0.25"
    )
    counts = {name: Counter(r["metadata"]["subject_label"] for r in records) for name, records in splits.items()}
    assert counts["train"] == {"ill": 4, "well": 4}
    assert counts["test"] == {"ill": 2, "well": 8}
    assert Counter(row["reason"] for row in exclusions) == {"balance": 12}
    assert "labels are balanced in train, as they come elsewhere" in summary


def test_shards_hold_the_same_conversations_as_files(tmp_path):
    table = write_table(tmp_path, make_rows())
    splits, _, _ = run(table, "--target", "sex")
    run(table, "--target", "sex", "--jsonl", "10", output="shards")
    lines = [
        line for shard in sorted((tmp_path / "shards/train").iterdir()) for line in shard.read_text().splitlines()
    ]
    assert len(list((tmp_path / "shards/train").iterdir())) == 4
    assert [json.loads(line) for line in lines] == splits["train"]


def test_the_same_seed_gives_the_same_bytes_and_another_does_not(tmp_path):
    table = write_table(tmp_path, make_rows())
    contents = []
    for output, seed in (("a", "1"), ("b", "1"), ("c", "2")):
        run(table, "--target", "sex", "--reference", "both", "--seed", seed, output=output)
        out = tmp_path / output
        contents.append({str(p.relative_to(out)): p.read_bytes() for p in out.rglob("*") if p.is_file()})
    assert contents[0] == contents[1] != contents[2]


@examples(12)
@given(st.integers(0, 10**6), st.sampled_from(["same", "different", "both", "none"]))
@pytest.mark.slow
def test_no_subject_family_or_session_is_in_two_splits_references_included(tmp_path_factory, seed, reference):
    rng = np.random.default_rng(seed)
    rows = [
        row | {"session_id": f"ses-{session}"}
        for row in make_rows(40, family=lambda i: f"f{rng.integers(25)}")
        for session in range(rng.integers(1, 4))
    ]
    tmp_path = tmp_path_factory.mktemp("cohort")
    for row in rows:
        (tmp_path / f"{row['participant_id']}_{row['session_id']}.nii.gz").write_bytes(b"\0")
    splits, _, _ = run(
        write_table(tmp_path, rows), "--target", "sex", "--reference", reference, "--group_by", "family",
        "--split", "0.5,0.25,0.25", "--seed", str(seed), template="{participant_id}_{session_id}.nii.gz",
    )  # fmt: skip
    family = {row["participant_id"]: row["family"] for row in rows}
    subjects = {name: subjects_of(records) for name, records in splits.items()}
    for members in (subjects, {name: {family[s] for s in some} for name, some in subjects.items()}):
        assert sum(map(len, members.values())) == len(set().union(*members.values()))
    for records in splits.values():
        for record in records:
            named = {record["metadata"]["subject_id"], record["metadata"].get("reference_id")} - {None}
            assert named == set(record["subject_ids"])


def test_everything_left_out_is_counted_with_its_reason(tmp_path):
    rows = make_rows()
    rows[0]["sex"] = "n/a"
    rows[1]["participant_id"] = "sub-001-noscan"
    rows += [dict(rows[2]), rows[3] | {"age": "99"}, rows[4] | {"participant_id": "n/a"}]
    table = write_table(tmp_path, rows)
    (tmp_path / "sub-900_T1w.nii.gz").write_bytes(b"\0")
    splits, exclusions, summary = run(table, "--target", "sex")
    assert Counter(row["reason"] for row in exclusions) == {
        "no label": 1,
        "no scan": 1,
        "duplicate row": 1,
        "contradicting rows": 1,
        "no id": 1,
        "scan without a participant": 1,  # sub-900; sub-003 has rows, which contradict each other
    }
    assert sum(map(len, splits.values())) == 37
    assert "1 contradicting rows" in summary and "1 no scan" in summary
    totals = next(line.split() for line in summary.splitlines() if line.startswith("all "))
    assert totals == ["all", "40", "3", "29", "4", "4"]


def test_found_is_excluded_and_used_for_every_site(tmp_path):
    rows = make_rows()
    rows[0]["sex"] = ""
    _, _, summary = run(write_table(tmp_path, rows), "--target", "sex")
    lines = {
        line[:28].strip(): [int(cell) for cell in line[28:].split()]
        for line in summary.splitlines()
        if line.startswith("site: ")
    }
    assert lines["site: A"][:2] == [20, 1] and lines["site: B"][:2] == [20, 0]
    assert all(found == excluded + sum(used) for name, (found, excluded, *used) in lines.items() if "site" in name)


def test_the_participants_are_counted_from_the_files_as_the_summary_counts_them(tmp_path):
    rows = make_rows()
    rows[0]["sex"] = ""
    rows += [rows[7] | {"sex": "F" if rows[7]["sex"] == "M" else "M"}, rows[3] | {"participant_id": "n/a"}, rows[9]]
    rows.append(rows[2] | {"participant_id": "sub-x-noscan"})
    table = write_table(tmp_path, rows)
    (tmp_path / "sub-stranger_T1w.nii.gz").write_bytes(b"\0")
    _, exclusions, summary = run(table, "--target", "sex", "--holdout", "site=B", "--metadata", "site")
    found, excluded, *used = next(line.split()[1:] for line in summary.splitlines() if line.startswith("all "))
    out = tmp_path / "out"
    counted = count_exclusions(cohort.read_exclusions(out), cohort.read_splits(out)["splits"])
    assert [counted["found"], counted["excluded"], counted["used"]] == [int(found), int(excluded), sum(map(int, used))]
    assert counted["reasons"] == Counter(row["reason"] for row in exclusions)
    assert {"scan without a participant", "contradicting rows", "duplicate row", "no id"} <= counted["reasons"].keys()
    assert cohort.find_cohort_folder(out / "external") == cohort.find_cohort_folder(out) == out


def test_a_record_of_a_cohort_that_is_none_is_named_with_its_remedy(tmp_path):
    assert cohort.read_exclusions(tmp_path) is cohort.read_splits(tmp_path) is None
    header = "participant_id\tsession\treason\tdetail\n"
    for text in ("", "a\tb\n", header + "sub-1\n", header + '"sub-1', header.encode() + b"\xff\t\t\t\n"):
        (tmp_path / "exclusions.tsv").write_bytes(text if isinstance(text, bytes) else text.encode())
        with pytest.raises(ValueError, match=r"exclusions\.tsv: expected a table of participant_id, .* again$"):
            cohort.read_exclusions(tmp_path)
    (tmp_path / "splits.json").write_text("{}")
    with pytest.raises(ValueError, match=r"splits\.json: expected a JSON object with splits, found"):
        cohort.read_splits(tmp_path)


@pytest.mark.parametrize("in_table, on_disk", [("{:03d}", "sub-{:03d}"), ("sub-{:03d}", "{:03d}")])
def test_ids_that_differ_by_a_prefix_find_their_scans(tmp_path, in_table, on_disk):
    rows = [row | {"participant_id": in_table.format(i)} for i, row in enumerate(make_rows())]
    table = write_table(tmp_path, rows)
    for path in tmp_path.glob("*.nii.gz"):
        path.unlink()
    for i in range(40):
        (tmp_path / f"{on_disk.format(i)}_T1w.nii.gz").write_bytes(b"\0")
    splits, exclusions, _ = run(table, "--target", "sex")
    assert sum(map(len, splits.values())) == 40 and exclusions == []


def test_one_participant_under_two_spellings_is_one(tmp_path):
    rows = make_rows()
    rows.append(rows[7] | {"participant_id": "007"})
    _, exclusions, _ = run(write_table(tmp_path, rows), "--target", "sex")
    assert {"duplicate row", "scan without a participant"} >= {row["reason"] for row in exclusions}
    assert any(row["participant_id"] == "sub-007" for row in exclusions)


def test_text_in_a_column_of_numbers_is_counted(tmp_path):
    rows = make_rows()
    rows[3]["age"] = "unknown"
    rows[4]["age"] = "inf"
    splits, exclusions, _ = run(write_table(tmp_path, rows), "--target", "age")
    assert [(row["participant_id"], row["reason"]) for row in exclusions] == [
        ("sub-003", "not a number"),
        ("sub-004", "not a number"),
    ]
    assert sum(map(len, splits.values())) == 38


def test_a_comparison_over_time_takes_the_subjects_own_first_session(tmp_path):
    rows = [
        row | {"session_id": f"ses-{session}", "volume": str(100 + (3 * i + session) % 7), "i": str(i)}
        for i, row in enumerate(make_rows(40))
        for session in (1, 2, 10)
    ]
    with open(tmp_path / "table.tsv", "w", newline="") as file:
        writer = csv.DictWriter(file, rows[0].keys(), delimiter="\t")
        writer.writeheader()
        writer.writerows(rows)
    for row in rows:
        (tmp_path / f"{row['participant_id']}_{row['session_id']}.nii.gz").write_bytes(b"\0")
    splits, exclusions, _ = run(
        tmp_path / "table.tsv", "--target", "volume", "--reference", "earlier", "--change", "direction",
        template="{participant_id}_{session_id}.nii.gz",
    )  # fmt: skip
    volume = {(row["participant_id"], row["session_id"]): int(row["volume"]) for row in rows}
    records = [record for some in splits.values() for record in some]
    for record in records:
        metadata = record["metadata"]
        assert metadata["subject_id"] == metadata["reference_id"] and metadata["reference_session"] == "1"
        first, later = (
            volume[metadata["subject_id"], f"ses-{metadata[key]}"] for key in ("reference_session", "subject_session")
        )
        assert metadata["subject_label"] == ("increased" if later > first else "decreased")
        assert (metadata["reference_size"], metadata["subject_size"]) == (first, later)
    assert {record["metadata"]["subject_session"] for record in records} == {"2", "10"}
    assert len(records) + sum(row["reason"] == "no change" for row in exclusions) == 80


@pytest.mark.slow
def test_scans_that_cannot_be_read_or_are_anothers_are_left_out(tmp_path):
    table = write_table(tmp_path, make_rows(24))
    for i in range(24):
        voxels = np.random.default_rng(0 if i == 5 else i).integers(0, 900, (7, 6, 5)).astype(np.int16)
        nibabel.Nifti1Image(voxels, np.diag([2.0, 3.0, 1.0, 1.0])).to_filename(tmp_path / f"sub-{i:03d}_T1w.nii.gz")
    (tmp_path / "sub-009_T1w.nii.gz").write_bytes((tmp_path / "sub-008_T1w.nii.gz").read_bytes()[:-40])
    _, exclusions, _ = run(table, "--target", "sex", "--check_images", "--split", "0.6,0.2,0.2")
    assert [(row["participant_id"], row["reason"]) for row in exclusions] == [
        ("sub-000", "duplicate voxels"),
        ("sub-005", "duplicate voxels"),
        ("sub-009", "unreadable"),
    ]


@pytest.mark.parametrize(
    "flags, message",
    [
        (["--target", "sexe"], "--target: expected a column of the table, found no 'sexe'. Did you mean sex?"),
        (["--target", "sex", "--stratify", "Site"], "--stratify: expected.*found no 'Site'. Did you mean site"),
        (["--target", "sex", "--group_by", "family"], "--group_by: expected a column of the table, found no 'family'"),
        (["--target", "study"], "expected at least two different answers, found only 'one'"),
        (["--target", "sex", "--holdout", "site=C"], "--holdout site=C: expected a value of site, found only A, B"),
        (["--target", "age", "--reference", "both"], "--reference both: expected any, earlier or none"),
        (["--target", "age", "--balance"], "--balance: expected a target with labels"),
        (["--target", "sex", "--labels", "x=male", "y=female"], "found none.*The labels known are x, y"),
        (["--target", "sex", "--group_by", "study"], "expected groups that fit into a split .*'group one' with 40"),
        (["--target", "age", "--change", "number"], "expected labels whose order in time can be told"),
    ],
)  # fmt: skip
def test_what_does_not_fit_the_table_is_refused_in_one_sentence(tmp_path, flags, message):
    table = write_table(tmp_path, make_rows(study=lambda i: "one"))
    with pytest.raises(CohortError, match=message):
        run(table, *flags)
    assert not (tmp_path / "out").exists()


def test_an_unknown_field_of_the_image_template_is_refused(tmp_path):
    with pytest.raises(CohortError, match=r"found \{participant\}. Did you mean participant_id\?"):
        run(write_table(tmp_path, make_rows()), "--target", "sex", template="{participant}_T1w.nii.gz")


def test_a_template_that_finds_no_scan_says_where_it_looked(tmp_path):
    with pytest.raises(CohortError, match=r"expected scans of the 40 rows, found none.*/nowhere/sub-000.nii"):
        run(write_table(tmp_path, make_rows()), "--target", "sex", template="nowhere/{participant_id}.nii")


@pytest.mark.parametrize(
    "flags, message",
    [
        (["--question", "What is {lable}?"], "found {lable}. Did you mean labels"),
        (["--question", "Is it {value}?"], "expected the true value in the answer only"),
        (["--answer", "I do not know."], "expected {value} or {value_with_unit} in an answer"),
        (["--template", "sex_comparision"], "Did you mean sex_comparison"),
        (["--split", "0.5,0.5"], "expected three shares"),
        (["--metadata", "task"], "columns that the conversations do not use themselves, found task"),
        (["--references_per_subject", "0"], "--references_per_subject: expected at least 1, found 0"),
        (["--holdout", "site"], "--holdout: expected NAME=VALUE, found 'site'"),
        (["--target_typ", "numeric"], "unknown argument --target_typ: did you mean --target_type?"),
        (["--taget", "sex"], "unknown argument --taget: did you mean --target?"),
    ],
)
def test_flags_that_do_not_fit_end_the_program_with_a_sentence(tmp_path, capsys, flags, message):
    with pytest.raises(SystemExit):
        run(write_table(tmp_path, make_rows()), "--target", "sex", *flags)
    assert message in capsys.readouterr().err


def test_paths_count_from_the_image_root_and_none_may_leave_it(tmp_path):
    (tmp_path / "scans").mkdir()
    table = write_table(tmp_path / "scans", make_rows()).rename(tmp_path / "table.tsv")
    splits, _, _ = run(table, "--target", "sex", "--image_root", str(tmp_path / "scans"), "--holdout", "site=B")
    paths = {record["images"][0]["path"] for records in splits.values() for record in records}
    assert paths == {f"sub-{i:03d}_T1w.nii.gz" for i in range(40)}
    rows = load_umbrella(
        str(tmp_path / "out/external"), "test", image_root=str(tmp_path / "scans"), cache_dir=str(tmp_path / "cache")
    )
    assert rows[0]["images"][0]["path"].startswith(f"{tmp_path}/scans/././sub-")
    (tmp_path / "elsewhere").mkdir()
    flags = ("--target", "sex", "--image_root", str(tmp_path / "elsewhere"))
    with pytest.raises(CohortError, match=r"elsewhere: expected all scans in it, found .*scans"):
        run(table, *flags, template=f"{tmp_path}/scans/{TEMPLATE}", output="two")
    assert not (tmp_path / "two").exists()


@pytest.mark.parametrize(
    "text, message",
    [
        ("participant_id\tsex\nsub-01\tM\tx\n", "table.tsv:2: expected 2 cells as in the header, found 3"),
        ("participant_id\tsex\tsex\nsub-01\tM\tF\n", "expected every column once, found 'sex' twice"),
        ("participant_id\tsex\n", "found no row"),
        (
            "participant_id\tsex\nsub-01\t" + "M" * 200_000 + "\n",
            "table.tsv:2: expected cells of text, found: field larger",
        ),
        ("id\tsex\nsub-01\tM\n", "--id_column: expected a column of the table, found no 'participant_id'"),
    ],
)
def test_a_table_that_is_none_is_refused(tmp_path, capsys, text, message):
    (tmp_path / "table.tsv").write_text(text)
    flags = ["--image_template", TEMPLATE, "--target", "sex", "--output_dir", str(tmp_path / "out")]
    assert main(["--participants", str(tmp_path / "table.tsv"), *flags]) == 1
    assert message in capsys.readouterr().err


def test_a_folder_with_files_of_the_user_is_not_replaced(tmp_path):
    table = write_table(tmp_path, make_rows())
    (tmp_path / "out").mkdir()
    (tmp_path / "out/notes.txt").write_text("mine")
    with pytest.raises(FileExistsError, match=r"notes\.txt"):
        run(table, "--target", "sex")
    assert (tmp_path / "out/notes.txt").read_text() == "mine"


def test_what_a_refused_run_leaves_is_no_conversation_and_goes_when_a_run_succeeds(tmp_path, capsys):
    table = write_table(tmp_path, make_rows())
    flags = ["--participants", str(table), "--target", "sex", "--output_dir", str(tmp_path / "out")]
    beside = tmp_path / "out.exclusions.tsv"
    assert main([*flags, "--image_template", "nowhere/{participant_id}.nii"]) == 1
    assert validate_json_format.main([str(tmp_path / "out")]) == 1
    assert "out: expected a folder train, validation or test in it, found none" in capsys.readouterr().out
    for template, is_there in (("{participant_id}_T1w.nii.gz", False), ("nowhere/{participant_id}.nii", True)) * 2:
        assert main([*flags, "--image_template", template]) == is_there
        assert beside.exists() == is_there
    beside.write_text("my own")
    assert main([*flags, "--image_template", "{participant_id}_T1w.nii.gz"]) == 0
    assert beside.read_text() == "my own"
    capsys.readouterr()
    for name in ("splits.json", "generated.json"):
        assert validate_json_format.main([str(tmp_path / "out" / name)]) == 1
        assert f"{name}: expected conversations, found a generator's record" in capsys.readouterr().out
    (tmp_path / "out/generated.json").unlink()
    assert main([*flags, "--image_template", "{participant_id}_T1w.nii.gz"]) == 1
    assert "generated.json, which says what a generator wrote, is not there" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("parse", "flags", "error"),
    [
        (parse_options, ["--dry_rum"], "unknown argument --dry_rum: did you mean --dry_run?"),
        (parse_options, ["--seed", "x"], "argument --seed: invalid int value: 'x'"),
        (parse_options, ["--bids_dir", ".", "--dry_run", "--modalities", "T1w"], "found T1w, which is sMRI"),
        (validator.parse_options, ["--check_image"], "unknown argument --check_image: did you mean --chec"),
    ],
)
def test_a_wrong_flag_ends_in_one_sentence_with_what_was_meant(parse, flags, error, capsys):
    with pytest.raises(SystemExit) as stop:
        parse("", flags) if parse is parse_options else parse(flags)
    err = capsys.readouterr().err
    assert stop.value.code == 2 and error in err and err.count("\n") == 2 and "--help" in err
