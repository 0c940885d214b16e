"""All text in a report's page: as it is written, as it is read, and in the data addresses and drawings in it."""

import base64
import binascii
import re
from collections.abc import Iterator
from html.parser import HTMLParser
from urllib.parse import unquote

from umbrella.privacy.binary_text import find_runs

_ADDRESS = re.compile(r"data:([\w/+.-]{0,80});base64,([\w+/=%-]*+)")
_SVG, _PNG = "image/svg+xml", b"\x89PNG\r\n\x1a\n"
# What matplotlib writes into each drawing: the names of its formats, and outlines, of which no number is longer.
_OF_MATPLOTLIB = re.compile(
    r"http://www\.w3\.org/(?:Graphics/SVG/1\.1/DTD/svg11\.dtd|1999/xlink|2000/svg|1999/02/22-rdf-syntax-ns#)(?=\")|"
    r"http://purl\.org/dc/(?:elements/1\.1/|dcmitype/StillImage)(?=\")|http://creativecommons\.org/ns#(?=\")|"
    r"https://matplotlib\.org/(?=<)"
)
_NUMBER = r"-?\d{1,5}(?:\.\d{1,8})?"
_OUTLINES = re.compile(rf"(?<=\s)(?:d|points)=\"\s*+(?:(?:[A-Za-z]|{_NUMBER})[\s,]++)*+(?:[Zz]|{_NUMBER})?\"")
# Tags that do not end a word or a number.
_INLINE = frozenset(
    "a abbr b bdi bdo big cite code em font i kbd mark q s samp small span strong sub sup tt u var wbr".split()
)


def read_page(html: str) -> Iterator[tuple[str, str]]:
    """(field, text) of all that a page holds but the pixels of its pictures and the outlines in its drawings."""
    yield from _read_markup(html, "page")
    addresses = {found.groups() for text in (html, *_parse(html).values) for found in _ADDRESS.finditer(text)}
    for mime, payload in sorted(addresses):
        yield from _read_address(mime, payload)


def _read_markup(html: str, field: str) -> Iterator[tuple[str, str]]:
    page = _parse(html)
    yield field, _ADDRESS.sub("", html)
    yield f"{field}'s text", "".join(page.texts)
    yield f"{field}'s text", "\n".join(text for text in page.texts if text != "\n")
    values = [_ADDRESS.sub("", value) for value in page.values]
    yield f"{field}'s attribute", "\n".join([*values, *(unquote(value) for value in values if "%" in value)])


def _read_address(mime: str, payload: str) -> Iterator[tuple[str, str]]:
    try:
        data = base64.b64decode(unquote(payload))
    except (binascii.Error, ValueError):
        data = b""
    if mime == _SVG:
        drawing = data.decode("utf-8", errors="replace")
        yield from _read_markup(_OUTLINES.sub("", _OF_MATPLOTLIB.sub("", drawing)), "drawing")
    elif data.startswith(_PNG):
        yield "picture", "\n".join(_read_png(data))
    else:
        yield "data address", "\n".join([payload, *find_runs(data)])


def _read_png(data: bytes) -> Iterator[str]:
    """The texts in a PNG file but in its pixels: chunks of (length, type, content, checksum)."""
    position = len(_PNG)
    while position + 8 <= len(data):
        end = position + 8 + int.from_bytes(data[position : position + 4])
        if data[position + 4 : position + 8] != b"IDAT":
            yield from find_runs(data[position + 8 : end])
        position = end + 4
    yield from find_runs(data[position:])


def _parse(html: str) -> "_Page":
    page = _Page()
    page.feed(html)
    page.close()
    return page


class _Page(HTMLParser):
    """Collects what a page says: `texts` with a line break for each tag that ends a word, `values` of attributes."""

    def __init__(self) -> None:
        super().__init__()
        self.texts, self.values = [], []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.handle_endtag(tag)
        self.values += [value for _, value in attrs if value]

    def handle_endtag(self, tag: str) -> None:
        if tag not in _INLINE:
            self.texts.append("\n")

    def handle_data(self, data: str) -> None:
        self.texts.append(data)

    handle_comment = handle_decl = handle_pi = unknown_decl = handle_data  # type: ignore[assignment]  # named otherwise there
