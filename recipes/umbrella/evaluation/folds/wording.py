"""What a cross-validation found, in sentences."""

from umbrella.evaluation.statistics.measures import Measure
from umbrella.evaluation.statistics.notation import percent
from umbrella.evaluation.verdicts import say_difference, say_interval, say_needed, say_rows, say_test


def say_pooled(pooled: dict, measure: Measure) -> list[str]:
    """The pooled score, with both of its intervals and what each is about; the spread between folds."""
    n_folds, n_repeats = pooled["n_folds"], pooled["n_repeats"]
    once = "each subject once" if n_repeats == 1 else f"each subject once in each of {n_repeats} repeats"
    sentences = [
        f"{measure.name.capitalize()} of the held-out rows pooled, {once}: {measure.show(pooled[measure.key])} "
        f"({say_rows(pooled)}, {n_folds} folds).",
        f"For new subjects and new training subjects: {_say_corrected(pooled['interval'], measure)}. For new subjects "
        f"and these very models: {say_interval(pooled['interval_of_these_models'], measure)}, over subjects; it is "
        "too narrow for any other use.",
    ]
    spread = pooled["of_folds"]
    least, most = measure.show(spread["least"]), measure.show(spread["most"])
    sentence = f"Between folds it goes from {least} to {most}."
    if n_repeats > 1:
        sentence += f" The repeats come to {', '.join(measure.show(value) for value in pooled['of_repeats'])}."
    sentences.append(sentence)
    if pooled.get("unparseable"):
        n_answers = pooled["n"] * n_repeats
        sentences.append(_say_unread(pooled["unparseable"], n_answers, measure))
    if "majority" in pooled:
        majority = pooled["majority"]
        low, high = (percent(end) for end in majority["interval"])
        sentences.append(
            f"Always answering the commonest label in training would get {percent(majority['accuracy'])} right "
            f"(95 % interval {low} to {high})."
        )
    return sentences


def _say_unread(n_unread: int, n: int, measure: Measure) -> str:
    counted = "they count as wrong" if measure.better > 0 else "each counts as the true number farthest from its own"
    return f"{n_unread} of {n} answers could not be read: {counted}."


def _say_corrected(interval: tuple[float, float] | None, measure: Measure) -> str:
    if interval is None:
        return "no interval, since all folds came to the same, which leaves no variance to go by"
    return f"{say_interval(interval, measure)}, by Nadeau and Bengio's correction, since folds share training subjects"


def say_group(by: str | None, group: dict, measure: Measure) -> str:
    """What leaving a group out came to, and what it costs; that this cannot be told, where it cannot."""
    name = f"{str(by)[:1].upper()}{str(by)[1:]} {group['group']!r}"
    said = (
        f"{name} left out: {measure.name} {measure.show(group[measure.key])} "
        f"({say_interval(group['interval'], measure)}; {say_rows(group)})."
    )
    if group["unread"]:
        said += f" {_say_unread(group['unread'], group['n'], measure)}"
    beside = group["beside"]
    if beside is None:
        return (
            f"{said} What leaving it out costs is not known: without random folds (--folds 0) nothing tells how hard "
            "its rows are in themselves."
        )
    paired = beside["paired"]
    outcome = {
        "worse": "Leaving it out costs that much.",
        "better": "It does better when it is left out.",
        "equal": f"Leaving it out changes less than {measure.show_margin()}.",
        "unclear": f"Whether leaving it out costs anything cannot be told.{say_needed(paired['needed'], paired)}",
    }[paired["outcome"]]
    return (
        f"{said} With other subjects of it in training the same rows come to {measure.show(beside[measure.key])}. "
        f"{say_difference(paired, measure)[:-1]} ({say_test(paired)}). {outcome}"
    )
