"""Is it better to act on the model's probabilities than on everybody, or on nobody? The decision curve of a label.

Which of two labels is the one to act on cannot be told from their names: without --positive_label both are shown.
"""

from collections.abc import Sequence

from umbrella.evaluation.questions import Classification, Question
from umbrella.evaluation.statistics.net_benefit import DecisionCurve, make_decision_curve
from umbrella.options.arguments import EvalArguments


def gather_net_benefit(
    question: Question, asked: EvalArguments, records: Sequence[dict], subjects: Sequence[str]
) -> dict | None:
    """`curves`: a list of {"label", ...} as `DecisionCurve`; None where labels are not two and none was named."""
    if not isinstance(question, Classification):
        return None
    if asked.positive_label is None and len(question.labels) != 2:
        return None
    acted_on = question.labels if asked.positive_label is None else [asked.positive_label]
    return describe_net_benefit(records, subjects, acted_on, asked.bootstrap, asked.seed)


def describe_net_benefit(
    records: Sequence[dict], subjects: Sequence[str], labels: Sequence[str], n_resamples: int, seed: int
) -> dict:
    """The curve of acting on each of the labels, from its probability, and what they say."""
    truths = [record["expected_label"] for record in records]
    if len(set(truths)) < 2:
        only = f"all rows have the label {truths[0]}, and acting on some of them cannot be judged"
        return {"sentences": [f"Net benefit cannot be told: {only}."], "curves": []}
    sentences, curves = [], []
    if len(labels) > 1:
        sentences.append(
            f"Net benefit: whether {' or '.join(labels)} is the label to act on is not stated, so both are shown; the "
            "option positive_label of eval.py names one."
        )
    for label in labels:
        found = [record["probabilities"][label] for record in records]
        curve = make_decision_curve([truth == label for truth in truths], found, subjects, n_resamples, seed)
        curves.append({"label": label, **curve.to_dict()})
        sentences.append(_say(label, curve, len(set(subjects))))
    return {"sentences": sentences, "curves": curves}


def _say(label: str, curve: DecisionCurve, n_subjects: int) -> str:
    start = f"Acting on those whose probability of {label} is a threshold or more"
    if curve.intervals is None:
        return f"{start}: of a single subject nothing can be said of others."
    beats = [
        threshold
        for threshold, own, others in zip(curve.thresholds, curve.model, curve.treat_all, strict=True)
        if own > max(others, 0.0)
    ]
    shown = [threshold for threshold, useful in zip(curve.thresholds, curve.is_useful, strict=True) if useful]
    if shown:
        return f"{start} is better than acting on everybody and on nobody at thresholds of {_say_runs(curve, shown)}."
    if not beats:
        return f"{start} is at no threshold better than the better of acting on everybody and on nobody."
    return (
        f"{start} looks better than acting on everybody and on nobody at thresholds of {_say_runs(curve, beats)}, but "
        f"{n_subjects:,} subjects are too few to show it at any."
    )


def _say_runs(curve: DecisionCurve, chosen: Sequence[float]) -> str:
    """Thresholds with neighbours joined: "10 to 35 %, 50 %"."""
    places = [curve.thresholds.index(threshold) for threshold in chosen]
    runs: list[list[int]] = []
    for place in places:
        if runs and place == runs[-1][-1] + 1:
            runs[-1].append(place)
        else:
            runs.append([place])
    ends = [(100 * curve.thresholds[run[0]], 100 * curve.thresholds[run[-1]]) for run in runs]
    return ", ".join(f"{low:.0f} %" if low == high else f"{low:.0f} to {high:.0f} %" for low, high in ends)
