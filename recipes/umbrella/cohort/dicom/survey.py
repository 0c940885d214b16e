"""What a folder of DICOM files holds: its series, each with the rule that names it or why it is left out."""

from collections import Counter, defaultdict
from collections.abc import Iterable
from pathlib import Path
from typing import NamedTuple

from umbrella.cohort.dicom.faults import find_fault
from umbrella.cohort.dicom.headers import read_headers
from umbrella.cohort.dicom.identity import list_identifiers
from umbrella.cohort.dicom.instances import Instance, Series
from umbrella.cohort.dicom.patient_faults import find_patient_faults
from umbrella.cohort.dicom.rules import SAID, Rule, Rules, choose_rule
from umbrella.cohort.dicom.rules_file import load_rules
from umbrella.cohort.dicom.series import group_series
from umbrella.cohort.dicom.source import DicomSource
from umbrella.cohort.dicom.stack_faults import Fault, find_echo_faults
from umbrella.cohort.shared.visits import CohortError
from umbrella.privacy.mask import LEAST_SEARCHED, Mask
from umbrella.records.cohort import to_key


class Judged(NamedTuple):
    """A series, and either the rule that names it or why it is left out."""

    series: Series
    rule: Rule | None
    fault: Fault | None

    @property
    def patient(self) -> str:
        """Its patient's id; "" where it has none, or more than one."""
        ids = {to_key(one.patient_id) for one in self.series.instances}
        return ids.pop() if len(ids) == 1 else ""


def find_lacking(suffixes: Iterable[str], rules: Iterable[Rule]) -> list[str]:
    """The suffixes that none of these rules gives, each of which names a series."""
    found = {rule.suffix for rule in rules}
    return [suffix for suffix in suffixes if suffix not in found]


class Survey(NamedTuple):
    """All series, what hides the names in their headers, and sentences about the files."""

    judged: list[Judged]
    mask: Mask
    notes: list[str]


def survey_folder(source: DicomSource) -> Survey:
    """Read all headers, and judge every series. Raises CohortError where there is no DICOM file, and for rules that
    cannot be read."""
    rules = load_rules(None if source.rules is None else str(source.rules))
    instances, others = read_headers(source.folder, source.jobs)
    if not instances:
        found = ", ".join(f"{n} files: {what}" for what, n in others.most_common()) or "no file"
        raise CohortError(
            f"--dicom_dir {source.folder}: expected DICOM files, found none ({found}). Name another folder"
        )
    mask = Mask(list_identifiers(instances), {one.patient_name for one in instances})
    all_series = group_series(instances)
    of_patients, of_echoes = find_patient_faults(all_series), find_echo_faults(all_series)
    judged = []
    for i, series in enumerate(all_series):
        rule = choose_rule(series, rules)
        fault = of_patients.get(i) or find_fault(series, rule) or of_echoes.get(i)
        if fault is None and isinstance(rule, Rule) and any(map(mask.holds, _list_said(rule, rules))):
            fault = Fault("no rule", "expected an entity that names nobody, found an identifier in the description")
        judged.append(Judged(series, rule if fault is None and isinstance(rule, Rule) else None, fault))
    return Survey(judged, mask, [*_describe_files(instances, others, judged), *_describe_short(instances, mask)])


def _list_said(rule: Rule, rules: Rules) -> list[str]:
    """The values of entities that a description says itself, not the rule."""
    (written,) = (one.entities for one in rules.rules if one.name == rule.name)
    return [value for name, value in rule.entities.items() if written.get(name) == SAID]


def _describe_files(instances: list[Instance], others: Counter[str], judged: list[Judged]) -> list[str]:
    lines = [f"DICOM: {len(instances)} files of {len(judged)} series"]
    lines += [f"DICOM: {n} files are {what}" for what, n in others.most_common()]
    n_twice = sum(one.series.n_duplicates for one in judged)
    lines += [f"DICOM: {n_twice} files are copies of others (SOPInstanceUID)"] if n_twice else []
    taken = [one.series for one in judged if one.rule]
    n_unstated = sum(not any(instance.n_stated for instance in series.instances) for series in taken)
    if n_unstated:
        missing = "if its first or last slice is missing that cannot be told"
        lines.append(f"DICOM: {n_unstated} series do not state how many pictures they have (0020,1002): {missing}")
    n_drawn = sum(any(instance.overlay_bits for instance in series.instances) for series in taken)
    lines += [f"DICOM: {n_drawn} series have overlays, which are not converted"] if n_drawn else []
    of_folder = defaultdict(set)
    for one in instances:
        of_folder[str(Path(one.path).parent)].add(to_key(one.patient_id))
    n_shared = sum(len(patients) > 1 for patients in of_folder.values())
    if n_shared:
        lines.append(f"WARNING {n_shared} folders hold files of several patients; they are told apart by PatientID")
    return lines


def _describe_short(instances: list[Instance], mask: Mask) -> list[str]:
    """A sentence on ids that are parts of ordinary words and numbers."""
    short = {one.patient_id for one in instances if one.patient_id and not mask.searches(one.patient_id)}
    if not short:
        return []
    return [
        f"WARNING {len(short)} PatientIDs have under {LEAST_SEARCHED} characters: they are not searched for in texts"
    ]
