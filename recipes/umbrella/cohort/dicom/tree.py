"""DICOM files → a BIDS tree with hashed names: kept, and gone on with by the next run.

Every series is in the tree, or among the exclusions with its reason.
"""

from collections import Counter
from concurrent.futures import ThreadPoolExecutor, as_completed
from importlib.metadata import version
from pathlib import Path
from tempfile import TemporaryDirectory

from umbrella.cohort.dicom.cohort_tables import read_rows, write_tables
from umbrella.cohort.dicom.conversion import convert
from umbrella.cohort.dicom.identity import Pseudonyms
from umbrella.cohort.dicom.journal import Journal, Placed
from umbrella.cohort.dicom.kept_scans import KeptScans
from umbrella.cohort.dicom.rules_file import DEFAULT, list_unofficial
from umbrella.cohort.dicom.source import DicomSource
from umbrella.cohort.dicom.stack_faults import Fault
from umbrella.cohort.dicom.survey import Survey, find_lacking, survey_folder
from umbrella.cohort.shared.visits import CohortError, Exclusions, NoScansError
from umbrella.files.json_files import write_json
from umbrella.files.written_files import write_whole, writing
from umbrella.options.commands.progress import show_progress
from umbrella.privacy.mask import Mask
from umbrella.privacy.scrub import load_key

README = """\
Scans that were converted from DICOM by dcm2niix. Participants have keyed hashes for names, visits are numbered in the
order of their days. No text of a DICOM header was taken. The faces are still in the scans.
"""
UNNAMED = ("no rule", "several rules")


def make_tree(source: DicomSource, exclusions: Exclusions) -> Path:
    """Convert what is not converted yet, write the tables, and return the tree's folder.

    Raises CohortError for folders, rules, keys and tables that cannot be used; NoScansError where no series can;
    FileExistsError where another process writes the tree.
    """
    assert source.tree is not None and source.key is not None  # a dry run makes none
    pseudonyms = Pseudonyms(_load_key(source.key))
    survey = survey_folder(source)
    exclusions.notes += survey.notes
    rows = read_rows(source, pseudonyms, exclusions)
    journal = Journal(survey, pseudonyms, exclusions)
    wanted = journal.place(rows)
    if not wanted:  # and what an earlier run has converted stays
        raise _refuse(survey, source, exclusions)
    _check_suffixes(wanted, source, exclusions)
    kept = KeptScans(source.tree)
    with writing(source.tree, "choose another --bids_out"), kept.claimed(pseudonyms.check):
        n_gone = kept.remove_others({one.name: (one.content, one.target) for one in wanted})
        todo = [one for one in wanted if kept.find(one.name) is None]
        faults = _convert_all(todo, kept, survey.mask, source.jobs)
        used = [one for one in wanted if one.name not in faults]
        for one in todo:
            if one.name in faults:
                journal.leave_out(one.judged, faults[one.name])
        n_found, n_left_out = len(survey.judged), journal.n_left_out
        assert n_found == len(used) + n_left_out, f"{n_found} series: {len(used)} used, {n_left_out} left out"
        if not used:
            raise _refuse(survey, source, exclusions)
        write_tables(source, source.tree, journal.describe_people(used), rows, exclusions)
        _describe_tree(source.tree, list_unofficial((one.named.datatype, one.named.suffix) for one in used))
    n_new = len(todo) - len(faults)
    exclusions.notes.append(f"DICOM: {len(used)} of {n_found} series are scans of {source.tree.name}, {n_new} are new")
    if n_gone:
        exclusions.notes.append(f"DICOM: scans of {n_gone} series that are no longer there or wanted were removed")
    return source.tree


def _load_key(path: Path) -> bytes:
    try:
        return load_key(path)
    except ValueError as error:
        raise CohortError(f"--dicom_key: {error}") from None


def _convert_all(todo: list[Placed], kept: KeptScans, mask: Mask, jobs: int) -> dict[str, Fault]:
    """Series → why it could not be converted. dcm2niix is a process of its own, so threads are enough."""
    faults: dict[str, Fault] = {}

    def convert_one(one: Placed) -> None:
        task = one.named.entities.get("task", "")
        # A new one: a dcm2niix that outlives a killed run may still write into its own.
        with TemporaryDirectory(dir=kept.work) as name:
            fault = convert(one.named.series, one.named.datatype, task, Path(name), mask)
            if fault is None:
                kept.place(one.name, Path(name, "done"), one.target, one.content)
            else:
                faults[one.name] = fault

    with ThreadPoolExecutor(jobs) as pool:
        futures = [pool.submit(convert_one, one) for one in todo]
        try:
            for future in show_progress(as_completed(futures), total=len(futures), desc="converting", unit=" series"):
                future.result()
        except BaseException:
            pool.shutdown(cancel_futures=True)
            raise
    return faults


def _check_suffixes(wanted: list[Placed], source: DicomSource, exclusions: Exclusions) -> None:
    """Raises NoScansError where a scan that is asked for can be of no series: before the others are converted."""
    lacking = find_lacking(source.suffixes, (one.judged.rule for one in wanted if one.judged.rule))
    if lacking:
        found = Counter(one.named.suffix for one in wanted).most_common()
        left_out = exclusions.count_reasons().most_common(3)
        raise NoScansError(
            f"--dicom_dir {source.folder}: expected a series that becomes {lacking[0]}, found none "
            f"({', '.join(f'{n} {what}' for what, n in (*found, *left_out))}). Ask for others "
            f"(--modalities_of_visit, --suffixes), or copy {source.rules or DEFAULT}, name them there, and give it by "
            "--dicom_rules; --dry_run lists all series"
        )


def _refuse(survey: Survey, source: DicomSource, exclusions: Exclusions) -> NoScansError:
    """No series is left."""
    unnamed = Counter(
        survey.mask.show(one.series.first.description or one.series.first.protocol)
        for one in survey.judged
        if one.fault is not None and one.fault.reason in UNNAMED
    )
    place = f"--dicom_dir {source.folder}"
    if unnamed:
        ((description, n),) = unnamed.most_common(1)
        return NoScansError(
            f"{place}: expected series that a rule names, found {unnamed.total()} that none does, as '{description}' "
            f"({n}). Copy {source.rules or DEFAULT}, add them, and give it by --dicom_rules"
        )
    reasons = exclusions.summarise()
    return NoScansError(f"{place}: expected series that can be used, found none of {len(survey.judged)}: {reasons}")


def _describe_tree(tree: Path, unofficial: list[str]) -> None:
    made_by = [{"Name": "dcm2niix", "Version": version("dcm2niix")}, {"Name": "Umbrella"}]
    description = {"Name": "Scans from DICOM", "BIDSVersion": "1.10.0", "DatasetType": "raw", "GeneratedBy": made_by}
    write_json(tree / "dataset_description.json", description)
    write_whole(tree / "README", README)
    write_whole(tree / ".bidsignore", "".join(f"*_{suffix}.*\n" for suffix in unofficial))
