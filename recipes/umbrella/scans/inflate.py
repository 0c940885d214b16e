"""Reading gzip files fast: zlib-ng's inflate where it is installed, else the standard library's.

zlib-ng inflates a scan in about half of zlib's time (tests/benchmarks/decoding.py); a few platforms have no wheel for
it.
"""

import gzip
import zlib
from typing import Any

try:
    from zlib_ng.gzip_ng import GzipNGFile as FastestGzipFile
    from zlib_ng.zlib_ng import error as InflateError
except ImportError:
    from gzip import GzipFile as FastestGzipFile  # type: ignore[assignment]  # either fits
    from zlib import error as InflateError  # type: ignore[assignment]  # either fits

__all__ = ["GZIP_ERRORS", "GzipFile"]

# What reading a broken gzip file raises: cut short, corrupt deflate data, a wrong checksum or header.
GZIP_ERRORS: tuple[Any, ...] = (EOFError, InflateError, zlib.error, gzip.BadGzipFile)


class GzipFile(FastestGzipFile):
    """The fastest reader of gzip that is installed, without a copy of what it reads."""

    def readinto(self, buffer: Any) -> int:
        """Fill the buffer; fewer bytes only at the end of the file."""
        # The base class reads everything into memory of its own first, a tenth of the time of inflating it.
        return self._buffer.readinto(buffer)
