"""A gzip file member by member: what it inflates to, and what each member's own header says (RFC 1952)."""

import gzip
import zlib
from io import BufferedIOBase
from typing import Any

MOST_TEXT = 16 * 1024**2  # bytes of all members' headers
_FIRST_PIECE, _LARGEST_PIECE = 1 << 10, 1 << 18  # of compressed data: a file may have a hundred thousand members
_TEXT_FLAGS = ((8, "gzip.path"), (16, "gzip comment"))


class GzipMembers:
    """A file's content, inflated as it is read; `texts` holds (field, text) of the headers that were passed.

    Raises zlib.error, EOFError and gzip.BadGzipFile for a file that is corrupt or cut short.
    """

    def __init__(self, file: BufferedIOBase) -> None:
        self._file = file
        self._inflate: Any = None  # the class of zlib.decompressobj has no public name
        self._checksum = self._size = self._piece = self._n_text = 0
        self.texts: list[tuple[str, bytes]] = []

    def read(self, n: int) -> bytes:
        """The next n bytes, fewer at the end of the file."""
        pieces = []
        while n > 0 and (piece := self._read_some(n)):
            pieces.append(piece)
            n -= len(piece)
        return b"".join(pieces)

    def _read_some(self, n: int) -> bytes:
        while True:
            if self._inflate is None and not self._begin_member():
                return b""
            data = self._inflate.unconsumed_tail or self._file.read(self._piece)
            self._piece = min(2 * self._piece, _LARGEST_PIECE)
            content = self._inflate.decompress(data, n)
            self._checksum, self._size = zlib.crc32(content, self._checksum), self._size + len(content)
            if self._inflate.eof:
                self._file.seek(-len(self._inflate.unused_data), 1)
                self._end_member()
            elif not data and not content:
                raise EOFError("the end of the file before the end of its data")
            if content:
                return content

    def _begin_member(self) -> bool:
        magic = self._file.read(2)
        if magic[:1] == b"\0":  # padding, as of tapes
            while magic and not magic.strip(b"\0"):
                magic = self._file.read(1 << 16)
            if magic:
                raise gzip.BadGzipFile("zeros and then more data")
        if not magic:
            return False
        if magic != b"\x1f\x8b":
            raise gzip.BadGzipFile(f"more data that are not gzip's, {magic!r}")
        _, flags = self._read_exactly(2)
        self._read_exactly(6)
        if flags & 4:
            self._keep("gzip extra field", self._read_exactly(int.from_bytes(self._read_exactly(2), "little")))
        for bit, field in _TEXT_FLAGS:
            if flags & bit:
                self._keep(field, self._read_to_zero())
        if flags & 2:
            self._read_exactly(2)
        self._inflate = zlib.decompressobj(-zlib.MAX_WBITS)
        self._checksum = self._size = 0
        self._piece = _FIRST_PIECE
        return True

    def _end_member(self) -> None:
        checksum, size = self._read_exactly(4), self._read_exactly(4)
        if int.from_bytes(checksum, "little") != self._checksum:
            raise gzip.BadGzipFile("a checksum that does not fit")
        if int.from_bytes(size, "little") != self._size & 0xFFFFFFFF:
            raise gzip.BadGzipFile("a length that does not fit")
        self._inflate = None

    def _keep(self, field: str, text: bytes) -> None:
        self._n_text += len(text)
        if self._n_text > MOST_TEXT:
            raise gzip.BadGzipFile(f"more than {MOST_TEXT} bytes in gzip's own headers")
        self.texts.append((field, text))

    def _read_exactly(self, n: int) -> bytes:
        data = self._file.read(n)
        if len(data) < n:
            raise EOFError("the end of the file in gzip's own header")
        return data

    def _read_to_zero(self) -> bytes:
        pieces: list[bytes] = []
        while sum(map(len, pieces)) <= MOST_TEXT:
            piece = self._file.read(_FIRST_PIECE)
            text, zero, rest = piece.partition(b"\0")
            pieces.append(text)
            if zero:
                self._file.seek(-len(rest), 1)
                return b"".join(pieces)
            if not piece:
                raise EOFError("the end of the file in gzip's own header")
        raise gzip.BadGzipFile(f"more than {MOST_TEXT} bytes in gzip's own headers")
