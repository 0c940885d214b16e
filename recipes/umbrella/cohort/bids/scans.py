"""The scans of visits in a BIDS tree: those that a selection leaves exactly one of for every modality."""

from collections import defaultdict
from dataclasses import dataclass
from pathlib import Path

from umbrella.cohort.bids.choice import Choice, Wanted, choose_scan
from umbrella.cohort.bids.entities import Condition, select_conditions
from umbrella.cohort.bids.inventory import take_inventory
from umbrella.cohort.bids.names import list_visit_images
from umbrella.cohort.bids.refusal import check_conditions, make_refusal
from umbrella.cohort.bids.strangers import find_empty
from umbrella.cohort.bids.tree import list_subjects
from umbrella.cohort.shared.findings import Finding
from umbrella.cohort.shared.scan_places import drop_unfetched
from umbrella.cohort.shared.study import Study
from umbrella.cohort.shared.visits import Exclusions, Visit
from umbrella.records.cohort import to_key

SUFFIXES = {"sMRI": "T1w", "dMRI": "dwi", "fMRI": "bold"}


@dataclass(frozen=True)
class Selection:
    """Which scans of a BIDS tree."""

    suffixes: dict[str, str]  # modality → suffix; of a study suffix → suffix
    sessions: tuple[str, ...] = ()  # without "ses-"; none: all
    run: str = ""  # "first", "last" or a run's index; "": a visit with several runs is left out
    entities: tuple[Condition, ...] = ()
    study: Study | None = None

    def to_wanted(self) -> dict[str, Wanted]:
        """Modality → what is asked of its scan's name."""
        return {
            modality: Wanted(
                suffix,
                select_conditions(self.entities, modality),
                self.run,
                f"{modality}:" if len(self.suffixes) > 1 else "",
            )
            for modality, suffix in self.suffixes.items()
        }


def find_bids_scans(visits: list[Visit], root: Path, selection: Selection, exclusions: Exclusions) -> list[Visit]:
    """The visits that have exactly one selected scan of every modality asked for. The others are left out and counted:
    `no scan`, those of `drop_unfetched`, `several runs`, `several files` (they differ in another entity than run).

    Of a study a sequence may be absent: no image has its suffix, whatever else its name says.

    Raises NoScansError, which says what the tree holds, where no visit is left.
    """
    complete, choices = [], defaultdict(list)
    wanted = selection.to_wanted()
    folders = list_subjects(root)
    for visit in visits:
        if selection.sessions and visit.session not in selection.sessions:
            exclusions.add_visit(visit, "session not chosen", f"--sessions {' '.join(selection.sessions)}")
            continue
        folder = folders.get(to_key(visit.participant_id))
        empty = find_empty(folder) if folder else None
        if empty is not None:
            exclusions.add_visit(visit, "no scan", f"{folder} is {empty}")
            continue
        levels = list(list_visit_images(folder, visit.session)) if folder else []
        for modality, of_modality in wanted.items():
            choice = choose_scan(levels, of_modality)
            if choice.is_absent and selection.study is not None:
                continue
            if choice.reason:
                exclusions.add_visit(visit, choice.reason, f"{modality}: {choice.detail}")
                break
            visit.scans[modality] = choice.path
            choices[modality].append(choice)
        else:
            if selection.study is None or selection.study.is_enough(visit, exclusions):
                complete.append(visit)
    complete = drop_unfetched(complete, exclusions)
    if not complete:
        inventory = take_inventory(list(folders.values()))
        check_conditions(wanted, inventory, str(root))
        raise make_refusal(str(root), wanted, inventory, exclusions)
    exclusions.notes += _describe_choices(choices)
    return complete


def _describe_choices(choices: dict[str, list[Choice]]) -> list[str]:
    """What was inferred on the way to the scans, as lines of the summary."""
    notes = []
    for modality, some in choices.items():
        above = [choice.path for choice in some if choice.is_above_session]
        twice = [choice.path for choice in some if choice.is_twice]
        beside = [image for choice in some for image in choice.beside]
        passed_over = sorted({image.path for choice in some for image in choice.passed_over})
        texts = []
        if passed_over:
            texts.append(
                f"{len(passed_over)} scans above the session folders are not taken, as {passed_over[0]}: the "
                f"session's own go first, as {next(choice.path for choice in some if choice.passed_over)}"
            )
        if above:
            texts.append(f"{len(above)} visits have the scan that lies above their session folders, as {above[0]}")
        if twice:
            texts.append(
                f"{len(twice)} scans are there as .nii and .nii.gz with equal bytes inside; taken: {twice[0]}"
            )
        if beside:
            texts.append(
                f"{len(beside)} images beside the scans are not taken, as {beside[0].path}: {beside[0].fault}"
            )
        notes += [Finding(modality, text).to_line(frozenset()) for text in texts]
    return notes
