"""Reading a label from an answer: whole words, one statement, no negation, in any script."""

import string
import unicodedata

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st
from properties import examples
from test_linear_time import find_slow

from umbrella.answers.answer_template import find_answer_template
from umbrella.answers.label_parsing import PLACE, count_labels, find_forms, find_spellings, parse_label
from umbrella.answers.own_answers import check_labels_apart, find_wording
from umbrella.answers.reading import AnswerError, LabelledAnswer, LabelReading
from umbrella.answers.text_folding import fold
from umbrella.evaluation.questions import Classification

SEXES = ["male", "female"]


@pytest.mark.parametrize(
    ("text", "label"),
    [
        ("This subject is female.", "female"),
        ("FEMALE", "female"),
        ("A male, yes: male", "male"),
        ("No, this is a male.", "male"),
        ("I was not sure at first. It is a female head.", "female"),
        ("males", None),
        ("male or female", None),
        ("male, not female", None),
        ("The subject is not male.", None),
        ("It isn’t female", None),
        ("non-male", None),
        ("male is unlikely", None),
        ("the absence of male traits", None),
        ("There is no answer.", None),
        ("Is this male? No.", None),
        ("Male? No.", None),
        ("Male?\nNope", None),
        ("Is this a male subject? No, it is not.", None),
        ("Is it male? I do not think so.", None),
        ("male: no", None),
        ("male: false", None),
        ("male: **no**", None),
        ("male: yes", "male"),
        ("Is it male? Yes.", "male"),
        ("male: no lesion is seen", "male"),
        ("No: a male.", "male"),
        ("", None),
    ],
)
def test_a_label_is_read_by_whole_words_and_negations_and_double_answers_are_not(text, label):
    assert parse_label(text, SEXES) == label


@pytest.mark.parametrize(
    ("text", "labels", "label"),
    [
        ("The memory is not impaired.", ["impaired", "not impaired"], "not impaired"),
        ("There is no lesion.", ["lesion", "no lesion"], "no lesion"),
        ("No.", ["yes", "no"], "no"),
        ("Is it large? No.", ["yes", "no"], "no"),
        ("Grade 2 (of 4)", ["Grade 1", "Grade 2"], "Grade 2"),
        ("C++ (suspected)", ["C", "C++"], "C++"),
        ("The receptor is +.", ["+", "-"], "+"),
        ("The receptor is ++.", ["+", "++"], "++"),
        ("The receptor is +++.", ["+", "++"], None),
        ("It is Alz..", ["Alz.", "control"], "Alz."),
        ("grade 2.5", ["grade 2", "grade 3"], None),
        ("score -1", ["1", "2"], None),
        ("score -1", ["-1", "1"], "-1"),
        ("这是<5。", ["5", "<5"], "<5"),
        ("这是‹5。", ["5", "‹5"], "‹5"),
        ("这是<5。", ["5", "6"], None),
        ("It is > 5", ["5", "6"], None),
        ("<answer>5</answer>", ["5", "6"], "5"),
        ("score -> 5", ["5", "6"], "5"),
        ("这是+。", ["+", "-"], "+"),
        ("结果5+です", ["5", "5+"], "5+"),
        ("ผล<5ครับ", ["5", "<5"], "<5"),
    ],
)
def test_the_longer_of_two_nested_labels_counts_and_its_own_words_negate_nothing(text, labels, label):
    assert parse_label(text, labels) == label


@pytest.mark.parametrize(
    ("text", "labels"),
    [
        ("grade 2-3", ["grade 2", "grade 3"]),
        ("grade 2–3", ["grade 2", "grade 3"]),
        ("grade 2/3", ["grade 2", "grade 3"]),
        ("grade 2 to 3", ["grade 2", "grade 3"]),
        ("Grade 2 or 3", ["grade 2", "grade 3"]),
        ("stage 1/2", ["stage 1", "stage 2"]),
        ("grade 1-2", ["2", "3"]),
        ("1 bis 2", ["2", "3"]),
        ("2到3级", ["2级", "3级"]),
        ("WHO grade II-III", ["grade II", "grade III"]),
        ("grade IIa or IIb", ["grade IIa", "grade IIb"]),
        ("a left or right lesion", ["left lesion", "right lesion"]),
        ("mild to moderate atrophy", ["mild atrophy", "moderate atrophy"]),
    ],
)
def test_a_label_in_a_range_is_one_of_several(text, labels):
    assert parse_label(text, labels) is None


@pytest.mark.slow
@examples(200)
@given(
    st.sampled_from(["grade {}", "{}", "{} of 9", "CDR {}", "{}级", "ระดับ{}"]),
    st.integers(0, 9),
    st.integers(0, 9),
    st.sampled_from(["-", "–", " - ", "/", "~", " to ", " or ", " bis ", " ou ", " o ", "到", "か", " до ", " أو "]),
    st.sampled_from(["It is {}.", "{}", "这是{}。", "{} (sure)"]),
)
def test_of_two_joined_numbers_none_is_a_label(label, one, other, joining, wording):
    assume(one != other)
    labels = [label.format(one), label.format(other)]
    text = wording.format(label.format(f"{one}{joining}{other}"))
    assert parse_label(text, labels[:1]) is None
    assert parse_label(text, labels) is None
    assert parse_label(wording.format(labels[0]), labels) == labels[0]


@pytest.mark.parametrize(
    ("text", "labels", "label"),
    [
        ("grade 2 of 4", ["grade 1", "grade 2"], "grade 2"),
        ("Grade 2 and a male of 45", ["grade 1", "grade 2"], "grade 2"),
        ("grade 2, 3 mm", ["grade 1", "grade 2"], "grade 2"),
        ("left, i.e. left or so", ["left", "right"], "left"),
        ("It is 2-3.", ["2", "2-3"], "2-3"),
        ("该受试者是女性。", ["男性", "女性"], "女性"),
        ("这是male。", SEXES, "male"),
        ("これは男性です。", ["男性", "女性"], "男性"),
        ("남성입니다", ["남성", "여성"], "남성"),
        ("이 사람은 여성으로 보입니다.", ["남성", "여성"], "여성"),
        ("정상압수두증입니다", ["정상", "이상"], None),
        ("บุคคลนี้เป็นผู้หญิง", ["ผู้ชาย", "ผู้หญิง"], "ผู้หญิง"),
        ("पुरुषों", ["पुरुष", "महिला"], None),
        ("It is Alzheimer's disease.", ["Alzheimer’s disease", "control"], "Alzheimer’s disease"),
        ("It is Alzheimer’s disease.", ["Alzheimer's disease", "control"], "Alzheimer's disease"),
        ("ma\u0308nnlich", ["männlich", "weiblich"], "männlich"),
        ("ＭＡＬＥ", SEXES, "male"),
        ("KADIN", ["kadın", "erkek"], "kadın"),
        ("It is male", ["Male", "Female"], "Male"),
    ],
)
def test_labels_of_other_scripts_and_spellings(text, labels, label):
    assert parse_label(text, labels) == label


@pytest.mark.parametrize(
    ("text", "labels"),
    [
        ("Das ist kein Mann.", ["Mann", "Frau"]),
        ("Ce n'est pas un homme.", ["homme", "femme"]),
        ("Это не мужчина.", ["мужчина", "женщина"]),
        ("Bu erkek değil.", ["erkek", "kadın"]),
        ("不是男性。", ["男性", "女性"]),
        ("不正常", ["正常", "异常"]),
        ("男性ではありません。", ["男性", "女性"]),
        ("남성이 아닙니다.", ["남성", "여성"]),
        ("ไม่ใช่ผู้ชาย", ["ผู้ชาย", "ผู้หญิง"]),
        ("ليس ذكر", ["ذكر", "أنثى"]),
        ("वह पुरुष नहीं है।", ["पुरुष", "महिला"]),
        ("Ist das ein Mann? Nein.", ["Mann", "Frau"]),
        ("Mann: nein", ["Mann", "Frau"]),
        ("男性吗？不是。", ["男性", "女性"]),
        ("男性：否", ["男性", "女性"]),
        ("男性ですか？いいえ。", ["男性", "女性"]),
        ("남성: 아니요", ["남성", "여성"]),
        ("هل هو ذكر؟ لا.", ["ذكر", "أنثى"]),
    ],
)
def test_the_commonest_negations_of_other_languages_are_known(text, labels):
    assert parse_label(text, labels) is None


# Letters of a script, and whether it puts spaces between words. No negation can be spelled with them.
SPACED = {
    "Latin": "abdgkprsäéłš",
    "Greek": "αβγδκπρς",
    "Cyrillic": "абгдкпрсй",
    "Hebrew": "אבגדהוז",
    "Arabic": "بتجدرسط",
    "Devanagari": "कखगचदपबिीे",
    "Bengali": "কখগচদপি",
    "Tamil": "கசதபமி",
    "Armenian": "աբգդեզ",
    "Georgian": "აბგდევ",
    "Ethiopic": "ሀለሐመሠረ",
}
UNSPACED = {
    "Chinese": "男女性患者健康正常重轻病大小",
    "Japanese": "あかさたなはまがぎダバ男女健康",
    "Thai": "กขคงจชดตา",
    "Lao": "ກຂຄງຈສດາ",
    "Khmer": "កខគឃងចឆា",
    "Burmese": "ကခဂငစဆာ",
}


def words(letters, least=4):
    first = [letter for letter in letters if unicodedata.category(letter)[0] == "L"]
    return st.builds(
        str.__add__, st.sampled_from(first), st.text(st.sampled_from(letters), min_size=least - 1, max_size=7)
    )


@st.composite
def labels_in_a_wording(draw, scripts, separator):
    """(labels, wording with {label})."""
    letters = scripts[draw(st.sampled_from(sorted(scripts)))]
    phrases = st.lists(words(letters), min_size=1, max_size=2).map(separator.join)
    labels = draw(st.lists(phrases, min_size=2, max_size=4, unique_by=fold))
    before, after = (separator.join(draw(st.lists(words(letters), max_size=3))) for _ in range(2))
    wording = separator.join(part for part in (before, PLACE, after) if part) + draw(
        st.sampled_from(["", ".", "!", "。"])
    )
    return labels, wording


def spell(text, draw):
    """Another spelling of the same."""
    text = unicodedata.normalize(draw(st.sampled_from(["NFC", "NFD"])), text)
    return text.upper() if draw(st.booleans()) and fold(text.upper()) == fold(text) else text


@pytest.mark.slow
@pytest.mark.parametrize(("scripts", "separator"), [(SPACED, " "), (UNSPACED, "")], ids=["spaced", "unspaced"])
@examples(100)
@given(data=st.data())
def test_an_answer_made_of_a_label_is_read_as_that_label(scripts, separator, data):
    """In every script, spelled in another way than the label is; another label than the words chosen is not there."""
    labels, wording = data.draw(labels_in_a_wording(scripts, separator))
    for label in labels:
        answer = wording.replace(PLACE, label)
        others = [fold(other) for other in labels if fold(other) not in fold(label)]
        assume(not any(other in fold(answer) for other in others))
        assume(fold(answer).count(fold(label)) == 1 and not any(fold(o) in fold(wording) for o in labels))
        assert parse_label(spell(answer, data.draw), [spell(other, data.draw) for other in labels]) is not None
        assert parse_label(spell(answer, data.draw), labels) == label


@examples(60)
@given(st.data())
def test_a_part_of_a_longer_word_is_no_label(data):
    letters = SPACED[data.draw(st.sampled_from(sorted(SPACED)))]
    label, more = data.draw(words(letters)), data.draw(words(letters, least=1))
    assume(fold(label) not in fold(more))
    assert parse_label(label + more, [label]) is None
    assert parse_label(more + label, [label]) is None


@examples(100)
@given(st.lists(st.text(max_size=6).filter(fold), min_size=1, max_size=4, unique_by=fold), st.text(max_size=20))
def test_any_label_alone_is_itself_and_no_label_is_read_that_is_not_there(labels, text):
    for label in labels:
        assert parse_label(" ".join(label.split()) or label, labels) == label
    read = parse_label(text, labels)
    assert read is None or fold(read) in fold(text)


SIGNED = st.builds(
    "{}{}{}".format,
    st.sampled_from(["", "<", ">", "‹", "~", "(", "+", "#", "-", "≤ "]),
    st.one_of(st.integers(0, 20).map(str), st.sampled_from(["A", "AB", "男", "ผล", "정상", "да"])),
    st.sampled_from(["", "+", ")", ">", "›", "%", "*", "/"]),
)


@pytest.mark.slow
@examples(300)
@given(st.data())
def test_labels_of_which_one_reads_as_another_in_the_answers_are_refused(data):
    """Random labels, of signs, digits and words, in random wordings, spaced or not, of seventeen scripts. An answer
    in which a label is a part of another one (male in female) may as well contradict its row."""
    scripts = SPACED | UNSPACED
    letters = scripts[data.draw(st.sampled_from(sorted(scripts)))]
    part = st.one_of(st.just(""), words(letters, least=1), SIGNED)
    labels = data.draw(st.lists(st.one_of(SIGNED, words(letters, least=1)), min_size=2, max_size=4, unique_by=fold))
    separator = data.draw(st.sampled_from(["", " ", ": "]))
    wording = separator.join((data.draw(part), PLACE, data.draw(part)))
    rows = [LabelledAnswer(label, label, wording.replace(PLACE, label)) for label in labels]
    reading = LabelReading(tuple(labels))
    read = {row.label: reading.read(row.answer) for row in rows}
    misread = [label for label, other in read.items() if other not in (None, label) and fold(label) not in fold(other)]
    try:
        check_labels_apart(reading, find_wording(reading, rows), rows)
    except AnswerError:
        return
    assert not misread


def test_an_answer_that_contradicts_its_row_is_no_fault_of_the_labels():
    rows = [
        LabelledAnswer("0", "male", "It is a male."),
        LabelledAnswer("1", "male", "It is female, males differ."),
        LabelledAnswer("2", "female", "It is a male."),
    ]
    check_labels_apart(LabelReading(("male", "female")), PLACE, rows)


def test_endings_are_read_where_the_data_write_them():
    """Turkish: erkektir, kadındır. Arabic: the article. A single answer is no custom."""
    answers = ["Bu kişi erkektir.", "Bu kadındır.", "O erkektir.", "O kadındır."]
    forms = find_forms(answers, ["erkek", "kadın"] * 2, ["erkek", "kadın"])
    assert forms == ["{label}dir", "{label}tir"]
    assert parse_label("BU KADINDIR.", ["erkek", "kadın"], forms) == "kadın"
    assert parse_label("Bu kadınsı.", ["erkek", "kadın"], forms) is None
    assert find_forms(["هو الذكر", "نعم الذكر"], ["ذكر", "ذكر"], ["ذكر", "أنثى"]) == ["ال{label}"]
    assert find_forms(["erkektir"], ["erkek"], ["erkek", "kadın"]) == []


def test_a_form_that_would_make_one_label_of_another_is_none():
    assert find_forms(["female", "female"], ["male", "male"], SEXES) == []
    for answer in ("No abnormality.", "An abnormality.", "It is subnormal."):
        assert find_forms([answer] * 3, ["normal"] * 3, ["normal", "lesion"]) == []


def test_a_label_of_control_characters_hides_no_other_one():
    assert parse_label("00", ["\0", "00"]) == "00"
    assert parse_label("no", ["\0", "00"]) is None


def test_labels_that_differ_by_case_or_white_space_are_one():
    spellings = find_spellings(["Male", "male", "male ", "male", "F"])
    assert spellings == {"Male": "male", "male": "male", "male ": "male", "F": "F"}
    assert count_labels(["Male", "male", "F"]) == {"Male": 2, "F": 1}
    assert find_spellings(["no  lesion"]) == {"no  lesion": "no lesion"}


def test_labels_of_another_split_are_spelled_as_the_records_spell_them():
    question = Classification(LabelReading(("male", "Female")), "{label}")
    assert [question.read_truth(label) for label in ("Male", "female", "other")] == ["male", "Female", "other"]


def test_the_wording_of_answers_is_found_whatever_the_spelling():
    assert find_answer_template(["남성입니다.", "여성입니다."], ["남성", "여성"]) == "{label}입니다."
    assert find_answer_template(["Das ist MA\u0308NNLICH!", "Das ist weiblich!"], ["männlich", "Weiblich"]) == (
        "Das ist {label}!"
    )
    assert find_answer_template(["它是男性。", "它是女性。"], ["男性", "女性"]) == "它是{label}。"
    assert find_answer_template(["It’s Alzheimer’s.", "It’s none."], ["Alzheimer's", "none"]) == "It’s {label}."


@pytest.mark.slow
def test_long_texts_take_no_longer_a_character():
    labels = [*SEXES, "男性"]
    pieces = ["male ", "mal", "不", "not ", "male? ", string.printable]
    assert find_slow(lambda text: parse_label(text, labels), pieces, 10_000, limit_s=10) is None
    assert find_slow(lambda text: parse_label(f"male:{text}", labels), [" -"], 10_000, limit_s=10) is None
