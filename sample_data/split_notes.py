"""What must be said of a division: splits with one label, labels in few splits, a test that is too small."""

import math
from collections import Counter

from cohort import CohortError
from cohort_cases import Case
from cohort_findings import advise
from cohort_splits import EXTERNAL
from split_subjects import SPLITS

# A test is too small where the 95 % interval (Wilson) of an accuracy of 50 %, the widest, is wider than this.
WIDEST_INTERVAL = 0.4
_Z = 1.959964


def interval_width(n: int) -> float:
    """Width of the 95 % Wilson interval of n/2 right answers of n: z / sqrt(n + z²). E. B. Wilson, 1927."""
    return _Z / math.sqrt(n + _Z**2)


def find_fewest_subjects(width: float = WIDEST_INTERVAL) -> int:
    """The fewest participants whose interval is at most this wide: 21 for 0.4."""
    return math.ceil((_Z / width) ** 2 - _Z**2)


def describe_splits(
    splits: dict[str, list[Case]], has_labels: bool, fractions: dict[str, float] | None, given: frozenset[str]
) -> list[str]:
    """The warnings about a division, each with the number that would do and advice that names no flag that was
    `given`. `fractions`: None where a split file divided. Raises CohortError where nothing can be learnt."""
    if "train" not in splits:
        raise CohortError(f"expected participants in train, found only {', '.join(splits)}")
    notes = []
    if has_labels:
        notes += _describe_labels(splits, fractions, given)
    else:
        for split, cases in splits.items():
            answers = {case.label for case in cases}
            if len(answers) == 1:
                text = f"{split} has {len(cases)} answers, all {answers.pop()}"
                if split == "train":
                    raise CohortError(f"expected at least two different numbers to learn from, but {text}")
                notes.append(f"WARNING {text}: no correlation can be computed")
    for split in ("test", EXTERNAL):
        if split in splits:
            notes += _describe_size(split, splits, fractions, given)
    return notes


def _describe_labels(
    splits: dict[str, list[Case]], fractions: dict[str, float] | None, given: frozenset[str]
) -> list[str]:
    subjects: dict[str, dict[str, set[str]]] = {}  # label → split → participants
    for split, cases in splits.items():
        for case in cases:
            subjects.setdefault(case.label, {}).setdefault(split, set()).add(case.visit.participant_id)
    totals = {label: len(set().union(*some.values())) for label, some in subjects.items()}
    divided = [split for split in SPLITS if split in splits]
    notes = []
    for split in splits:
        labels = sorted(label for label, some in subjects.items() if split in some)
        if len(labels) > 1:
            continue
        others = [f"{label!r} ({totals[label]} in all)" for label in sorted(totals) if label != labels[0]]
        found = f"{split} has only the label {labels[0]!r}; the others are {', '.join(others[:5]) or 'nowhere'}"
        if split == "train":
            advice = _advise_division(given, fractions)
            found = f"train: expected at least two labels to learn, but {found}"
            raise CohortError(". ".join(filter(None, (found, advice))))
        notes.append(f"WARNING {found}: it cannot be scored. {_say_what_would_do(split, totals, fractions, given)}")
    few = [label for label, n in totals.items() if n < len(divided)]
    if len(few) == len(totals) > 5:
        most = max(totals.values())
        text = f"none of the {len(few)} labels has more than {most} participant{'s' * (most > 1)}"
        return [*notes, f"WARNING {text}, fewer than the {len(divided)} splits: nothing about a label can be learnt"]
    for label in sorted(few)[:5]:
        where = ", ".join(sorted(subjects[label]))
        notes.append(
            f"WARNING label {label!r} has {totals[label]} participants, fewer than the {len(divided)} splits: it is "
            f"in {where} only"
        )
    if len(few) > 5:
        notes.append(f"WARNING {len(few) - 5} more labels have fewer participants than splits")
    return notes


def _say_what_would_do(
    split: str, totals: dict[str, int], fractions: dict[str, float] | None, given: frozenset[str]
) -> str:
    if fractions is None or split == EXTERNAL:
        return "It needs participants of a second label"
    rarest = min(totals.values())
    needed = math.ceil(round(1 / fractions[split], 6))
    if rarest >= needed:
        return "Divided by the answers it would have every label" + (
            f", or {advice}" if (advice := _advise_division(given, fractions)) else ""
        )
    text = f"At {fractions[split]:.0%} of the cohort, {needed} participants of a label put one into {split}"
    text += f"; the rarest has {rarest}"
    return ". ".join(filter(None, (text, _advise_division(given, fractions))))


def _advise_division(given: frozenset[str], fractions: dict[str, float] | None) -> str:
    if fractions is None:
        return "Another division would put them there"
    remedies = [("--split", "--split 0.6,0.2,0.2 makes the small splits larger"), ("--seed", "--seed 1 draws another")]
    if "--stratify" in given or "--group_by" in given:
        return advise(given, remedies) or "Other columns or shares would divide otherwise"
    return advise(given, remedies)


def _describe_size(
    split: str, splits: dict[str, list[Case]], fractions: dict[str, float] | None, given: frozenset[str]
) -> list[str]:
    n = len({case.visit.participant_id for case in splits[split]})
    needed = find_fewest_subjects()
    if n >= needed:
        return []
    text = (
        f"WARNING {split} has {n} participants: whatever a model scores there, the 95 % interval of an accuracy may "
        f"be {interval_width(n):.2f} wide (errors of numbers are as unsure). {needed} would do, for {WIDEST_INTERVAL}"
    )
    if split == EXTERNAL or fractions is None:
        return [text]
    n_all = len({case.visit.participant_id for name in SPLITS for case in splits.get(name, [])})
    share = math.ceil(100 * needed / n_all) / 100
    rest = round((1 - share) / 6, 2) if fractions["validation"] else 0.0
    train = round(1 - share - rest, 2)
    if share > 0.4:
        return [f"{text}: more than 40 % of this cohort of {n_all}, so read the interval, not the number"]
    advice = advise(given, [("--split", f"--split {train},{rest},{share}")])
    return [f"{text}: {advice}" if advice else f"{text}: {share:.0%} of this cohort"]


def describe_large_groups(splits: dict[str, list[Case]], groups: dict[str, str], column: str | None) -> list[str]:
    """A note for each group that is larger than the smallest split: such a group cannot be in every split.

    groups  participant → group
    """
    subjects = {split: {case.visit.participant_id for case in cases} for split, cases in splits.items()}
    smallest = min(subjects, key=lambda split: len(subjects[split]))
    place, sizes = {}, Counter()
    for split, members in subjects.items():
        for subject in sorted(members):
            sizes[groups[subject]] += 1
            place[groups[subject]] = split
    return [
        f"WARNING {group} ({column}) has {size} participants, more than {smallest}: all of them are in {place[group]}"
        for group, size in sorted(sizes.items())
        if size > max(1, len(subjects[smallest]))
    ]
