"""Identity numbers are found by form and check digits; oracles: Faker's numbers, and what the offices publish."""

import re

import pytest
from faker import Faker
from hypothesis import given
from hypothesis import strategies as st
from properties import examples

from umbrella.privacy.national_ids import find_national_ids

N = 300
# Who makes the numbers, and how they are written there.
WRITTEN = {
    "US, social security": ("en_US", lambda faker: faker.ssn()),
    "US, taxpayer": ("en_US", lambda faker: faker.itin()),
    "GB, national insurance": ("en_GB", lambda faker: faker.ssn()),
    "FR, NIR": ("fr_FR", lambda faker: faker.ssn()),
    "SE, personnummer": ("sv_SE", lambda faker: faker.ssn()),
    "SE, with the century": ("sv_SE", lambda faker: faker.ssn(long=True, dash=True)),
    "FI, HETU": ("fi_FI", lambda faker: faker.ssn()),
    "NO, fødselsnummer": ("no_NO", lambda faker: faker.ssn()),
    "PL, PESEL": ("pl_PL", lambda faker: faker.pesel()),
    "ES, DNI": ("es_ES", lambda faker: faker.nif()),
    "ES, NIE": ("es_ES", lambda faker: faker.nie()),
    "IT, codice fiscale": ("it_IT", lambda faker: faker.ssn()),
    "BR, CPF": ("pt_BR", lambda faker: faker.cpf()),
    "CN, resident identity card": ("zh_CN", lambda faker: faker.ssn()),
    "BE, rijksregisternummer": ("nl_BE", lambda faker: group(faker.ssn(), "..-.", 2, 2, 2, 3, 2)),
    "CH, AHV": ("de_CH", lambda faker: faker.ssn()),
    "DE, pension insurance": ("de_DE", lambda faker: faker.rvnr()),
    "CA, SIN": ("en_CA", lambda faker: faker.ssn()),
    "DE, IBAN": ("de_DE", lambda faker: faker.iban()),
    "NL, IBAN": ("nl_NL", lambda faker: faker.iban()),
    "payment card": ("en_US", lambda faker: faker.credit_card_number("visa16")),
}
# Those whose check digits tell every number with one digit wrong, and that have no other rule's form.
CHECKED = ("FR, NIR", "ES, DNI", "CN, resident identity card", "CH, AHV", "CA, SIN", "DE, IBAN", "payment card")


def group(digits, separators, *lengths):
    text, start = "", 0
    for length, separator in zip(lengths, [*separators, ""], strict=True):
        text += digits[start : start + length] + separator
        start += length
    return text


def draw(name, n=N):
    locale, write = WRITTEN[name]
    faker = Faker(locale)
    faker.seed_instance(1)
    return [write(faker) for _ in range(n)]


def is_found(number):
    text = f"see {number}, and no more"
    return (4, 4 + len(number)) in list(find_national_ids(text))


@pytest.mark.parametrize("name", WRITTEN)
def test_every_number_that_faker_makes_is_found(name):
    assert [number for number in draw(name) if not is_found(number)] == []


@pytest.mark.parametrize("name", CHECKED)
@examples(N)
@given(data=st.data())
def test_a_number_with_one_wrong_digit_is_none(name, data):
    number = data.draw(st.sampled_from(draw(name, 20)))
    places = [found.start() for found in re.finditer(r"\d", number)]
    i = data.draw(st.sampled_from(places))
    digit = data.draw(st.sampled_from([digit for digit in "0123456789" if digit != number[i]]))
    assert not is_found(number[:i] + digit + number[i + 1 :])


@pytest.mark.parametrize(
    "number",
    [
        "943 476 5870",  # NHS
        "912-34-5678",  # a taxpayer of the United States, of a group that was added later
        "701063-2391",  # Sweden: a coordination number, whose day is 60 more
        "131052-9086",  # Finland: a temporary one
        "41801234583",  # Norway: made for tests, whose month is 80 more
        "81549300529",  # Norway: a number that hospitals give, which tells no date
        "201010-3123456",  # Korea: without a check digit, as all since October 2020
        "046 454 286",  # Canada: begins with 0, of a taxpayer without a social insurance number
        "9999 4105 7058",  # India: one of the authority's own for tests
        "0999 4105 7059",  # and one of those that are kept for later
        "٩٤٣ ٤٧٦ ٥٨٧٠",  # digits of another script
        "９４３ ４７６ ５８７０",
    ],
)
def test_numbers_that_a_stricter_check_would_leave_out_are_found(number):
    assert is_found(number)


@pytest.mark.parametrize(
    "number",
    [
        "943 476 5871",
        "666-12-3456",
        "310252-308Y",  # Finland: the 31st of February
        "02381307589",  # Poland: month 18
        "00.13.01-001.31",  # Belgium: month 13
        "000.000.000-00",  # Brazil
    ],
)
def test_numbers_that_nobody_can_have_are_none(number):
    assert not is_found(number)
