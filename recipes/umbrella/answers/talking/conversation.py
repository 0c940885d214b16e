"""What was said so far, and the question that comes next, as rows like those that a model was trained on."""

from dataclasses import dataclass, field, replace

from umbrella.answers.prediction import make_row
from umbrella.answers.question_turns import make_scan, make_text, make_turn, word_reference
from umbrella.conversations.layout import drop_names
from umbrella.conversations.turns import join_texts


@dataclass(frozen=True)
class Question:
    """The items of a turn, in their order: scans, and one text at least."""

    items: tuple[dict, ...]

    @classmethod
    def about(cls, text: str, path: str | None = None, modality: str = "sMRI") -> "Question":
        """A question about a scan, which stands in front of it as predict.py shows it; about those before without."""
        return cls((*([] if path is None else [make_scan(path, modality)]), make_text(text)))

    @property
    def text(self) -> str:
        """Its texts, joined by line breaks; not those that name the sequences of a study."""
        return join_texts(drop_names(self.items))

    @property
    def scans(self) -> list[dict]:
        return [item for item in self.items if item["type"] == "image"]

    def reword(self, text: str) -> "Question":
        """The same scans, with the names of sequences, and another text, which stands where the first text stood."""
        if text == self.text:
            return self
        # By identity: two texts may be equal.
        own = {id(item) for item in drop_names(self.items) if item["type"] == "text"}
        is_text = [id(item) in own for item in self.items]
        place = is_text.index(True) if True in is_text else len(self.items)
        kept = [[item for item in some if id(item) not in own] for some in (self.items[:place], self.items[place:])]
        return Question((*kept[0], make_text(text), *kept[1]))


@dataclass(frozen=True)
class Conversation:
    """Turns, each with its items, the last of them the assistant's; empty at the start. What is added makes a new
    one, so that an answer which is not taken changes nothing.

    is_answered  whether the last turn is what the model said, and no wording of ours or of the data
    """

    turns: list[dict] = field(default_factory=list)
    is_answered: bool = False

    @classmethod
    def of_row(cls, row: dict) -> "tuple[Conversation, Question]":
        """What a row of the data says before its last question, and that question; its last answer is left out."""
        *before, asked, _ = row["conversations"]
        return cls(before), Question(tuple(asked["content"]))

    def show_reference(self, path: str, modality: str, label: str | None) -> "Conversation":
        """With a scan to compare the next one with, worded as predict.py does; `label`: what is known of it."""
        said, replied = word_reference(label)
        shown = self.add(Question((make_text(said), make_scan(path, modality))), replied)
        return replace(shown, is_answered=False)

    def add(self, question: Question, answer: str) -> "Conversation":
        """With the question and the model's answer to it."""
        turns = [make_turn("user", *question.items), make_turn("assistant", make_text(answer))]
        return Conversation([*self.turns, *turns], is_answered=True)

    def ask(self, question: Question) -> dict:
        """The row whose last answer the model is to give."""
        return make_row([*self.turns, make_turn("user", *question.items), make_turn("assistant", make_text(""))])

    @property
    def last_answered(self) -> tuple[dict, str] | None:
        """The row of the last question, and what the model said to it; None where it has said nothing."""
        if not self.is_answered or not self.turns[-1]["content"][0]["text"]:
            return None
        return make_row(self.turns), self.turns[-1]["content"][0]["text"]

    @property
    def scans(self) -> list[dict]:
        """Those shown so far, in their order."""
        return [item for turn in self.turns for item in turn["content"] if item["type"] == "image"]
