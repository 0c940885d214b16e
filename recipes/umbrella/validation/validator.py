"""All problems of all conversation files in one pass: what validate_json_format.py does.

The rules for one record are those of `umbrella_dataset`; here are only those between records.
"""

import json
import os
import shlex
from collections import Counter
from pathlib import Path
from typing import NamedTuple

from umbrella.files.contained_files import is_remote
from umbrella.files.written_files import write_whole
from umbrella.rows.remote_scans import allow_remote, know_files
from umbrella.scans.not_a_scan import ABSENT, join_absent
from umbrella.validation.flags import parse_options, to_remote_flags
from umbrella.validation.labels import LabelCheck, compare_folders
from umbrella.validation.migration import migrate
from umbrella.validation.privacy import find_privacy_problems
from umbrella.validation.repeats import Repeats
from umbrella.validation.scans import find_scan_problems, use_packed
from umbrella.validation.sequences import find_record_problems
from umbrella_dataset import (
    MANIFEST,
    SPLIT_FOLDERS,
    FormatError,
    Manifest,
    Problem,
    check_manifest,
    check_path,
    find_cut,
    find_data_folder,
    find_split_files,
    list_files,
    read_manifest,
    read_records,
    resolve_path,
)

SAMPLES = "samples"
OTHER_PEOPLE = "other people? Train and evaluate the folders with --same_ids different"
SAMPLE_GENERATOR = "generate_sex_comparison_conversations.py"


class Finding(NamedTuple):
    """A problem and its place: "train/x.jsonl:12", as seen from the working folder."""

    source: str
    problem: Problem

    def __str__(self) -> str:
        return f"{self.source}: {self.problem}"


class ScanUse(NamedTuple):
    """A scan as one conversation names it; `subject` is None where the conversation does not tell whose it is."""

    source: str
    path: str
    modality: str
    subject: str | None
    split: str | None


class Validation:
    """What is known of a data set while its files are read one after another, and the findings so far."""

    def __init__(self, image_root: str | None = None, remote_roots: list[str] | None = None) -> None:
        self.image_root, self.remote_roots = image_root, remote_roots
        self.findings: list[Finding] = []
        self.n_files = 0
        self.n_records = 0
        self.scans: list[ScanUse] = []
        self.records: list[tuple[str, dict, str]] = []  # source, record, data folder
        self._repeats = Repeats()
        self._manifests: dict[str, Manifest | None] = {}  # by data folder
        self._subject_splits: dict[str, dict[str, tuple[str, str]]] = {}  # source and data folder of the first
        self._folders_of: dict[str, set[str]] = {}  # by subject
        self.labels = LabelCheck()

    def check_file(self, file: str, split: str | None, folder: str) -> None:
        """Check the records of a file; `folder` is what their scan paths count from, `split` None outside a split."""
        self.n_files += 1
        n_before = self.n_records
        name = _show_path(file)
        is_sample = split is None and os.path.basename(os.path.dirname(file)) == SAMPLES
        for line, record in read_records(file):
            source = name if line is None else f"{name}:{line}"
            if not (isinstance(record, Problem) and record.kind == "empty"):
                self.n_records += 1
                self._repeats.count(source)
            problems = [record] if isinstance(record, Problem) else find_record_problems(record)
            self.findings += [Finding(source, problem) for problem in problems]
            if not problems:
                self._check_record(record, source, split, folder, is_sample)
        if folder not in self._manifests:
            self._manifests[folder] = read_manifest(folder)
        if cut := find_cut(file, folder, self.n_records - n_before, self._manifests[folder]):
            self.findings.append(Finding(name, cut))

    def finish(self) -> None:
        """The rules that need all files: every conversation once, one split a subject, answers that do not contradict
        their label."""
        self.findings += [Finding(source, problem) for source, problem in self._repeats.find_problems()]
        for subject, splits in self._subject_splits.items():
            (first, (_, its_folder)), *others = splits.items()
            for split, (source, folder) in others:
                expected = f'the subject "{subject}" in one split, references included'
                found = f"it in {split}, and in {first} too"
                found += "" if folder == its_folder else f", of {_show_path(its_folder)}: {OTHER_PEOPLE}"
                self._add(source, "subject leak", "subject_ids", expected, found)
        self.findings += [Finding(source, problem) for source, problem in self.labels.find_problems()]

    def describe_folders(self) -> list[str]:
        """What is to be said of several data folders: of subjects that they have in the same split, of labels."""
        shared = sorted(subject for subject, folders in self._folders_of.items() if len(folders) > 1)
        shown = ", ".join(map(repr, shared[:3]))
        said = f"{len(shared)} subject ids are in more than one folder, as {shown}: taken for the same people"
        labels = compare_folders((record, _show_path(folder)) for _, record, folder in self.records)
        return [said, *labels] if shared else labels

    def check_scans(self) -> None:
        """Read all scans: see `find_scan_problems`. Raises RemoteError for a store that gives no answer."""
        know_files(scan.path for scan in self.scans)
        self.findings += [Finding(source, problem) for source, problem in find_scan_problems(self.scans)]

    def check_privacy(self) -> None:
        """Search all texts and scans: see `find_privacy_problems`. Raises RemoteError as `check_scans`."""
        found = find_privacy_problems(self.records, self.scans, self.image_root, self.remote_roots)
        self.findings += [Finding(source, problem) for source, problem in found]

    def _check_record(self, record: dict, source: str, split: str | None, folder: str, is_sample: bool) -> None:
        self.records.append((source, record, folder))
        metadata = record.get("metadata") or {}
        is_copy = self._repeats.add(record, source, split, folder)
        subject_ids = record["subject_ids"]
        if split is not None and not is_copy:  # else the copy is the problem, once for all its subjects
            for subject in (*subject_ids, metadata.get("subject_id"), metadata.get("reference_id")):
                if subject is not None:
                    self._subject_splits.setdefault(subject, {}).setdefault(split, (source, folder))
                    self._folders_of.setdefault(subject, set()).add(folder)
        if not is_sample:  # samples come again in a split, or are a choice of rows
            self.labels.add(record, source, split)
        images = record["images"]
        owners = subject_ids if len(subject_ids) == len(images) else [None] * len(images)
        if len(set(subject_ids)) == 1:
            owners = subject_ids[:1] * len(images)
        for index, (image, owner) in enumerate(zip(images, owners, strict=True)):
            try:
                path = resolve_path(image["path"], folder, self.image_root, self.remote_roots)
            except FormatError as error:  # "expected ..., found ..."
                expected, _, found = str(error).removeprefix("expected ").partition(", found ")
                self._add(source, "path", f"images[{index}].path", expected, found)
            else:
                self.scans.append(ScanUse(source, path, image["modality"], owner, split))

    def _add(self, source: str, kind: str, field: str, expected: str, found: str) -> None:
        self.findings.append(Finding(source, Problem(kind, field, expected, found)))


def find_files(paths: list[str]) -> list[tuple[str, str | None, str]]:
    """(file, split, data folder) of all conversation files, each once. The split is None outside a split folder, so in
    the samples/ of a data folder.

    Raises FormatError for a path that does not exist, is no UTF-8 or holds no conversation file.
    """
    files = []
    for path in map(_to_absolute, paths):
        check_path(path)
        if os.path.isfile(path):
            _check_holds_conversations(path)
            files.append(path)
        elif os.path.isdir(path) and not _is_data_folder(path):
            check_manifest(os.path.dirname(path), (os.path.basename(path),))
            files += _list_folder(path)
        else:
            files += [file for names in find_split_files(path).values() for file in names]
            samples = os.path.join(path, SAMPLES)
            files += _list_folder(samples) if os.path.isdir(samples) else []
    splits = [SPLIT_FOLDERS.get(os.path.basename(os.path.dirname(file))) for file in files]
    found = zip(files, splits, map(find_data_folder, files), strict=True)
    return list(dict.fromkeys(found))


def _is_data_folder(path: str) -> bool:
    """By its folders, or by what a generator has left in it."""
    return read_manifest(path) is not None or any(os.path.isdir(os.path.join(path, name)) for name in SPLIT_FOLDERS)


def _check_holds_conversations(path: str) -> None:
    """Raises FormatError for a file that a generator wrote beside the conversations: splits.json, generated.json."""
    folder, name = os.path.split(path)
    manifest = read_manifest(folder)
    if manifest is not None and name in (MANIFEST, *manifest.files) and os.path.basename(folder) not in SPLIT_FOLDERS:
        raise FormatError(
            f"{path}: expected conversations, found a generator's record of them. Give the folder, or files below it"
        )


def _to_absolute(path: str) -> str:
    """`..` goes up from where a link leads, as for the system."""
    return os.path.realpath(path) if ".." in path.split(os.sep) else os.path.abspath(path)


def _list_folder(folder: str) -> list[str]:
    files = list_files(folder)
    if not files:
        raise FormatError(f"{folder}: expected split folders or .json or .jsonl files in it, found none")
    return files


def _show_path(file: str) -> str:
    relative = os.path.relpath(file)
    return file if relative.startswith("..") else relative


def _write_report(path: str, validation: Validation, counts: Counter) -> None:
    report = {
        "passed": not validation.findings,
        "files": validation.n_files,
        "conversations": validation.n_records,
        "counts": dict(counts),
        "warnings": validation.labels.warnings,
        "problems": [{"source": finding.source, **finding.problem._asdict()} for finding in validation.findings],
    }
    write_whole(Path(path), json.dumps(report, indent=2, ensure_ascii=False) + "\n")


def _to_lines(findings: list[Finding]) -> list[str]:
    """A line a problem, those of scans that are not there as one; --report has all."""
    scans = [finding for finding in findings if finding.problem.kind == "scan"]
    joined = join_absent([(finding.source, finding.problem.found) for finding in scans])
    if len(joined) == len(scans):
        return [str(finding) for finding in findings]
    rest = [str(finding) for finding in findings if ABSENT not in finding.problem.found]
    return [joined[0], *rest]


def _print_labels(labels: LabelCheck) -> None:
    for sentence in labels.told:
        print(sentence)
    for sentence in labels.warnings:
        print(f"WARNING: {sentence}")


def main(argv: list[str] | None = None, samples: Path | None = None) -> int:
    """`samples`: the folder of sample data that is checked where none is named, if there is one."""
    options = parse_options(argv, needs_path=samples is None)
    paths = options.paths or [str(samples)]
    if samples is not None and not options.paths and not samples.is_dir():
        print(f"{samples}: expected the sample data, found none. Generate it with")
        print(f"    {shlex.join(['python', str(samples.with_name(SAMPLE_GENERATOR))])}")
        print("✗ VALIDATION FAILED")
        return 1
    image_root = options.image_root
    image_root = image_root if not image_root or is_remote(image_root) else os.path.realpath(image_root)
    allow_remote(to_remote_flags(options))
    validation = Validation(image_root, options.remote_roots)
    try:
        check_path(image_root or "")
        files = find_files(paths)
        if options.migrate:
            n_written = migrate(files, options.migrate, image_root, options.split, options.modality)
            print(f"{n_written} conversations converted into {options.migrate}")
            files = find_files([options.migrate])
        for file, split, folder in files:
            validation.check_file(file, split, folder)
    except (FormatError, FileExistsError) as error:
        print(f"{error}\n✗ VALIDATION FAILED")
        return 1
    validation.finish()
    try:
        paths = [scan.path for scan in validation.scans]
        use_packed(options.scan_shards or (), image_root, (folder for *_, folder in files), paths)
        if options.check_images:
            validation.check_scans()
        if options.check_privacy:
            validation.check_privacy()
    except OSError as error:  # of a process that was killed, of a store, of shards
        print(f"{error}\n✗ VALIDATION FAILED")
        return 1
    counts = Counter(finding.problem.kind for finding in validation.findings)
    if options.report:
        _write_report(options.report, validation, counts)
    print(
        f"{validation.n_files} files, {validation.n_records} conversations", *validation.describe_folders(), sep="\n"
    )
    if not validation.findings:
        _print_labels(validation.labels)
        print("✓ VALIDATION PASSED\nAll files conform to format specification")
        return 0
    for line in _to_lines(validation.findings):
        print(line)
    print(f"\n{len(validation.findings)} problem{'s' if len(validation.findings) > 1 else ''}:")
    for kind, count in counts.most_common():
        print(f"{count:8d}  {kind}")
    _print_labels(validation.labels)
    print("✗ VALIDATION FAILED")
    return 1
