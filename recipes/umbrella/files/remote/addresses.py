"""Addresses of objects, s3://bucket/key and the like: which are well formed, and which lie under the allowed roots.

`umbrella_dataset`, which stands alone, has the same rules for rows. No request is made here.
"""

import re
from collections.abc import Iterable
from urllib.parse import unquote

from umbrella.files.contained_files import ADDRESS
from umbrella.files.data_format import SCHEMES

_CONTROL = re.compile(r"[\x00-\x1f\x7f]")


def split_address(address: str) -> tuple[str, str]:
    """ "s3://bucket/a/b" → ("s3", "bucket/a/b")."""
    scheme, _, place = address.partition("://")
    return scheme, place


def find_fault(address: str) -> str | None:
    """Why an address is refused, as the end of a sentence; None for one that is well formed.

    Refused are what holds keys (user:password@, a presigned query) and what could lead out of a root: ".." and ".",
    also written %2e. Empty parts and every other sign are legal in a key of S3.
    """
    if not ADDRESS.match(address):
        return f"no address by {', '.join(f'{name}://' for name in SCHEMES)}"
    scheme, place = split_address(address)
    host, _, key = place.partition("/")
    if not host:
        return "no bucket or host"
    if has_password(address):
        return "a user or password in it; keys come from the environment alone"
    if scheme != "s3" and ("?" in key or "#" in key):
        return "a query (? or #), which would hold keys; they come from the environment alone"
    if scheme == "s3" and re.search(r"\?(?:.*&)?(?:X-Amz-|AWSAccessKeyId|versionId=)", key, re.IGNORECASE):
        return "a presigned query, which holds keys; they come from the environment alone"
    if scheme == "https" and _CONTROL.search(key):
        return "a sign in it that is none to be read, and that a client leaves out"
    readings = {key, unquote(key).replace("\\", "/")} if scheme == "https" else {key}
    if any(part in (".", "..") for reading in readings for part in reading.split("/")):
        return "the part . or .. in it"
    return None


def has_password(address: str) -> bool:
    """Whether an address has NAME@ or NAME:PASSWORD@ in it, also where a slash in the password hides that the @ is of
    the host: s3://NAME:sec/ret@bucket. A colon is else of a port, or of an ARN of S3, alone."""
    scheme, place = split_address(address)
    host = place.partition("/")[0]
    _, colon, port = host.rpartition(":")
    is_port = scheme == "https" and (port.isdigit() or host.endswith("]"))
    return "@" in host or (bool(colon) and not is_port and not host.startswith("arn:"))


def is_within(address: str, roots: Iterable[str]) -> bool:
    """Whether an address lies under one of the roots, or is one."""
    return any(address == root or address.startswith(root.rstrip("/") + "/") for root in roots)


def find_host(address: str) -> str:
    """ "s3://bucket/a" → "s3://bucket"."""
    scheme, place = split_address(address)
    return f"{scheme}://{place.partition('/')[0]}"
