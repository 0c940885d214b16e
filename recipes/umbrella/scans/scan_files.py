"""NIfTI and FreeSurfer files: the header, read by nibabel and checked, and the voxels' bytes, never more than it
states.

The content decides what a file is, never its name: .nii, .nii.gz, .hdr/.img pairs, .mgh and .mgz, or the bytes of one.
"""

import io
import math
import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from io import BufferedIOBase
from pathlib import Path
from typing import NoReturn

import numpy as np
from nibabel import MGHImage, Nifti1Header, Nifti1Pair, Nifti2Header, Nifti2Pair
from nibabel.spatialimages import HeaderDataError
from nibabel.wrapstruct import WrapStructError

from umbrella.files.contained_files import UNANSWERED, RemoteError, find_size, open_file, open_inside, split_root
from umbrella.scans.inflate import GZIP_ERRORS, GzipFile
from umbrella.scans.not_a_scan import GZIP_MAGIC, N_BYTES, describe_absence, describe_foreign, find_broken_link
from umbrella.scans.voxel_statistics import PIECE

CIFTI_INTENTS = range(3000, 3100)
# general and symmetric matrix, displacement field, vector, point set, triangles, quaternion, RGB and RGBA vector
VECTOR_INTENTS = (1004, 1005, 1006, 1007, 1008, 1009, 1010, 2003, 2004)
MOST_QUATERNION = 1.001  # the length of a unit quaternion's vector part, with rounding
MM_PER_UNIT = {1: 1000.0, 3: 0.001}  # metre and micron, of xyzt_units' lowest three bits; the others say mm or nothing


class ScanError(ValueError):
    """A scan cannot be used. The message names the file, what was expected and what was found."""


def refuse_object(error: RemoteError) -> NoReturn:
    """Raise ScanError for an object that is no scan, or cannot be read; the RemoteError itself where the store gave no
    answer, which says nothing of the scan: nobody may leave it out for that."""
    if error.kind in UNANSWERED:
        raise error
    raise ScanError(str(error)) from error


@dataclass(frozen=True)
class ScanHeader:
    """What a scan's header states.

    name     the file's path, for error messages
    shape    the stored axes, at least three; a fourth counts volumes
    dtype    the stored number type, with its byte order
    affine   (4, 4), voxel indices to millimetres in RAS+, whatever unit is stored; None when the header holds none
    zooms    (3,), the voxel's size along the stored axes in mm
    unit_mm  what the header says its lengths are counted in: 1, 1000 (metre) or 0.001 (micron)
    slope, inter  scaled value = slope * stored value + inter
    offset   where the voxels start in their file, in bytes
    has_footer  whether something may follow the voxels (FreeSurfer: scan parameters, history)
    """

    name: str
    shape: tuple[int, ...]
    dtype: np.dtype
    affine: np.ndarray | None
    zooms: np.ndarray
    unit_mm: float
    slope: float
    inter: float
    offset: int
    has_footer: bool

    @property
    def n_volumes(self) -> int:
        return math.prod(self.shape[3:])

    @property
    def n_bytes(self) -> int:
        """The size of all voxels of all volumes."""
        return math.prod(self.shape) * self.dtype.itemsize


@contextmanager
def open_scan(source: str | Path | bytes) -> Iterator[tuple[ScanHeader, BufferedIOBase]]:
    """Open a scan: its header, and a stream that stands at its first voxel.

    Raises ScanError when the file does not exist, is no scan, holds voxels that are no real numbers, or when the
    stream turns out to be cut short or corrupt while it is read inside the `with` block.
    """
    root, name = (None, f"scan of {len(source)} bytes") if isinstance(source, bytes) else split_root(source)
    with explain_reading(name) as shown:
        header_source = source if isinstance(source, bytes) else header_path(name)
        with _open_stream(header_source, root) as stream:
            header, n_read, is_pair = read_header(stream, shown)
            if not is_pair:
                _skip(stream, header.offset - n_read, header)
                yield header, stream
                return
        with _open_stream(image_path(source, name), root) as stream:
            _skip(stream, header.offset, header)
            yield header, stream


@contextmanager
def explain_reading(name: str) -> Iterator[str]:
    """Gives the name of a scan in printable signs; raises ScanError, with that name, in place of what goes wrong while
    its file is read."""
    shown = name if name.isprintable() else repr(name)
    try:
        yield shown
    except RemoteError as error:
        refuse_object(error)
    except FileNotFoundError:
        raise ScanError(f"{shown}: expected a scan, found {describe_absence(name)}") from None
    except GZIP_ERRORS as error:
        raise ScanError(
            f"{shown}: expected a whole gzip file, found one cut short or corrupt ({error}): copy it anew"
        ) from error
    except OSError as error:
        raise ScanError(f"{shown}: expected a readable file, found: {error}") from error


def find_source(scan: dict) -> str | bytes:
    """What to read of a scan that a row names: its `bytes` where the row has them, else the file at its `path`."""
    return scan.get("bytes") or scan["path"]


def read_file(path: str | Path) -> bytes:
    """A scan's file as it is. Raises ScanError where it cannot be read, as `open_scan` does."""
    try:
        with open_file(path) as file:
            return file.read()
    except RemoteError as error:
        refuse_object(error)
    except OSError as error:
        raise ScanError(f"{split_root(path)[1]}: expected a readable file, found: {error}") from error


def locate_file(path: str | Path) -> str:
    """Where a scan's file lies on this machine, links followed. Raises ScanError where it cannot be read, as
    `open_scan` does."""
    name = split_root(path)[1]
    try:
        with open_file(path):
            return os.path.realpath(name)
    except OSError as error:
        raise ScanError(f"{name}: expected a readable file, found: {error}") from error


def read_pieces(stream: BufferedIOBase, array: np.ndarray, header: ScanHeader) -> Iterator[np.ndarray]:
    """Fill a contiguous array from the stream. Yields its next voxels (n,) as soon as they are there: work on them
    then finds them in the processor's cache. Raises ScanError when the stream ends before.
    """
    voxels = array.reshape(-1, order="A")
    for start in range(0, len(voxels), PIECE):
        piece = voxels[start : start + PIECE]
        buffer, filled = piece.view(np.uint8).data, 0
        while filled < len(buffer):
            n_read = stream.readinto(buffer[filled:])
            if not n_read:
                raise ScanError(
                    f"{header.name}: expected {_data_size(header)}, found the end of the file before: "
                    "it is cut short, copy or export it anew"
                )
            filled += n_read
        yield piece


def check_end(stream: BufferedIOBase, header: ScanHeader) -> None:
    """Raise ScanError when the stream goes on after its last voxel. At its end gzip's checksum is compared."""
    if header.has_footer:
        while stream.read(1 << 18):
            pass
    elif stream.read(1):
        raise _too_long(header)


def check_size(stream: BufferedIOBase, header: ScanHeader) -> None:
    """Raise ScanError when a file that is not compressed is shorter or longer than its header says."""
    if isinstance(stream, GzipFile):
        return
    n_bytes = stream.seek(0, io.SEEK_END) - header.offset
    if n_bytes < header.n_bytes:
        raise ScanError(
            f"{header.name}: expected {_data_size(header)}, found {max(n_bytes, 0)}: "
            "it is cut short, copy or export it anew"
        )
    if n_bytes > header.n_bytes and not header.has_footer:
        raise _too_long(header)


def _too_long(header: ScanHeader) -> ScanError:
    return ScanError(
        f"{header.name}: expected {_data_size(header)}, found more: "
        "the header does not fit the data, export the scan anew"
    )


def _data_size(header: ScanHeader) -> str:
    return f"{header.n_bytes} bytes of voxels for shape {header.shape} and type {header.dtype}"


def header_path(path: str) -> str:
    """The header file that belongs to an image file; any other path as it is."""
    for image_end, header_end in ((".img", ".hdr"), (".img.gz", ".hdr.gz")):
        if path.endswith(image_end):
            return path.removesuffix(image_end) + header_end
    return path


def image_path(source: str | Path | bytes, name: str) -> str:
    """The image file that belongs to a header file."""
    if isinstance(source, bytes):
        raise ScanError(f"{name}: expected voxels, found the header of a .hdr/.img pair: convert it to .nii.gz")
    stem = header_path(name).removesuffix(".gz").removesuffix(".hdr")
    candidates = [stem + end for end in (".img", ".img.gz")]
    for candidate in candidates:
        if find_size(candidate) is not None:
            return candidate
    found = next(filter(None, map(find_broken_link, candidates)), "no such file")
    raise ScanError(f"{name}: expected its voxels in {os.path.basename(candidates[0])} beside it, found {found}")


@contextmanager
def _open_stream(source: str | bytes, root: str | None) -> Iterator[BufferedIOBase]:
    with io.BytesIO(source) if isinstance(source, bytes) else open_inside(source, root) as file:
        magic = file.read(len(GZIP_MAGIC))
        file.seek(0)
        if magic != GZIP_MAGIC:
            yield file
            return
        with GzipFile(fileobj=file) as stream:
            yield stream


def _skip(stream: BufferedIOBase, n: int, header: ScanHeader) -> None:
    """Read past header extensions, in pieces: a broken offset must not ask for more memory than there is."""
    while n > 0:
        piece = stream.read(min(n, 1 << 20))
        if not piece:
            raise ScanError(f"{header.name}: expected voxels from byte {header.offset} on, found the end of the file")
        n -= len(piece)


def read_header(stream: BufferedIOBase, name: str) -> tuple[ScanHeader, int, bool]:
    """Read the header, the number of bytes it took, and whether the voxels are in a second file."""
    start = stream.read(4)
    if not start:
        raise ScanError(f"{name}: expected a NIfTI scan, found an empty file")
    for size, is_nifti in ((348, True), (540, True), (284, False)):
        numbers = [size.to_bytes(4, "little"), size.to_bytes(4, "big")] if is_nifti else [b"\0\0\0\1"]
        if start in numbers:
            block = start + stream.read(size - 4)
            break
    else:
        found = describe_foreign(start + stream.read(N_BYTES - len(start)), name)
        raise ScanError(f"{name}: expected a NIfTI or FreeSurfer scan, found {found}")
    if len(block) < size:
        raise ScanError(f"{name}: expected a header of {size} bytes, found {len(block)}: the file is cut short")
    try:
        if not is_nifti:
            return _mgh_header(block, name), size, False
        return _nifti_header(block, name), size, block[344:347] == b"ni1" or block[4:7] == b"ni2"
    except (HeaderDataError, WrapStructError, KeyError, ValueError, OverflowError) as error:
        if isinstance(error, ScanError):
            raise
        raise ScanError(f"{name}: expected a valid header, found: {error}") from error


def _nifti_header(block: bytes, name: str) -> ScanHeader:
    if len(block) == 348:
        magic, single, pair = block[344:348], Nifti1Header, Nifti1Pair.header_class
    else:
        magic, single, pair = block[4:8], Nifti2Header, Nifti2Pair.header_class
    if magic[:3] not in (b"n+1", b"ni1", b"n+2", b"ni2"):
        raise ScanError(
            f"{name}: expected NIfTI's magic 'n+1' or 'ni1', found {magic!r}: that is neither NIfTI nor FreeSurfer, "
            "perhaps Analyze 7.5, which does not say which side is left; convert it with the tool that wrote it"
        )
    is_single = magic[1:2] == b"+"
    header = (single if is_single else pair)(block, check=False)
    _round_qform(header, name)
    header.check_fix()
    intent = int(header["intent_code"])
    if intent in CIFTI_INTENTS:
        raise ScanError(
            f"{name}: expected a volume, found CIFTI data (intent code {intent}), which lies on no 3-D grid"
        )
    if intent in VECTOR_INTENTS:
        raise ScanError(
            f"{name}: expected one number a voxel, found a vector or matrix field (intent code {intent}): save the "
            "component or the norm that you mean as a 3-D scan"
        )
    slope, inter = header.get_slope_inter()
    has_affine = header["qform_code"] > 0 or header["sform_code"] > 0
    unit_mm = MM_PER_UNIT.get(int(header["xyzt_units"]) & 7, 1.0)
    return _checked(
        ScanHeader(
            name=name,
            shape=tuple(int(n) for n in header.get_data_shape()),
            dtype=header.get_data_dtype(),
            affine=np.diag([unit_mm] * 3 + [1]) @ header.get_best_affine() if has_affine else None,
            zooms=unit_mm * np.abs(np.asarray(header["pixdim"][1:4], np.float64)),
            unit_mm=unit_mm,
            slope=1.0 if slope is None else float(slope),
            inter=0.0 if inter is None else float(inter),
            # 0 in a single file means "where they must start at least": its header lies before.
            offset=int(header.get_data_offset()) or (header.single_vox_offset if is_single else 0),
            has_footer=False,
        )
    )


def _round_qform(header: Nifti1Header, name: str) -> None:
    """Undo what rounding did to a qform, in place, as NIfTI's reference code reads it (nifti_quatern_to_mat44).

    Of a unit quaternion (a, b, c, d) the header holds b, c and d; where they are a little longer than 1, they are cut
    to it. `pixdim[0]` says by its sign whether the third axis is mirrored. nibabel refuses the first, and reads a sign
    as + unless it is exactly -1.
    """
    header["pixdim"][0] = -1 if header["pixdim"][0] < 0 else 1
    vector = np.array([header["quatern_b"], header["quatern_c"], header["quatern_d"]], np.float64)
    length = math.hypot(*vector)
    if header["qform_code"] > 0 and header["sform_code"] <= 0 and not length < MOST_QUATERNION:
        raise ScanError(
            f"{name}: expected a qform whose quatern_b, _c and _d are at most 1 long together, found "
            f"{vector.tolist()}: correct the header"
        )
    if 1 < length < MOST_QUATERNION:
        header["quatern_b"], header["quatern_c"], header["quatern_d"] = vector / length


def _mgh_header(block: bytes, name: str) -> ScanHeader:
    header = MGHImage.header_class(block)
    with np.errstate(over="ignore", invalid="ignore"):  # of a broken header, whose affine is refused below
        affine = header.get_affine()
    return _checked(
        ScanHeader(
            name=name,
            shape=tuple(int(n) for n in header.get_data_shape()),
            dtype=header.get_data_dtype().newbyteorder(">"),
            affine=affine,
            zooms=np.asarray(header["delta"], np.float64),
            unit_mm=1.0,
            slope=1.0,
            inter=0.0,
            offset=len(block),
            has_footer=True,
        )
    )


def _checked(header: ScanHeader) -> ScanHeader:
    """Refuse what is no scan of real numbers on a 3-D grid."""
    if header.dtype.kind not in "iuf":
        kind = "complex numbers" if header.dtype.kind == "c" else "colours or bits"
        raise ScanError(
            f"{header.name}: expected one real number a voxel, found {kind} ({header.dtype}): "
            "save the magnitude or the channel that you mean as a scan of its own"
        )
    if len(header.shape) < 3 or min(header.shape) < 1:
        raise ScanError(f"{header.name}: expected three axes of at least one voxel each, found shape {header.shape}")
    if header.offset < 0:
        raise ScanError(f"{header.name}: expected vox_offset 0 or more, found {header.offset}: correct the header")
    return header
