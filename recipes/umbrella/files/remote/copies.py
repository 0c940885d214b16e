"""Scans of object stores for `umbrella.files.contained_files`: fetched once, then read from a copy on this node.

    DIR/CACHEDIR.TAG, …/ab/HASH.scan    see `umbrella.files.bounded_folder`

A copy's name is a hash of the address, size and tag of the object: one that has changed in its store has another copy.
The roots that a command allows hold for its process and for those that it forks.
"""

import functools
import io
import os
import queue
import sys
import threading
from collections.abc import Iterable
from concurrent.futures import Future
from pathlib import Path

import xxhash
from huggingface_hub import constants

from umbrella.files.bounded_folder import BoundedFolder, Kind
from umbrella.files.contained_files import AbsentError, find_elsewhere, is_remote, set_elsewhere
from umbrella.files.remote.addresses import find_host
from umbrella.files.remote.faults import ABSENT, describe
from umbrella.files.remote.identity import Identity, IdentityTable
from umbrella.files.remote.listing import look_up
from umbrella.files.remote.store import Store

N_THREADS = 8  # that fetch ahead: one file each is in memory
COPIES = Kind("scan", "Copies of scans", "copies of scans", "fetched")
DEFAULT_FOLDER = "umbrella_scans"  # below HF_HOME


class ScanCopies:
    """What lies under some roots, read through copies of at most `most_gb` (10⁹ bytes).

    Args:
        folder: of the copies; None: umbrella_scans in HF_HOME.
    """

    def __init__(
        self, roots: Iterable[str], folder: str | Path | None = None, most_gb: float = 50.0, patience_s: float = 120.0
    ) -> None:
        self.store = Store(tuple(roots), patience_s)
        place = Path(folder).expanduser() if folder else Path(constants.HF_HOME) / DEFAULT_FOLDER
        self.copies = BoundedFolder(COPIES, place, int(most_gb * 1e9))
        self.table = IdentityTable({})
        self.start = os.urandom(8).hex()  # of this command
        self._reset()

    def _reset(self) -> None:
        """What a process has of its own."""
        self._found: dict[str, Identity | None] = {}
        self._unsaid: set[str] = set()
        self._in_flight: dict[str, Future] = {}
        self._lock = threading.Lock()
        self._waiting: queue.SimpleQueue = queue.SimpleQueue()
        self._n_threads = 0

    def after_fork(self) -> None:
        """Connections and threads of the parent are of no use here."""
        self.store = Store(self.store.roots, self.store.patience_s, self.store.first_wait_s)
        self._reset()

    def __getstate__(self) -> dict:
        names = ("store", "copies", "table", "start")
        return {name: self.__dict__[name] for name in names}

    def __setstate__(self, state: dict) -> None:
        self.__dict__.update(state)
        self._reset()
        if find_elsewhere() is None:  # in a worker that was not forked
            set_elsewhere(self)

    def __deepcopy__(self, memo: dict) -> "ScanCopies":
        return self  # `datasets` copies what its rows go through: the copies of a process stay one

    def learn(self, urls: Iterable[str]) -> None:
        """Ask the stores what lies at these addresses, in few requests; workers that are forked later know it. Raises
        RemoteError where one gives no answer."""
        self.table = IdentityTable(look_up(list(urls), self.store))

    def use_table(self, table: IdentityTable) -> None:
        """Take what another process has looked up."""
        self.table = table

    def find_identity(self, url: str) -> Identity | None:
        """What lies at an address; None: nothing. Raises RemoteError where the store does not say."""
        is_known, identity = self.table.find(url)
        if is_known:
            return identity
        if url not in self._found:
            try:
                self._found[url] = self.store.stat(url)
            except AbsentError:
                self._found[url] = None
        return self._found[url]

    def identify(self, url: str) -> tuple | None:
        """What tells an object from any other and from itself after a change, without a request where it was looked
        up; None where there is none. Where its store states neither ETag nor time, it is told from itself within this
        command alone, which is said once for each host."""
        identity = self.find_identity(url)
        if identity is None:
            return None
        if identity.tag:
            return url, identity.size, identity.tag
        if find_host(url) not in self._unsaid:
            self._unsaid.add(find_host(url))
            print(
                f"warning: {find_host(url)} states neither ETag nor Last-Modified: whether a scan there has changed "
                "cannot be known, and copies are made anew by each command",
                file=sys.stderr,
                flush=True,
            )
        return url, identity.size, self.start

    def find_size(self, url: str) -> int | None:
        """In bytes; None where there is no such object. Raises RemoteError where the store does not say."""
        identity = self.find_identity(url)
        return None if identity is None else identity.size

    def find_version(self, url: str) -> str | None:
        """Its size, and its tag where the store has one; None where there is none. Raises as `find_size`."""
        identity = self.find_identity(url)
        return None if identity is None else f"{identity.size} {identity.tag}".strip()

    def is_copied(self, url: str) -> bool:
        """Whether an object can be read without a request. Raises as `open`."""
        return self.copies.entry_size(self._find_key(url)) > 0

    def open(self, url: str) -> io.BytesIO:
        """The object's bytes. Raises RemoteError; AbsentError, a FileNotFoundError, where there is none."""
        return io.BytesIO(self.read(url))

    def read(self, url: str) -> bytes | memoryview:
        """From the copy, from what fetches it now, or from the store. Raises as `open`."""
        self.store.check(url)
        key = self._find_key(url)
        with self._lock:
            flight = self._in_flight.get(url)
        if flight is not None and not flight.cancel():  # one that waits for a thread is fetched here at once
            content = flight.result()
            if content is not None:
                return content
        copy = self.copies.read(key)
        return self._fetch(url, key) if copy is None else copy

    def fetch_ahead(self, urls: Iterable[str]) -> None:
        """Copy what is going to be read, by threads; returns at once. What goes wrong is left to the reader."""
        if not self.copies.is_writable:
            return
        for url in urls:
            with self._lock:
                if url in self._in_flight:
                    continue
                flight = self._in_flight[url] = Future()
                if self._n_threads < N_THREADS:
                    self._n_threads += 1
                    # Daemons: those of an executor are waited for at exit, for as long as a store is silent.
                    threading.Thread(target=self._fetch_waiting, daemon=True).start()
            self._waiting.put((url, flight))

    def _fetch_waiting(self) -> None:
        while True:
            url, flight = self._waiting.get()
            if flight.set_running_or_notify_cancel():
                try:
                    key = self._find_key(url)
                    flight.set_result(None if self.copies.entry_size(key) else self._fetch(url, key))
                except BaseException as error:  # the reader's, who waits for it or asks again
                    flight.set_exception(error)
            with self._lock:
                self._in_flight.pop(url, None)

    def _fetch(self, url: str, key: str) -> bytes:
        content = self.store.read(url, self.find_identity(url))
        self.copies.write(key, content)
        return content

    def _find_key(self, url: str) -> str:
        identity = self.identify(url)
        if identity is None:
            raise describe(ABSENT, url)
        return xxhash.xxh3_128_hexdigest(repr(identity).encode())


def allow(
    roots: Iterable[str], folder: str | Path | None = None, most_gb: float = 50.0, patience_s: float = 120.0
) -> ScanCopies:
    """From here on this process, and those that it forks, may read what lies under these roots. Raises RemoteError for
    a root that is no address."""
    copies = ScanCopies(roots, folder, most_gb, patience_s)
    for root in copies.store.roots:
        copies.store.check(root)
    set_elsewhere(copies)
    _register_fork()
    return copies


def fetch_ahead(paths: Iterable[str]) -> None:
    """Begin to copy the scans that are going to be read; returns at once.

    Args:
        paths: files or addresses, as rows have them. Those on this machine and those that are copied are left alone.
    """
    copies = find_elsewhere()
    if isinstance(copies, ScanCopies):
        copies.fetch_ahead(path for path in paths if is_remote(path))


@functools.cache
def _register_fork() -> None:
    os.register_at_fork(after_in_child=_begin_anew)


def _begin_anew() -> None:
    copies = find_elsewhere()
    if isinstance(copies, ScanCopies):
        if "fsspec.asyn" in sys.modules:
            sys.modules["fsspec.asyn"].reset_lock()  # its thread was the parent's
        copies.after_fork()
