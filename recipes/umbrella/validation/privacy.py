"""Personal data in a data folder's texts and scans, as problems of the validator: see `umbrella.privacy.search`."""

from collections.abc import Iterator, Sequence

from umbrella.files.contained_files import split_root
from umbrella.options.commands.progress import show_progress
from umbrella.privacy.search import Finding, find_in_row, find_in_scan
from umbrella.scans.volumes import ScanError
from umbrella_dataset import Problem, to_row


def find_privacy_problems(
    records: Sequence[tuple[str, dict, str]],
    scans: Sequence,
    image_root: str | None,
    remote_roots: Sequence[str] | None = None,
) -> Iterator[tuple[str, Problem]]:
    """(source, problem) of each finding; a scan is searched once, and stands under the row that names it first.

    Args:
        records: (source, record without problems, data folder).
        scans: named tuples with `source`, `path` and `modality`.
    """
    for source, record, folder in show_progress(records, desc="searching rows", unit="row"):
        row = to_row(record, source, folder, image_root, remote_roots)
        for image, named in zip(row["images"], record["images"], strict=True):
            image["path"] = named["path"]  # as it is written, not as it resolves here
        row["source"] = source.replace("\\", "/").rpartition("/")[2]
        yield from ((source, _to_problem(finding, finding.field)) for finding in find_in_row(row))
    first = {scan.path: scan for scan in reversed(scans)}
    for scan in show_progress(first.values(), desc="searching scans", unit="scan"):
        try:
            found = find_in_scan(scan.path, scan.path, scan.modality)
        except ScanError as error:
            yield scan.source, Problem("scan", "images", "a scan that can be read", str(error))
            continue
        yield from (
            (scan.source, _to_problem(finding, f"{split_root(scan.path)[1]}: {finding.field}")) for finding in found
        )


def _to_problem(finding: Finding, field: str) -> Problem:
    return Problem("personal data", field, "no personal data", f"{finding.kind}: {finding.excerpt}")
