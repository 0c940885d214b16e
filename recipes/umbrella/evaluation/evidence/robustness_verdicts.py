"""What changed scans do to the answers, in one plain sentence for each kind: they stay, they flip, or cannot tell."""

from collections.abc import Sequence

from umbrella.evaluation.statistics.measures import MARGIN, Measure
from umbrella.evaluation.statistics.notation import percent
from umbrella.evaluation.verdicts import say_interval

STAY, FLIP, UNCLEAR = "stay", "flip", "cannot tell"


def judge_strength(found: dict, measure: Measure | None) -> str:
    """Of labels and texts: whether at most, or more than, 10 % of the answers flip, by the interval of their share. Of
    numbers: whether the error stays within the measure's margin, or grows (see `Paired.outcome`)."""
    if measure is not None and measure.better < 0:
        return {"equal": STAY, "better": FLIP}.get(found["paired"]["outcome"], UNCLEAR)
    low, high = found["changed_interval"]
    return STAY if high <= MARGIN else FLIP if low > MARGIN else UNCLEAR


def judge_kind(title: str, strengths: Sequence[dict], measure: Measure | None) -> dict:
    """{"verdict", "sentence", "by_strength"} of one kind; strengths rise."""
    judged = [judge_strength(found, measure) for found in strengths]
    names = [found["strength"] for found in strengths]
    n_stay = next((i for i, one in enumerate(judged) if one != STAY), len(judged))
    what, stay, flip = ("the error", "stays", "grows") if _is_number(measure) else ("the answers", "stay", "flip")
    until = f"{what} {stay} up to {names[n_stay - 1]}" if n_stay else ""
    if FLIP in judged:
        first = f"{flip} from {names[judged.index(FLIP)]} on"
        verdict, said = FLIP, f"{until}, and {first}" if until else f"{what} {first}"
    elif n_stay == len(judged):
        verdict, said = STAY, until
    else:
        verdict, said = UNCLEAR, f"{until}; beyond, too few rows to tell" if until else "too few rows to tell"
    sentence = f"{title.capitalize()}: {said}. At {names[-1]}: {say_effect(strengths[-1], measure)}."
    return {"verdict": verdict, "sentence": sentence, "by_strength": judged}


def _is_number(measure: Measure | None) -> bool:
    return measure is not None and measure.better < 0


def say_effect(found: dict, measure: Measure | None) -> str:
    """How many answers flip, and what becomes of the score."""
    low, high = (percent(end) for end in found["changed_interval"])
    said = f"{percent(found['changed'])} of the answers flip (95 % interval {low} to {high})"
    if measure is None:
        return said
    before, after = (measure.show(found[key]) for key in (f"{measure.key}_real", measure.key))
    ends = say_interval(found[f"{measure.key}_interval"], measure)
    if _is_number(measure) and found["moved"] is not None:
        said = f"the answered numbers change by {measure.show(found['moved'])} on average"
    return f"{said}, and the {measure.name} is {after} ({ends}) instead of {before}"


def judge_equal(title: str, strengths: Sequence[dict]) -> dict:
    """The same of what should change nothing, by the largest difference of a value of a view."""
    most = max(found["most_difference"] for found in strengths)
    flipped = max(found["changed"] for found in strengths)
    if most == 0:
        said = "changes nothing: all views are the same to the bit, so the model was not asked again"
    elif flipped == 0:
        said = f"changes no answer; values of the views differ by at most {most:.1g}"
    else:
        said = (
            f"should change nothing and flips {percent(flipped)} of the answers; values of the views differ by at "
            f"most {most:.1g}. Where that is rounding, these answers hang on it"
        )
    judged = [FLIP if found["changed"] else STAY for found in strengths]
    sentence = f"{title.capitalize()}: {said}."
    return {"verdict": FLIP if flipped else STAY, "sentence": sentence, "by_strength": judged}


def sum_up(kinds: dict[str, dict], rows: str) -> str:
    """The first sentence: which kinds the answers stand at full strength, and which not."""
    by_verdict = {
        verdict: [kind["title"] for kind in kinds.values() if kind["verdict"] == verdict]
        for verdict in (STAY, FLIP, UNCLEAR)
    }
    parts = [
        f"{said} {', '.join(titles)}"
        for said, titles in (
            ("robust to", by_verdict[STAY]),
            ("not robust to", by_verdict[FLIP]),
            ("cannot be told of", by_verdict[UNCLEAR]),
        )
        if titles
    ]
    return f"Scans recorded otherwise, in three strengths each: {'; '.join(parts)} (at full strength, {rows})."
