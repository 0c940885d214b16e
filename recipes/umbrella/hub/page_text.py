"""All text in a report's page: lines, comments, attributes, and those of the charts in it."""

import base64
import binascii
from collections.abc import Iterator
from html.parser import HTMLParser

DRAWING = "data:image/svg+xml;base64,"
_UNREAD = ("style", "script")
# What matplotlib writes into each drawing.
_OF_MATPLOTLIB = ("matplotlib.org", "www.w3.org", "purl.org", "creativecommons.org")


def read_page(html: str) -> Iterator[tuple[str, str]]:
    """(field, text) of all lines, comments and attributes of a page, and of all lines and comments of its drawings.

    Of a drawing the attributes are numbers and names of glyphs.
    """
    page = _Page()
    page.feed(html)
    page.close()
    yield from (("text", line) for line in _lines(page.texts))
    yield from (("attribute", line) for line in _lines(page.values))
    for drawing in page.drawings:
        inner = _Page()
        inner.feed(drawing)
        inner.close()
        own = (line for line in _lines(inner.texts) if not any(name in line for name in _OF_MATPLOTLIB))
        yield from (("drawing", line) for line in own)


def _lines(texts: list[str]) -> Iterator[str]:
    return (line.strip() for text in texts for line in text.splitlines() if line.strip())


class _Page(HTMLParser):
    """Collects what a page says."""

    def __init__(self):
        super().__init__()
        self.texts, self.values, self.drawings, self._unread = [], [], [], False

    def handle_starttag(self, tag, attrs):
        self._unread = tag in _UNREAD
        for _, value in attrs:
            if (value or "").startswith(DRAWING):
                self.drawings.append(_decode(value.removeprefix(DRAWING)))
            elif value and not value.startswith("data:"):
                self.values.append(value)

    def handle_endtag(self, tag):
        self._unread = False

    def handle_data(self, data):
        if not self._unread:
            self.texts.append(data)

    def handle_comment(self, data):
        self.texts.append(data)

    def handle_decl(self, decl):
        self.texts.append(decl)

    def handle_pi(self, data):
        self.texts.append(data)


def _decode(text: str) -> str:
    try:
        return base64.b64decode(text).decode("utf-8", errors="replace")
    except binascii.Error:
        return text
