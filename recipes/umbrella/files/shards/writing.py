"""Scans → tar shards, in the layout of WebDataset, and their index. Goes on where it was stopped.

    scans-00000.tar    000000042.nii.gz, its 000000042.bval where it has one, and 000000042.json
    index.arrow        see `umbrella.files.shards.index`; written last
    exclusions.tsv     what was not packed, and why
    index.partial      while it is not done: a line for what the shards are made of, then one for each shard

A shard is whole or not there. The same scans give the same bytes, however often it was stopped: members lie in the
order given, under a number, and state neither time nor owner. A name holds one dot in front of its kind, since
WebDataset takes all from the first one on for the kind.
"""

import csv
import io
import json
import tarfile
from contextlib import ExitStack
from pathlib import Path
from typing import Any, NamedTuple

import xxhash

from umbrella.files.shards.index import FILE_NAME, About, Member, ShardError, open_index, write_index
from umbrella.files.written_files import replacing, write_whole, writing

PARTIAL, EXCLUSIONS = "index.partial", "exclusions.tsv"
BLOCK = tarfile.BLOCKSIZE


class Part(NamedTuple):
    """A file that belongs to a scan: the end of its member's name, as ".nii.gz"; its names in the index, none for one
    that is not looked up; its bytes."""

    end: str
    names: list[str]
    content: bytes


class Excluded(NamedTuple):
    """A scan that was not packed: the row that first names it, its path, and why."""

    source: str
    path: str
    reason: str


class Shard(NamedTuple):
    """A shard that is done.

    n_done    scans up to its end, those that were left out among them
    members   (names, offset, size, digest)
    excluded  since the shard before
    """

    name: str
    size: int
    n_done: int
    members: list[tuple[list[str], int, int, int]]
    excluded: list[Excluded]


class ShardWriter:
    """Packs scans, which are given in their order; `n_done` says how many were before, by one that was stopped.

    Args:
        folder: to write to.
        about: what is packed; its shards are filled in.
        most_bytes: of a shard, unless one scan alone has more.

    Raises ShardError for a folder in which other scans, or the same in another way, were begun.
    """

    def __init__(self, folder: Path, about: About, most_bytes: int) -> None:
        self.folder, self.about, self.most_bytes = folder, about, most_bytes
        self.start = json.dumps([*_tell(about), most_bytes], sort_keys=True)
        self.is_done = self._check_folder()
        self.shards = self._read_done()
        self.n_done = self.shards[-1].n_done if self.shards else 0
        self._stack = ExitStack()
        self._tar: tarfile.TarFile | None = None
        self._members: list[tuple[list[str], int, int, int]] = []
        self._excluded: list[Excluded] = []

    def _check_folder(self) -> bool:
        """Whether these scans were packed here. Raises ShardError where others were, or where other files lie, which
        may have the names of ours: a cohort's exclusions.tsv."""
        if not (self.folder / FILE_NAME).exists():
            found = sorted(path.name for path in self.folder.glob("[!.]*"))
            if found and PARTIAL not in found:
                expected = f"{self.folder}: expected a new or empty folder"
                raise ShardError(f"{expected}, found {found[0]} there. Choose another --output_dir")
            return False
        found = open_index(str(self.folder)).about
        if _tell(found) == _tell(self.about):
            return True
        raise ShardError(
            f"{self.folder}: expected a new folder, found shards of other scans or flags. Choose another --output_dir"
        )

    def _read_done(self) -> list[Shard]:
        """The shards that one that was stopped has left whole."""
        partial = self.folder / PARTIAL
        if self.is_done:
            return []
        if not partial.exists():
            write_whole(partial, self.start + "\n")
            return []
        start, *lines = partial.read_text(encoding="utf-8").split("\n")
        if start != self.start:
            raise ShardError(
                f"{partial}: expected what was begun here to go on, found other scans, flags or --shard_gb. Start it "
                "as before, or choose another --output_dir"
            )
        shards: list[Shard] = []
        for line in lines[:-1]:  # what follows the last line's end was being written
            name, size, n_done, members, excluded = json.loads(line)
            path = self.folder / name
            if not path.is_file() or path.stat().st_size != size:
                break
            shards.append(Shard(name, size, n_done, members, [Excluded(*each) for each in excluded]))
        write_whole(partial, "".join(f"{line}\n" for line in [start, *lines[: len(shards)]]))
        return shards

    def add(self, number: int, scan: list[Part] | Excluded) -> None:
        """Pack the next scan. Raises WriteError."""
        if isinstance(scan, Excluded):
            self._excluded.append(scan)
        else:
            ends = 2 * BLOCK  # two empty ones
            size = sum(BLOCK + _fill(len(part.content), BLOCK) for part in scan) + ends
            if self._tar is not None and _fill(self._tar.offset + size, tarfile.RECORDSIZE) > self.most_bytes:
                self._finish_shard()
            for part in scan:
                self._add_part(f"{number:09d}{part.end}", part)
        self.n_done = number + 1

    def _add_part(self, name: str, part: Part) -> None:
        path = self.folder / self._name_shard()
        with writing(path):
            if self._tar is None:
                partial = self._stack.enter_context(replacing(path))
                self._tar = self._stack.enter_context(
                    tarfile.open(partial, "w", format=tarfile.PAX_FORMAT)  # noqa: SIM115 - the stack closes it
                )
            member = tarfile.TarInfo(name)  # of no time, no owner, 0644
            member.size = len(part.content)
            self._tar.addfile(member, io.BytesIO(part.content))
        if part.names:
            offset = self._tar.offset - _fill(member.size, BLOCK)
            self._members.append((part.names, offset, member.size, xxhash.xxh3_64_intdigest(part.content)))

    def _name_shard(self) -> str:
        return f"{self.about.what}-{len(self.shards):05d}.tar"

    def _finish_shard(self) -> None:
        path = self.folder / self._name_shard()
        with writing(path):
            self._stack.close()  # the tar is closed, then takes its name
            shard = Shard(path.name, path.stat().st_size, self.n_done, self._members, self._excluded)
            with (self.folder / PARTIAL).open("a", encoding="utf-8") as file:
                file.write(json.dumps(shard) + "\n")
        self.shards.append(shard)
        self._tar, self._members, self._excluded = None, [], []

    def finish(self) -> list[Excluded]:
        """Write the list of what was left out, which is returned, and, last, the index. Raises ShardError where
        nothing was packed."""
        excluded = [*(each for shard in self.shards for each in shard.excluded), *self._excluded]
        if self._tar is not None:
            self._finish_shard()
        if not self.shards:
            (self.folder / PARTIAL).unlink()  # with other flags there may be some
            raise ShardError(
                f"{self.folder}: expected at least one scan that can be read, found none of {len(excluded)}, as "
                f"{excluded[0].reason if excluded else 'there is none in the rows'}"
            )
        table = io.StringIO(newline="")
        csv.writer(table, delimiter="\t", lineterminator="\n").writerows([Excluded._fields, *excluded])
        write_whole(self.folder / EXCLUSIONS, table.getvalue())
        names, members = [], []
        for number, shard in enumerate(self.shards):
            for names_of_one, *place in shard.members:
                names += names_of_one
                members += [Member(number, *place)] * len(names_of_one)
        about = self.about._replace(shards=[(shard.name, shard.size) for shard in self.shards])
        write_index(self.folder, names, members, about)
        (self.folder / PARTIAL).unlink()
        return excluded

    def __enter__(self) -> "ShardWriter":
        return self

    def __exit__(self, *error: Any) -> None:
        self._stack.__exit__(*error)  # of a shard that is not whole nothing stays


def _tell(about: About) -> list:
    """What tells a packing from others."""
    return [about.what, about.settings, about.made_of, about.root]


def _fill(size: int, unit: int) -> int:
    """The next multiple of a unit."""
    return -(-size // unit) * unit
