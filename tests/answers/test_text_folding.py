"""Two spellings of one label fold to one text."""

import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st
from properties import examples

from umbrella.answers.text_folding import fold


@examples(300)
@given(st.text(max_size=12))
def test_folding_again_changes_nothing_and_the_form_of_the_letters_is_nothing(text):
    assert fold(fold(text)) == fold(text)
    assert {fold(unicodedata.normalize(form, text)) for form in ("NFC", "NFD")} == {fold(text)}


@pytest.mark.parametrize(
    "spellings",
    [
        ("Male", "male", " MALE ", "ＭＡＬＥ", "ma\u00adle"),
        ("Alzheimer's", "Alzheimer’s", "alzheimerʼs"),
        ("non-AD", "non‑AD", "NON–AD"),
        ("mild  impairment", "mild\u00a0impairment"),
        ("männlich", "MÄNNLICH", "ma\u0308nnlich"),
        ("kadın", "KADIN"),
        ("ERKEK İNSAN", "erkek insan"),
        ("άνδρας", "ΆΝΔΡΑΣ"),
        ("ｵﾝﾅ", "オンナ"),
        ("", "\0", " \x1b"),
        ("남성", unicodedata.normalize("NFD", "남성")),
        ("ذكر", "ذكــر", "\u200fذكر"),
        ("کنترلی", "كنترلي"),
        ("male", "ma\0le", "\x07male"),
    ],
)
def test_spellings_of_one_label(spellings):
    assert len({fold(spelling) for spelling in spellings}) == 1


@pytest.mark.parametrize("labels", [("male", "female"), ("AD", "A D"), ("1", "10"), ("pere", "père"), ("男", "女")])
def test_different_labels_stay_different(labels):
    assert len({fold(label) for label in labels}) == 2
