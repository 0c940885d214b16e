"""Which name a series gets: descriptions as scanners have them, against what a reader of them says."""

import re

import pytest
import yaml
from dicom_files import make_series

from umbrella.cohort.dicom.rules import Rule, choose_rule, fold_words
from umbrella.cohort.dicom.rules_file import DEFAULT, list_unofficial, load_rules
from umbrella.cohort.shared.visits import CohortError

# What a neuroradiologist calls them; "" where the words do not tell, or where it is no scan to learn from.
DESCRIPTIONS = {
    "T1w": """
        t1_mprage_sag_p2_iso | Sag 3D MPRAGE | MPRAGE | MP-RAGE SENSE2 | ADNI Accelerated Sag IR-FSPGR | AX T1 | BRAVO
        T1W_3D_TFE | 3D SPGR AX | Sag IR-SPGR | WIP T1 SENSE | Accelerated Sagittal MPRAGE (MSV22) | MPRAGE_ND
        t1_mprage_sag_RR | sag t1 mpr | T1-weighted | AX T1 PRE | T1 without contrast | t1_se_tra_nativ
        AX T1 PRE CONTRAST | T1 W/O CONTRAST | T1 non-contrast | MPRAGE no Gd
        T1 vor KM | T1 sans gado | SAG T1 sans injection | T1 zonder contrast | T1 sin contraste | T1 senza mdc
        T1 s/mdc
        """,
    "ce-gadolinium_T1w": """
        Ax T1 POST | T1 post GAD | t1_mpr_sag_Gd | AX BRAVO+C | t1_se_tra_KM | t1_vibe_fs_tra_post | T1 w KM | AX T1 C+
        AX T1 +C | MPRAGE No. 3 post Gd
        T1 nach KM | T1 après injection | T1 met contrast | T1 con contraste | T1 dopo contrasto | T1_postGd
        T1 Dotarem
        """,
    "FLAIR": """
        AX T2 FLAIR | t2_tirm_tra_dark-fluid | Axial T2-FLAIR | 3D FLAIR | FLAIR_longTR | T2_FLAIR_SPACE
        t2_spc_da-fl_sag
        """,
    "ce-gadolinium_FLAIR": "AX FLAIR POST GAD | t2_space_dark-fluid_KM",
    "T2w": "AX T2 FSE | t2_tse_tra | t2_space_sag | t2_blade_tra | Ax T2 PROPELLER | T2-weighted | T2W_TSE",
    "T2starw": "Axial T2 Star | T2*_GRE | AX T2* GRE | ep2d_t2star_hemo",
    "swi": "SWI_Images | Ax SWAN",
    "PDw": "ax pd | PDW TSE",
    "dwi": "AX DWI | ep2d_diff_mddw_20 | DTI_30dir | dWIP_DTI",
    "task-rest_bold": "Resting State fMRI | fMRI_rest_bold | rs-fMRI | func_task-rest_run-1",
    "task-nback_bold": "func_task-nback_run-1 | func-bold_task-nback",
    "": """
        SAG T1 FLAIR | FLAIR T1 sag | PD/T2 | mIP_Images(SW) | Pha_Images | ep2d_diff_3scan_trace_ADC | ep2d_bold_task
        localizer | 3 Plane Localizer | AAHead_Scout | Survey | T1 MAP | T2 map | PERFUSION | ASL | TOF_3D
        screen save | COR T2 HASTE | Phoenix Document | CERVICAL T2 | ADC | Apparent Diffusion Coefficient (mm2/s)
        field_mapping | SpinEchoFieldMap_AP | MoCoSeries | Perfusion_Weighted | DTI_TENSOR | asl_3d | OAx T1 fl2d
        t1_vibe_dixon_tra_F | T2 STIR COR | t1_tse_tra neck | DSC T2* PERFUSION | T1 SUBTRACTION | ep2d_diff_FA
        t1_tse_sag HWS | T2 tse sag LWS | T2 sag rachis | T2 COLONNA | T2 columna | T2 LSPINE | T2 sag C-Sp
        T2 Knie sag | tirm cor hws | T2 Prostata | t1_tirm_dark-fluid | t1_mp2rage_INV2 | T1 DCE | 3-pl T2* FGRE
        T1 post minus pre
        """,
}
CASES = [
    (" ".join(description.split()), name)
    for name, some in DESCRIPTIONS.items()
    for description in re.split(r"\||\n", some)
    if description.strip()
]
SMALL = {
    "rules": [
        {"name": "t1", "datatype": "anat", "suffix": "T1w", "any": [" t1 "]},
        {"name": "brain", "datatype": "anat", "suffix": "T2w", "any": [" brain"], "none": [" scout"]},
    ]
}


@pytest.fixture(scope="module")
def default():
    return load_rules()


def name(series, rules):
    """ "ce-gadolinium_T1w", or why it has no name."""
    chosen = choose_rule(series, rules)
    if not isinstance(chosen, Rule):
        return chosen.reason
    return "_".join([*(f"{entity}-{value}" for entity, value in chosen.entities.items()), chosen.suffix])


def write(tmp_path, recipe):
    path = tmp_path / "mine.yaml"
    path.write_text(yaml.safe_dump(recipe))
    return str(path)


def test_descriptions_of_scanners_are_named_as_a_reader_names_them(default):
    assert len(CASES) >= 110
    found = {said: name(make_series(description=said, protocol="wrong"), default) for said, _ in CASES}
    nameless = ("no rule", "ignored by the rules")
    wrong = {said: found[said] for said, right in CASES if found[said] not in ((right,) if right else nameless)}
    assert wrong == {}


def test_the_protocol_is_read_where_the_description_is_empty(default):
    assert name(make_series(description="", protocol="AX T2 FSE"), default) == "T2w"
    assert name(make_series(description="", protocol=""), default) == "no rule"
    assert name(make_series(description="scan 3", protocol="AX T2 FSE"), default) == "no rule"


def test_words_are_folded():
    assert fold_words("T2*_GRE (AX) +C") == " t2 * gre ax + c "
    assert fold_words("Ｔ１ Scha\u0308del") == fold_words("T1 Schädel") == " t1 schädel "
    assert fold_words("MP-RAGE") == " mp rage " and fold_words("") == "  "


@pytest.mark.parametrize(
    ("description", "agent", "expected"),
    [
        ("AX T1", "Gadovist 1.0", "ce-gadolinium_T1w"),
        ("AX T1", "NONE", "T1w"),
        ("AX T1", "No contrast", "T1w"),
        ("AX T1 PRE", "Gadovist 1.0", "T1w"),  # the agent is filled in for the whole study
        ("AX T1 POST", "", "ce-gadolinium_T1w"),
        ("AX DWI", "Gadovist", "dwi"),  # BIDS has no ce there
    ],
)
def test_contrast_is_told_by_the_description_before_the_agent(default, description, agent, expected):
    assert name(make_series(description=description, contrast=agent), default) == expected


@pytest.mark.parametrize("part", ("CSPINE", "LSPINE", "Knee", "TSPINE", "CHEST", "NECK"))
def test_other_parts_of_the_body_are_left_out(default, part):
    chosen = choose_rule(make_series(body_part=part), default)
    assert chosen.reason == "ignored by the rules" and "BodyPartExamined" in chosen.detail
    assert name(make_series(body_part=""), default) == name(make_series(body_part="HEADNECK"), default) == "T1w"


def test_of_several_rules_that_fit_none_is_taken(tmp_path):
    rules = load_rules(write(tmp_path, SMALL))
    chosen = choose_rule(make_series(description="Brain T1"), rules)
    assert (chosen.reason, chosen.names) == ("several rules", ("t1", "brain"))
    assert chosen.detail == "expected one rule that fits, found t1, brain. Tell them apart by `none` in mine.yaml"
    assert name(make_series(description="Brain scouting"), rules) == "no rule"


def test_no_detail_holds_a_word_of_the_header(default):
    for said in ("T1 FLAIR Quentina", "Quentina localizer", "Quentina pd t2"):
        chosen = choose_rule(make_series(description=said, protocol=said), default)
        assert "quentina" not in chosen.detail.lower() and "/" not in chosen.detail


def test_an_edited_copy_of_the_rules_names_what_they_did_not(tmp_path, default):
    """As the sentence about series without a rule asks for."""
    recipe = yaml.safe_load(DEFAULT.read_text())
    assert name(make_series(description="ep2d nback"), default) == "no rule"
    added = {"name": "nback", "datatype": "func", "suffix": "bold", "any": [" nback "], "entities": {"task": "nback"}}
    rules = load_rules(write(tmp_path, {**recipe, "rules": [*recipe["rules"], added]}))
    assert name(make_series(description="ep2d nback"), rules) == "task-nback_bold"
    assert name(make_series(), rules) == "T1w"


def test_the_agent_that_a_rule_states_stands(tmp_path):
    stated = {**SMALL["rules"][0], "entities": {"ce": "ferumoxytol"}}
    rules = load_rules(write(tmp_path, {"rules": [stated]}))
    assert name(make_series(description="T1", contrast="Feraheme"), rules) == "ce-ferumoxytol_T1w"


def test_a_rule_asks_for_fields_of_the_header_and_for_a_part(tmp_path):
    phase = {"name": "swi_phase", "datatype": "anat", "suffix": "swi", "any": [" swi "], "entities": {"part": "phase"}}
    magnitude = {"name": "swi", "datatype": "anat", "suffix": "swi", "any": [" swi "]}
    uniform = {**SMALL["rules"][0], "where": {"ImageType": [" uni ", " flat"]}, "derived": True}
    rules = load_rules(write(tmp_path, {"rules": [magnitude, phase, uniform]}))
    assert name(make_series(description="SWI"), rules) == "swi"
    assert name(make_series(description="SWI", part="P"), rules) == "part-phase_swi"
    assert name(make_series(description="T1"), rules) == "no rule"
    chosen = choose_rule(make_series(description="T1", image_type=("DERIVED", "PRIMARY", "M", "UNI")), rules)
    assert chosen.suffix == "T1w" and chosen.derived


def test_suffixes_that_bids_does_not_have_are_known(default):
    assert list_unofficial((rule.datatype, rule.suffix) for rule in default.rules) == ["swi"]
    assert list_unofficial([("anat", "T1w"), ("func", "bold"), ("func", "T1w")]) == ["T1w"]


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"sufix": "T1w"}, "rule 1: expected known keys, found 'sufix'. Did you mean suffix?"),
        ({"suffix": "t1w"}, "rule 1 (t1): suffix: expected it as BIDS writes it, T1w, found t1w"),
        ({"suffix": "bold"}, "rule 1 (t1): datatype: expected func for bold, found anat"),
        ({"suffix": "T1_w"}, "rule 1 (t1): suffix: expected letters and digits, found 'T1_w'"),
        ({"datatype": "anatomy"}, "rule 1 (t1): datatype: expected one of BIDS, found 'anatomy'. Did you mean anat?"),
        ({"datatype": "func", "suffix": "bold"}, "rule 1 (t1): entities: expected a task, as BIDS asks for in func"),
        ({"entities": {"session": "1"}}, "rule 1 (t1): entities: expected known keys, found 'session'"),
        ({"entities": {"acq": "high-res"}}, "rule 1 (t1): entities: acq: expected letters and digits"),
        ({"entities": {"part": "p"}}, "rule 1 (t1): entities: part: expected mag, phase, real, imag, found p"),
        ({"name": "t1 "}, "rule 1: name: expected letters, digits, _ and -, found 't1 '"),
        ({"any": []}, "rule 1 (t1): any: expected a list of words, found none"),
        ({"any": "t1"}, "rule 1 (t1): any: expected a list of words, found 't1'"),
        ({"none": [" ", "x"]}, "rule 1 (t1): none: expected words of letters and digits, found ' '"),
        ({"where": {"Echo": ["1"]}}, "rule 1 (t1): where: expected known keys, found 'Echo'"),
        ({"where": ["a"]}, "rule 1 (t1): where: expected a mapping of the header's fields to words, found ['a']"),
        ({"derived": "maybe"}, "rule 1 (t1): derived: expected true or false, found 'maybe'"),
        ({"name": "brain"}, "rule brain: expected a name of its own, found 2 of it"),
    ],
)
def test_a_fault_of_a_rule_is_named_by_file_rule_and_key(tmp_path, change, said):
    first, second = SMALL["rules"]
    path = write(tmp_path, {"rules": [{**first, **change}, second]})
    with pytest.raises(CohortError) as error:
        load_rules(path)
    assert str(error.value).startswith(f"{path}: {said}")


def test_a_fault_of_the_file_is_named(tmp_path):
    cases = {
        "- 1": "expected a mapping with the key rules, found list",
        "rules: {}": "rules: expected a list of rules, found {}",
        "ignore: [x]": "rules: expected a list of rules, found none",
        "rule: []": "expected known keys, found 'rule'. Did you mean rules?",
        "rules: [a": "expected YAML, found at line 1",
    }
    path = tmp_path / "mine.yaml"
    for text, said in cases.items():
        path.write_text(text)
        with pytest.raises(CohortError, match=re.escape(f"{path}: {said}")):
            load_rules(str(path))
    with pytest.raises(CohortError, match="--dicom_rules: expected a file, found none at"):
        load_rules(str(tmp_path / "none.yaml"))
