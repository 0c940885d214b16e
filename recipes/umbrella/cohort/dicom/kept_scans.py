"""Which scans of a tree are done: put in their places whole, kept by later runs, removed when they are of no series.

TREE/.umbrella/state/key.json       tells whether the tree was made with another key
TREE/.umbrella/state/SERIES.json    of each scan: its place, its files, a hash of what it was made of
TREE/.umbrella/converting/          what is being converted
"""

import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

from umbrella.cohort.dicom.conversion import SCAN, SUFFIXES
from umbrella.cohort.shared.visits import CohortError
from umbrella.files.claimed_folder import claim
from umbrella.files.json_files import read_json, write_json

_STATE, _WORK, _KEY = "state", "converting", "key.json"


class KeptScan(NamedTuple):
    """A scan that is done. `content`: hash of its series and of how it was converted; `target`: its place, without
    what ends its files' names."""

    content: str
    target: str
    files: tuple[str, ...]


class KeptScans:
    """The scans of one tree, which this process alone writes."""

    def __init__(self, tree: Path) -> None:
        self.tree, self._folder = tree, tree / ".umbrella"
        self._state = self._folder / _STATE
        self.work = self._folder / _WORK

    @contextmanager
    def claimed(self, check: str) -> Iterator[None]:
        """Within it no other process writes the tree. Raises FileExistsError where one does; CohortError where the
        folder holds what no conversion wrote, or was made with another key, whose `check` is another."""
        there = set(os.listdir(self.tree)) if self.tree.is_dir() else set()
        if there - {".umbrella"} and not (self._state / _KEY).is_file():
            raise CohortError(
                f"--bids_out {self.tree}: expected an empty folder or a tree that --dicom_dir made, found "
                f"{min(there)}. Name another place"
            )
        with claim(self._folder, {_STATE, _WORK}, self.tree):
            self._check_key(check)
            try:
                self._clear_killed()
                self.work.mkdir(exist_ok=True)
                yield
            finally:
                shutil.rmtree(self.work, ignore_errors=True)

    def _clear_killed(self) -> None:
        """Remove what a run that was killed has left unfinished."""
        shutil.rmtree(self.work, ignore_errors=True)
        for folder in (self._state, self.tree, *self.tree.glob("sub-*")):
            for partial in folder.glob(".*.partial"):
                partial.unlink()

    def _check_key(self, check: str) -> None:
        path = self._state / _KEY
        if path.is_file() and read_json(path, dict, ("check",)) != {"check": check}:
            raise CohortError(
                f"--bids_out {self.tree}: expected a tree made with this --dicom_key, found one of another key, under "
                "which the participants have other names. Name its key, or another place"
            )
        write_json(path, {"check": check})

    def find(self, name: str) -> KeptScan | None:
        """The scan of a series, all of whose files are there; None where it is to be converted."""
        path = self._state / f"{name}.json"
        if not path.is_file():
            return None
        record = read_json(path, dict, KeptScan._fields, "Delete it: its series is converted again")
        kept = KeptScan(record["content"], record["target"], tuple(record["files"]))
        return kept if all(map(os.path.isfile, self.list_files(kept))) else None

    def list_files(self, kept: KeptScan) -> list[Path]:
        return [self.tree / f"{kept.target}{suffix}" for suffix in kept.files]

    def place(self, name: str, folder: Path, target: str, content: str) -> None:
        """Move the scan of a series, converted into `folder`, to its place; the image comes last.

        Its place is noted before: what a killed run has put there, the next one finds and removes.
        """
        record = self._state / f"{name}.json"
        write_json(record, KeptScan("", target, SUFFIXES)._asdict())
        files = tuple(suffix for suffix in SUFFIXES if (folder / f"scan{suffix}").is_file())
        (self.tree / target).parent.mkdir(parents=True, exist_ok=True)
        for suffix in sorted(files, key=lambda suffix: suffix == SCAN):
            (folder / f"scan{suffix}").replace(self.tree / f"{target}{suffix}")
        write_json(record, KeptScan(content, target, files)._asdict())

    def remove_others(self, wanted: dict[str, tuple[str, str]]) -> int:
        """Remove the scans that are none of `wanted` (series → content and target), or no longer made so; returns how
        many series are gone."""
        n_gone = 0
        for path in sorted(self._state.glob("*.json")):
            if path.name == _KEY:
                continue
            kept = self.find(path.stem)
            if kept is not None and wanted.get(path.stem) == (kept.content, kept.target):
                continue
            record = read_json(path, dict, KeptScan._fields, "Delete it, and the scan whose name it holds")
            for file in self.list_files(KeptScan(**record)):
                file.unlink(missing_ok=True)
                self._remove_empty(file.parent)
            path.unlink()
            n_gone += path.stem not in wanted
        return n_gone

    def _remove_empty(self, folder: Path) -> None:
        while folder != self.tree and folder.is_dir() and set(os.listdir(folder)) <= {f"{folder.name}_sessions.tsv"}:
            shutil.rmtree(folder)
            folder = folder.parent
