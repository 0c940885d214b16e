"""Does the model say the same about another scan of the same subject? Of rows that several sessions have in common."""

from collections.abc import Callable, Sequence
from typing import Any

from datasets import Dataset

from umbrella.evaluation.evidence.repeated_answers import compare_labels, compare_numbers, compare_texts
from umbrella.evaluation.evidence.repeats import Repeats, find_repeats
from umbrella.evaluation.questions import Classification, Question, Regression
from umbrella.evaluation.results import subjects_of_rows
from umbrella.evaluation.statistics.notation import number, percent
from umbrella.options.arguments import EvalArguments

CHANGED = "whose true label is another one at another session, which may be a real change"
UNREAD = "of which an answer holds no number"


def gather_repeatability(question: Question, asked: EvalArguments, rows: Dataset, records: list[dict]) -> dict:
    """The entry `repeatability`: what answers to repeats come to, or why that cannot be known."""
    repeats = find_repeats(rows, asked.pairs)
    return summarize_repeats(repeats, records, subjects_of_rows(rows), question, asked.bootstrap)


def summarize_repeats(
    repeats: Repeats, records: list[dict], subjects: list[str], question: Question, n_resamples: int
) -> dict:
    """The entry of these sets of rows; records and subjects are those of all rows."""
    everything = [[records[i] for i in of_set] for of_set in repeats.sets]
    kept = [i for i, of_set in enumerate(everything) if _are_comparable(of_set)]
    answers, of_sets = [everything[i] for i in kept], [subjects[repeats.sets[i][0]] for i in kept]
    left_out = dict(repeats.left_out)
    if n := sum(map(len, everything)) - sum(map(len, answers)):
        left_out[UNREAD if isinstance(question, Regression) else CHANGED] = n
    entry: dict[str, Any] = {"found_by": repeats.found_by, "left_out": left_out, "n": len(kept)}
    if not kept:
        unknown = _say_unknown(repeats, left_out)
        return entry | {"sentences": [unknown, *_say_left_out(left_out)], "limits": [unknown]}
    entry |= {
        "n_subjects": len(set(of_sets)),
        "n_sessions": len(answers[0]),
        "n_reworded": sum(repeats.is_reworded[i] for i in kept),
    }
    if isinstance(question, Classification):
        entry |= compare_labels(answers, question.labels, of_sets, n_resamples)
        sentences = _say_labels(entry)
    elif isinstance(question, Regression):
        entry |= compare_numbers(answers, of_sets, n_resamples) | {"unit": question.reading.unit}
        sentences = _say_numbers(entry)
    else:
        entry |= compare_texts(answers, of_sets)
        sentences = [_say_alike(entry, "the same text to the letter")]
    differ = entry["repeatability"]["value"] > 0 if "repeatability" in entry else entry["alike"]["value"] < 1
    limits = sentences[:1] if differ else []
    return entry | {"sentences": [*sentences, *_say_reworded(entry), *_say_left_out(left_out)], "limits": limits}


def _are_comparable(of_set: list[dict]) -> bool:
    """Whether the answers to a repeat can be laid beside one another."""
    if "parsed_number" in of_set[0]:
        return all(record["parsed_number"] is not None for record in of_set)
    return len({record.get("expected_label") for record in of_set}) == 1


def _say_unknown(repeats: Repeats, left_out: dict[str, int]) -> str:
    reason = "no two rows can be compared as repeats" if left_out else repeats.found_by
    return (
        f"Repeatability cannot be known: {reason}. A table with the columns task_id_1 and task_id_2 can name rows "
        "that are repeats (eval.py, option pairs)."
    )


def _say_left_out(left_out: dict[str, int]) -> list[str]:
    reasons = [f"{n} row{'s' if n > 1 else ''} {reason}" for reason, n in left_out.items()]
    return [f"Left out of repeatability: {'; '.join(reasons)}."] if reasons else []


def _say_reworded(entry: dict) -> list[str]:
    if not entry["n_reworded"]:
        return []
    return [
        f"In {entry['n_reworded']} of {entry['n']} repeats wording or reference scan differ too: not all that differs "
        "in the answers is the scan's doing."
    ]


def _say_base(entry: dict) -> str:
    """What is compared, as "40 questions at two sessions of 40 subjects, by metadata.session"."""
    n, n_subjects = entry["n"], entry["n_subjects"]
    questions, subjects = f"{n} question{'s' * (n > 1)}", f"{n_subjects} subject{'s' * (n_subjects > 1)}"
    sessions = "two" if entry["n_sessions"] == 2 else entry["n_sessions"]
    return f"{questions} at {sessions} sessions of {subjects}, by {entry['found_by']}"


def _say_interval(interval: Sequence[float] | None, show: Callable[[float], str]) -> str:
    return "no interval" if interval is None else f"95 % interval {show(interval[0])} to {show(interval[1])}"


def _say_alike(entry: dict, what: str) -> str:
    alike = entry["alike"]
    of_pairs = "" if entry["n_sessions"] == 2 else " of all pairs of sessions"
    return (
        f"Repeatability: of another scan of the same subject the model says {what} in {percent(alike['value'])}"
        f"{of_pairs} ({_say_interval(alike['interval'], percent)}; {_say_base(entry)})."
    )


def _say_labels(entry: dict) -> list[str]:
    kappa = entry["kappa"]
    if kappa is None:
        of_kappa = "Cohen's κ is not defined: at two sessions all answers are one and the same."
    else:
        mean = "" if entry["n_sessions"] == 2 else ", mean over pairs of sessions,"
        interval = _say_interval(kappa["interval"], lambda end: f"{end:.2f}")
        of_kappa = f"Cohen's κ, the agreement beyond chance,{mean} is {kappa['value']:.2f} ({interval})."
    n_answers = entry["n"] * entry["n_sessions"]
    unread = f" {entry['n_unread']} of {n_answers} answers are unreadable, which counts as an answer of its own."
    right = f"At all sessions right: {percent(entry['all_right'])}; at all wrong: {percent(entry['all_wrong'])}"
    return [
        _say_alike(entry, "the same"),
        f"{of_kappa}{unread if entry['n_unread'] else ''}",
        f"{right}. An answer that is repeated is not thereby right.",
    ]


def _say_numbers(entry: dict) -> list[str]:
    unit = f" {entry['unit']}" if entry["unit"] else ""

    def say(name: str) -> str:
        return f"{number(entry[name]['value'])} ({_say_interval(entry[name]['interval'], number)})"

    differ = f"{number(entry['repeatability']['value'])}{unit}"
    interval = _say_interval(entry["repeatability"]["interval"], number)
    sentences = [
        f"Repeatability: two answers about one subject differ by less than {differ} in 95 % of cases (repeatability "
        f"coefficient, {interval}; {_say_base(entry)})."
    ]
    if entry["icc"] is None:
        reason = "there is one question only" if entry["n"] == 1 else "all answers are the same number"
        sentences.append(f"ICC(2,1) is not defined: {reason}.")
    else:
        sentences.append(f"ICC(2,1), the agreement of single answers, is {say('icc')}.")
    if entry["low"] is not None:
        which = "" if entry["n_sessions"] == 2 else " of the first two"
        sentences.append(
            f"Second session minus first{which}: mean {say('bias')}{unit}, limits of agreement {say('low')} to "
            f"{say('high')}{unit}."
        )
    if entry["n_changed"]:
        sentences.append(
            f"In {entry['n_changed']} of {entry['n']} repeats the true number changes, by up to "
            f"{number(entry['largest_change'])}{unit}: the change is taken off the later answer."
        )
    return sentences
