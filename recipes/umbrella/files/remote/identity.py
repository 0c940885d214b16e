"""What tells an object from any other and from itself after a change, for as many as a data folder names."""

import hashlib
import re
from collections.abc import Mapping
from typing import NamedTuple

import numpy as np
import pyarrow as pa
import xxhash

from umbrella.files.contained_files import RemoteError
from umbrella.files.remote.faults import FORBIDDEN

_ABSENT, _REFUSED = -1, -2  # in place of a size
_MD5 = re.compile("[0-9a-f]{32}")
_IS_DIGEST = re.compile("(?:md5|sha256|git) [0-9a-f]+")


class Identity(NamedTuple):
    """An object as its store describes it.

    size    in bytes
    tag     the store's word for this version: a digest where it states one, else ETag, time, generation; "" for none
    digest  "md5 …", "sha256 …" or "git …" of its bytes in hex digits; "" where the store does not tell
    """

    size: int
    tag: str
    digest: str = ""

    def find_difference(self, content: bytes) -> str | None:
        """How bytes differ from those that the store has described; None where they do not, as far as it can be
        told."""
        if len(content) != self.size:
            return f"{len(content)} of {self.size} bytes came"
        kind, _, expected = self.digest.partition(" ")
        if kind and (found := _hash(kind, content)) != expected:
            return f"bytes with the {kind} {found} came, not {expected}"
        return None


def to_md5(etag: str) -> str:
    """The digest that an ETag of S3 is, for an object that was put in one piece and is not encrypted by KMS."""
    etag = etag.strip('"')
    return f"md5 {etag}" if _MD5.fullmatch(etag) else ""


def _hash(kind: str, content: bytes) -> str:
    if kind == "git":  # as `git hash-object` does
        return hashlib.sha1(b"blob %d\0" % len(content) + content).hexdigest()
    return hashlib.new(kind, content, usedforsecurity=False).hexdigest()


class IdentityTable:
    """Address → Identity; None for an object that is known to be absent, an error for one that the store refuses.
    Arrays that forked workers share: a dict of a million would be copied into each of them, page by page.

    A digest is kept where it is the tag; S3 sends its own with what is read.
    """

    def __init__(self, known: Mapping[str, Identity | RemoteError | None]) -> None:
        hashes = np.fromiter(map(_hash_address, known), np.uint64, len(known))
        order = np.argsort(hashes)
        found = [_to_entry(one) for one in known.values()]
        self._hashes = hashes[order]
        self._sizes = np.fromiter((size for size, _ in found), np.int64, len(found))[order]
        self._tags = pa.array([tag for _, tag in found], pa.large_string()).take(order)

    def __len__(self) -> int:
        return len(self._hashes)

    def find(self, address: str) -> tuple[bool, Identity | None]:
        """(whether it is known, what it is). Raises RemoteError for what the store refuses."""
        wanted = np.uint64(_hash_address(address))
        place = int(np.searchsorted(self._hashes, wanted))
        if place == len(self._hashes) or self._hashes[place] != wanted:
            return False, None
        size = int(self._sizes[place])
        tag = self._tags[place].as_py()
        if size == _REFUSED:
            raise RemoteError(tag, FORBIDDEN, address)
        return True, None if size == _ABSENT else Identity(size, tag, tag if _IS_DIGEST.fullmatch(tag) else "")

    def hash(self) -> str:
        """Of all addresses, sizes and tags; the same in whatever order they were looked up."""
        digest = xxhash.xxh3_128()
        digest.update(self._hashes.tobytes())
        digest.update(self._sizes.tobytes())
        digest.update("\0".join(self._tags.to_pylist()).encode())
        return digest.hexdigest()


def _to_entry(found: Identity | RemoteError | None) -> tuple[int, str]:
    if isinstance(found, Identity):
        return found.size, found.tag
    return (_ABSENT, "") if found is None else (_REFUSED, str(found))


def _hash_address(address: str) -> int:
    return xxhash.xxh3_64_intdigest(address.encode(errors="surrogatepass"))
