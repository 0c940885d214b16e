"""Phone numbers of all regions are found as phonenumbers, the port of Google's library, writes its examples of them.

Known limits, where the form alone does not tell a phone number from another number: a national one that begins neither
with 0 nor as in North America ("999 9999"), unless a label stands before it; one that begins with a lone 0 ("0 800 12
345"); and the short ones of services and companies.
"""

import phonenumbers
import pytest
from phonenumbers import PhoneNumberFormat, PhoneNumberType
from planted_data import draw_clean

from umbrella.privacy.search import find_in_text

OF_PEOPLE = ("FIXED_LINE", "MOBILE", "PAGER", "PERSONAL_NUMBER", "VOIP", "VOICEMAIL")
OF_SERVICES = ("TOLL_FREE", "PREMIUM_RATE", "SHARED_COST", "UAN")
WRITTEN = {
    "international": lambda number: write(number, "INTERNATIONAL"),
    "without spaces": lambda number: write(number, "E164"),
    "dialled": lambda number: write(number, "INTERNATIONAL").replace("+", "00"),
    "address": lambda number: write(number, "RFC3966").removeprefix("tel:"),
}


def write(number, form):
    return phonenumbers.format_number(number, getattr(PhoneNumberFormat, form))


def list_examples(*kinds):
    """phonenumbers' example of each region that has one of a kind."""
    kinds = [getattr(PhoneNumberType, kind) for kind in kinds]
    regions = sorted(phonenumbers.SUPPORTED_REGIONS)
    found = [phonenumbers.example_number_for_type(region, kind) for region in regions for kind in kinds]
    return [number for number in found if number is not None]


def is_found(text, before="", behind=""):
    """Whether all of the text is covered by a finding; 20.12.34 after "Tel. " is one in any case."""
    start, end = len(before), len(before) + len(text)
    return any(match.start <= start and match.end >= end for match in find_in_text(f"{before}{text}{behind}"))


def share_found(texts):
    missed = [text for text in texts if not is_found(text)]
    print(missed)
    return 1 - len(missed) / len(texts)


@pytest.mark.slow
@pytest.mark.parametrize("form", WRITTEN)
def test_every_number_of_people_is_found_with_its_country_code(form):
    texts = list(map(WRITTEN[form], list_examples(*OF_PEOPLE)))
    assert len(texts) > 600
    assert [text for text in texts if not is_found(text)] == []
    assert [text for text in texts if not is_found(text, "reach her (", ") at night.")] == []


@pytest.mark.parametrize("form", WRITTEN)
def test_numbers_of_services_are_found_with_their_country_code_but_the_shortest(form):
    assert share_found(list(map(WRITTEN[form], list_examples(*OF_SERVICES)))) > 0.98


@pytest.mark.slow
def test_every_national_number_is_found_behind_a_label():
    texts = [write(number, "NATIONAL") for number in list_examples(*OF_PEOPLE, *OF_SERVICES)]
    assert [text for text in texts if not is_found(text, "Tel. ")] == []
    assert [text for text in texts if not is_found(text, "Phone: ", ", ask for me")] == []


def test_every_national_number_of_a_house_or_a_mobile_is_found_that_begins_with_0():
    texts = [write(number, "NATIONAL") for number in list_examples("FIXED_LINE", "MOBILE")]
    texts = [text for text in texts if text.lstrip("(").startswith("0")]
    assert len(texts) > 200
    assert [text for text in texts if not is_found(text)] == []


def test_most_national_numbers_are_found_that_begin_with_0():
    texts = [write(number, "NATIONAL") for number in list_examples(*OF_PEOPLE, *OF_SERVICES)]
    assert share_found([text for text in texts if text.lstrip("(").startswith("0")]) > 0.95


def test_every_national_number_of_people_in_north_america_is_found():
    texts = [write(number, "NATIONAL") for number in list_examples(*OF_PEOPLE) if number.country_code == 1]
    assert len(texts) > 80
    assert [text for text in texts if not is_found(text)] == []


@pytest.mark.parametrize(
    "text",
    [
        "b = 0 1000 2000 s/mm2",
        "a scale (0-100) of 56",
        "intensities (0-255) 65536 voxels",
        "voxels (0-30) 28 to 31",
        "0 800 12 345 voxels",
        "TE 0.0450 1 2345",
        "+290 12 mm",
        "phone=1;phase=1",
        "telephone: 2 of 3",
        "cell: 12345",
        "cluster at +32 -14 +20",
    ],
)
def test_other_numbers_are_none(text):
    assert [match for match in find_in_text(text) if match.kind == "phone number"] == []


@pytest.mark.slow
def test_clean_texts_have_none():
    texts = [text for seed in range(2, 6) for text in draw_clean(seed, 2000)]
    assert {text for text in texts if any(match.kind == "phone number" for match in find_in_text(text))} == set()
