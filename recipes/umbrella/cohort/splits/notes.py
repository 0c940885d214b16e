"""What must be said of a division: splits with one label, labels in few splits, a test that is too small."""

import math
from collections import Counter
from collections.abc import Callable
from typing import Any

from umbrella.cohort.questions.cases import Case
from umbrella.cohort.shared.findings import advise
from umbrella.cohort.shared.visits import CohortError
from umbrella.cohort.splits.division import parse_fractions
from umbrella.files.data_format import SPLITS
from umbrella.records.cohort import EXTERNAL

# A test is too small where the 95 % interval (Wilson) of an accuracy of 50 %, the widest, is wider than this.
WIDEST_INTERVAL = 0.4
_Z = 1.959964
# The cohort divided again, with other values of a SplitPlan's fields. Raises CohortError where they do not divide it.
Divide = Callable[..., dict[str, list[Case]]]
_LARGER_SMALL_SPLITS = ("0.6,0.2,0.2", "0.5,0.25,0.25")
_MOST_SEEDS = 10  # that are tried before none is advised


def interval_width(n: int) -> float:
    """Width of the 95 % Wilson interval of n/2 right answers of n: z / sqrt(n + z²). E. B. Wilson, 1927."""
    return _Z / math.sqrt(n + _Z**2)


def find_fewest_subjects(width: float = WIDEST_INTERVAL) -> int:
    """The fewest participants whose interval is at most this wide: 21 for 0.4."""
    return math.ceil((_Z / width) ** 2 - _Z**2)


def describe_splits(
    splits: dict[str, list[Case]],
    has_labels: bool,
    fractions: dict[str, float] | None,
    given: frozenset[str],
    divide: Divide,
) -> list[str]:
    """The warnings about a division, each with the number that would do and advice that was tried by `divide` and
    names no flag that was `given`. `fractions`: None where a split file divided.

    Raises CohortError where nothing can be learnt.
    """
    if "train" not in splits:
        raise CohortError(f"expected participants in train, found only {', '.join(splits)}")
    notes = []
    if has_labels:
        notes += _describe_labels(splits, fractions, given, divide)
    else:
        for split, cases in splits.items():
            answers = {case.label for case in cases}
            if len(answers) == 1:
                text = f"{split} has {_count(len(cases), 'answer')}, all {answers.pop()}"
                if split == "train":
                    raise CohortError(f"expected at least two different numbers to learn from, but {text}")
                notes.append(f"WARNING {text}: no correlation can be computed")
    for split in ("test", EXTERNAL):
        if split in splits:
            notes += _describe_size(split, splits, fractions, given, divide)
    return notes


def _count(n: int, thing: str) -> str:
    return f"{n} {thing}{'s' * (n != 1)}"


def _describe_labels(
    splits: dict[str, list[Case]], fractions: dict[str, float] | None, given: frozenset[str], divide: Divide
) -> list[str]:
    subjects: dict[str, dict[str, set[str]]] = {}  # label → split → participants
    for split, cases in splits.items():
        for case in cases:
            subjects.setdefault(case.label, {}).setdefault(split, set()).add(case.visit.participant_id)
    divided = [split for split in SPLITS if split in splits]
    # Those held out are in no split, whatever the division.
    inside = {label: set().union(*(some.get(split, set()) for split in divided)) for label, some in subjects.items()}
    totals = {label: len(some) for label, some in inside.items() if some}
    notes = []
    for split in splits:
        labels = sorted(label for label, some in subjects.items() if split in some)
        if len(labels) > 1:
            continue
        others = [f"{label!r} ({totals[label]} in all)" for label in sorted(totals) if label not in labels]
        found = f"{split} has only the label {labels[0]!r}; the others are {', '.join(others[:5]) or 'nowhere'}"
        if split == "train":
            advice = _advise_division(split, given, fractions, divide)
            raise CohortError(f"train: expected at least two labels to learn, but {found}. {advice}")
        advice = _say_what_would_do(split, totals, fractions, given, divide)
        notes.append(f"WARNING {found}: it cannot be scored. {advice}")
    few = [label for label, n in totals.items() if n < len(divided)]
    if len(few) == len(totals) > 5:
        most = max(totals.values())
        text = f"none of the {len(few)} labels has more than {_count(most, 'participant')}"
        return [*notes, f"WARNING {text}, fewer than the {len(divided)} splits: nothing about a label can be learnt"]
    for label in sorted(few)[:5]:
        where = ", ".join(sorted(subjects[label]))
        notes.append(
            f"WARNING label {label!r} has {_count(totals[label], 'participant')}, fewer than the "
            f"{len(divided)} splits: it is in {where} only"
        )
    if len(few) > 5:
        more = _count(len(few) - 5, "more label")
        notes.append(f"WARNING {more} {'has' if len(few) == 6 else 'have'} fewer participants than splits")
    for label in sorted(subjects.keys() - totals.keys()):
        notes.append(f"WARNING label {label!r} is in {EXTERNAL} only: nothing about it can be learnt")
    return notes


def _say_what_would_do(
    split: str,
    totals: dict[str, int],
    fractions: dict[str, float] | None,
    given: frozenset[str],
    divide: Divide,
) -> str:
    if fractions is None or split == EXTERNAL:
        return "It needs participants of a second label"
    advice = _advise_division(split, given, fractions, divide)
    rarest = min(totals.values())
    needed = math.ceil(round(1 / fractions[split], 6))
    if rarest >= needed or given & {"--stratify", "--group_by"}:
        return advice
    text = f"At {fractions[split]:.0%} of the cohort, {needed} participants of a label put one into {split}"
    return f"{text}; the rarest has {rarest}. {advice}"


def _advise_division(split: str, given: frozenset[str], fractions: dict[str, float] | None, divide: Divide) -> str:
    """What puts a second label into the split, and into all others that are divided."""
    if fractions is None:
        return "Another division would put them there"
    if "--stratify" in given and _have_labels(divide, stratify=None):
        by_answers = f"Divided by the answers {split} would have more than one"
        return f"{by_answers}, or {others}" if (others := advise(given, _find_remedies(given, divide))) else by_answers
    return advise(given, _find_remedies(given, divide)) or "More participants of a second label may do"


def _find_remedies(given: frozenset[str], divide: Divide) -> list[tuple[str, str]]:
    remedies = []
    for shares in _LARGER_SMALL_SPLITS if "--split" not in given else ():
        if _have_labels(divide, fractions=parse_fractions(shares)):
            remedies.append(("--split", f"--split {shares} makes the small splits larger"))
            break
    for seed in range(1, _MOST_SEEDS + 1) if "--seed" not in given else ():
        if _have_labels(divide, seed=seed):
            remedies.append(("--seed", f"--seed {seed} draws another"))
            break
    return remedies


def _have_labels(divide: Divide, **plan: Any) -> bool:
    """Whether so divided each split has two labels or more."""
    splits = _try(divide, **plan)
    return bool(splits) and all(len({case.label for case in splits[name]}) > 1 for name in SPLITS if name in splits)


def _try(divide: Divide, **plan: Any) -> dict[str, list[Case]]:
    """The splits; none where the cohort cannot be divided so."""
    try:
        return divide(**plan)
    except CohortError:
        return {}


def _describe_size(
    split: str,
    splits: dict[str, list[Case]],
    fractions: dict[str, float] | None,
    given: frozenset[str],
    divide: Divide,
) -> list[str]:
    n = _count_subjects(splits[split])
    needed = find_fewest_subjects()
    if n >= needed:
        return []
    text = (
        f"WARNING {split} has {_count(n, 'participant')}: whatever a model scores there, the 95 % interval of an "
        f"accuracy may be {interval_width(n):.2f} wide (errors of numbers are as unsure). {needed} would do, "
        f"for {WIDEST_INTERVAL}"
    )
    if split == EXTERNAL or fractions is None:
        return [text]
    n_all = len({case.visit.participant_id for name in SPLITS for case in splits.get(name, [])})
    share = math.ceil(100 * needed / n_all) / 100
    rest = round((1 - share) / 6, 2) if fractions["validation"] else 0.0
    train = round(1 - share - rest, 2)
    if share > 0.4:
        return [f"{text}: more than 40 % of this cohort of {n_all}, so read the interval, not the number"]
    shares = f"{train},{rest},{share}"
    enough = _count_subjects(_try(divide, fractions=parse_fractions(shares)).get(split, [])) >= needed
    advice = advise(given, [("--split", f"--split {shares}")]) if enough else ""
    return [f"{text}: {advice}" if advice else f"{text}: {share:.0%} of this cohort"]


def _count_subjects(cases: list[Case]) -> int:
    return len({case.visit.participant_id for case in cases})


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
        f"WARNING {group} ({column}) has {_count(size, 'participant')}, more than {smallest}: "
        f"all of them are in {place[group]}"
        for group, size in sorted(sizes.items())
        if size > max(1, len(subjects[smallest]))
    ]
