"""Scans of rows → what of each goes into a shard; each is read to its end on the way."""

import hashlib
import json
from collections.abc import Iterator, Mapping, Sequence

import xxhash
from datasets import Dataset

from umbrella.files.contained_files import RemoteError, open_file, split_root
from umbrella.files.shards.index import name_scan, name_view
from umbrella.files.shards.writing import Excluded, Part
from umbrella.rows.cache_filling import PlacedScans
from umbrella.rows.scan_list import Place
from umbrella.scans.gradients import GRADIENTS, gradients_path
from umbrella.scans.not_a_scan import GZIP_MAGIC
from umbrella.scans.scan_files import explain_reading, refuse_object
from umbrella.scans.volumes import ScanError, read_scan
from umbrella.views.loading import load_view
from umbrella.views.settings import ViewSettings
from umbrella.views.volume_cache import PAIR_ENDS, pack_views

ENDS = (".nii.gz", ".nii", ".mgz", ".mgh")


class PackableScans(PlacedScans):
    """Place by place, the parts of a scan; or why it is left out. Raises RemoteError for a store that gives no answer.

    Args:
        root: the folder that its name counts from.
        views: of which settings; None: the scans themselves.
    """

    def __init__(
        self, splits: Mapping[str, Dataset], places: Sequence[Place], root: str, views: ViewSettings | None
    ) -> None:
        super().__init__(splits, places)
        self.root, self.views = root, views

    def look(self, row: dict, number: int) -> list[Part] | Excluded:
        scan = row["images"][number]
        path, modality = scan["path"], scan["modality"]
        name = split_root(path)[1]
        names = name_scan(path, self.root)
        try:
            if self.views is not None:
                content = pack_views(load_view(path, modality=modality, **self.views.stated()))
                parts = [Part(".view", [name_view(one, modality) for one in names], content)]
            else:
                content = _read_whole(path, name, modality)
                parts = [Part(find_end(name, content), names, content), *self._find_gradients(path)]
        except ScanError as error:
            return Excluded(row["source"], name, " ".join(str(error).split()).removeprefix(f"{name}: "))
        about = {"path": names[0], "modality": modality, "sha256": hashlib.sha256(content).hexdigest()}
        return [*parts, Part(".json", [], json.dumps(about, sort_keys=True).encode())]

    def _find_gradients(self, path: str) -> list[Part]:
        place = gradients_path(path)
        if place is None:
            return []
        try:
            with open_file(place) as file:
                return [Part(GRADIENTS, name_scan(place, self.root), file.read())]
        except FileNotFoundError:
            return []
        except RemoteError as error:
            refuse_object(error)


def _read_whole(path: str, name: str, modality: str) -> bytes:
    """A scan's file as it is, once it was read to its end as a scan. Raises ScanError."""
    if name.endswith(PAIR_ENDS):
        raise ScanError(f"{name}: expected a scan in one file, found one of a .hdr/.img pair: convert it to .nii.gz")
    with explain_reading(name), open_file(path) as file:
        content = file.read()
    try:
        read_scan(content, modality, normalize=True, standardize=False)
    except ScanError as error:
        raise ScanError(str(error).replace(f"scan of {len(content)} bytes", name)) from error
    return content


def find_end(name: str, content: bytes) -> str:
    """What a reader tells a scan's kind by."""
    known = next((end for end in ENDS if name.lower().endswith(end)), None)
    return known or (".nii.gz" if content.startswith(GZIP_MAGIC) else ".nii")


def list_packable(splits: Mapping[str, Dataset], root: str, are_views: bool) -> tuple[list[Place], str]:
    """The places of scans that are files, each once by its name, or by the name of its view, in the order of the
    rows; and a hash that tells them from others."""
    digest, places, named = xxhash.xxh3_128(), [], set()
    for split, rows in splits.items():
        for row, scans in enumerate(_iterate_scans(rows)):
            for number, scan in enumerate(scans):
                if not scan["path"] or scan.get("bytes"):
                    continue
                name = name_scan(scan["path"], root)[0]
                name = name_view(name, scan["modality"]) if are_views else name
                if name not in named:
                    named.add(name)
                    places.append(Place(split, row, number))
                    digest.update(f"{name}\t{scan['modality']}\n".encode())
    return places, digest.hexdigest()


def _iterate_scans(rows: Dataset) -> Iterator[list[dict]]:
    """The scans of each row; a few rows at a time are Python objects."""
    for batch in rows.with_format(None).select_columns("images").iter(1000):
        yield from batch["images"]
