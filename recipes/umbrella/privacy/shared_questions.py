"""The questions of training rows as a record beside the model may hold them: wordings, never a subject's own text.

A question may name whom it is about. Stored are wordings, and labels, that at least three subjects share and in which
the search for personal data finds nothing; how many rows have others, and why these are left out, is stored in their
place.
"""

from collections import Counter, defaultdict
from collections.abc import Iterable
from typing import Any

from datasets import Dataset

from umbrella.answers.labelled_answer import AnswerError, split_kinds
from umbrella.answers.own_answers import check_labels_apart, compare_own_answers, find_wording
from umbrella.answers.reading import LabelReading, find_reading
from umbrella.answers.selection import read_labelled
from umbrella.conversations.layout import describe_layout, drop_names, list_sequences
from umbrella.conversations.turns import join_texts
from umbrella.privacy.search import find_in_text
from umbrella.records.trained_questions import TrainedQuestions

FEWEST_SUBJECTS = 3
MOST_WORDINGS = 20
MOST_LABELS = 50
TOO_FEW = f"shared by fewer than {FEWEST_SUBJECTS} subjects"
PERSONAL = "may name somebody"
RARER = f"rarer than the {MOST_WORDINGS} most frequent"


def record_questions(rows: Dataset) -> TrainedQuestions:
    """The record of the rows that a model is trained on."""
    counts, subjects, layouts, pairs = Counter(), defaultdict(set), Counter(), Counter()
    sequences: Counter[tuple[str, ...]] = Counter()
    for row in rows.with_format(None).select_columns(["conversations", "metadata", "images", "subject_ids"]):
        asked = row["conversations"][:-1]
        question = join_texts(drop_names(asked[-1]["content"])) if asked else ""
        counts[question] += 1
        layout = describe_layout(asked)
        sequences[tuple(list_sequences(asked[-1]["content"]) if asked else ())] += 1
        subjects[question].add(_name_subject(row) or tuple(scan["path"] for scan in row["images"]))
        layouts[layout] += 1
        pairs[layout, question] += 1
    questions, left_out = {}, Counter()
    for question, n in sorted(counts.items(), key=lambda pair: (-pair[1], pair[0])):
        if len(subjects[question]) < FEWEST_SUBJECTS:
            left_out[TOO_FEW] += n
        elif len(questions) == MOST_WORDINGS:
            left_out[RARER] += n
        elif not question.strip() or find_in_text(question):
            left_out[PERSONAL] += n
        else:
            questions[question] = n
    shared = {layout: n for layout, n in layouts.most_common(MOST_WORDINGS) if n >= FEWEST_SUBJECTS}
    by_layout = {layout: _count_wordings(layout, pairs, questions) for layout in shared}
    answers, told = describe_answers(rows)
    # The names are of a list that is the same for everybody, and so is no order of them anybody's own.
    named = max((one for one in sequences if one), key=lambda one: (sequences[one], one), default=())
    return TrainedQuestions(len(rows), questions, shared, by_layout, dict(left_out), answers, told, list(named))


def _count_wordings(layout: str, pairs: Counter, stored: Iterable[str]) -> dict[str, int]:
    """Stored wording → rows of a layout, the most frequent first; not those of fewer rows than may be stored."""
    found = {question: n for question in stored if (n := pairs[layout, question]) >= FEWEST_SUBJECTS}
    return dict(sorted(found.items(), key=lambda pair: -pair[1]))


def _name_subject(row: dict) -> str | None:
    """Whom a row is about; None where nothing says so. Without metadata.subject_id it is the owner of the last scan,
    which is the one that is asked about."""
    return row["metadata"]["subject_id"] or next(reversed(row["subject_ids"]), None)


def describe_answers(rows: Dataset) -> tuple[dict[str, Any] | None, str]:
    """(how the rows' answers are read, what it was told from); (None, why not) where that may not be stored or is not
    known."""
    labelled = read_labelled(rows)
    if not labelled:
        return None, "no row has metadata.subject_label, of which labels are told"
    if len(split_kinds(labelled)) > 1:
        return None, "the rows ask for labels and for numbers (metadata.target_type)"
    try:
        reading, _ = find_reading(labelled)
        template = find_wording(reading, labelled) if isinstance(reading, LabelReading) else ""
        if isinstance(reading, LabelReading):
            check_labels_apart(reading, template, labelled)
    except AnswerError as error:
        return None, f"{error.field} cannot be read in answers; eval.py says why"  # the error may name a row
    own = compare_own_answers(reading, labelled)
    told = f"{own.n_stated} of {own.n} training rows' answers state their subject_label"
    if not own.do_most_state:
        return {"task": "text"}, told
    if not isinstance(reading, LabelReading):
        if _find_any([reading.unit or ""]):
            return None, f"the unit of the numbers {PERSONAL}"
        return {"task": reading.task, "unit": reading.unit, **vars(reading.answers)}, told
    if len(reading.labels) > MOST_LABELS:
        return None, f"the rows have {len(reading.labels)} labels, at most {MOST_LABELS} are stored"
    if rare := sum(n < FEWEST_SUBJECTS for n in _count_subjects(rows, reading).values()):
        return None, f"{rare} of {len(reading.labels)} labels are {TOO_FEW}"
    if _find_any([*reading.labels, *reading.forms, template]):
        return None, f"a label or the wording of the answers {PERSONAL}"
    return {**reading.to_dict(), "answer_template": template}, told


def _count_subjects(rows: Dataset, reading: LabelReading) -> dict[str | None, int]:
    """Label → how many subjects have it; a row that names none counts as one."""
    owners = defaultdict(set)
    for number, row in enumerate(rows.with_format(None).select_columns(["metadata", "subject_ids"])):
        if (label := row["metadata"]["subject_label"]) is not None:
            owners[reading.read_truth(label)].add(_name_subject(row) or number)
    return {label: len(subjects) for label, subjects in owners.items()}


def _find_any(texts: Iterable[str]) -> bool:
    return any(find_in_text(text) for text in texts)
