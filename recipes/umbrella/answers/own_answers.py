"""Do the answers of a data set state the labels of their rows? What is trained and what is looked for must agree."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

from umbrella.answers.answer_template import find_answer_template, is_used
from umbrella.answers.label_parsing import PLACE, find_clash
from umbrella.answers.labelled_answer import AnswerError, LabelledAnswer
from umbrella.answers.reading import LabelReading, Reading

MOST_EXAMPLES = 3
LONGEST_QUOTED = 120
RENAME = "Rename the label in subject_label and in the answers"


@dataclass(frozen=True)
class OwnAnswers:
    """How many rows' own answers, read as a model's are, state their subject_label; those that do not, with what was
    read; the labels that no row's own answer states, with their number of rows."""

    n: int
    others: list[tuple[LabelledAnswer, str | float | None]]
    unstated: dict[str, int]

    @property
    def n_stated(self) -> int:
        return self.n - len(self.others)

    @property
    def do_most_state(self) -> bool:
        return 2 * self.n_stated >= self.n

    def describe(self) -> str:
        """Counts and examples: "own answers: 6 of 8 answers state their subject_label; ..." """
        return f"{'WARNING: ' if self.others else ''}own answers: {self.count_and_show()}"

    def count_and_show(self) -> str:
        """The same without its heading."""
        parts = [f"{self.n_stated} of {self.n} answers state their subject_label"]
        parts += [
            f"no answer states {label!r}, the label of {n} row{'s' if n > 1 else ''}"
            for label, n in self.unstated.items()
        ]
        for row, read in [*dict.fromkeys(self.others)][:MOST_EXAMPLES]:  # `read_labelled` makes equal rows one
            found = "nothing can be read" if read is None else f"{show(read)} is read"
            parts.append(f"{row.source}: {found} in {quote(row.answer)}, whose label is {row.label!r}")
        return "; ".join(parts)


def show(read: str | float) -> str:
    """What was read, without the tail that a number gets where its unit is converted: 349.2, 'male'."""
    return f"{read:.10g}" if isinstance(read, float) else repr(read)


def quote(text: str) -> str:
    """The text in quotation marks, a long one cut."""
    return repr(text if len(text) <= LONGEST_QUOTED else f"{text[:LONGEST_QUOTED]}...")


def compare_own_answers(reading: Reading, rows: Sequence[LabelledAnswer]) -> OwnAnswers:
    """Read each row's own answer as a model's is read, and compare it with its label. A number may be rounded: "45
    years" states 45.3."""
    others, stated = [], Counter()
    found = {}  # of very many rows few are different
    for row in rows:
        pair = row.answer, row.label
        if pair not in found:
            read, truth = reading.read(row.answer), reading.read_truth(row.label)
            found[pair] = read, truth, read is not None and (read == truth or _is_rounded(read, truth))
        read, truth, is_stated = found[pair]
        if is_stated:
            stated[truth] += 1
        else:
            others.append((row, read))
    unstated = {}
    if isinstance(reading, LabelReading) and stated:
        counts = Counter(reading.read_truth(row.label) for row, _ in others)
        unstated = {label: n for label, n in counts.items() if label not in stated}
    return OwnAnswers(len(rows), others, unstated)


def _is_rounded(read: str | float, truth: str | float | None) -> bool:
    if not isinstance(read, float) or not isinstance(truth, float):
        return False
    decimals = len(f"{read:.10f}".rstrip("0").partition(".")[2])
    return abs(read - truth) <= 0.5 * 10**-decimals * (1 + 1e-9)


def find_wording(reading: LabelReading, rows: Sequence[LabelledAnswer]) -> str:
    """The wording that the rows' own answers share, with {label}."""
    return find_answer_template(*_list_known(reading, rows))


def is_wording_used(template: str, reading: LabelReading, rows: Sequence[LabelledAnswer]) -> bool:
    """Whether some row's own answer has this wording."""
    return is_used(template, *_list_known(reading, rows))


def _list_known(reading: LabelReading, rows: Sequence[LabelledAnswer]) -> tuple[list[str], list[str]]:
    """(answers, labels) of the rows whose label is one of those that are read."""
    truths = {label: reading.read_truth(label) for label in {row.label for row in rows}}
    known = [(row.answer, truth) for row in rows if (truth := truths[row.label]) is not None]
    return [answer for answer, _ in known], [truth for _, truth in known]


def check_labels_apart(
    reading: LabelReading, template: str, rows: Sequence[LabelledAnswer], is_asked_for: bool = False
) -> None:
    """Each label, put into the answers' wording and alone, and in the rows' own answers, must not be read as another.

    is_asked_for  the wording is not the data's own, of which `compare_own_answers` tells whether it can be read
    Raises AnswerError that names two labels of which one reads as the other, or one that cannot be read. An answer
    that only names another label than its row is no matter of labels: `compare_own_answers` tells of it.
    """
    for label in reading.labels:
        for wording in (PLACE, template):
            answer = wording.replace(PLACE, label)
            read = reading.read(answer)
            if read != label and (read is not None or wording == PLACE or is_asked_for):
                source = next((row.source for row in rows if reading.read_truth(row.label) == label), "--labels")
                remedy = f"{RENAME}, or take another wording for the answers (eval.py --answer_template)"
                raise _not_apart(source, label, read, answer, remedy)
    truths = {label: reading.read_truth(label) for label in {row.label for row in rows}}
    own = {(truths[row.label], row.answer): row.source for row in reversed(rows)}
    found = {(label, answer): reading.read(answer) for label, answer in own}
    stated = {label for (label, _), read in found.items() if read == label}
    for (label, answer), read in found.items():
        if label is None or read in (None, label):
            continue
        clash = find_clash(answer, label, reading.labels, reading.forms)
        if clash == "across" or (clash == "beside" and label not in stated):
            raise _not_apart(own[label, answer], label, read, answer, f"{RENAME}, or reword the answers")


def _not_apart(source: str, label: str, read: str | None, answer: str, remedy: str) -> AnswerError:
    found = f"{label!r}, which cannot be read in" if read is None else f"{label!r}, which reads as {read!r} in"
    expected = "labels that can be told apart in an answer"
    return AnswerError(source, "metadata.subject_label", expected, f"{found} {quote(answer)}", remedy)
