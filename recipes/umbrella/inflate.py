"""Reading gzip files fast: isal's inflate where it is installed, else the standard library's, with the same interface.

isal inflates a scan in about half of zlib's time (tests/benchmarks/decoding.py); it has no wheel on a few platforms.
"""

import gzip
import zlib

try:
    from isal.igzip import IGzipFile as GzipFile
    from isal.isal_zlib import error as InflateError
except ImportError:
    from gzip import GzipFile
    from zlib import error as InflateError

__all__ = ["GZIP_ERRORS", "GzipFile"]

# What reading a broken gzip file raises: cut short, corrupt deflate data, a wrong checksum or header.
GZIP_ERRORS = (EOFError, InflateError, zlib.error, gzip.BadGzipFile)
