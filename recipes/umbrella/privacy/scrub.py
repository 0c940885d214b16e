"""Clean copies of rows and scans, for publication. The originals are not touched.

- Subjects' ids become keyed hashes (HMAC-SHA256), in ids, texts, task ids and names of files alike. Whoever holds the
  key can tell which subject is which; nobody else can, not even by trying all ids.
- Dates are shifted, all of a subject's (metadata.subject_id, else the first) by the same secret number of days, so
  that intervals stay.
- What else the search of `umbrella.privacy.search` finds in a text is replaced by its kind: "[NAME]".
- Scans lose the text of their headers, all header extensions and footers; every voxel and number stays.
"""

import gzip
import hashlib
import hmac
import io
import json
import re
import secrets
import struct
from pathlib import Path
from typing import Any

from umbrella.files.written_files import replacing
from umbrella.privacy.dates import shift_date
from umbrella.privacy.presidio_names import NameFinder
from umbrella.privacy.scan_parts import open_parts
from umbrella.privacy.scan_text import TEXT_FIELDS
from umbrella.privacy.search import Match, find_in_text
from umbrella.scans.scan_files import ScanError

_LETTERS = "bcdfghjklmnpqrstvwxz"  # no digits and no vowels: a hash is no number and spells no name
_HASH_LETTERS = 12
_FEWEST_DAYS, _MOST_DAYS = 30, 395
_SUFFIX = re.compile(r"(\.(?:nii|mgh)(?:\.gz)?|\.mgz)$", re.IGNORECASE)
_MAGIC_OFFSET = {348: 108, 540: 168}  # where vox_offset stands: nifti1.h, nifti2.h
_KEY = re.compile(rb"[!-~]{32,}")
SHIFTED = ("date", "birth date")  # kinds that stay in the text, shifted


def load_key(path: str | Path) -> bytes:
    """The secret key in a file; made, readable by its owner alone, where there is none."""
    path = Path(path)
    if not path.exists():
        with replacing(path) as partial:
            partial.touch()
            partial.chmod(0o600)
            partial.write_text(secrets.token_hex(32) + "\n", encoding="ascii")
    key = path.read_bytes().strip()
    if not _KEY.fullmatch(key):
        raise ValueError(
            f"{path}: expected a key of at least 32 characters, found {len(key)}, or others than letters, digits and "
            "signs. Delete it to get a new one"
        )
    return key


class Scrubber:
    """Makes clean copies with one key; the same key gives the same copies."""

    def __init__(self, key: bytes, more_names: NameFinder | None = None) -> None:
        self._key, self.more_names = key, more_names

    def hash(self, text: str) -> str:
        """A keyed hash of twelve letters."""
        number = int.from_bytes(hmac.new(self._key, text.encode(), hashlib.sha256).digest()[:8], "big")
        letters = []
        for _ in range(_HASH_LETTERS):
            number, i = divmod(number, len(_LETTERS))
            letters.append(_LETTERS[i])
        return "".join(letters)

    def subject(self, subject: str) -> str:
        return f"sub-{self.hash(subject)}"

    def scan_name(self, name: str) -> str:
        """The published name of a scan: its hash, with what tells its format."""
        suffix = _SUFFIX.search(name)
        return f"scans/{self.hash(name)}{suffix[1].lower() if suffix else ''}"

    def days(self, subject: str) -> int:
        """By how many days a subject's dates move, into the past."""
        digest = hmac.new(self._key, f"days of {subject}".encode(), hashlib.sha256).digest()
        return -(_FEWEST_DAYS + int.from_bytes(digest[:4], "big") % (_MOST_DAYS - _FEWEST_DAYS))

    def clean_row(self, row: dict) -> dict:
        """A published row's clean copy; the scans' names in it are expected to be clean already."""
        subjects = [*row["subject_ids"], row["metadata"]["subject_id"], row["metadata"]["reference_id"]]
        subjects = sorted({subject for subject in subjects if subject}, key=len, reverse=True)
        cleaner = _RowCleaner(self, subjects, row["metadata"]["subject_id"] or [*row["subject_ids"], ""][0])
        metadata = {
            name: value if value is None else cleaner.clean(value)
            for name, value in row["metadata"].items()
            if name != "extra"
        }
        for name in ("subject_id", "reference_id"):
            metadata[name] = row["metadata"][name] and self.subject(row["metadata"][name])
        extra = cleaner.clean_json(json.loads(row["metadata"]["extra"] or "{}"), "")
        return {
            **row,
            "task_id": cleaner.clean_name(row["task_id"]),
            "task_type": cleaner.clean(row["task_type"]),
            "subject_ids": [self.subject(subject) for subject in row["subject_ids"]],
            "conversations": [
                {
                    **turn,
                    "content": [
                        {**item, "text": item["text"] and cleaner.clean(item["text"])} for item in turn["content"]
                    ],
                }
                for turn in row["conversations"]
            ],
            "metadata": {**metadata, "extra": json.dumps(extra, ensure_ascii=False)},
            "source": cleaner.clean_name(row["source"]),
        }


class _RowCleaner:
    """Cleans the texts of one row, whose subjects and whose shift of dates it knows."""

    def __init__(self, scrubber: Scrubber, subjects: list[str], first_subject: str) -> None:
        self._scrubber, self._days = scrubber, scrubber.days(first_subject)
        # An id such as "1" or "A" is also an ordinary word: replaced where it stands for a subject only.
        named = [subject for subject in subjects if len(subject) >= 4 and re.search(r"\d", subject)]
        words = "|".join(map(re.escape, named))
        self._ids = re.compile(rf"(?<![A-Za-z0-9])(?:{words})(?![A-Za-z0-9])") if named else None

    def clean(self, text: str, is_path: bool = False, after: int = 0) -> str:
        """The text with ids hashed, dates shifted and the rest of the findings replaced, from character `after` on."""
        if self._ids:
            text = self._ids.sub(lambda found: self._scrubber.subject(found[0]), text)
        pieces, position = [], 0
        for match in find_in_text(text, is_path=is_path, more_names=self._scrubber.more_names):
            if match.end > after:
                pieces += [text[position : max(match.start, after)], self._replace(text, match)]
                position = match.end
        return "".join([*pieces, text[position:]])

    def clean_name(self, name: str) -> str:
        """A task's or a source file's name: words that say who is meant go altogether."""
        cleaned = self.clean(name, is_path=True)
        if "[" not in cleaned:
            return cleaned
        folder, slash, last = name.rpartition("/")
        stem, dot, rest = last.partition(".")
        folder = folder if slash and not find_in_text(folder, is_path=True) else self._scrubber.hash(folder)
        hashed = self._scrubber.hash(stem)
        rest = rest if dot and not find_in_text(rest, is_path=True) else ""
        return (f"{folder}/" if slash else "") + hashed + (f".{rest}" if rest else "")

    def clean_json(self, value: Any, key: str) -> Any:
        """A JSON value; its key tells what a bare number means."""
        if isinstance(value, dict):
            return {self.clean(name): self.clean_json(inner, name) for name, inner in value.items()}
        if isinstance(value, list):
            return [self.clean_json(inner, key) for inner in value]
        if value is None or isinstance(value, bool):
            return value
        label = f"{key}: "
        cleaned = self.clean(f"{label}{value}", after=len(label))[len(label) :]
        return value if cleaned == str(value) else cleaned

    def _replace(self, text: str, match: Match) -> str:
        found = text[match.start : match.end]
        if match.date is not None:
            return shift_date(text, match.date, self._days)
        if match.kind == "cohort id":
            return self._scrubber.subject(found)
        if match.kind == "age over 89":
            return re.sub(r"\d+", "over 89", found, count=1)
        return f"[{match.kind.upper()}]"


def clean_scan(source: str | Path | bytes) -> bytes:
    """A scan's file without any text: header fields emptied, extensions and footer dropped, no name or time in gzip's.

    Voxels and the numbers of the header stay as they are. Raises ScanError for a scan that cannot be read, or whose
    voxels are in a second file.
    """
    check_single_file(source)
    with open_parts(source) as parts:
        size, block = len(parts.block), bytearray(parts.block)
        for start, length in TEXT_FIELDS[size].values():
            block[start : start + length] = bytes(length)
        if size != 284:
            _write_offset(block, size)
        buffer = io.BytesIO()
        stream = compress_into(buffer) if parts.is_compressed else buffer
        stream.write(bytes(block) + (b"" if size == 284 else bytes(4)))  # four zeros: no extensions
        for piece in parts.read_voxels():
            stream.write(piece)
        parts.read_tail()  # to its end, where gzip's checksum stands
        if stream is not buffer:
            stream.close()
        return buffer.getvalue()


def check_single_file(source: str | Path | bytes) -> None:
    """Raises ScanError for either file of a .hdr/.img pair."""
    with open_parts(source) as parts:
        if parts.is_pair:
            raise ScanError(
                f"{parts.header.name}: expected header and voxels in one file, found a .hdr/.img pair: save it as "
                ".nii.gz"
            )


def compress_into(buffer: io.BytesIO) -> gzip.GzipFile:
    """A gzip stream without a file name and a time, so that the same voxels give the same file."""
    return gzip.GzipFile(filename="", mode="wb", compresslevel=6, fileobj=buffer, mtime=0)


def _write_offset(block: bytearray, size: int) -> None:
    order = "<" if int.from_bytes(block[:4], "little") == size else ">"
    struct.pack_into(f"{order}{'f' if size == 348 else 'q'}", block, _MAGIC_OFFSET[size], size + 4)
