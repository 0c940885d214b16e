"""What reads users' text takes a time that grows as the text does, whatever stands in it.

Every pattern of the library is timed on hostile texts of two lengths: those in its modules' names, lists, mappings and
classes, and those that are written where they are used. So is the search for personal data as a whole. It is processor
time that is compared, where there is enough of it to be compared.
"""

import ast
import importlib
import inspect
import pkgutil
import re
import signal
import time
from contextlib import contextmanager
from pathlib import Path

import pytest

import umbrella
from umbrella.answers.label_parsing import parse_label
from umbrella.answers.number_parsing import _numeral_pattern, parse_number
from umbrella.files.json_files import parse_json
from umbrella.privacy.search import find_in_text

ROOT = Path(__file__).parents[1]
LENGTH, FLOOR_S = 2000, 0.0004  # two nested runs take 2 million steps and more, 2 ms on a slow machine
# What takes the floor's time is lengthened up to 8 times: were it quadratic it would then take this, to which a moment
# makes no difference.
COMPARED_S = 50 * FLOOR_S
LIMIT_S = 1.0  # of processor time for one text
WORST_RATIO = 2.5  # of the times for 2 n and n characters

CLASSES = [*"- .aA01éИ_:/\\@^(<{['\",;=+&%~#男남이ไ\0²½", "\n", "\t", "\u0301"]
# Pieces that patterns begin, join or end with.
PIECES = r"""
ACGT T1- A- a- Aa- a. a@ a@a. A& A' a_ a^ 1- 1. 1, 1/ 1: 12- 00: ab: a/ ~/a/ a:/ \\\\a 1.2. 25. _S_ 1,000, 12,34,
1e 10^ ×10 +- ± {a} <img <section> <style> data: sub- sep= a= 2019-05- 01.01. T1-T2_ Hospital- Weg- Weg5- Straße
kranken_ serial- acc_ sn_ www. http://a file:/ user= MRN MRN- MRN: PPMI- UKB- HCP_ INV TCGA- Universitäts- D.O.B. (0)
""".split()
WORDS = """
a A Aa Dr. Nurse de van Van A, 1 12 01 123 de|la MRN no number is serial Hospital|de|la Hospital|of General rue|de
Via|de Straße host: name patient|name born aged|90 age|at lives|at Flat|1 1|Jan May|1 2019 SSN tel contact The ADNI eid
male or to about less|than between 1|to years minus and|a|half %
""".split()
HOSTILE = [*CLASSES, *PIECES, *(f"{word.replace('|', ' ')} " for word in WORDS), f"MRN:{60 * '-'}", f"T1{50 * 'é'}"]
SEARCHED = [
    "-",
    " ",
    ".",
    "f",
    "ACGT",
    "T1-",
    "0",
    "_",
    "a@",
    "a.",
    "^",
    "Dr. ",
    "A ",
    "de ",
    "2019-05-17 ",
    "MRN ",
    "1-",
]
# Searched within so many characters before a number, a label or a date, never in a whole text.
IN_A_WINDOW = ("NAME_BEFORE", "UNCERTAINTY_BEFORE", "BOUND", "MINUS_BEFORE", "JOINED_BEFORE", "_BIRTH")


class TooSlow(Exception):
    pass


@contextmanager
def stopped_after(seconds):
    def stop(*_):
        raise TooSlow(f"more than {seconds} s of processor time")

    before = signal.signal(signal.SIGVTALRM, stop)
    signal.setitimer(signal.ITIMER_VIRTUAL, seconds)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_VIRTUAL, 0)
        signal.signal(signal.SIGVTALRM, before)


def measure(read, text, times=1):
    """The least processor time in seconds, of `times` readings."""
    spent = []
    for _ in range(times):
        start = time.thread_time()  # the clock of the process only moves at ticks while a timer runs
        read(text)
        spent.append(time.thread_time() - start)
    return min(spent)


def find_slow(read, pieces, length, limit_s=LIMIT_S):
    """(ratio, piece) of the text for which twice the length takes longest, more than `WORST_RATIO`; None: of none."""
    worst = None
    for piece in pieces:
        short, long = (f"{(piece * n)[:n]}!" for n in (length, 2 * length))
        ratio = float("inf")
        try:
            with stopped_after(limit_s):
                if measure(read, short) < FLOOR_S:
                    continue
                for n in (2 * length, 4 * length, 8 * length):
                    if measure(read, short) < COMPARED_S:
                        short, long = (f"{(piece * m)[:m]}!" for m in (n, 2 * n))
                if measure(read, short) < COMPARED_S:
                    continue
                spent = {short: float("inf"), long: float("inf")}
                for times in (2, 4, 4):  # looks in turn, where those before were disturbed; the best of all count
                    if ratio > WORST_RATIO:
                        spent = {text: min(least, measure(read, text, times)) for text, least in spent.items()}
                        ratio = spent[long] / max(spent[short], COMPARED_S)  # the first look may have been disturbed
        except TooSlow:
            ratio = float("inf")
        worst = max(worst or (0, ""), (ratio, piece))
    return worst if worst and worst[0] > WORST_RATIO else None


# ------------------------------------------------------------------------------------------------------- all patterns
def list_modules():
    packages = [info.name for info in pkgutil.walk_packages(umbrella.__path__, "umbrella.")]
    scripts = sorted(path.stem for folder in ("sample_data", "recipes") for path in (ROOT / folder).glob("*.py"))
    return [importlib.import_module(name) for name in [*packages, *scripts, "umbrella_dataset"]]


def walk_patterns(value):
    if isinstance(value, re.Pattern):
        yield value
    elif isinstance(value, dict):
        yield from walk_patterns(tuple(value.values()))
    elif isinstance(value, tuple | list | set | frozenset):
        for inner in value:
            yield from walk_patterns(inner)
    elif inspect.isclass(value):
        yield from (inner for inner in vars(value).values() if isinstance(inner, re.Pattern))


def list_written(module):
    """(line, pattern, function of `re`) of calls whose pattern is written in their place, of names of the module."""
    for node in ast.walk(ast.parse(inspect.getsource(module))):
        if isinstance(node, ast.Call) and re.fullmatch(r"re\.(?!escape|error)\w+", ast.unparse(node.func)):
            written = node.args if node.func.attr == "compile" else node.args[:1]  # with its flags
            try:
                parts = [eval(compile(ast.Expression(part), "test", "eval"), vars(module)) for part in written]
            except NameError:  # of a value that only its function knows
                continue
            yield node.lineno, re.compile(*parts), node.func.attr


def list_patterns():
    """{pattern: (where it is from, whether it is searched for, or only ever matched at a place)}"""
    modules = list_modules()
    used = {}  # of a pattern under its name, wherever it is known by it: two modules may have two of one name
    for module in modules:
        for name, use in re.findall(r"\b(\w+)\.(\w+)\(", inspect.getsource(module)):
            if isinstance(pattern := vars(module).get(name), re.Pattern):
                used.setdefault(pattern, set()).add(use)
    found = {}
    for module in modules:
        for name, value in vars(module).items():
            if inspect.isclass(value) and value.__module__ != module.__name__:
                continue  # another module's, or a library's
            uses = used.get(value, set()) if isinstance(value, re.Pattern) else set()
            is_matched = name in IN_A_WINDOW or (bool(uses) and uses <= {"match", "fullmatch"})
            for i, pattern in enumerate(walk_patterns(value)):
                found.setdefault(pattern, (f"{module.__name__}.{name}[{i}]", not is_matched))
        for line, pattern, function in list_written(module):
            place = f"{module.__name__}, line {line}"
            found.setdefault(pattern, (place, function not in ("match", "fullmatch")))
    for unit in (None, "μl"):
        for spaced in (False, True):
            found.setdefault(_numeral_pattern(unit, spaced), (f"_numeral_pattern({unit}, {spaced})", True))
    return found


def reader(pattern, is_searched):
    def read(text):
        text = text.encode() if isinstance(pattern.pattern, bytes) else text
        if is_searched:
            for _ in pattern.finditer(text):
                pass
        else:
            pattern.match(text)
            pattern.fullmatch(text)

    return read


@pytest.mark.slow
def test_every_pattern_of_the_library_is_linear():
    patterns = list_patterns()
    assert len(patterns) > 120
    slow = {}
    for pattern, (place, is_searched) in patterns.items():
        found = find_slow(reader(pattern, is_searched), HOSTILE, LENGTH)
        if found:
            slow[place] = found
    assert not slow, "\n".join(f"{place}: {found}" for place, found in slow.items())


@pytest.mark.slow
def test_search_for_personal_data_is_linear():
    """For 4 and 8 kB; `python tests/test_linear_time.py` tries all texts, of 10 and 20 kB."""
    assert find_slow(find_in_text, SEARCHED[::2], 4000, limit_s=20) is None
    assert find_slow(lambda text: find_in_text(text, is_path=True), SEARCHED[1::4], 4000, limit_s=20) is None


def test_a_key_twice_among_many_is_found_in_linear_time():
    pairs = ",".join(f'"{number}":0' for number in range(100_000))
    with stopped_after(5), pytest.raises(ValueError, match="the key '99999' twice"):
        parse_json(f'{{{pairs},"99999":1}}')


@pytest.mark.slow
def test_answers_are_read_in_linear_time():
    def read(text):
        parse_label(text, ("male", "female", "grade 2"))
        parse_number(text, "years")

    assert find_slow(read, ["-", "1 ", "male ", "1-", "not ", "over ", "male or ", "2", "grade "], LENGTH) is None


if __name__ == "__main__":
    ratios = []
    for piece in HOSTILE:
        short, long = (measure(find_in_text, (piece * n)[:n], times=5) for n in (10_000, 20_000))
        ratios.append((long / short, short, repr(piece)))
    print(f"{len(ratios)} texts of 10 and 20 kB; worst ratio {max(ratios)}; slowest {max(ratios, key=lambda r: r[1])}")
