"""Text among other bytes: runs of printable characters, a byte, two or four wide, at any place and in either order."""

import re
from collections.abc import Iterator

LEAST_RUN = 2  # printable bytes in a row that count as text
_LEAST_WIDE = 4  # wide characters in a row that do
_RUNS = re.compile(rb"[\x20-\x7e\x80-\xff\t\r\n]{%d,}+" % LEAST_RUN)
# UTF-16 and UTF-32 begin with a character of Latin-1; those up to U+05FF (Latin, Greek, Cyrillic, Hebrew) may follow.
_LATIN, _FURTHER = rb"[\x20-\x7e\xa0-\xff\t\r\n]", rb"[\x01-\x05]"
_WIDE_RUNS = tuple(
    (encoding, re.compile(rb"(?s:%b(?:%b|%b){%d,}+)" % (first, first, further, _LEAST_WIDE - 1)))
    for encoding, first, further in (
        ("utf-16-le", _LATIN + rb"\0", b"." + _FURTHER),
        ("utf-16-be", rb"\0" + _LATIN, _FURTHER + b"."),
        ("utf-32-le", _LATIN + rb"\0\0\0", b"." + _FURTHER + rb"\0\0"),
        ("utf-32-be", rb"\0\0\0" + _LATIN, rb"\0\0" + _FURTHER + b"."),
    )
)


def find_runs(data: bytes) -> list[str]:
    """The texts in bytes, without the white space around them: UTF-8 or Latin-1, then UTF-16 and UTF-32."""
    texts = [decode(run[0]).strip() for run in _RUNS.finditer(data)]
    texts += (data[start:end].decode(encoding).strip() for start, end, encoding in find_wide_runs(data))
    return [text for text in texts if text]


def find_narrow_runs(data: bytes) -> Iterator[re.Match]:
    """The runs of characters of a byte each."""
    return _RUNS.finditer(data)


def find_wide_runs(data: bytes) -> Iterator[tuple[int, int, str]]:
    """(start, end, encoding) of the runs of wide characters, at even and odd places alike."""
    return ((*run.span(), encoding) for encoding, pattern in _WIDE_RUNS for run in pattern.finditer(data))


def decode(data: bytes) -> str:
    """UTF-8, else Latin-1."""
    try:
        return data.decode("utf-8")
    except UnicodeDecodeError:
        return data.decode("latin-1")
