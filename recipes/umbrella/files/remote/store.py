"""Objects by their address, whole and as expected, or one sentence why not: requests are tried again within a bound.

A process has its own connections: those of a parent would hang in a forked worker.
"""

import os
import threading
import time
from collections.abc import Callable
from typing import Any, TypeVar

import xxhash

from umbrella.files.contained_files import RemoteError, show_address
from umbrella.files.remote.addresses import find_fault, is_within
from umbrella.files.remote.faults import (
    CUT,
    OTHER,
    TRIED_AGAIN,
    WrongBytes,
    describe,
    describe_given_up,
    find_kind,
)
from umbrella.files.remote.identity import Identity

T = TypeVar("T")
FIRST_WAIT_S, LONGEST_WAIT_S = 0.5, 15.0
LONGEST_SILENCE_S = 30.0  # of a connection; a byte begins it anew
MOST_CUT = 5  # tries of an object whose bytes differ from what the store says of them


class Store:
    """Reads from all stores, for as long as the process lives; of any number of threads.

    Args:
        roots: addresses below which may be read.
        patience_s: how long an object is asked for before it is given up.
        first_wait_s: between the first tries; it doubles.
    """

    def __init__(self, roots: tuple[str, ...], patience_s: float, first_wait_s: float = FIRST_WAIT_S) -> None:
        self.roots, self.patience_s, self.first_wait_s = roots, patience_s, first_wait_s
        self._clients: dict[str, Any] = {}
        self._lock = threading.Lock()
        self.pid = os.getpid()

    def read(self, url: str, expected: Identity | None) -> bytes:
        """The bytes of an object. Raises RemoteError, also where it is not the one that is expected."""
        from umbrella.files.remote.clients import check_same

        def get(client: Any) -> bytes:
            content, identity = client.get(url, expected)
            check_same(identity, expected)
            wanted = identity if expected is None else identity._replace(size=expected.size)
            if (difference := wanted.find_difference(content)) is not None:
                raise WrongBytes(difference)
            return content

        return self._try(url, get)

    def read_range(self, url: str, start: int, end: int) -> bytes:
        """The bytes of an object from `start` to before `end`, in one request. Raises RemoteError."""

        def get(client: Any) -> bytes:
            content = client.get_range(url, start, end)
            if len(content) != end - start:
                raise WrongBytes(f"{len(content)} of {end - start} bytes came")
            return content

        return self._try(url, get)

    def stat(self, url: str) -> Identity:
        """Raises RemoteError."""
        return self._try(url, lambda client: client.stat(url))

    def list_below(self, url: str, most: int) -> dict[str, Identity] | None:
        """What begins with an address; None where the store cannot or will not say. Raises RemoteError."""
        return self._try(url, lambda client: client.list_below(url, most))

    def _try(self, url: str, request: Callable[[Any], T]) -> T:
        self.check(url)
        start, n_tries = time.monotonic(), 0
        while True:
            n_tries += 1
            try:
                return request(self._find_client(url))
            except Exception as error:  # of five libraries, which share no other base
                kind, said = find_kind(error)
                wait = self._find_wait(url, n_tries)
                if kind not in TRIED_AGAIN:
                    raise describe(kind, url, said) from error
                is_over = time.monotonic() - start + wait > self.patience_s
                if is_over or (kind == CUT and n_tries >= MOST_CUT):
                    raise describe_given_up(kind, url, said, n_tries, self.patience_s) from error
            time.sleep(wait)

    def _find_wait(self, url: str, n_tries: int) -> float:
        """Doubled each time, and other for each address, so that not all come again at once; no random number is
        drawn, on which dropout would depend."""
        share = xxhash.xxh3_64_intdigest(f"{n_tries} {self.pid} {url}".encode(errors="replace")) / 2**64
        return min(LONGEST_WAIT_S, self.first_wait_s * 2 ** (n_tries - 1)) * (0.5 + share)

    def check(self, url: str) -> None:
        """Raise RemoteError for an address that may not be read."""
        shown = show_address(url)
        if (fault := find_fault(url)) is not None:
            raise RemoteError(f"{shown}: expected an address as s3://bucket/key, found {fault}", OTHER, shown)
        if not is_within(url, self.roots):
            raise RemoteError(
                f"{shown}: expected an address under --remote_roots {' '.join(self.roots)}, found another: add its "
                "root if it is meant",
                OTHER,
                shown,
            )

    def _find_client(self, url: str) -> Any:
        from umbrella.files.remote.clients import CLIENTS

        scheme = url.partition(":")[0]
        with self._lock:
            if scheme not in self._clients:
                self._clients[scheme] = CLIENTS[scheme](min(LONGEST_SILENCE_S, max(1.0, self.patience_s / 3)))
            return self._clients[scheme]

    def __getstate__(self) -> dict:
        return {"roots": self.roots, "patience_s": self.patience_s, "first_wait_s": self.first_wait_s}

    def __setstate__(self, state: dict) -> None:
        self.__init__(**state)  # type: ignore[misc]  # connections are each process's own
