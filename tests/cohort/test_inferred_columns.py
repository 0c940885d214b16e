"""From the command line to the conversations: what is inferred of columns is printed, stored and overruled."""

import json
import re
import shlex
from collections import Counter

import pytest
from test_cohort_bids import write_tree
from test_generate_conversations import TEMPLATE, make_rows, run, texts_of, write_table

from umbrella.cohort.generation import generate, main, parse_options
from umbrella.cohort.shared.visits import CohortError


def all_of(splits):
    return [record for records in splits.values() for record in records]


def labels_of(splits):
    return Counter(record["metadata"]["subject_label"] for record in all_of(splits))


def test_levels_and_units_beside_the_table_become_labels_and_unit(tmp_path):
    rows = make_rows(gender=lambda i: str(1 + i % 2), weight=lambda i: f"{60 + i}.5")
    table = write_table(tmp_path, rows)
    sidecar = {"gender": {"Levels": {"1": "Male", "2": "Female"}}, "weight": {"Units": "kg"}}
    table.with_suffix(".json").write_text(json.dumps(sidecar))
    splits, _, summary = run(table, "--target", "gender", "--reference", "both")
    assert labels_of(splits) == {"male": 40, "female": 40}
    assert "gender: Levels in table.json say 1 = male, 2 = female; --labels VALUE=LABEL names them" in summary
    record = splits["train"][0]
    assert f" {record['metadata']['reference_label']}" in "".join(texts_of(record)[:2])
    splits, _, summary = run(table, "--target", "weight", output="two")
    assert all(f"{r['metadata']['subject_label']} kg" in texts_of(r)[-1] for r in all_of(splits))
    assert {r["metadata"]["unit"] for r in all_of(splits)} == {"kg"}
    assert "weight: the unit is kg, by table.json; --unit UNIT for another" in summary
    splits, _, _ = run(table, "--target", "gender", "--labels", "1=man", "2=woman", output="three")
    assert labels_of(splits) == {"man": 20, "woman": 20}


def test_what_a_template_calls_the_values_is_said_with_their_counts(tmp_path):
    rows = make_rows(sex=lambda i: ("M", "m", "F", "F")[i % 4])
    splits, _, summary = run(write_table(tmp_path, rows), "--target", "sex")
    assert labels_of(splits) == {"male": 20, "female": 20}
    assert "sex: the template says F (20) = female; M (10), m (10) = male; --labels VALUE=LABEL names" in summary


def test_participants_json_and_sessions_json_of_a_tree_are_read(tmp_path):
    tree = write_tree(tmp_path / "bids")
    (tree / "participants.json").write_text(json.dumps({"sex": {"Levels": {"M": "man", "F": "woman"}}}))
    (tree / "sessions.json").write_text(json.dumps({"stage": {"Levels": {"1": "early", "2": "late"}}}))
    for i in range(1, 21):
        rows = f"ses-1\t{1 + i % 2}\nses-2\t2\n"
        (tree / f"sub-{i:02d}/sub-{i:02d}_sessions.tsv").write_text(f"session_id\tstage\n{rows}")
    flags = ["--bids_dir", str(tree), "--output_dir", str(tmp_path / "out"), "--target"]
    assert "1 = early, 2 = late" in generate(parse_options("", [*flags, "stage"]))
    # A template that knows a level's word says its own: man is male in all cohorts.
    assert "F = female, M = male" in generate(parse_options("", [*flags, "sex"]))


def test_what_was_inferred_is_stored_beside_the_splits_and_in_every_row(tmp_path):
    rows = make_rows(dx=lambda i: ("AD", "ad", "Control", "control ")[i % 4])
    splits, _, summary = run(write_table(tmp_path, rows), "--target", "dx")
    stored = json.loads((tmp_path / "out/splits.json").read_text())
    assert stored["target"] == {
        "column": "dx",
        "target_type": "categorical",
        "labels": {"AD": "AD", "ad": "AD", "Control": "Control", "control": "Control"},
    }
    assert {record["metadata"]["target_type"] for record in all_of(splits)} == {"categorical"}
    assert labels_of(splits) == {"AD": 20, "Control": 20}
    assert summary in (tmp_path / "out/summary.txt").read_text()


def test_ages_with_decimal_commas_are_numbers_and_said(tmp_path):
    rows = make_rows(8, age=lambda i: f"{20 + i},5")
    splits, _, summary = run(write_table(tmp_path, rows), "--target", "age", "--split", "0.5 0.25 0.25")
    assert labels_of(splits) == {f"{20 + i}.5": 1 for i in range(8)}
    assert 'age: decimal sign ",", thousands sign ".": told from 8 of 8, as "20,5"' in summary
    assert {record["metadata"]["target_type"] for record in all_of(splits)} == {"numeric"}


@pytest.mark.parametrize("change", ["direction", "number"])
def test_a_change_is_told_from_numbers_as_they_are_written(tmp_path, change):
    rows = [
        row | {"session_id": f"ses-{session}", "volume": f"{100 + session * 2},5"}
        for row in make_rows(20)
        for session in (1, 2)
    ]
    rows[1]["volume"] = "90,25"
    flags = ("--target", "volume", "--change", change, "--split", "0.6,0.2,0.2")
    table = write_table(tmp_path, rows)
    for row in rows:
        (tmp_path / f"{row['participant_id']}_{row['session_id']}.nii.gz").write_bytes(b"\0")
    splits, _, summary = run(table, *flags, template="{participant_id}_{session_id}.nii.gz")
    said = {"direction": "labels", "number": "bins of the numbers"}[change]
    assert f"inferred  splits: the {said} of the change in equal shares" in summary
    assert "stated    volume: 40 values, all numbers → numbers, since a change is asked for" in summary
    expected = {"direction": {"increased": 19, "decreased": 1}, "number": {"2": 19, "-12.25": 1}}
    assert labels_of(splits) == expected[change]


def test_a_site_is_held_out_however_it_is_spelled_and_kept_by_one_name(tmp_path):
    rows = make_rows(40, site=lambda i: ("Oslo", "oslo", "Bergen", "Bergen ")[i % 4])
    splits, _, summary = run(write_table(tmp_path, rows), "--target", "sex", "--holdout", "site=OSLO")
    assert len(splits["external/test"]) == 20
    assert {record["metadata"]["site"] for record in splits["external/test"]} == {"Oslo"}
    assert "site: spellings of one value: Oslo (10), oslo (10) → Oslo" in summary


def test_a_family_is_one_however_it_is_spelled(tmp_path):
    rows = make_rows(40, family=lambda i: ("F{}", "f{} ")[i % 2].format(i // 2))
    splits, _, _ = run(write_table(tmp_path, rows), "--target", "sex", "--group_by", "family")
    place = {record["metadata"]["subject_id"]: name for name, some in splits.items() for record in some}
    assert all(place[f"sub-{i:03d}"] == place[f"sub-{i + 1:03d}"] for i in range(0, 40, 2))


def test_numbers_kept_as_metadata_are_written_with_a_point(tmp_path):
    rows = make_rows(20, weight=lambda i: f"{60 + i},5")
    splits, _, summary = run(write_table(tmp_path, rows), "--target", "sex", "--metadata", "weight")
    assert {record["metadata"]["weight"] for record in all_of(splits)} == {f"{60 + i}.5" for i in range(20)}
    assert 'as "60,5"; written with a point' in summary


@pytest.mark.parametrize("target, flags", [("age", ["--metadata", "age"]), ("dx", ["--stratify", "dx"])])
def test_the_target_may_be_kept_as_metadata_too(tmp_path, target, flags):
    rows = make_rows(20, age=lambda i: f"{20 + i},5", dx=lambda i: ("AD", "ad", "mild  AD", "mild AD ")[i % 4])
    splits, exclusions, _ = run(write_table(tmp_path, rows), "--target", target, *flags)
    assert exclusions == [] and len(all_of(splits)) == 20
    assert all(record["metadata"][target] == record["metadata"]["subject_label"] for record in all_of(splits))


@pytest.mark.parametrize(
    "with_spaces, with_commas",
    [
        (["--metadata", "site", "age"], ["--metadata", "site,age"]),
        (["--stratify", "sex", "site"], ["--stratify", "sex,site"]),
        (["--split", "0.6", "0.2", "0.2"], ["--split", "0.6,0.2,0.2"]),
        (["--labels", "M=a man", "F=a woman"], ["--labels", "M=a man,F=a woman"]),
        (["--labels", "M=a man", "F=a woman"], ["--labels", "M=a man F=a woman"]),
        (["--stratify", "sex", "site"], ["--stratify", "sex site"]),
    ],
)
def test_lists_are_taken_with_commas_or_spaces_alike(tmp_path, with_spaces, with_commas):
    table = write_table(tmp_path, make_rows(20))
    assert (
        run(table, "--target", "sex", *with_spaces)[0]
        == run(table, "--target", "sex", *with_commas, output="other")[0]
    )


@pytest.mark.parametrize(
    "with_spaces, with_commas",
    [
        (["--modalities", "sMRI", "dMRI"], ["--modalities", "sMRI,dMRI"]),
        (["--sessions", "2", "ses-1"], ["--sessions", "2,ses-1"]),
        (
            ["--modalities", "sMRI,fMRI", "--suffixes", "sMRI=T2w", "fMRI=cbv"],
            ["--modalities", "sMRI,fMRI", "--suffixes", "sMRI=T2w,fMRI=cbv"],
        ),
        (["--entities", "task=rest", "space=MNI"], ["--entities", "task=rest,space=MNI"]),
    ],
)
def test_lists_about_a_tree_are_too(with_spaces, with_commas):
    base = ["--bids_dir", "x", "--target", "sex", "--output_dir", "out"]
    options = [parse_options("", [*base, *flags]).selection for flags in (with_spaces, with_commas)]
    assert options[0] == options[1] != parse_options("", base).selection


@pytest.mark.parametrize(
    "flags, message",
    [
        (["--decimals", "-1"], "--decimals: expected at least 0, found -1"),
        (["--decimals", "1", "--target_type", "categorical"], "--decimals: expected a target of numbers"),
        (["--labels", "M=man", "--target_type", "numeric"], "--labels: expected a target of classes"),
        (["--labels", "M=man", "m=male"], "--labels: expected each NAME=VALUE once, found 'M' twice"),
        (["--labels", "M=man,woman"], "--labels: expected NAME=VALUE, found 'woman'"),
        (["--question", "How {value:5}?"], "with a format (numbers are rounded by --decimals)"),
        (["--split_file", "s.json", "--stratify", "sex"], "--stratify: expected no --split_file beside it"),
        (["--split_file", "s.json", "--split=.8,.1,.1"], "--split: expected no --split_file beside it"),
    ],
)
def test_flags_that_would_do_nothing_or_harm_are_refused(tmp_path, capsys, flags, message):
    table = write_table(tmp_path, make_rows(4))
    base = ["--participants", str(table), "--image_template", TEMPLATE, "--output_dir", str(tmp_path / "out")]
    with pytest.raises(SystemExit):
        main([*base, "--target", "sex", *flags])
    assert message in capsys.readouterr().err


def test_a_column_whose_name_holds_spaces_is_taken_as_the_error_says(tmp_path):
    table = write_table(tmp_path, [row | {"Site of scan": "AB"[i % 2]} for i, row in enumerate(make_rows())])
    with pytest.raises(CohortError, match='--stratify "Site of scan,"'):
        run(table, "--target", "sex", "--stratify", "Site of scan")
    splits, _, _ = run(table, "--target", "sex", "--stratify", "Site of scan,")
    assert {record["metadata"]["Site of scan"] for record in all_of(splits)} == {"A", "B"}


def test_a_level_of_a_number_does_not_make_it_a_value(tmp_path):
    table = write_table(tmp_path, make_rows(score=lambda i: "999" if i < 2 else f"{20 + i}"))
    table.with_suffix(".json").write_text(json.dumps({"score": {"Levels": {"999": "did not come"}}}))
    with pytest.raises(CohortError, match=r"found 999 \(2 rows\), 'did not come' in table.json where the other 38"):
        run(table, "--target", "score")
    table.with_suffix(".json").write_text(json.dumps({"score": {"Levels": {"999": "missing"}}}))
    splits, _, summary = run(table, "--target", "score")
    assert len(all_of(splits)) == 38 and "score: missing: 999 (2 rows, table.json: missing)" in summary


def test_a_column_that_is_to_be_numbers_and_is_not_is_refused_with_the_other_kind(tmp_path):
    rows = make_rows(age=lambda i: f"{20 + i}-{25 + i}")
    with pytest.raises(CohortError, match=r"found none\. Remedy: --target_type categorical where .*40 not a number"):
        run(write_table(tmp_path, rows), "--target", "age", "--unit", "years")
    splits, _, _ = run(write_table(tmp_path, rows), "--target", "age", "--target_type", "categorical")
    assert labels_of(splits)["20-25"] == 1


@pytest.mark.parametrize(
    "column, flags",
    [
        (lambda i: "7", ["--target_type", "numeric"]),
        (lambda i: "7", ["--unit", "points"]),
        (lambda i: "7", ["--unit", "points", "--decimals", "1"]),
        (lambda i: "x", ["--unit", "points"]),
        (lambda i: f"{i}-{i + 1}", ["--decimals", "1"]),
        (lambda i: f"{i}-{i + 1}", ["--change", "number"]),
        (lambda i: f"{i}-{i + 1}", ["--template", "change"]),
        (lambda i: f"{i}-{i + 1}", ["--change", "direction", "--balance"]),
        (lambda i: str(i), ["--template", "change_number", "--balance"]),
        (lambda i: str(i), ["--change", "number", "--question", "Is it {labels}?"]),
    ],
)
def test_classes_are_not_advised_where_they_would_be_refused_or_be_of_no_help(tmp_path, column, flags):
    rows = [
        row | {"session_id": f"ses-{session}", "score": column(i * session)}
        for i, row in enumerate(make_rows(20))
        for session in ((1, 2) if {"--change", "--template"} & set(flags) else (1,))
    ]
    table = write_table(tmp_path, rows)
    for row in rows:
        (tmp_path / f"{row['participant_id']}_{row['session_id']}.nii.gz").write_bytes(b"\0")
    template = "{participant_id}_{session_id}.nii.gz"
    with pytest.raises(CohortError) as refused:
        run(table, "--target", "score", *flags, template=template)
    assert "--target_type categorical" not in str(refused.value)
    with pytest.raises((CohortError, SystemExit)):
        run(table, "--target", "score", *flags, "--target_type", "categorical", template=template, output="two")


def test_classes_of_ages_are_not_said_to_be_so_many_years(tmp_path):
    rows = make_rows(age=lambda i: ("young", "old")[i % 2])
    splits, _, _ = run(write_table(tmp_path, rows), "--target", "age")
    assert labels_of(splits) == {"young": 20, "old": 20}
    assert not any("years" in text for record in all_of(splits) for text in texts_of(record))


def flags_after(flag, summary, column):
    line = next(line for line in summary.splitlines() if f"{column}: Levels" in line and "say" not in line)
    return shlex.split(re.search(rf"{flag}[ =](.*?) (?:names|where)", line)[1])


def test_levels_that_fit_no_value_are_said_and_the_flag_that_is_named_mends_it(tmp_path):
    table = write_table(tmp_path, make_rows(group=lambda i: str(i % 2), gender=lambda i: str(i % 2)))
    levels = {"Levels": {"very ill": "0", "well": "1"}}
    table.with_suffix(".json").write_text(json.dumps({"group": levels, "gender": levels}))
    said = "Levels in table.json name very ill and well, none of the values, which are 0 (20 rows) and 1 (20 rows)"
    _, _, summary = run(table, "--target", "group")
    with pytest.raises(CohortError) as error:  # the wordings of gender know the labels male and female alone
        run(table, "--target", "gender", output="two")
    for column, text in (("group", summary), ("gender", str(error.value))):
        assert said in text
        names = flags_after("--labels", text, column)
        splits, _, summary = run(table, "--target", column, "--labels", *names, output=f"{column} again")
        assert labels_of(splits) == {"very ill": 20, "well": 20} and "none of the values" not in summary


def test_a_value_without_a_level_is_said_and_the_flags_that_are_named_mend_it(tmp_path):
    table = write_table(tmp_path, make_rows(group=lambda i: "3" if i % 8 == 0 else str(1 + i % 2)))
    table.with_suffix(".json").write_text(json.dumps({"group": {"Levels": {"1": "HC", "2": "PD"}}}))
    _, _, summary = run(table, "--target", "group")
    assert "group: Levels in table.json do not name 3 (5 rows): taken as classes all the same" in summary
    missing = flags_after("--missing", summary, "group")
    splits, _, again = run(table, "--target", "group", "--missing", *missing, output="two")
    assert labels_of(splits).keys() == {"HC", "PD"} and "do not name" not in again
    names = [name.replace("VALUE=LABEL", "3=other") for name in flags_after("--labels", summary, "group")]
    splits, _, _ = run(table, "--target", "group", "--labels", *names, output="three")
    assert labels_of(splits) == {"HC": 15, "PD": 20, "other": 5}
