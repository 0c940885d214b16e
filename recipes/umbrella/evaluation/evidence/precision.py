"""How much so many subjects can tell: the interval they give, how many a narrower one takes, the smallest differences
they show."""

import math
from collections import Counter
from collections.abc import Callable, Sequence
from typing import Any

from scipy.stats import t

from umbrella.evaluation.results import score_records
from umbrella.evaluation.statistics.intervals import LEVEL, POWER, effective_trials, least_number, wilson
from umbrella.evaluation.statistics.measures import Measure, score_interval
from umbrella.evaluation.statistics.notation import percent
from umbrella.evaluation.statistics.paired import is_shown
from umbrella.evaluation.statistics.precision import detectable_above, intra_subject_correlation, subjects_for_width
from umbrella.evaluation.verdicts import say_interval, say_nameless, say_rows

WIDTHS = (0.20, 0.10, 0.05)  # of a share's interval, from end to end, for which subjects are counted
PARTS = (1 / 2, 1 / 4)  # the same for errors, of the interval's present width
WITH_POWER = f"with {100 * POWER:.0f} % power"


def measure_precision(
    records: list[dict], subjects: Sequence[str], controls: dict[str, dict], n_nameless: int = 0
) -> dict:
    """The entry of metrics.json. `n_nameless`: of how many rows it is not stated whom they are about.

    value, interval, width    of the score, from end to end
    icc                       how alike rows of one subject are; None where it cannot be known
    independent_rows          as how many the rows count, for a share; None for errors
    wished                    [{"width", "subjects"}]: how many subjects narrower intervals take
    reference                 {"label", "share", "detectable"}: the smallest accuracy that would have been told from
                              what one and the same answer gets; None for all but labels
    limits                    of the sentences those which say that nothing could have been shown
    comparisons               [{"title", "difference", "detectable", "n_tests", "p_holm"}], one a control
    """
    measure, scores = score_records(records)
    several = len(set(subjects)) > 1
    interval = score_interval(measure, scores, subjects) if several else None
    counted = {"n": len(scores), "n_subjects": len(set(subjects)), "n_nameless": n_nameless}
    entry: dict[str, Any] = {
        **counted,
        "measure": measure.key,
        "value": float(scores.mean()),
        "interval": interval,
        "width": None if interval is None else interval[1] - interval[0],
        "icc": intra_subject_correlation(scores, subjects),
        "independent_rows": effective_trials(scores, subjects)[1] if several and measure.better > 0 else None,
    }
    entry["wished"] = [] if interval is None else _count_subjects(measure, entry)
    entry["reference"] = _find_reference(records, entry["independent_rows"]) if "parsed_label" in records[0] else None
    entry["comparisons"] = [_describe(control) for control in controls.values() if "paired" in control]
    sentences = _say(entry, measure)
    limits = [*say_nameless(n_nameless, len(scores)), *_say_none(entry["comparisons"])] if several else sentences
    return entry | {"sentences": sentences, "limits": [one for one in limits if one in sentences]}


def _describe(control: dict) -> dict:
    paired = control["paired"]
    return {"title": control["title"]} | {
        key: paired[key] for key in ("difference", "detectable", "n_tests", "p_holm")
    }


def _count_subjects(measure: Measure, entry: dict) -> list[dict]:
    """How many subjects, with as many rows each and the same spread, give narrower intervals."""
    n, width = entry["n_subjects"], entry["width"]
    if measure.better > 0:
        trials = entry["independent_rows"] / n
        widths: Sequence[float] = [wished for wished in WIDTHS if wished < width]
        wanted = [subjects_for_width(lambda more: wilson(entry["value"], trials * more), wished) for wished in widths]
    else:
        widths = [part * width for part in PARTS]
        wanted = [least_number(_narrows(n, part), n) for part in PARTS]
    return [{"width": wished, "subjects": more} for wished, more in zip(widths, wanted, strict=True)]


def _narrows(n: int, part: float) -> Callable[[int], bool]:
    """Whether Student's interval of a mean is no wider for so many subjects than this part of that for n."""

    def half(of: int) -> float:
        return float(t.ppf((1 + LEVEL) / 2, of - 1)) / math.sqrt(of)

    return lambda more: half(more) <= part * half(n)


def _find_reference(records: list[dict], trials: float | None) -> dict:
    (label, most), *_ = Counter(record["expected_label"] for record in records).most_common()
    share = most / len(records)
    detectable = None if trials is None else detectable_above(share, trials)
    return {"label": label, "share": share, "detectable": detectable}


def _say(entry: dict, measure: Measure) -> list[str]:
    start = f"Precision: the {measure.name} is {measure.show(entry['value'])}"
    if entry["n_subjects"] < 2:
        return [f"{start} over {say_rows(entry)}: a single subject tells nothing about others, at no precision."]
    sentences = [f"{start} ({say_interval(entry['interval'], measure)}) over {say_rows(entry)}. {_say_alike(entry)}"]
    sentences += say_nameless(entry["n_nameless"], entry["n"])
    if entry["interval"] is None:
        sentences.append("All subjects agree, from which no spread can be seen, and no number of subjects be named.")
    wished = [one for one in entry["wished"] if one["subjects"] is not None]
    if wished:
        said = ", ".join(f"{measure.show_size(one['width'])} about {one['subjects']:,} subjects" for one in wished)
        sentences.append(
            f"From end to end that interval is {measure.show_size(entry['width'])} wide; of a width of {said} are "
            "needed, of as many rows each and of this spread."
        )
    if entry["reference"] is not None:
        sentences.append(_say_reference(entry["reference"]))
    return sentences + _say_smallest(entry["comparisons"], measure) + _say_none(entry["comparisons"])


def _say_alike(entry: dict) -> str:
    if entry["n"] == entry["n_subjects"]:
        if entry["n_nameless"]:
            return "Each row counts as a subject."
        return "Each subject has one row, so rows are independent."
    if entry["icc"] is None:
        return "How alike rows of one subject are cannot be told where all rows agree: each subject counts once."
    alike = f"Rows of one subject are alike by an intra-subject correlation of {entry['icc']:.2f}"
    if entry["independent_rows"] is None:
        return f"{alike} (0: not at all, 1: they tell no more than one of them)."
    n = entry["independent_rows"]
    counted = "less than one independent one" if n < 1 else f"{n:.0f} independent ones"
    return f"{alike}, so that the rows count as {counted}."


def _say_reference(reference: dict) -> str:
    always = f"always answering “{reference['label']}” gets {percent(reference['share'])}"
    if reference["share"] == 1:
        return f"On these rows {always}: there is nothing that an accuracy could be above."
    if reference["detectable"] is None:
        return f"On these rows {always}; so few would not tell even an accuracy of 100 % from that {WITH_POWER}."
    told = f"an accuracy of {percent(reference['detectable'])} or more would be told from that {WITH_POWER}"
    return f"On these rows {always}; {told}, taken as a fixed share and by this test alone."


def _say_smallest(comparisons: list[dict], measure: Measure) -> list[str]:
    found = [one["detectable"] for one in comparisons if one["detectable"] is not None]
    if not found:
        return []
    ends = dict.fromkeys(measure.show_size(one) for one in (min(found), max(found)))
    return [
        f"The smallest difference from a control that these subjects could have shown {WITH_POWER} is "
        f"{' to '.join(ends)}, corrected over {comparisons[0]['n_tests']} tests."
    ]


def _say_none(comparisons: list[dict]) -> list[str]:
    none = [one["title"] for one in comparisons if one["detectable"] is None and not is_shown(one)]
    return [f"Too few subjects to show any difference, however large, from: {'; '.join(none)}."] if none else []
