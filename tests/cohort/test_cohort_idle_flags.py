"""Every flag of generate_conversations.py does something, or is refused with what it needs."""

import configparser
import re
from importlib.util import find_spec
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from properties import examples

from umbrella.cohort.flags import make_parser
from umbrella.cohort.generation import parse_options
from umbrella.cohort.idle_flags import NEEDS
from umbrella.options import extras

# Judged one by one: these say something of any table and any tree, whatever stands beside them, or are needed.
ALWAYS = set(
    """--help --bids_dir --dicom_dir --participants --image_template --delimiter --encoding --id_column
    --session_column --sessions --check_images --dry_run --target --target_type --labels --unit --decimal_sign
    --decimals --missing --template --question --answer --reference --change --metadata --group_by --split_file
    --holdout --balance --seed --output_dir --image_root --jsonl --modalities_of_visit""".split()
)
VALUES = {
    "--modalities": "sMRI",
    "--suffixes": "sMRI=T2w",
    "--run": "first",
    "--entities": "task=rest",
    "--derivatives": "fmriprep",
    "--references_per_subject": "3",
    "--order_by": "age",
    "--dicom_rules": "r.yaml",
    "--dicom_key": "k",
    "--bids_out": "tree",
    "--jobs": "2",
    "--split": ".6,.2,.2",
    "--stratify": "sex",
    "--sequence_order": "drawn",
    "--least_sequences": "2",
}
TREE, TABLE = ["--bids_dir", "x"], ["--participants", "t.tsv", "--image_template", "{participant_id}.nii"]
FOLDER = str(Path(__file__).parent)  # one that is there
DICOM = ["--dicom_dir", FOLDER]
OF_DICOM = {"--dicom_rules", "--dicom_key", "--bids_out", "--jobs"}
# What else stands there: its flags, and those that then do nothing.
STUDY, OF_TREE = ["--modalities_of_visit", "T1w,FLAIR"], {"--run", "--entities", "--derivatives"}
OF_MODALITIES, OF_STUDY = {"--modalities", "--suffixes"}, {"--sequence_order", "--least_sequences"}
SOURCES = [
    (TREE, OF_STUDY | OF_DICOM),
    ([*TREE, *STUDY], OF_MODALITIES | OF_DICOM),
    (TABLE, OF_STUDY | OF_TREE | OF_MODALITIES | OF_DICOM),
    (
        [*TABLE[:3], "T1w={participant_id}.nii", "FLAIR={flair}", *STUDY],
        OF_TREE | OF_MODALITIES | OF_DICOM,
    ),
    (DICOM, {"--derivatives", "--order_by"} | OF_STUDY),
    ([*DICOM, *STUDY], {"--derivatives", "--order_by"} | OF_MODALITIES),
]
REFERENCES = [
    ([], {"--references_per_subject", "--order_by"}),
    (["--reference", "none"], {"--references_per_subject", "--order_by"}),
    (["--reference", "any"], {"--order_by"}),
    (["--reference", "both"], {"--order_by"}),
    (["--reference", "earlier"], set()),
    (["--change", "number", "--reference", "earlier"], set()),
    (["--template", "change"], set()),
]
DIVISIONS = [([], set()), (["--split_file", "s.json"], {"--split", "--stratify"})]
SESSIONS = [([], set()), (["--sessions", "1", "2"], {"--order_by"})]


def refuse(flags):
    """Whether these flags end the program."""
    try:
        parse_options("", [*flags, "--target", "score", "--output_dir", "out"])
    except SystemExit:
        return True
    return False


def test_each_flag_has_been_judged():
    flags = {name for action in make_parser("")._actions for name in action.option_strings} - {"-h"}
    assert set(NEEDS) == set(VALUES) and ALWAYS.isdisjoint(NEEDS)
    assert flags == ALWAYS | set(NEEDS), "a new flag: when would it do nothing? Add it to NEEDS or to ALWAYS"


@pytest.mark.slow
@examples(200)
@given(*map(st.sampled_from, (SOURCES, REFERENCES, DIVISIONS, SESSIONS)), st.sets(st.sampled_from(sorted(VALUES))))
def test_flags_are_refused_where_one_of_them_would_do_nothing_and_nowhere_else(source, reference, split, some, chosen):
    others = (source, reference, split, some)
    idle = set().union(*(those for _, those in others))
    flags = [word for words, _ in others for word in words]
    for flag in sorted(chosen):
        flags += [flag, VALUES[flag]]
    assert refuse(flags) == bool(chosen & idle), flags


@pytest.mark.parametrize(
    "flags, sentence",
    [
        ([*TABLE, "--run", "first"], r"--run: expected --bids_dir beside it.*found --image_template\. Leave it out"),
        ([*TREE, "--order_by", "age"], r"--order_by: expected a comparison over time.*found --reference none\. Add"),
        (
            [*TREE, "--references_per_subject", "3", "--reference", "none"],
            r"--references_per_subject: expected a reference.*found --reference none\. Add --reference any",
        ),
        (
            [*TREE, "--reference", "earlier", "--order_by", "age", "--sessions", "1"],
            r"--order_by: expected no --sessions beside it.*found both\. Leave one of them out",
        ),
        ([*TREE, "--jobs", "2"], r"--jobs: expected --dicom_dir beside it.*found none\. Add --dicom_dir DIR"),
        (
            [*DICOM, "--derivatives", "x"],
            r"--derivatives: expected no --dicom_dir beside it.*found both\. Leave it out",
        ),
        ([*DICOM, *TREE], "expected --dicom_dir or --bids_dir, found both: it becomes a tree by itself"),
        (["--dicom_dir", "none"], r"--dicom_dir: expected a folder, found none at .*none"),
        ([*DICOM, "--split_file", "s.tsv"], r"--split_file s\.tsv: expected the splits\.json of an earlier run"),
        (
            [*DICOM, "--dicom_key", "out/key"],
            r"--dicom_key .*out/key: expected a file outside what is shared, found it in --output_dir",
        ),
        (
            [*DICOM, "--bids_out", f"{FOLDER}/tree"],
            r"--bids_out .*: expected a folder beside --dicom_dir, found it in there\. Name another place",
        ),
        ([*TREE, "--modalities", "MRI"], "--modalities: expected sMRI, dMRI, fMRI, found MRI"),
        (
            [*TREE, "--suffixes", "dMRI=dwi2"],
            r"--suffixes: expected modalities that are asked for \(sMRI\), found dMRI\. .*--modalities sMRI dMRI",
        ),
    ],
)
def test_the_sentence_names_what_is_needed_and_what_to_do(capsys, flags, sentence):
    assert refuse(flags)
    assert re.search(sentence, capsys.readouterr().err)


def test_without_a_package_of_its_extra_no_dicom_is_converted(monkeypatch):
    setup = configparser.ConfigParser()
    setup.read(Path(__file__).resolve().parents[2] / "setup.cfg", encoding="utf-8")
    packages = re.findall(r"^\w+", setup["options.extras_require"]["dicom"], re.MULTILINE)
    assert {"ancpbids", "dcm2niix", "pydicom"} <= set(packages)
    for package in packages:
        monkeypatch.setattr(
            extras, "find_spec", lambda name, without=package: None if name == without else find_spec(name)
        )
        with pytest.raises(ImportError, match=rf'--dicom_dir: .* package {package}, .* pip install -e "\.\[dicom\]"$'):
            refuse(DICOM)
