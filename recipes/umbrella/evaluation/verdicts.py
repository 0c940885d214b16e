"""What the controls say, in numbers and in one plain sentence each: yes, no, or too few rows to tell."""

from collections.abc import Sequence

import numpy as np

from umbrella.evaluation.sides import BY_CHANCE
from umbrella.evaluation.statistics.intervals import POWER, share_interval, subjects_for_share
from umbrella.evaluation.statistics.measures import MARGIN, Measure, score_interval
from umbrella.evaluation.statistics.notation import format_p, percent
from umbrella.evaluation.statistics.paired import compare_paired

LEAST_CHANGED = 0.05  # share of answers that must change, by its interval's lower end, for a scan to count as read
MOST_CHANGED = MARGIN  # share of answers that may change, by its interval's upper end, for a scan to count as not read
SUBJECT_CONTROLS = ("subject_swapped", "scans_shuffled")
REFERENCE_CONTROLS = ("reference_reversed", "reference_other_label", "reference_same_label")
ORDER_CONTROLS = ("frames_shuffled", "frames_reversed")
COURSE_CONTROLS = ("frame_repeated",)
DOINGS = {"order": "changing it", "course": "taking it away"}  # else "exchanging it"


def count_changes(changed: Sequence[bool], subjects: Sequence[str]) -> dict:
    """Which answers a control changed → n, n_subjects, their share with its interval, and what more would show.

    needed_to_react, needed_to_ignore  about how many subjects would show that the share is above LEAST_CHANGED, or
                                       below MOST_CHANGED; None where none would, if it is what it is here
    """
    several = len(set(subjects)) > 1
    return {
        "n": len(changed),
        "n_subjects": len(set(subjects)),
        "changed": sum(changed) / len(changed),
        "changed_interval": share_interval(changed, subjects),
        "needed_to_react": subjects_for_share(changed, subjects, above=LEAST_CHANGED) if several else None,
        "needed_to_ignore": subjects_for_share(changed, subjects, below=MOST_CHANGED) if several else None,
    }


def compare_with_control(
    measure: Measure,
    real: Sequence[float] | np.ndarray,
    control: Sequence[float] | np.ndarray,
    changed: Sequence[bool],
    subjects: Sequence[str],
    donors: Sequence[str] | None = None,
    n_tests: int = 1,
) -> dict:
    """Scores of the real run and under a control, on the same rows → their means, changed answers, and the test.

    `accuracy_real`, `accuracy`, `accuracy_interval` for labels, `mae_...` for numbers; `paired` is a `Paired` as a
    dict, its difference positive where the real run is better. `n_tests`: of how many controls it is one.
    """
    key = measure.key
    return {
        **count_changes(changed, subjects),
        f"{key}_real": float(np.mean(real)),
        key: float(np.mean(control)),
        f"{key}_interval": score_interval(measure, control, subjects),
        "paired": compare_paired(measure, real, control, subjects, donors, n_tests=n_tests).to_dict(),
    }


def judge(controls: dict[str, dict], measure: Measure | None) -> dict[str, dict]:
    """Controls by name → {"subject": {"verdict", "sentence"}, "reference": ..., "order": ..., "course": ...,
    "sequence FLAIR": ..., "sides": ..., "text": ...}, as far as they allow.

    A scan is used when exchanging it makes the answers worse (see `Paired.outcome`). It is reacted to when more than
    5 % of the answers change, and not used when at most 10 % do, by the interval of their share. An accuracy that
    stays alone proves nothing: a reference that does not matter to the truth leaves it as it is even in a model that
    reads it. Whatever is shown neither way is "cannot tell", with the number of subjects that would.

    measure  None for free text, whose answers are not simply right or wrong: there only changes are judged
    """
    verdicts = {}
    for key, scan, names in (
        ("subject", "the subject's scan", SUBJECT_CONTROLS),
        ("reference", "the reference scan", REFERENCE_CONTROLS),
        ("order", "the order of the frames", ORDER_CONTROLS),
        ("course", "what changes from frame to frame", COURSE_CONTROLS),
    ):
        found = [controls[name] for name in names if name in controls]
        if found:
            # The controls of the subject's scan exchange the same; those of the reference may each be read or not.
            found = found[:1] if key == "subject" else found
            found = [{"doing": DOINGS.get(key, "exchanging it"), **control} for control in found]
            if any(control.get("several") for control in found):
                scan = scan.replace("scan", "set of scans")
            verdicts[key] = _judge_changes(scan, found) if measure is None else _judge_scan(scan, found, measure)
    verdicts |= _judge_sequences(controls, measure)
    verdicts |= judge_mirrored(controls.get("mirrored", {}).get("turns", {}))
    if measure and "text_only" in controls:
        verdicts["text"] = _judge_text(controls["text_only"], measure)
    return verdicts


def _judge_sequences(controls: dict[str, dict], measure: Measure | None) -> dict[str, dict]:
    """By exchanging each, which shows what is like training; leaving it out is judged only where that cannot be."""
    verdicts = {}
    for name in dict.fromkeys(control["sequence"] for control in controls.values() if "sequence" in control):
        scan, swapped, without = f"the {name}", controls.get(f"{name}_swapped"), controls.get(f"without_{name}")
        judged = [swapped or {"doing": "leaving it out", **without}]
        found = _judge_changes(scan, judged) if measure is None else _judge_scan(scan, judged, measure)
        said = [found["sentence"]]
        if without and swapped and measure:
            said.append(f"Leaving it out{_say_effect(without, measure).removeprefix('It')}")
        elif without and swapped:
            said.append(_say_changed(without | {"doing": "Leaving it out"}))
        verdicts[f"sequence {name}"] = found | {"sentence": " ".join([*said, *([without["note"]] if without else [])])}
    return verdicts


def _reacts(controls: Sequence[dict]) -> bool:
    return any(control["n_subjects"] > 1 and control["changed_interval"][0] > LEAST_CHANGED for control in controls)


def _ignores(controls: Sequence[dict]) -> bool:
    return all(control["n_subjects"] > 1 and control["changed_interval"][1] <= MOST_CHANGED for control in controls)


def _judge_scan(scan: str, controls: Sequence[dict], measure: Measure) -> dict:
    control, paired, reacts = controls[0], controls[0]["paired"], _reacts(controls)
    facts = f"{_say_changed(control)} {_say_effect(control, measure)}"
    if reacts and not _reacts([control]):
        most = max(controls, key=lambda c: c["changed_interval"][0])
        facts += f" Another way of {most['doing']} changes {percent(most['changed'])} ({_say_share(most)})."
    if paired["outcome"] == "better":
        return {"verdict": "uses", "sentence": f"The model uses {scan}: {facts}"}
    if paired["outcome"] == "worse":
        start = f"The model reacts to {scan}, and its answers are better without it as it is: "
        return {"verdict": "reacts", "sentence": start + facts}
    if reacts and paired["outcome"] == "equal":
        start = f"The model does not use {scan} to get its answers right, though it reacts to it: "
        end = f" So the {measure.name} stays within {measure.show_margin()}: {_lower(say_difference(paired, measure))}"
        return {"verdict": "reacts", "sentence": start + facts + end}
    if _ignores(controls):
        end = f" By that interval at most {percent(MOST_CHANGED)} of the answers change."
        return {"verdict": "ignores", "sentence": f"The model does not use {scan}: {facts}{end}"}
    start = f"Too few rows to tell whether the model uses {scan}{', though it reacts to it' if reacts else ''}: "
    end = say_needed(_needed(controls, reacts, paired), control)
    return {"verdict": "cannot tell", "sentence": start + facts + end}


def _needed(controls: Sequence[dict], reacts: bool, paired: dict | None) -> int | None:
    """The fewest subjects by which one of the verdicts could be given."""
    ways = [max((c["needed_to_ignore"] or np.inf) for c in controls)]
    react = 0 if reacts else min((c["needed_to_react"] or np.inf) for c in controls)
    unclear = paired is not None and paired["outcome"] == "unclear"
    ways.append(max(react, (paired["needed"] or np.inf) if unclear else 0))
    least = min(ways)
    return int(max(least, controls[0]["n_subjects"] + 1)) if 0 < least < np.inf else None


def _judge_changes(scan: str, controls: Sequence[dict]) -> dict:
    facts = _say_changed(max(controls, key=lambda control: control["changed_interval"][0]))
    if _reacts(controls):
        return {"verdict": "reacts", "sentence": f"The model reacts to {scan}: {facts}"}
    if _ignores(controls):
        return {"verdict": "ignores", "sentence": f"The model does not use {scan}: {facts}"}
    start = f"Too few rows to tell whether the model reacts to {scan}: "
    end = say_needed(_needed(controls, False, None), controls[0])
    return {"verdict": "cannot tell", "sentence": start + facts + end}


def _judge_text(control: dict, measure: Measure) -> dict:
    key, paired = measure.key, control["paired"]
    facts = (
        f"without any scan the {measure.name} is {measure.show(control[key])} "
        f"({say_interval(control[f'{key}_interval'], measure)}), with them {measure.show(control[f'{key}_real'])} "
        f"({say_rows(control)}, {say_test(paired)})."
    )
    if paired["outcome"] == "better":
        return {"verdict": "needs scans", "sentence": f"The scans add to what the text gives away: {facts}"}
    if paired["outcome"] == "worse":
        return {"verdict": "text suffices", "sentence": f"The model does better by the text alone: {facts}"}
    if paired["outcome"] == "equal":
        start = f"The text alone does as well as the scans, within {measure.show_margin()}: "
        return {"verdict": "text suffices", "sentence": f"{start}{facts} {say_difference(paired, measure)}"}
    start = "Too few rows to tell whether the text alone does as well as the scans: "
    return {"verdict": "cannot tell", "sentence": start + facts + say_needed(paired["needed"], paired)}


def _say_changed(control: dict) -> str:
    doing = control.get("doing", "exchanging it")
    return f"{doing} changes {percent(control['changed'])} of the answers ({_say_share(control)})."


def _say_share(control: dict) -> str:
    low, high = control["changed_interval"]
    return f"95 % interval {percent(low)} to {percent(high)}"


def judge_mirrored(turns: dict[str, dict]) -> dict[str, dict]:
    """What `count_turns` gives → {"sides": {"verdict", "sentence"}}; none where no answer names a side.

    A side is taken from the scan where more than half of the answers name the other side of the mirror image, by the
    interval of their share: a side that is drawn anew for each scan turns half of the time, one that is always the
    same, or told from something else than the voxels, never.
    """
    if "sides" not in turns:
        return {}
    sides = turns["sides"]
    low, high = sides["interval"] if sides["n_subjects"] > 1 else (0.0, 1.0)
    facts = (
        f"of their mirror images {percent(sides['share'])} of the answers that name a side name the other one "
        f"(95 % interval {percent(low)} to {percent(high)}, {say_rows(sides)})."
    )
    if "others" in turns:
        facts += f" Of the other answers {percent(turns['others']['share'])} stay ({say_rows(turns['others'])})."
    if low > BY_CHANCE:
        return {"sides": {"verdict": "turn", "sentence": f"Sides are taken from the scans: {facts}"}}
    if high < BY_CHANCE:
        return {"sides": {"verdict": "stay", "sentence": f"Sides are not taken from the scans: {facts}"}}
    end = say_needed(sides["needed"], sides)
    start = "Too few rows to tell whether sides are taken from the scans: "
    return {"sides": {"verdict": "cannot tell", "sentence": start + facts + end}}


def _lower(sentence: str) -> str:
    return sentence[0].lower() + sentence[1:]


def _say_effect(control: dict, measure: Measure) -> str:
    before, after = measure.show(control[f"{measure.key}_real"]), measure.show(control[measure.key])
    effect = f"leaves the {measure.name} at {before}"
    if before != after:
        effect = f"takes the {measure.name} from {before} to {after}"
    return f"It {effect} ({say_rows(control)}, {say_test(control['paired'])})."


def say_rows(counted: dict) -> str:
    """How many rows and subjects a number rests on."""
    n, n_subjects = counted["n"], counted["n_subjects"]
    return f"{n} row{'s' if n != 1 else ''} of {n_subjects} subject{'s' if n_subjects != 1 else ''}"


def say_nameless(n_nameless: int, n: int) -> list[str]:
    """What it comes to that of some of n rows it is not stated whom they are about; nothing where it is of all."""
    if not n_nameless:
        return []
    return [
        f"{n_nameless} of {n} rows do not state whom they are about (metadata.subject_id): each counts as a subject. "
        "Where they share subjects, all intervals are too narrow and all p too small."
    ]


def say_test(paired: dict) -> str:
    """The p of a test, corrected too where it is one of several, and which test it was."""
    n_tests, p = paired["n_tests"], f"p {format_p(paired['p'])}"
    if n_tests > 1:
        p += f", corrected over {n_tests} tests p {format_p(paired['p_holm'])}"
    return f"{p}, {paired['test']}"


def say_interval(interval: Sequence[float] | None, measure: Measure) -> str:
    """An interval in the measure's digits, or that there is none."""
    if interval is None:
        return "no interval"
    return f"95 % interval {measure.show(interval[0])} to {measure.show(interval[1])}"


def say_difference(paired: dict, measure: Measure) -> str:
    """The one's score minus the other's, with the interval."""
    unit = measure.unit_of_difference
    start = f"Difference in {measure.name} {measure.show_difference(measure.better * paired['difference'])}{unit}"
    if paired["interval"] is None:
        return f"{start}, no interval."
    low, high = (measure.show_difference(end) for end in sorted(measure.better * end for end in paired["interval"]))
    return f"{start}, 95 % interval {low} to {high}{unit}."


def say_needed(needed: int | None, counted: dict) -> str:
    """The end of a sentence that tells nothing: how many subjects would, in place of those that were counted."""
    if needed is None:
        return " How many would cannot be told from these."
    power = f"at the observed spread and with {100 * POWER:.0f} % power"
    return f" About {needed:,} subjects instead of {counted['n_subjects']:,} would, {power}."


def judge_beside(paired: dict, other: str, measure: Measure) -> dict:
    """{"verdict", "sentence"}: is the model better than something else that answered the same rows?"""
    return _judge_pair(paired, "The model", other, "the model", measure)


def judge_two(paired: dict, measure: Measure, few: str) -> dict:
    """{"verdict", "sentence"}: is the second of two models better than the first? `few`: of what there may be too
    few to tell."""
    return _judge_pair(paired, "The second", "the first", "the second", measure, few)


def _judge_pair(paired: dict, one: str, other: str, one_within: str, measure: Measure, few: str = "rows") -> dict:
    verdict = {"better": "better", "worse": "worse", "equal": "as well", "unclear": "cannot tell"}[paired["outcome"]]
    start = {
        "better": f"{one} does better than {other}",
        "worse": f"{one} does worse than {other}",
        "as well": f"{one} does as well as {other}, within {measure.show_margin()}",
        "cannot tell": f"Too few {few} to tell whether {one_within} does better than {other}",
    }[verdict]
    facts = f"{_lower(say_difference(paired, measure))[:-1]} ({say_rows(paired)}, {say_test(paired)})."
    end = say_needed(paired["needed"], paired) if verdict == "cannot tell" else ""
    return {"verdict": verdict, "sentence": f"{start}: {facts}{end}"}
