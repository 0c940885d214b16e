"""The questions of training rows as a record beside the model may hold them: wordings, never a subject's own text.

A question may name whom it is about. Stored are wordings, and labels, that at least three subjects share and in which
the search for personal data finds nothing; how many rows have others, and why these are left out, is stored in their
place.
"""

from collections import Counter
from collections.abc import Iterable
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from datasets import Dataset

from umbrella.answers.labelled_answer import AnswerError, split_kinds
from umbrella.answers.labelled_rows import read_labelled
from umbrella.answers.own_answers import check_labels_apart, compare_own_answers, find_wording
from umbrella.answers.reading import LabelReading, find_reading
from umbrella.conversations.layout import describe_layout, drop_names, list_sequences
from umbrella.conversations.turn_columns import join_texts_of_all, join_turns, join_types, may_show_study
from umbrella.conversations.turns import join_texts
from umbrella.files.arrow_json import list_texts, to_json
from umbrella.files.arrow_tables import find_last, read_column, read_field, read_tables, take_or_null
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
    counts, layouts, pairs, subjects = Counter(), Counter(), Counter(), Owners()
    sequences: Counter[str] = Counter()
    names = ["question", "layout", "sequences"]
    for table in read_tables(rows, ["conversations", "metadata", "images", "subject_ids"]):
        asked = pa.table([*_read_asked(read_column(table, "conversations"))], names)
        subjects.add(asked["question"].combine_chunks(), _name_subjects(table, pa.array([None] * len(table))))
        found = asked.group_by(names, use_threads=False).aggregate([([], "count_all")])
        for question, layout, named, n in zip(
            *(found[name].to_pylist() for name in (*names, "count_all")), strict=True
        ):
            counts[question] += n
            layouts[layout] += n
            pairs[layout, question] += n
            sequences[named] += n
    questions, left_out = {}, Counter()
    for question, n in sorted(counts.items(), key=lambda pair: (-pair[1], pair[0])):
        if not subjects.are_several(question):
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
    named = max((one for one in sequences if one), key=lambda one: (sequences[one], one), default="").split()
    return TrainedQuestions(len(rows), questions, shared, by_layout, dict(left_out), answers, told, named)


def _count_wordings(layout: str, pairs: Counter, stored: Iterable[str]) -> dict[str, int]:
    """Stored wording → rows of a layout, the most frequent first; not those of fewer rows than may be stored."""
    found = {question: n for question in stored if (n := pairs[layout, question]) >= FEWEST_SUBJECTS}
    return dict(sorted(found.items(), key=lambda pair: -pair[1]))


class Owners:
    """Whose each text is, counted up to as many subjects as make it one that may be stored."""

    def __init__(self) -> None:
        self._few: dict[str, set[str]] = {}
        self._several: set[str] = set()

    def add(self, texts: pa.Array, subjects: pa.Array) -> None:
        """(n,) texts, and who each belongs to."""
        pairs = pa.table([texts, subjects], ["text", "subject"])
        pairs = pairs.group_by(["text", "subject"], use_threads=False).aggregate([])
        for text, subject in zip(pairs["text"].to_pylist(), pairs["subject"].to_pylist(), strict=True):
            if text in self._several:
                continue
            owners = self._few.setdefault(text, set())
            owners.add(subject)
            if len(owners) == FEWEST_SUBJECTS:
                self._several.add(text)
                del self._few[text]

    def are_several(self, text: str) -> bool:
        """Whether so many subjects share it that it may be stored."""
        return text in self._several

    def count_few(self) -> int:
        """How many texts are shared by too few."""
        return len(self._few)


def _read_asked(conversations: pa.Array) -> tuple[pa.Array, pa.Array, pa.Array]:
    """Of each row its last question, what stands in its turns before the answer, and the sequences that the question
    names."""
    contents = pc.struct_field(conversations.flatten(), "content")
    last, first = find_last(conversations), pc.list_value_length(conversations).to_numpy(zero_copy_only=False)
    is_asked = np.ones(len(contents), bool)
    is_asked[last[last >= 0]] = False
    places = np.where(first > 1, last - 1, -1)
    questions = take_or_null(join_texts_of_all(contents), places).fill_null("")
    layouts = join_turns(conversations, join_types(contents), is_asked, " | ")
    sequences = pa.array([""] * len(conversations), pa.large_string())
    is_study = may_show_study(conversations)
    studies = [_read_study(turns[:-1]) for turns in conversations.filter(is_study).to_pylist()]
    of_studies = [pa.array(texts, pa.large_string()) for texts in zip(*studies, strict=True)]
    if of_studies:
        replaced = zip((questions, layouts, sequences), of_studies, strict=True)
        questions, layouts, sequences = (pc.replace_with_mask(all_, is_study, of) for all_, of in replaced)
    return questions, layouts, sequences


def _read_study(asked: list[dict]) -> tuple[str, str, str]:
    """The same of the turns before the answer of one row."""
    items = asked[-1]["content"] if asked else []
    return join_texts(drop_names(items)), describe_layout(asked), " ".join(list_sequences(items))


def _name_subjects(table: pa.Table, others: pa.Array) -> pa.Array:
    """Whom each row is about. Without metadata.subject_id it is the owner of the last scan, which is the one that is
    asked about; where nothing says so what stands in `others`, or, without that, the row's scans."""
    ids = read_column(table, "subject_ids")
    of_scan = take_or_null(ids.flatten().cast(pa.large_string()), find_last(ids))
    stated = read_field(read_column(table, "metadata"), "subject_id").cast(pa.large_string())
    named = pc.if_else(pc.fill_null(pc.not_equal(stated, ""), False), stated, of_scan)
    named = pc.if_else(pc.fill_null(pc.not_equal(named, ""), False), named, pa.scalar(None, pa.large_string()))
    images = read_column(table, "images")
    scans = list_texts(images, to_json(pc.struct_field(images.flatten(), "path")))
    others = pc.coalesce(others.cast(pa.large_string()), scans)
    subject, other = (pa.scalar(word, pa.large_string()) for word in ("subject ", "other "))
    nothing = pa.scalar("", pa.large_string())
    return pc.coalesce(
        pc.binary_join_element_wise(subject, named, nothing), pc.binary_join_element_wise(other, others, nothing)
    )


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
    if rare := _count_rare(rows, reading):
        return None, f"{rare} of {len(reading.labels)} labels are {TOO_FEW}"
    if _find_any([*reading.labels, *reading.forms, template]):
        return None, f"a label or the wording of the answers {PERSONAL}"
    return {**reading.to_dict(), "answer_template": template}, told


def _count_rare(rows: Dataset, reading: LabelReading) -> int:
    """How many labels too few subjects have; a row that names none counts as one."""
    owners, start = Owners(), 0
    for table in read_tables(rows, ["metadata", "subject_ids", "images"]):
        labels = read_field(read_column(table, "metadata"), "subject_label")
        truths = {label: reading.read_truth(label) for label in labels.unique().drop_null().to_pylist()}
        of_rows = pa.array([truths.get(label) for label in labels.to_pylist()], pa.string())
        numbers = pa.array(range(start, start + len(table))).cast(pa.string())
        has_label = of_rows.is_valid()
        owners.add(of_rows.filter(has_label), _name_subjects(table, numbers).filter(has_label))
        start += len(table)
    return owners.count_few()


def _find_any(texts: Iterable[str]) -> bool:
    return any(find_in_text(text) for text in texts)
