"""Groups of rows: does one score otherwise than all other rows? Tested by subject, corrected over all groups."""

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
from datasets import Dataset

from umbrella.evaluation.results import group_rows, subjects_of_rows
from umbrella.evaluation.statistics.against_rest import AgainstRest, compare_with_rest
from umbrella.evaluation.statistics.holm import correct_by_holm
from umbrella.evaluation.statistics.measures import Measure
from umbrella.evaluation.statistics.notation import format_p
from umbrella.evaluation.statistics.paired import MOST_P

MOST_NAMED = 5  # groups in a sentence
Groups = dict[str, dict]  # group → its entry in metrics.json


def add_group_tests(
    by: dict[str, Groups], scores: Sequence[float] | np.ndarray, rows: Dataset, seed: int
) -> dict[str, Groups]:
    """What `score_by_group` gives, each entry with `against_rest`: an `AgainstRest` as a dict, and beside it

    n_tests     how many tests there are, of all groups by all names; two groups, each the other's rest, are one
    p_holm      p corrected over them
    detectable  see `AgainstRest.detectable`
    """
    subjects = subjects_of_rows(rows)
    tests = {
        name: _compare_groups(scores, subjects, np.array(group_rows(rows, name), object), list(groups), seed)
        for name, groups in by.items()
    }
    p_values = {  # of two groups under the name of the first
        (name, group): test.p
        for name, of_groups in tests.items()
        for place, (group, test) in enumerate(of_groups.items())
        if test.p is not None and not (len(of_groups) == 2 and place == 1)
    }
    p_holm = dict(zip(p_values, correct_by_holm(list(p_values.values())), strict=True))
    result: dict[str, Groups] = {name: {} for name in by}
    for name, groups in by.items():
        for group, entry in groups.items():
            test, key = tests[name][group], (name, group if len(groups) > 2 else next(iter(groups)))
            more = {"n_tests": len(p_holm), "p_holm": p_holm.get(key), "detectable": test.detectable(len(p_holm))}
            result[name][group] = entry | {"against_rest": test.to_dict() | more}
    return result


def _compare_groups(
    scores: Sequence[float] | np.ndarray, subjects: list[str], of_rows: np.ndarray, groups: list[str], seed: int
) -> dict[str, AgainstRest]:
    if len(groups) == 1:
        return {groups[0]: AgainstRest(None, note="all rows are in this group")}
    tests = {group: compare_with_rest(scores, subjects, of_rows == group, seed=seed) for group in groups}
    if len(groups) == 2:
        one, other = groups
        tests[other] = replace(tests[other], p=tests[one].p)  # drawn twice, it would be another in its last digits
    return tests


def say_groups(by: dict[str, Groups], measure: Measure) -> list[str]:
    """Sentences for each name: which groups score otherwise than all other rows, as far as that is shown, and which
    cannot be judged. Each begins with its name; what is said of one group stands apart, so that it can be withheld
    (`umbrella.records.small_groups`)."""
    said = ((f"By {name.replace('_', ' ')}", _say_name(groups, measure)) for name, groups in by.items())
    return [f"{start}: {sentence}" for start, sentences in said for sentence in sentences]


def _say_name(groups: Groups, measure: Measure) -> list[str]:
    tests = {group: entry["against_rest"] for group, entry in groups.items()}
    tested = {group: test for group, test in tests.items() if test["p"] is not None}
    by_note: dict[str, list[str]] = {}
    for group in tests.keys() - tested.keys():
        by_note.setdefault(tests[group]["note"], []).append(group)
    untested = [f"{name_some(sorted(of))} cannot be judged: {note}." for note, of in sorted(by_note.items())]
    if not tested:
        return ["whether groups score otherwise than all other rows cannot be told.", *untested]
    told = {group: test for group, test in tested.items() if test["p_holm"] < MOST_P}
    if not told:
        least = min(test["p_holm"] for test in tested.values())
        largest = max((test["detectable"] or 0.0) for test in tested.values())
        power = f" Differences of {measure.show_size(largest)} would have shown in each of them, with 80 % power."
        start = f"no group is shown to score otherwise than all other rows (smallest p {format_p(least)}"
        return [f"{start}, corrected over {_count(tested)}).{power if largest else ''}", *untested]
    surest = sorted(told, key=lambda group: told[group]["p"])
    said = [
        f"the {measure.name} differs from that of all other rows in {_say_told(g, told[g], measure)}." for g in surest
    ]
    more = len(said) - MOST_NAMED
    others = [f"so it does in {more} other group{'s' * (more > 1)}, with larger p."] if more > 0 else []
    return [*said[:MOST_NAMED], *others, *untested]


def _say_told(group: str, test: dict, measure: Measure) -> str:
    difference = f"{measure.show_difference(test['difference'])}{measure.unit_of_difference}"
    corrected = f"corrected over {_count({group: test})} p {format_p(test['p_holm'])}"
    return f"{group} by {difference} (p {format_p(test['p'])}, {corrected}, {test['test']})"


def name_some(names: Sequence[str]) -> str:
    """The first MOST_NAMED of these, and how many others there are."""
    more = len(names) - MOST_NAMED
    return ", ".join(names[:MOST_NAMED]) + (f" and {more} other{'s' * (more > 1)}" if more > 0 else "")


def _count(tested: Groups) -> str:
    n_tests = next(iter(tested.values()))["n_tests"]
    return f"{n_tests} test{'s' if n_tests != 1 else ''}"
