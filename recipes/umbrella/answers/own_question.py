"""Which question a model is asked where it was trained on some: its own, or another one, which is compared with them.

Likeness of two questions, 0 to 1: twice the words that stand in both in the same order, over the words of both
(`difflib.SequenceMatcher.ratio`); case, signs of punctuation and white space do not count.
"""

import difflib
import re
from dataclasses import dataclass

from umbrella.answers.text_folding import fold
from umbrella.records.trained_questions import FILE_NAME, TrainedQuestions

LEAST_LIKENESS = 0.75
RULE = "words in common and in the same order, of all words of both"
SINGLE, COMPARED = "image text", "text image | text | image text"  # what predict.py asks, without and with a reference
STUDY, STUDIES = "study text", "text study | text | study text"  # of the sequences of a visit


@dataclass(frozen=True)
class ChosenQuestion:
    """What is asked, and sentences on what that was told from; a warning begins with WARNING."""

    text: str
    told: tuple[str, ...]


def choose_question(
    asked: str | None, trained: TrainedQuestions | None, has_reference: bool, model: str, is_study: bool = False
) -> ChosenQuestion:
    """The question that is asked for, else the most frequent one of the training rows that are laid out as this is
    asked, else of all.

    Raises ValueError where there is neither, and where all rows of training had a reference, there is none, and the
    question is to be theirs.
    """
    if asked is not None and not asked.strip():
        raise ValueError("--question: expected a text, found an empty one")
    if trained is None and asked is None:
        raise ValueError(
            f'expected --question "TEXT", found none, and no {FILE_NAME} beside {model} that names its own'
        )
    if trained is None:
        told = f"question: by --question; {model} has no {FILE_NAME}: whether it was trained on its like is not known"
        return ChosenQuestion(asked, (told,))
    ours = (STUDIES if has_reference else STUDY) if is_study else COMPARED if has_reference else SINGLE
    layout = _compare_layouts(trained, ours)
    if asked is not None:
        return ChosenQuestion(asked, (_compare_questions(asked, trained), *layout))
    if layout and not is_study and trained.layouts and all("study" in one for one in trained.layouts):
        named = " ".join(f"{name}=SCAN" for name in trained.sequences)
        raise ValueError(
            f"expected --image {named}, as far as they are there, found a scan without its name: in training of "
            f"{model} all rows of known turns ({sum(trained.layouts.values())} of {trained.rows}) show the sequences "
            'of a visit by their names. To ask about one scan all the same: --question "TEXT"'
        )
    before = [one.rpartition("|")[0] for one in trained.layouts]
    if layout and not has_reference and all("image" in one or "study" in one for one in before):
        raise ValueError(
            "expected --reference SCAN, and --reference_label where its label was said, found none: in training of "
            f"{model} all rows of known turns ({sum(trained.layouts.values())} of {trained.rows}) show another scan "
            'before the one that is asked about. To ask without one: --question "TEXT"'
        )
    if not trained.questions:
        reasons = ", ".join(f"{n} rows {reason}" for reason, n in trained.left_out.items()) or "no row asked anything"
        raise ValueError(
            f'expected --question "TEXT", found none, and {FILE_NAME} beside {model} stores no question ({reasons})'
        )
    alike = trained.by_layout.get(ours, {})
    text, n = next(iter((alike or trained.questions).items()))
    of_rows = f"{trained.layouts[ours]} rows laid out as this is asked" if alike else f"{trained.rows} rows"
    told = f"question: {text!r}, the most frequent in training ({n} of {of_rows}); --question for another"
    return ChosenQuestion(text, (told, *layout))


def measure_likeness(question: str, other: str) -> float:
    """See the rule of this module."""
    words = [re.findall(r"\w+", fold(text)) for text in (question, other)]
    if words[0] == words[1]:
        return 1.0
    return difflib.SequenceMatcher(a=words[0], b=words[1], autojunk=False).ratio()


def warn_of(asked: str, layout: str, trained: TrainedQuestions | None) -> list[str]:
    """What is to be said of a question of a conversation, in sentences: that it is unlike those of training, that its
    turns are, or that this is not known.

    layout  as `TrainedQuestions.layouts` words it, of all turns up to the question
    """
    if trained is None:
        return [f"Whether the model was trained on the like of this question is not known: it has no {FILE_NAME}."]
    warnings = []
    if trained.questions:
        nearest, likeness = _find_nearest(asked, trained)
        if likeness < LEAST_LIKENESS:
            warnings.append(
                f"The question is unlike those of training (likeness {likeness:.2f} to “{nearest}”, the nearest of "
                f"{len(trained.questions)} known wordings): the model may answer another question than this one."
            )
    if trained.layouts and layout not in trained.layouts:
        common, n = max(trained.layouts.items(), key=lambda pair: pair[1])
        warnings.append(
            f"The conversation goes otherwise ({layout}) than those of training that are known (most often {common}, "
            f"{n} of {trained.rows} rows), so the answer may be of little worth."
        )
    return warnings


def _find_nearest(asked: str, trained: TrainedQuestions) -> tuple[str, float]:
    likenesses = {text: measure_likeness(asked, text) for text in trained.questions}
    return max(likenesses.items(), key=lambda pair: pair[1])


def _compare_questions(asked: str, trained: TrainedQuestions) -> str:
    n_stored = sum(trained.questions.values())
    if not trained.questions:
        return f"question: by --question; {FILE_NAME} stores none to compare it with"
    nearest, likeness = _find_nearest(asked, trained)
    found = (
        f"likeness {likeness:.2f} to {nearest!r}, the nearest of {len(trained.questions)} wordings of {n_stored} of "
        f"{trained.rows} training rows ({RULE})"
    )
    if likeness >= LEAST_LIKENESS:
        return f"question: by --question; {found}"
    return f"WARNING: question: below {LEAST_LIKENESS:g}, {found}: the model may answer another question than this one"


def _compare_layouts(trained: TrainedQuestions, ours: str) -> tuple[str, ...]:
    """A warning where training is known and had no row laid out as this is asked; else nothing."""
    n_ours, n_known = trained.layouts.get(ours, 0), sum(trained.layouts.values())
    if n_ours or not n_known:
        return ()
    common, n = max(trained.layouts.items(), key=lambda pair: pair[1])
    return (
        f"WARNING: turns: no row of training whose turns are known ({n_known} of {trained.rows}) is laid out as this "
        f"is asked ({ours}); the most frequent is {common} ({n} rows), so the answer may be of little worth",
    )
