"""No conversation says a field that has no value: over all templates, kinds of column, units, references, sessions."""

import json
import re
from dataclasses import replace
from itertools import product

import pytest
from hypothesis import HealthCheck, given
from hypothesis import strategies as st
from properties import examples

from umbrella.cohort.generation import generate, parse_options
from umbrella.cohort.questions.cases import Case
from umbrella.cohort.questions.conversations import Style, make_records
from umbrella.cohort.questions.target import Target
from umbrella.cohort.questions.templates import FOLDER, load_template
from umbrella.cohort.shared.visits import CohortError, Exclusions, Visit

COLUMNS = {
    "age": lambda i: str(20 + i % 9),
    "sex": lambda i: "MF"[i % 2],
    "dx": lambda i: ("AD", "ad", "mild  impairment")[i % 3],
    "bmi": lambda i: f"{20 + i},5",
    "memory__score": lambda i: str((7 * i + i // 4) % 31),
    "stage": lambda i: str(i % 3),
}
TEMPLATES = [None, *sorted(path.stem for path in FOLDER.glob("*.yaml"))]
HOLES = re.compile(r"  | [.,?!:;]|\(\)|\{|\}|^[.,?!]|\bnan\b|\bNone\b")


@pytest.fixture(scope="module")
def tables(tmp_path_factory):
    """Folder with a table without sessions and one with two a participant, and an empty scan for every row."""
    folder = tmp_path_factory.mktemp("tables")
    header = ["participant_id", *COLUMNS]
    rows = [[f"sub-{i:02d}", *(make(i) for make in COLUMNS.values())] for i in range(36)]
    (folder / "plain.tsv").write_text("".join("\t".join(row) + "\n" for row in [header, *rows]))
    visits = [[f"sub-{i // 2:02d}", *(make(i) for make in COLUMNS.values()), f"ses-{i % 2 + 1}"] for i in range(36)]
    (folder / "visits.tsv").write_text("".join("\t".join(row) + "\n" for row in [[*header, "session_id"], *visits]))
    for i in range(36):
        (folder / f"sub-{i:02d}.nii.gz").write_bytes(b"\0")
    return folder


def check_texts(record):
    for turn in record["conversations"]:
        for item in turn["content"]:
            text = item.get("text", "-")
            assert text == text.strip() and text and not HOLES.search(text), text


@examples(25, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.data())
def test_no_text_has_a_hole(tables, tmp_path_factory, data):
    draw = lambda name, choices: data.draw(st.sampled_from(choices), label=name)  # noqa: E731
    flags = ["--participants", str(tables / draw("table", ["plain.tsv", "visits.tsv"]))]
    flags += ["--image_template", "{participant_id}.nii.gz", "--target", draw("target", list(COLUMNS))]
    flags += ["--output_dir", str(tmp_path_factory.mktemp("out") / "data"), "--split", "0.6,0.2,0.2"]
    # What fits together comes often, the rest now and then.
    usual = data.draw(st.integers(0, 3), label="usual")
    for flag, choices in {
        "--template": [None] * 6 + TEMPLATES if usual else TEMPLATES,
        "--target_type": [None] * 4 + ["categorical", "numeric"],
        "--unit": [None, None, "", "years", " kg "],
        "--reference": [None, "none", "any", "same", "both"] if usual else [None, "different", "earlier"],
        "--change": [None] if usual else [None, "direction", "number"],
        "--question": [None] * 4 + ["How many {unit}?", "{labels}?", "At {session}, {target}?"],
        "--decimals": [None] if usual else [None, "0"],
    }.items():
        value = draw(flag, choices)
        if value is not None:
            flags.append(f"{flag}={value}")
    try:
        options = parse_options("", flags)
        generate(options)
    except SystemExit:
        return  # flags that do not fit one another: a sentence of its own, tested elsewhere
    except CohortError as error:
        assert not HOLES.search(str(error).replace("{", "").replace("}", ""))
        return
    files = list(options.output_dir.glob("t*/*.json"))
    assert files
    for file in files:
        check_texts(json.loads(file.read_text()))


@pytest.mark.parametrize("name", TEMPLATES[1:])
def test_every_wording_of_every_template_is_whole_or_refused_whatever_is_known(name):
    template, whole = load_template(name), 0
    cases = [
        Case(Visit(f"sub-{i}", session, {}, {"sMRI": f"/{i}.nii.gz"}), label, Visit(f"sub-{i}", earlier, {}), before)
        for i in range(3)
        for session, earlier in (("", ""), ("2", ""), ("2", "1"))
        for label, before in (("AD", ""), ("21", "20"))
    ]
    sections = [("none", template.single), ("any", template.comparison), ("earlier", template.comparison)]
    for (reference, wordings), unit, labels, column in product(
        [some for some in sections if some[1]], ["", "years"], [(), ("AD", "21")], ["age", "memory__score"]
    ):
        for case in cases:
            # Each wording on its own: what is drawn must not decide.
            for turn, texts in wordings.items():
                for text in texts:
                    one = {**{other: some[:1] for other, some in wordings.items()}, turn: [text]}
                    section = "single" if reference == "none" else "comparison"
                    style = Style(
                        template.with_wordings(section, one), Target(column, "categorical", unit), labels, reference,
                        unit=unit,
                    )  # fmt: skip
                    two = [case, replace(case, visit=replace(case.visit, participant_id="other"))]
                    try:
                        records = list(make_records("test", two, style, str, Exclusions()))
                    except CohortError as error:
                        assert "expected a value for {" in str(error)
                        continue
                    whole += 1
                    for record in records:
                        check_texts(record)
    assert whole


@pytest.mark.parametrize(
    "flags, message",
    [
        (["--target", "bmi", "--template", "age"], r"--template age: single.question: .*\{unit\}.*none.*--unit UNIT"),
        (["--target", "age", "--unit", ""], r"\{unit\}, found none for sub-.*--template value has wordings"),
        (["--target", "bmi", "--question", "{labels}?"], r"\{labels\}, found none.*--target_type categorical makes"),
        (["--target", "age", "--question", "At {session}?"], r"\{session\}.*--session_column COLUMN"),
    ],
)  # fmt: skip
def test_a_template_that_lacks_a_value_is_an_error_with_a_remedy(tables, tmp_path, flags, message):
    base = ["--participants", str(tables / "plain.tsv"), "--image_template", "{participant_id}.nii.gz"]
    if "--template" in flags:
        (tmp_path / "age.yaml").write_text((FOLDER / "age.yaml").read_text().replace("unit: years\n", ""))
        flags = [*flags[:3], str(tmp_path / "age.yaml")]
    with pytest.raises(CohortError, match=message):
        generate(parse_options("", [*base, "--output_dir", str(tmp_path / "out"), *flags]))
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("n", [4, 8, 10, 36])
def test_the_age_of_a_small_cohort_is_a_number_with_its_unit(tables, tmp_path, n):
    lines = (tables / "plain.tsv").read_text().splitlines(keepends=True)[: n + 1]
    (tmp_path / "few.tsv").write_text("".join(lines))
    flags = ["--participants", str(tmp_path / "few.tsv"), "--image_template", f"{tables}/{{participant_id}}.nii.gz"]
    flags += ["--target", "age", "--unit", "years", "--output_dir", str(tmp_path / "out"), "--split", "0.5,0.25,0.25"]
    generate(parse_options("", flags))
    records = [json.loads(file.read_text()) for file in (tmp_path / "out").glob("t*/*.json")]
    for record in records:
        assert (record["metadata"]["target_type"], record["metadata"]["unit"]) == ("numeric", "years")
        assert f"{record['metadata']['subject_label']} years" in record["conversations"][-1]["content"][0]["text"]
