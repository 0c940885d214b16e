"""Words that change what an answer says, and the units that it may say numbers in."""

import re
import unicodedata

from umbrella.answers.text_folding import fold

# ------------------------------------------------------------------------------------------------------- letters
# A letter of these scripts may be written to the letter of another word: they put no space between words, or none
# around numbers and foreign words (Chinese, Japanese, Korean, Thai, Lao, Khmer, Burmese).
HANGUL = "\u1100-\u11ff\u3131-\u318e\uac00-\ud7a3"
UNSPACED = f"\u0e00-\u0eff\u1000-\u109f\u1780-\u17ff\u3005-\u30ff\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff{HANGUL}"


def _marks() -> str:
    """Marks (accents, vowel signs) as ranges: to a pattern's \\w they are no letters."""
    codes = [code for code in range(0x10000) if unicodedata.category(chr(code))[0] == "M"]
    starts = [code for code in codes if unicodedata.category(chr(code - 1))[0] != "M"]
    ends = [code for code in codes if code == 0xFFFF or unicodedata.category(chr(code + 1))[0] != "M"]
    return "".join(f"{chr(start)}-{chr(end)}" for start, end in zip(starts, ends, strict=True))


MARKS = _marks()
SPACED_LETTER = rf"(?:(?![{UNSPACED}])[\w{MARKS}])"  # what ends where a word ends
NO_LETTER_BEFORE = rf"(?<!{SPACED_LETTER})"
NO_LETTER_AFTER = rf"(?!{SPACED_LETTER})"

# ------------------------------------------------------------------------------------------------------- negation
# Whole words, left out where another language here means something else by them (né, ani). The "not" of a language
# that is missing is not seen.
NEGATIONS = """
not no non none never neither nor cannot without unlikely exclude excluded excludes absent absence lacks lacking
nicht kein keine keiner keines keinen keinem ohne weder niemals
pas jamais aucun aucune sans
sin ni ningún ninguna tampoco nunca
senza nessun nessuna
não sem nenhum nenhuma
niet geen zonder nooit
inte ikke ikkje ingen utan uden
ei eikä nem sem nincs değil yok
nie bez není
не ни нет без немає
δεν όχι χωρίς
ليس ليست لا غير بدون
לא אינו אינה ללא
नहीं नही बिना
""".split()
NEGATING_PHRASES = ["rather than", "instead of", "ruled out", "free of", "lack of"]
# Written to other words, in scripts without spaces.
UNSPACED_NEGATIONS = """
不是 并非 並非 不属于 不屬於 没有 沒有 排除 否定
ではない でない ではありません じゃない ではなく でなく ません
아니 아닙 아닌 않 없
ไม่
""".split()
NEGATING_PREFIXES = "不非无無未没沒"  # 不正常; in Korean a letter before a label makes another word of it anyway
NEGATION = re.compile(
    rf"{NO_LETTER_BEFORE}(?:{'|'.join(map(fold, NEGATIONS + NEGATING_PHRASES))}){NO_LETTER_AFTER}|n't\b"
    rf"|{'|'.join(UNSPACED_NEGATIONS)}"
)
# Alone in the clause that follows they answer "male?" and "male:"; elsewhere they may mean something else (nee, born).
NEGATING_ANSWERS = """
nope nah nein nee nej nei hayır false incorrect wrong untrue falsch faux falso falsa ложь неверно
いいえ 否 错 錯 错误 錯誤 不
""".split()
NEGATING_ANSWER = re.compile(
    rf"\W*(?:{'|'.join(map(fold, NEGATIONS + NEGATING_ANSWERS + UNSPACED_NEGATIONS))}|아니[요오])\W*"
)
CLAUSE_ENDS = ".!?;:,\n。、！？；：，।؟،؛։።"
CLAUSE_END = re.compile(f"[{CLAUSE_ENDS}]")
# The rest of a clause that asks or heads, and the next one.
ANSWERED = re.compile(
    rf"[^{CLAUSE_ENDS}]{{0,200}}(?:(?P<asks>[?？؟])|[:：;])[{CLAUSE_ENDS}\s]*(?P<answer>[^{CLAUSE_ENDS}]*)"
)


def is_denied(text: str, end: int) -> bool:
    """Whether what ends at a place of a text is asked, or a heading, and answered by no: "male? No.", "male: no"."""
    match = ANSWERED.match(text, end)
    if match is None:
        return False
    return bool(NEGATING_ANSWER.fullmatch(match["answer"]) or (match["asks"] and NEGATION.search(match["answer"])))


# ------------------------------------------------------------------------------------------------------- Korean
# What follows a noun within its word: particles, and the forms of "to be" (이다). Another letter makes another word.
PARTICLES = """
은 는 이 가 을 를 의 에 에서 에게 와 과 도 만 로 으로 보다 처럼 까지 부터 이나 나 이랑 랑
라고 이라고 라는 이라는 로서 으로서 로는 으로는
""".split()
COPULAS = """
입니 이다 다 이며 며 이고 고 이에 예요 에요 이었 였 인 임 일 이지 지만 이므 므로 이어 이네 네요 이군 이라 라
""".split()
KOREAN_ENDING = rf"(?:(?:{'|'.join(sorted(PARTICLES, key=len, reverse=True))})(?![{HANGUL}])|(?:{'|'.join(COPULAS)}))"

# ------------------------------------------------------------------------------------------------------- numbers
# Between two numbers they make one statement of both: a range, a size (3 x 4 mm), a score out of a maximum.
RANGE_WORDS = """
- -- .. ... ~ 〜 / + & x × * · vs vs. versus to or and through till until bis oder und
à a ou et o u y e ed tot en och til eller tai ja
до или и та або do i lub až ile veya έως ή إلى أو עד או से या 到 至 或 から か 에서 또는 ถึง หรือ
""".split()
OUT_OF = "of von sur su из".split()  # a number out of a maximum; "grade 2 of 4" is a grade 2
BETWEEN = (
    "between zwischen entre tra tussen mellan mellem между між między mezi arasında μεταξύ بين בין 之间 之間".split()
)
# Before or after a number they make a bound of it.
BOUNDS_BEFORE = """
than;over;under;above;below;beyond;up to;at least;at most;exceed;exceeds;exceeding;in excess of;upwards of
maximum;minimum;maximal;minimal;max;min;max.;min.
mehr als;weniger als;älter als;jünger als;größer als;kleiner als;mindestens;höchstens;über;unter;bis;bis zu
plus de;moins de;au moins;au plus;jusqu'à;dépasse;más de;menos de;al menos;hasta;supera;mais de;até
più di;meno di;fino a;meer dan;minder dan;более;менее;больше;меньше;старше;младше;свыше;до
"""
BOUNDS_AFTER = """
or more;or less;or older;or younger;or over;or under;or above;or below;or higher;or lower;or greater;or fewer
and more;and older;and younger;and over;and under;and above;and below;and higher;and lower;and up;and upwards
at most;at least;at minimum;at maximum;maximum;minimum;max;plus;upwards;something;odd
oder mehr;oder weniger;oder älter;oder jünger;oder höher;ou plus;ou moins;et plus;o más;o menos;ou mais;или больше
"""
UNSPACED_BOUNDS_BEFORE = """
超过 超過 大于 大於 小于 小於 高于 高於 低于 低於 多于 多於 少于 少於 不到 不足 至少 最多 最少
최대 최소 적어도 มากกว่า น้อยกว่า อย่างน้อย ไม่เกิน เกิน
""".split()
UNSPACED_BOUNDS_AFTER = "以上 以下 以内 未満 未满 超 多 余 이상 이하 미만 초과 ขึ้นไป กว่า".split()
# They may stand between a bound and its number: "over about 45", "under the age of 45", "less than or equal to 45".
BETWEEN_BOUND_AND_NUMBER = """
about approximately approx approx. around roughly nearly almost some circa ca ca. etwa ungefähr rund environ
aproximadamente около примерно the an a age ages of or equal to 大约 大約 約 约 약
""".split()


def _any_of(words: str) -> str:
    return "|".join(re.escape(word.casefold()) for word in re.split("[;\n]", words.strip()))


_passed = "|".join(re.escape(word.casefold()) for word in BETWEEN_BOUND_AND_NUMBER)
BOUND = re.compile(
    rf"(?:[<>≤≥]=?|{NO_LETTER_BEFORE}(?:{_any_of(BOUNDS_BEFORE)}){NO_LETTER_AFTER}|{'|'.join(UNSPACED_BOUNDS_BEFORE)})"
    rf"(?:[\s:=~≈(]|{NO_LETTER_BEFORE}(?:{_passed}){NO_LETTER_AFTER})*$"
)
BOUND_AFTER = re.compile(
    rf"\s*\+(?!/?-)|[\s,(-]*(?:(?:{_any_of(BOUNDS_AFTER)}){NO_LETTER_AFTER}|{'|'.join(UNSPACED_BOUNDS_AFTER)})"
)
# A number with one of these before it is below zero; a minus that a space parts from it may be a dash.
MINUS_WORDS = "minus negative moins menos meno eksi минус ناقص".split()
UNSPACED_MINUS_WORDS = "负 負 零下 マイナス 마이너스 ลบ".split()
MINUS_BEFORE = re.compile(
    rf"(?:{NO_LETTER_BEFORE}(?:{'|'.join(MINUS_WORDS)})|{'|'.join(UNSPACED_MINUS_WORDS)})\s*$|(?<!-)-\s+$"
)
# A number with one of these behind it, or behind its unit, is larger by a part of one.
PARTS_AFTER = """
and a half;and one half;and a quarter;and three quarters;et demi;et demie;y medio;y media;e mezzo;e mezza;e meio;e meia
с половиной
"""
UNSPACED_PARTS_AFTER = "半 반 ครึ่ง".split()
PART_AFTER = re.compile(rf"\s*(?:(?:{_any_of(PARTS_AFTER)}){NO_LETTER_AFTER}|{'|'.join(UNSPACED_PARTS_AFTER)})")
# A number with one of these words is as many times larger: "1.2 million" is not 1.2. Chinese ones are numerals.
MULTIPLIERS = """
hundred thousand million billion tausend million millionen mio mille millions mil millón millones milhões mila milioni
тысяч миллион миллиона миллионов
""".split()
UNSPACED_MULTIPLIERS = "만 억 조 백 천 หมื่น แสน ล้าน พัน ร้อย".split()
MULTIPLIED = re.compile(
    rf"\s*(?:(?:{'|'.join(MULTIPLIERS)}){NO_LETTER_AFTER}|{'|'.join(UNSPACED_MULTIPLIERS)}|e[-+]?\d)"
)

# Kind → unit → its size in the smallest of its kind. Casefolded: the micro sign is a Greek letter then.
UNITS = {
    "time": {
        **dict.fromkeys("years year yrs yr yo y.o y/o y".split(), 12.0),
        **dict.fromkeys("jahre jahren jahr ans años año anos anni jaar år лет года год ปี سنة वर्ष".split(), 12.0),
        **dict.fromkeys("岁 歳 歲 年 세 살 년".split(), 12.0),
        **dict.fromkeys("months month mos mo".split(), 1.0),
        **dict.fromkeys("monate monaten monat mois meses mesi maanden månader месяцев месяца".split(), 1.0),
        **dict.fromkeys("个月 個月 ヶ月 か月 カ月 개월 เดือน".split(), 1.0),
    },
    "days": {**dict.fromkeys(("weeks", "week", "wks", "wk"), 7.0), **dict.fromkeys(("days", "day"), 1.0)},
    "length": {**dict.fromkeys(("mm", "millimetres", "millimeters"), 1.0), "cm": 10.0, "μm": 0.001, "um": 0.001},
    "volume": {
        **dict.fromkeys(("mm3", "mm³", "mm^3", "μl", "ul"), 1.0),
        **dict.fromkeys(("ml", "cc", "cm3", "cm³", "cm^3", "millilitres", "milliliters"), 1000.0),
        **dict.fromkeys(("litres", "liters", "l"), 1e6),
    },
    "mass": {**dict.fromkeys(("g", "grams"), 1.0), **dict.fromkeys(("kg", "kilograms"), 1000.0)},
    "body mass index": dict.fromkeys(("kg/m2", "kg/m²", "kg/m^2"), 1.0),
    "share": dict.fromkeys(("%", "percent", "per cent"), 1.0),
    "score": dict.fromkeys(("points", "point", "pts"), 1.0),
}
# What must follow a unit for it to be one: "y" before a number is a Spanish "and", "l'" a French article; 1975年 is a
# date, a year is 45年 for certain only before months.
UNIT_FOLLOWED = {
    "y": r"(?!\s*[-+]?\d)",
    "l": "(?!')",
    "年": r"(?=\s?\d{1,2}\s?[个個ヶかカ]月)",
    "년": r"(?=\s?\d{1,2}\s?개월)",
}


def units_like(unit: str) -> dict[str, float]:
    """The units of a unit's kind, itself included, → what one of them is in it.

    >>> units_like("years")["months"], units_like("Steps")
    (0.08333333333333333, {'steps': 1.0})
    """
    unit = unit.casefold()
    kind = next((kind for kind in UNITS.values() if unit in kind), {unit: 1.0})
    return {name: size / kind[unit] for name, size in kind.items()}


EVERY_UNIT = sorted({unit for kind in UNITS.values() for unit in kind}, key=len, reverse=True)
