"""What the controls say, in numbers and in one plain sentence each."""

from collections.abc import Sequence

from umbrella.evaluation.intervals import mcnemar, share_interval

LEAST_CHANGED = 0.05  # share of answers that must change, by its interval's lower end, for a scan to count as read
MOST_P = 0.05


def compare_with_control(
    real: Sequence[str | None],
    control: Sequence[str | None],
    expected: Sequence[str],
    subjects: Sequence[str],
    n_resamples: int,
) -> dict:
    """Labels named in the real run and under a control, on the same rows → accuracy, changed answers, McNemar's p.

    Two unparseable answers count as the same answer.
    """
    right_before = [label == truth for label, truth in zip(real, expected, strict=True)]
    right_after = [label == truth for label, truth in zip(control, expected, strict=True)]
    changed = [before != after for before, after in zip(real, control, strict=True)]
    n = len(expected)
    return {
        "n": n,
        "accuracy_real": sum(right_before) / n,
        "accuracy": sum(right_after) / n,
        "accuracy_interval": share_interval(right_after, subjects, n_resamples),
        "changed": sum(changed) / n,
        "changed_interval": share_interval(changed, subjects, n_resamples),
        "mcnemar_p": mcnemar(right_before, right_after),
    }


def judge(controls: dict[str, dict]) -> dict[str, dict]:
    """Controls by name → {"subject": {"verdict", "sentence"}, "reference": ..., "text": ...}, as far as they allow.

    A scan is used when exchanging it changes more answers than chance allows (the interval of their share lies above
    5 %) and makes the answers worse (McNemar, p < 0.05). An accuracy that stays alone proves nothing: a reference that
    does not matter to the truth leaves it as it is even in a model that reads it.
    """
    verdicts = {}
    subject = controls.get("subject_swapped") or controls.get("scans_shuffled")
    if subject:
        verdicts["subject"] = _judge_scan("the subject's scan", subject)
    references = [
        controls[name]
        for name in ("reference_reversed", "reference_other_label", "reference_same_label")
        if name in controls
    ]
    if references:
        verdicts["reference"] = _judge_scan("the reference scan", references[0], references[1:])
    if "text_only" in controls:
        verdicts["text"] = _judge_text(controls["text_only"])
    return verdicts


def _judge_scan(scan: str, control: dict, others: Sequence[dict] = ()) -> dict:
    reacts = any(c["changed_interval"][0] > LEAST_CHANGED for c in (control, *others))
    helps = (
        control["changed_interval"][0] > LEAST_CHANGED
        and control["accuracy"] < control["accuracy_real"]
        and control["mcnemar_p"] < MOST_P
    )
    before, after = percent(control["accuracy_real"]), percent(control["accuracy"])
    facts = (
        f"{_say_changed(control)} It takes the accuracy from {before} to {after} "
        f"(n = {control['n']}, McNemar p {format_p(control['mcnemar_p'])})."
    )
    if helps:
        return {"verdict": "uses", "sentence": f"The model uses {scan}: {facts}"}
    if reacts:
        start = f"The model does not use {scan} to get its answers right, though it reacts to it: "
        return {"verdict": "reacts", "sentence": start + facts}
    return {"verdict": "ignores", "sentence": f"The model does not use {scan}: {facts}"}


def _say_changed(control: dict) -> str:
    low, high = control["changed_interval"]
    interval = f"95 % interval {percent(low)} to {percent(high)}"
    return f"exchanging it changes {percent(control['changed'])} of the answers ({interval})."


def judge_changes(controls: dict[str, dict]) -> dict[str, dict]:
    """As `judge`, for answers that are not simply right or wrong: by the share of changed answers alone."""
    verdicts = {}
    for key, scan, name in (
        ("subject", "the subject's scan", "scans_shuffled"),
        ("reference", "the reference scan", "reference_same_label"),
    ):
        if name in controls:
            reacts = controls[name]["changed_interval"][0] > LEAST_CHANGED
            start = f"The model {'reacts to' if reacts else 'does not use'} {scan}: "
            verdict = "reacts" if reacts else "ignores"
            verdicts[key] = {"verdict": verdict, "sentence": start + _say_changed(controls[name])}
    return verdicts


def _judge_text(control: dict) -> dict:
    low, high = control["accuracy_interval"]
    interval = f"95 % interval {percent(low)} to {percent(high)}"
    facts = (
        f"without any scan {percent(control['accuracy'])} of its answers are right ({interval}), with them "
        f"{percent(control['accuracy_real'])} (McNemar p {format_p(control['mcnemar_p'])})."
    )
    if control["accuracy"] < control["accuracy_real"] and control["mcnemar_p"] < MOST_P:
        return {"verdict": "needs scans", "sentence": f"The text alone does not give the answers away: {facts}"}
    return {"verdict": "text suffices", "sentence": f"The text alone does as well as the scans: {facts}"}


def percent(share: float) -> str:
    """A share as papers write it.

    >>> percent(0.9834)
    '98.3 %'
    """
    return f"{100 * share:.1f} %"


def format_p(p: float) -> str:
    """A p-value as papers write it.

    >>> format_p(0.0000012), format_p(0.0312)
    ('< 0.001', '= 0.031')
    """
    return "< 0.001" if p < 0.001 else f"= {p:.3f}"
