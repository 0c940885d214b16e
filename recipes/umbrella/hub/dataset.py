"""A data folder as it is published: Parquet shards of rows whose scans have relative names, and by choice the scans.

    data/train-00000-of-00002.parquet   the rows; with `embed` each scan's file as `images[].bytes`
    scans/...                           with `files` the scans, at the names that the rows give

The same data give the same bytes, so that a second push uploads nothing.
"""

import hashlib
import json
import os
import shutil
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
from datasets import DatasetDict

from umbrella.files.contained_files import RemoteError, find_size, is_remote
from umbrella.options.commands.progress import show_progress
from umbrella.privacy.presidio_names import NameFinder
from umbrella.privacy.scrub import Scrubber, check_single_file, clean_scan
from umbrella.privacy.search import Finding, find_in_row, find_in_scan
from umbrella.scans.not_a_scan import find_broken_link
from umbrella.scans.scan_files import ScanError, locate_file, read_file
from umbrella_dataset import FEATURES

ROWS_A_GROUP = 1000
BYTES_A_GROUP = 64 * 1024**2
UNITS = {"KB": 1000, "MB": 1000**2, "GB": 1000**3}


@dataclass
class Publication:
    """What is to be published, and how.

    rows        split → rows, as `load_umbrella` gives them
    root        the folder, or address, that names of scans count from
    scans       "none", "files" or "embed"
    scrubber    makes clean copies; None publishes rows and scans as they are
    more_names  finds further names, see `umbrella.privacy.presidio_names`
    """

    rows: DatasetDict
    root: str
    scans: str
    scrubber: Scrubber | None = None
    more_names: NameFinder | None = None
    names: dict[str, str] = field(default_factory=dict)  # a scan's path → its published name
    modalities: dict[str, str] = field(default_factory=dict)  # a scan's path → sMRI, dMRI or fMRI

    def __post_init__(self) -> None:
        for rows in self.rows.values():
            for images in rows["images"]:
                for scan in images:
                    self.names.setdefault(scan["path"], self._name(scan["path"]))
                    self.modalities.setdefault(scan["path"], scan["modality"])

    def _name(self, path: str) -> str:
        if is_remote(path):
            below = path.startswith(self.root.rstrip("/") + "/")
            relative = path[len(self.root.rstrip("/")) + 1 :] if below else ".."
        else:
            relative = os.path.relpath(path, self.root)
        if relative.startswith(".."):  # elsewhere: the folder is told apart by a hash, and not named
            folder = hashlib.sha256(os.path.dirname(path).encode()).hexdigest()[:8]
            relative = f"{folder}/{os.path.basename(path)}"
        name = relative.replace(os.sep, "/")
        name = name if self.scans == "none" else f"scans/{name}"
        return name if self.scrubber is None else self.scrubber.scan_name(name)

    def published_rows(self, split: str) -> Iterator[dict]:
        """The rows of a split as they are published, without the scans' bytes."""
        for row in self.rows[split]:
            row = self._rename(row)
            yield row if self.scrubber is None else self.scrubber.clean_row(row)

    def _rename(self, row: dict) -> dict:
        images = [{**scan, "path": self.names[scan["path"]]} for scan in row["images"]]
        turns = [
            {
                **turn,
                "content": [
                    {**item, "image_path": item["image_path"] and self.names[item["image_path"]]}
                    for item in turn["content"]
                ],
            }
            for turn in row["conversations"]
        ]
        return {**row, "images": images, "conversations": turns}

    def scan_bytes(self, path: str) -> bytes:
        """A scan's file as it is published. Raises ScanError for one of a pair of files."""
        if self.scrubber is not None:
            return clean_scan(path)
        check_single_file(path)
        return read_file(path)

    def find_personal_data(self) -> list[Finding]:
        """All findings in what is going to be published: rows, names, and scans where these are published too."""
        findings = [
            finding
            for split in self.rows
            for row in show_progress(
                self.published_rows(split), desc=f"guard {split}", total=len(self.rows[split]), unit="row"
            )
            for finding in find_in_row(row, self.more_names)
        ]
        if self.scans == "none":
            return findings
        with ThreadPoolExecutor(os.cpu_count()) as pool:
            found = pool.map(self._find_in_scan, self.names)
            for of_scan in show_progress(found, desc="guard scans", total=len(self.names), unit="scan"):
                findings += of_scan
        return findings

    def _find_in_scan(self, path: str) -> list[Finding]:
        check_single_file(path)
        source = path if self.scrubber is None else clean_scan(path)
        return find_in_scan(source, path, self.modalities[path], self.more_names)

    def stage(self, folder: Path, max_shard_bytes: int, nifti_feature: bool = False) -> None:
        """Write everything but the card into `folder`, anew."""
        shutil.rmtree(folder, ignore_errors=True)
        (folder / "data").mkdir(parents=True)
        for split in self.rows:
            self._write_shards(folder / "data", split, max_shard_bytes, nifti_feature)
        if self.scans == "files":
            for path, name in show_progress(self.names.items(), desc="scans", unit="scan"):
                target = folder / name
                target.parent.mkdir(parents=True, exist_ok=True)
                if self.scrubber is None and not is_remote(path):
                    target.symlink_to(locate_file(path))  # not to a link, which may lead elsewhere when it is read
                else:
                    target.write_bytes(self.scan_bytes(path))

    def _write_shards(self, folder: Path, split: str, max_shard_bytes: int, nifti_feature: bool) -> None:
        shards = _Shards(folder, split, max_shard_bytes, build_schema(self.scans == "embed", nifti_feature))
        paths = (scan["path"] for row in self.rows[split] for scan in row["images"])
        for row in show_progress(
            self.published_rows(split), desc=f"write {split}", total=len(self.rows[split]), unit="row"
        ):
            scans = [self.scan_bytes(next(paths)) if self.scans == "embed" else b"" for _ in row["images"]]
            if nifti_feature:
                named = zip(row["images"], scans, strict=True)
                row = {**row, "scans": [{"bytes": data, "path": image["path"]} for image, data in named]}
            elif self.scans == "embed":
                named = zip(row["images"], scans, strict=True)
                row = {**row, "images": [{**image, "bytes": data} for image, data in named]}
            shards.add(row, row["length"] + sum(map(len, scans)))
        shards.close()


def build_schema(has_bytes: bool, nifti_feature: bool) -> pa.Schema:
    """The published table's schema: that of `umbrella_dataset`, with the scans' bytes.

    With `nifti_feature` they are a column `scans` that datasets 5 decodes as its `Nifti`; such a table says what its
    columns are in words that datasets below 4 do not know.
    """
    schema = FEATURES.arrow_schema.remove_metadata()
    if nifti_feature:
        scan = pa.struct({"bytes": pa.binary(), "path": pa.string()})
        return schema.append(pa.field("scans", pa.list_(scan))).with_metadata({"huggingface": _describe_features()})
    if not has_bytes:
        return schema
    images = pa.list_(pa.struct([*schema.field("images").type.value_type, pa.field("bytes", pa.binary())]))
    return schema.set(schema.get_field_index("images"), pa.field("images", images))


def _describe_features() -> str:
    """The columns in the words of datasets 5, whichever version runs here."""
    text, whole = {"dtype": "string", "_type": "Value"}, {"dtype": "int64", "_type": "Value"}

    def list_of(feature: Any) -> dict:
        return {"feature": feature, "_type": "List"}

    item = dict.fromkeys(("type", "text", "modality", "image_path"), text)
    features = {
        "task_id": text,
        "task_type": text,
        "subject_ids": list_of(text),
        "modalities": list_of(text),
        "images": list_of(dict.fromkeys(("path", "token", "modality"), text)),
        "conversations": list_of({"role": text, "content": list_of(item)}),
        "metadata": dict.fromkeys(FEATURES["metadata"], text),
        "source": text,
        "length": whole,
        "scans": list_of({"_type": "Nifti"}),
    }
    return json.dumps({"info": {"features": features}})


class _Shards:
    """Writes rows into Parquet files of about `max_bytes`."""

    def __init__(self, folder: Path, split: str, max_bytes: int, schema: pa.Schema) -> None:
        self.folder, self.split, self.max_bytes, self.schema = folder, split, max_bytes, schema
        self.rows, self.group_bytes, self.shard_bytes, self.writers = [], 0, 0, []

    def add(self, row: dict, n_bytes: int) -> None:
        if self.shard_bytes and self.shard_bytes + n_bytes > self.max_bytes:
            self._finish_shard()
        self.rows.append(row)
        self.group_bytes += n_bytes
        self.shard_bytes += n_bytes
        if len(self.rows) == ROWS_A_GROUP or self.group_bytes >= BYTES_A_GROUP:
            self._write_group()

    def close(self) -> None:
        self._finish_shard()
        for i, (path, _) in enumerate(self.writers):
            path.rename(self.folder / f"{self.split}-{i:05d}-of-{len(self.writers):05d}.parquet")

    def _write_group(self) -> None:
        if self.rows:
            if not self.writers or not self.writers[-1][1].is_open:
                path = self.folder / f"{self.split}-{len(self.writers)}.part"
                self.writers.append((path, pq.ParquetWriter(path, self.schema, compression="zstd")))
            self.writers[-1][1].write_table(pa.Table.from_pylist(self.rows, schema=self.schema))
        self.rows, self.group_bytes = [], 0

    def _finish_shard(self) -> None:
        self._write_group()
        if self.writers:
            self.writers[-1][1].close()
        self.shard_bytes = 0


def parse_size(text: str) -> int:
    """ "500MB" → bytes. Raises ValueError."""
    number, unit = text[:-2].strip(), text[-2:].upper()
    if unit not in UNITS or not number.replace(".", "", 1).isdigit() or float(number) <= 0:
        raise ValueError(f"--max_shard_size: expected a size such as 500MB or 2GB, found {text!r}")
    return int(float(number) * UNITS[unit])


def check_scans_exist(publication: Publication) -> None:
    """Raises ScanError for a scan that does not exist, before hours of work."""
    try:
        missing = [path for path in publication.names if find_size(path) is None]
    except RemoteError as error:
        raise ScanError(str(error)) from error
    if missing and publication.scans != "none":
        found = find_broken_link(missing[0]) or ("no such object" if is_remote(missing[0]) else "no such file")
        raise ScanError(
            f"{missing[0]}: expected a scan, found {found} ({len(missing)} in all): correct --image_root, or "
            "publish the table alone with --scans none"
        )
