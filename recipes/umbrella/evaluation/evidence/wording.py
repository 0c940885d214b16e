"""Does the answer depend on how the question is worded? Each row is asked in all phrasings of its question."""

from collections.abc import Sequence
from typing import Any

from datasets import Dataset, Features, Value

from umbrella.evaluation.asking import Asker
from umbrella.evaluation.controls import Control
from umbrella.evaluation.evidence.drawn_rows import draw_rows
from umbrella.evaluation.evidence.phrasings import (
    Phrasings,
    fill_phrasings,
    find_phrasings,
    find_question_text,
    replace_question,
)
from umbrella.evaluation.questions import Classification, Question, Regression
from umbrella.evaluation.results import score_records, subjects_of_rows
from umbrella.evaluation.statistics.intervals import share_interval
from umbrella.evaluation.statistics.measures import MARGIN, Measure
from umbrella.evaluation.statistics.notation import percent
from umbrella.evaluation.verdicts import say_interval
from umbrella.options.arguments import EvalArguments

NAME = "wording"


def choose_phrasings(asked: EvalArguments, rows: Dataset, splits: Any, question: Question) -> Phrasings | None:
    """The phrasings of --wording and --phrasings; None where neither is asked for. Raises ValueError for a file that
    does not fit the rows."""
    if not asked.wording:
        return None
    if asked.phrasings is None:
        return find_phrasings(rows, splits)
    return fill_phrasings(asked.phrasings, rows, question.labels if isinstance(question, Classification) else [])


def gather_wording(asker: Asker, asked: EvalArguments, rows: Dataset, records: list[dict], splits: Any) -> dict | None:
    """The entry of --wording: of each phrasing the numbers of a control (see `umbrella.evaluation.control_scores`),
    and how many rows get the same answer in all of them."""
    phrasings = choose_phrasings(asked, rows, splits, asker.question)
    if phrasings is None:
        return None
    known = [i for i, texts in enumerate(phrasings.by_row) if texts]
    if not known:
        return {"sentences": [phrasings.evidence], "phrasings": []}
    subjects = subjects_of_rows(rows)
    drawn = draw_rows([subjects[i] for i in known], asked.robustness_n, asked.seed)
    indices = [known[i] for i in drawn.indices]
    shown, before = rows.with_format(None).select(indices), [records[i] for i in indices]
    texts, of_rows = [phrasings.by_row[i] for i in indices], [subjects[i] for i in indices]
    answered = _ask(asker, shown, before, texts)
    controls = {}
    for name in dict.fromkeys(name for of_row in texts for name in of_row):
        members = [i for i, of_row in enumerate(texts) if name in of_row]
        controls[name] = (Control(name, name, shown, members), [answered[i][name] for i in members])
    found = asker.question.compare(before, controls, of_rows)["controls"]
    answers = [{_read(asker.question, record) for record in of_row.values()} for of_row in answered]
    agree = [len(different) == 1 for different in answers]
    entry: dict[str, Any] = {
        "n": len(agree),
        "n_subjects": drawn.n_subjects,
        "agree": sum(agree) / len(agree),
        "agree_interval": share_interval(agree, of_rows),
        "phrasings": [{"phrasing": name} | numbers for name, numbers in found.items()],
    }
    measure = score_records(before)[0] if isinstance(asker.question, Classification | Regression) else None
    judged = judge_wording(entry, measure, drawn.describe())
    limits = judged[:1] if entry["agree_interval"][0] < 1 - MARGIN else []
    return {"sentences": [phrasings.evidence, *judged], "limits": limits, **entry}


def _ask(asker: Asker, rows: Dataset, records: list[dict], texts: list[dict[str, str]]) -> list[dict[str, dict]]:
    """Phrasing → record, for each row. A row is not asked again in the phrasing that is its own."""
    plain = rows.with_format(None)
    turns, task_ids = list(plain["conversations"]), list(plain["task_id"])
    answered: list[dict[str, dict]] = [{} for _ in texts]
    asked = []
    for row, of_row in enumerate(texts):
        own = find_question_text(turns[row])
        for name, text in of_row.items():
            answered[row][name] = records[row]  # in place of which the others are put below, in the same order
            if text != own:
                asked.append((row, name, text))
    features = Features(
        {"row": Value("int64"), "task_id": Value("string"), "conversations": plain.features["conversations"]}
    )
    columns = {
        "row": [row for row, _, _ in asked],
        "task_id": [f"{task_ids[row]} · {text}" for row, _, text in asked],
        "conversations": [replace_question(turns[row], text) for row, _, text in asked],
    }
    got = asker.ask_variants(Dataset.from_dict(columns, features=features), rows, NAME)
    for (row, name, _), record in zip(asked, got, strict=True):
        answered[row][name] = record
    return answered


def _read(question: Question, record: dict) -> Any:
    """What the answer says: a label, a number or the text."""
    if isinstance(question, Classification):
        return record["parsed_label"]
    return question.reading.read(record["prediction"]) if isinstance(question, Regression) else record["prediction"]


def judge_wording(entry: dict, measure: Measure | None, rows: str) -> list[str]:
    """Sentences: how many rows get the same answer in all phrasings, and which phrasing does worst."""
    phrasings: Sequence[dict] = entry["phrasings"]
    low, high = entry["agree_interval"]
    start = "Too few rows to tell whether the wording matters"
    if low >= 1 - MARGIN:
        start = "The wording hardly matters"
    elif high < 1 - MARGIN:
        start = "The wording matters"
    agreement = (
        f"{start}: asked in all {len(phrasings)} phrasings, {percent(entry['agree'])} of the rows get one and the "
        f"same answer (95 % interval {percent(low)} to {percent(high)}, {rows})."
    )
    if measure is None:
        most = max(phrasings, key=lambda one: one["changed"])
        other = f"Answers differ most from those to the rows' own questions in “{most['phrasing']}”: in "
        return [agreement, f"{other}{percent(most['changed'])} of the rows."]
    ranked = sorted(phrasings, key=lambda one: measure.better * one[measure.key])
    worst, best = (_say_score(one, measure) for one in (ranked[0], ranked[-1]))
    if ranked[0][measure.key] == ranked[-1][measure.key]:
        return [agreement, f"No phrasing does worse than another: {measure.name} {worst} as all others."]
    picked = f"The worst of {len(phrasings)} is picked by its result, so some of the distance is chance."
    return [agreement, f"Worst phrasing, by {measure.name}: {worst}; best: {best}. {picked}"]


def _say_score(found: dict, measure: Measure) -> str:
    ends = say_interval(found[f"{measure.key}_interval"], measure)
    return f"“{found['phrasing']}” {measure.show(found[measure.key])} ({ends})"
