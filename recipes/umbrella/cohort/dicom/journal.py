"""Whose each series is, in hashes and numbers of visits, and why those that are left out are."""

from collections import defaultdict
from collections.abc import Iterable
from importlib.metadata import version
from typing import NamedTuple

from umbrella.cohort.dicom.bids_names import Named, find_targets
from umbrella.cohort.dicom.cohort_tables import Person, Rows
from umbrella.cohort.dicom.identity import Pseudonyms, find_day, name_visit, number_visits, to_visit_key
from umbrella.cohort.dicom.person import UNKNOWN, compare_ages, read_age, read_sex
from umbrella.cohort.dicom.stack_faults import Fault
from umbrella.cohort.dicom.survey import Judged, Survey
from umbrella.cohort.shared.visits import Exclusions
from umbrella.privacy.mask import Mask
from umbrella.records.cohort import CONTRADICTING, NO_ROW, to_key

CONVERSION = 1  # raised where the same files would become other scans


class Placed(NamedTuple):
    """A series that is to be in the tree: its pseudonym, its place, what it is made of and how."""

    name: str
    judged: Judged
    named: Named
    target: str
    content: str


class Journal:
    """Places series in the tree, and counts those that are left out, under hashes."""

    def __init__(self, survey: Survey, pseudonyms: Pseudonyms, exclusions: Exclusions) -> None:
        self._survey, self._pseudonyms, self._exclusions = survey, pseudonyms, exclusions
        self.n_left_out = 0
        self._known = [one for one in survey.judged if one.patient]
        self._visits, unordered = number_visits(one.series for one in self._known)
        if unordered:
            exclusions.notes.append(
                f"WARNING {len(unordered)} participants have several visits, some without a date: their order is not "
                "known, and those are called undated1, undated2 …"
            )

    def find_whose(self, one: Judged) -> tuple[str, int]:
        """(participant, visit): "" and 0 where nobody knows."""
        if not one.patient:
            return "", 0
        return self._pseudonyms.subject(one.patient), self._visits[one.patient, to_visit_key(one.series)]

    def place(self, rows: Rows | None) -> list[Placed]:
        """The series that are to be converted; all others are counted, and rows of no series. `rows`: of the
        participants that are wanted."""
        doubted = {row.participant_id for row in self._exclusions.rows if row.reason == CONTRADICTING}
        chosen, named = [], []
        near = {_fold_id(one.patient) for one in self._known}
        for subject in sorted((rows or {}).keys() - {self.find_whose(one)[0] for one in self._known}):
            detail = "expected DICOM files with the id of its row as PatientID (0010,0020), found none"
            if any(_fold_id(row.participant_id) in near for row in (rows or {})[subject]):
                detail += (
                    " but of one with other zeros at its beginning, or in other case. Write the ids as the headers "
                    "do: a spreadsheet keeps zeros in columns of text alone"
                )
            self._exclusions.add("no scan", detail, subject)
        for one in self._survey.judged:
            subject, visit = self.find_whose(one)
            if one.rule is None:
                assert one.fault is not None
                self.leave_out(one, one.fault)
            elif rows is not None and subject not in rows:
                is_doubted, expected = subject in doubted, "expected a row of its participant in --participants"
                found = "several that contradict each other" if is_doubted else "none"
                self.leave_out(one, Fault(CONTRADICTING if is_doubted else NO_ROW, f"{expected}, found {found}"))
            else:
                chosen.append(one)
                entities = dict(one.rule.entities)
                named.append(Named(one.series, subject, visit, one.rule.datatype, one.rule.suffix, entities))
        placed = []
        for one, its, target in zip(chosen, named, find_targets(named), strict=True):
            how = f"{CONVERSION} {version('dcm2niix')} {its.datatype} {its.entities.get('task', '')}"
            content = self._pseudonyms.content(one.series, how)
            placed.append(Placed(self._pseudonyms.series(one.series), one, its, target, content))
        return placed

    def leave_out(self, one: Judged, fault: Fault) -> None:
        """Count a series: by its hash, its number and its description, in which names are hidden."""
        self.n_left_out += 1
        first, (subject, visit) = one.series.first, self.find_whose(one)
        description = self._survey.mask.show(first.description or first.protocol)
        number = f"number {first.number}" if first.number.isdecimal() else "no number"
        name = f"series {self._pseudonyms.series(one.series)} ({number}, '{description}')"
        self._exclusions.add(fault.reason, f"{name}: {fault.detail}", subject, name_visit(visit) if visit else "")

    def describe_people(self, used: Iterable[Placed]) -> dict[str, Person]:
        """What the headers of all their series say of those who have a scan in the tree."""
        scanned = defaultdict(set)
        for one in used:
            scanned[one.named.subject].add(one.named.session)
        of_subject = defaultdict(list)
        for judged in self._known:
            of_subject[self.find_whose(judged)[0]].append(judged)
        told: list[str] = []
        people = {
            subject: self._describe_person(subject, of_subject[subject], frozenset(visits), told)
            for subject, visits in sorted(scanned.items())
        }
        if told:
            odd = f"WARNING the headers of {len(told)} participants or visits are odd, as {'; '.join(told[:3])}"
            self._exclusions.notes.append(odd)
        return people

    def _describe_person(self, subject: str, some: list[Judged], scanned: frozenset[int], told: list[str]) -> Person:
        """`told` gets a line for what the headers say twice, and differently."""
        instances = [instance for one in some for instance in one.series.instances]
        sex, evidence = read_sex(instance.sex for instance in instances)
        told += [f"{subject}: sex: {evidence}"] if sex == UNKNOWN and evidence != "PatientSex is empty" else []
        of_visit = defaultdict(list)
        for one in some:
            of_visit[self.find_whose(one)[1]].append(one.series)
        ages, days = {}, {}
        for visit, all_series in sorted(of_visit.items()):
            days[visit] = next(filter(None, map(find_day, all_series)), "")
            headers = [instance for series in all_series for instance in series.instances]
            age, evidence = read_age((one.age, one.birth_date, one.study_date) for one in headers)
            ages[visit] = "" if age == UNKNOWN else age
            is_odd = ";" in evidence or "one visit" in evidence
            told += [f"{subject} visit {name_visit(visit)}: age: {evidence}"] if is_odd else []
        odd = compare_ages((ages[visit], days[visit]) for visit in ages)
        told += [f"{subject}: age: {odd}. Is it one person?"] if odd else []
        mask = Mask(text for one in instances for text in (one.patient_id, one.patient_name, one.birth_date))
        return Person("" if sex == UNKNOWN else sex, ages, days, scanned, some[0].patient, mask)


def _fold_id(text: str) -> str:
    """What is left of an id by whoever takes it for a number, or does not mind case."""
    return to_key(text).casefold().lstrip("0")
