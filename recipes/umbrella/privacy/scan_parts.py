"""A scan's file in its parts, read once from the first byte to the last, with memory for all but the voxels."""

import io
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from io import BufferedIOBase
from pathlib import Path

from umbrella.files.contained_files import open_inside, split_root
from umbrella.privacy.gzip_members import GzipMembers
from umbrella.scans.scan_files import (
    GZIP_MAGIC,
    ScanError,
    ScanHeader,
    explain_reading,
    header_path,
    image_path,
    read_header,
)

MOST_BESIDE_VOXELS = 16 * 1024**2  # bytes before and behind them; AFNI's and DICOM's extensions have a few thousand
MOST_INFLATED = 1032  # bytes that deflate makes of one, at most: zlib's technical details
_PIECE = 1 << 20


@dataclass(frozen=True)
class ScanParts:
    """The parts of one scan; `read_voxels` once, then `read_tail` once, then `gzip_texts`.

    header   what the header states
    block    its bytes: 348 (NIfTI-1), 540 (NIfTI-2) or 284 (FreeSurfer)
    gap      what lies between them and the voxels; of a pair, the rest of the .hdr and the first bytes of the .img
    is_pair  whether header and voxels are in two files
    """

    header: ScanHeader
    block: bytes
    gap: bytes
    is_pair: bool
    streams: tuple[BufferedIOBase | GzipMembers, ...]

    @property
    def is_compressed(self) -> bool:
        return isinstance(self.streams[-1], GzipMembers)

    @property
    def gzip_texts(self) -> list[tuple[str, bytes]]:
        """(field, text) in the headers of gzip's members."""
        return [text for stream in self.streams if isinstance(stream, GzipMembers) for text in stream.texts]

    def read_voxels(self) -> Iterator[bytes]:
        """Raises ScanError where there are fewer than the header states."""
        left = self.header.n_bytes
        while left:
            piece = self.streams[-1].read(min(left, _PIECE))
            if not piece:
                raise ScanError(
                    f"{self.header.name}: expected {self.header.n_bytes} bytes of voxels for shape "
                    f"{self.header.shape} and type {self.header.dtype}, found {self.header.n_bytes - left}: it is cut "
                    "short, copy or export it anew"
                )
            left -= len(piece)
            yield piece

    def read_tail(self) -> bytes:
        """What follows the voxels."""
        return _read_text(self.streams[-1], MOST_BESIDE_VOXELS + 1, self.header.name)


@contextmanager
def open_parts(source: str | Path | bytes) -> Iterator[ScanParts]:
    """Open a scan, by either file of a pair. Raises ScanError for one that cannot be read, that states more voxels
    than its file can hold, or has more than 16 MiB before or behind them."""
    root, name = (None, f"scan of {len(source)} bytes") if isinstance(source, bytes) else split_root(source)
    with explain_reading(name) as shown, ExitStack() as stack:
        stream, size = _open(source if isinstance(source, bytes) else header_path(name), root, stack)
        recorder = _Recorder(stream)
        header, n_read, is_pair = read_header(recorder, shown)  # type: ignore[arg-type]  # it calls `read` alone
        streams, gap, n_before = (stream,), b"", header.offset - n_read
        if is_pair:
            gap = _read_text(stream, MOST_BESIDE_VOXELS + 1, shown)
            image, size = _open(image_path(source, name), root, stack)
            streams, n_before = (stream, image), header.offset
        most = size * (MOST_INFLATED if isinstance(streams[-1], GzipMembers) else 1)
        if header.offset + header.n_bytes > most:
            raise ScanError(
                f"{shown}: expected {header.n_bytes} bytes of voxels from byte {header.offset} on for shape "
                f"{header.shape} and type {header.dtype}, found a file of {size} bytes, which holds no more than "
                f"{most}: it is cut short, copy or export it anew"
            )
        gap += _read_text(streams[-1], n_before, shown)
        yield ScanParts(header, b"".join(recorder.pieces), gap, is_pair, streams)


class _Recorder:
    """Keeps what is read."""

    def __init__(self, stream: BufferedIOBase | GzipMembers) -> None:
        self._stream, self.pieces = stream, []

    def read(self, n: int) -> bytes:
        self.pieces.append(self._stream.read(n))
        return self.pieces[-1]


def _open(source: str | bytes, root: str | None, stack: ExitStack) -> tuple[BufferedIOBase | GzipMembers, int]:
    """(the stream of the content, the file's size in bytes)"""
    file = stack.enter_context(io.BytesIO(source) if isinstance(source, bytes) else open_inside(source, root))
    size = file.seek(0, io.SEEK_END)
    file.seek(0)
    magic = file.read(len(GZIP_MAGIC))
    file.seek(0)
    return (GzipMembers(file) if magic == GZIP_MAGIC else file), size


def _read_text(stream: BufferedIOBase | GzipMembers, n: int, name: str) -> bytes:
    data = stream.read(min(n, MOST_BESIDE_VOXELS + 1)) if n > 0 else b""
    if len(data) > MOST_BESIDE_VOXELS:
        raise ScanError(
            f"{name}: expected at most {MOST_BESIDE_VOXELS} bytes before and behind the voxels, found more: the "
            "header does not fit the data, or an extension holds other data; export the scan anew"
        )
    return data
