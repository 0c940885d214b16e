"""The bytes of a table → its text: UTF-8, UTF-16 with a byte order mark, else what the user says. Never a guess."""

import codecs
import re
from pathlib import Path

from umbrella.cohort.shared.visits import CohortError

# In this order: a mark of UTF-32 begins with that of UTF-16.
_MARKS = {
    codecs.BOM_UTF32_LE: "UTF-32",
    codecs.BOM_UTF32_BE: "UTF-32",
    codecs.BOM_UTF16_LE: "UTF-16",
    codecs.BOM_UTF16_BE: "UTF-16",
}
_LINE_END = re.compile(r"\r\n|\r|\n")


def decode_table(path: Path, data: bytes, encoding: str | None, has_flags: bool) -> tuple[str, list[str]]:
    """(text, what was inferred in sentences). A byte order mark is dropped.

    `encoding` None: UTF-8, unless a byte order mark says UTF-16 or UTF-32. Raises CohortError that names the line for
    any other text; from the bytes alone Windows-1252 cannot be told from a dozen others. The remedy is a flag where
    the table `has_flags`.
    """
    remedy = "Save the table as UTF-8" + (", or name its encoding, as --encoding cp1252" if has_flags else "")
    if data.startswith(b"PK\x03\x04"):
        raise CohortError(f"{path}: expected a table of text, found an Excel workbook. Save it as CSV UTF-8")
    named = next((name for mark, name in _MARKS.items() if data.startswith(mark)), None)
    codec = encoding or named or "utf-8"
    try:
        text = data.decode(codec).removeprefix("\ufeff")
    except UnicodeDecodeError as error:
        raise CohortError(f"{path}:{_describe_bytes(data, error, codec)}. {remedy}") from None
    _check_characters(path, text, remedy)
    inferred = [f"{path}: read as {named}, as its byte order mark says"] if named and not encoding else []
    return text, inferred


def is_encoding(name: str) -> bool:
    """Whether Python knows an encoding of text by this name."""
    try:
        "a".encode(name)
    except LookupError:
        return False
    return True


def split_lines(text: str) -> list[str]:
    """The lines as csv counts them, without their ends: \\n, \\r\\n or \\r alone."""
    return _LINE_END.split(text)


def _describe_bytes(data: bytes, error: UnicodeDecodeError, codec: str) -> str:
    before = split_lines(data[: error.start].decode("latin-1"))
    after = split_lines(data[error.start :].decode("cp1252", "replace"))[0]
    shown = re.split(r"[\t,;|]", before[-1])[-1][-20:] + re.split(r"[\t,;|]", after)[0][:20]
    return (
        f"{len(before)}: expected {'UTF-8' if codec == 'utf-8' else codec} text, found the byte "
        f"{data[error.start]:#04x} ({shown!r}, if it is Windows-1252)"
    )


def _check_characters(path: Path, text: str, remedy: str) -> None:
    for character, found in {
        "\0": f"a NUL: a damaged file, or UTF-16 without its byte order mark. {remedy}",
        "\ufeff": "a byte order mark within it: two tables joined? Make one table of them, with one header",
    }.items():
        place = text.find(character)
        if place >= 0:
            raise CohortError(f"{path}:{len(split_lines(text[:place]))}: expected text, found {found}")
