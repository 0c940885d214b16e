"""What the page does when something is chosen, sent or asked; knows the models, and of the page only values."""

import traceback
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from html import escape
from threading import Event
from typing import Any

import torch
from datasets import Dataset

from umbrella.answers.own_question import warn_of
from umbrella.answers.scoring import last_text
from umbrella.answers.talking.conversation import Conversation, Question
from umbrella.answers.talking.talker import CUT, STOPPED, WAITING, WRITING, Reply, Talker
from umbrella.answers.talking.together import answer_together
from umbrella.conversations.layout import describe_layout
from umbrella.conversations.turns import ConversationTooLongError
from umbrella.models.loading import find_most_tokens
from umbrella.records.trained_questions import TrainedQuestions
from umbrella.report.demo.known_labels import KnownLabels
from umbrella.report.demo.looking import Looked, find_where_it_looked
from umbrella.report.demo.seen import Seen, picture_what_was_seen
from umbrella.report.demo.session import Session, Sessions
from umbrella.report.demo.viewer import show_scan

# What a person can mend: a scan that is refused, a text that is, a full disk; and what a machine has too little of.
EXPECTED = (ValueError, OSError, MemoryError, torch.OutOfMemoryError)
NO_SCAN = "Choose a scan first: send one, or take a row of the data."
BUSY = "An answer is being written: wait for its end, or stop it."
EMPTY = "(no text)"  # what stands for an answer of no words
FULL = "This conversation is full: {found} Begin a new one, or ask in fewer words{other}."
UNEXPECTED = "Something went wrong that this page does not know ({found}); where it was started it says more."


class Refusal(Exception):
    """Something that the page says in one sentence."""


@dataclass(frozen=True)
class Talk:
    """A model on the page, its labels, and what is known of the questions of its training."""

    talker: Talker
    labels: KnownLabels
    trained: TrainedQuestions | None = None

    def warn_of(self, row: dict) -> list[str]:
        """What is to be said of a row's last question, see `umbrella.answers.own_question.warn_of`."""
        asked = row["conversations"][:-1]
        return warn_of(Question(tuple(asked[-1]["content"])).text, describe_layout(asked), self.trained)


class Handlers:
    """The page's doings. `rows`: those of the data, None without data. All raise Refusal with a sentence."""

    def __init__(self, talks: list[Talk], rows: Dataset | None = None) -> None:
        self.talks, self.rows = talks, None if rows is None else rows.with_format(None)
        self.sessions = Sessions(len(talks))

    def choose_upload(self, session: Session, path: str, name: str, modality: str) -> None:
        """Take a file that was sent as the next question's scan."""
        if session.row is not None:  # a row's conversation is about its own subjects
            session.begin()
        session.take_upload(path, name)
        question = Question.about("", path, modality)
        session.next_question = None
        self._check(session, question)
        session.next_question = question

    def drop_upload(self, session: Session) -> bool:
        """The next question is no longer about the file that was sent; returns whether it was."""
        if session.row is not None or session.next_question is None:
            return False
        session.next_question = None
        return True

    def choose_row(self, session: Session, number: int) -> Question:
        """Begin a row's own conversation; returns its last question, which is not asked yet."""
        if self.rows is None or not 0 <= number < len(self.rows):
            raise Refusal(f"Row {number}: the data have rows 0 to {len(self.rows or ()) - 1}.")
        session.begin()
        session.row = self.rows[number]
        conversation, question = Conversation.of_row(session.row)
        session.conversations = [conversation for _ in self.talks]
        session.next_question = question
        self._check(session, question)
        return question

    def has_just_begun(self, session: Session, number: int) -> bool:
        """Whether a row was chosen already, and nothing has been asked since."""
        if self.rows is None or session.row is None or session.next_question is None or session.asked is not None:
            return False
        return session.row["task_id"] == self.rows[number]["task_id"]

    def show_reference(self, session: Session, label: str) -> None:
        """Show the chosen scan as the reference that the next one is compared with."""
        question = session.next_question
        if question is None or session.row is not None:
            raise Refusal("Send a scan first, which is then shown as the reference.")
        if session.asked is not None:
            raise Refusal(BUSY)
        scan = question.scans[0]
        session.conversations = [
            one.show_reference(scan["image_path"], scan["modality"], label.strip() or None)
            for one in session.conversations
        ]
        session.next_question = None

    def ask(self, session: Session, text: str) -> Iterator[list[Reply | None]]:
        """Each model's answer to the next question, as it is written; at the end it is part of the conversation.

        Where a model cannot answer, or was stopped before it said anything, the conversations stay as they were.
        """
        if not text.strip():
            raise Refusal("Write a question first.")
        if not session.scans:
            raise Refusal(NO_SCAN)
        if session.asked is not None:
            raise Refusal(BUSY)
        coming = session.next_question
        question = (coming or Question.about("")).reword(text.strip())
        session.stop, session.asked = Event(), question
        rows = [one.ask(question) for one in session.conversations]
        session.warnings = [talk.warn_of(row) for talk, row in zip(self.talks, rows, strict=True)]
        stop, conversations, replies = session.stop, session.conversations, []
        try:
            with self._refusing(session):
                talkers = [talk.talker for talk in self.talks]
                for replies in answer_together(talkers, rows, stop):
                    yield replies
        finally:
            is_same = session.conversations is conversations
            said = [reply.text for reply in replies if reply is not None and reply.is_answer]
            if is_same:
                session.asked = None
            if is_same and len(said) == len(conversations):
                session.conversations = [
                    one.add(question, text) for one, text in zip(conversations, said, strict=True)
                ]
                if session.next_question is coming:  # else a scan was sent meanwhile
                    session.next_question = None

    def name_scans(self, session: Session) -> list[str]:
        """The conversation's scans, by the names that people know."""
        return [session.name(scan) for scan in session.scans]

    def view_scan(self, session: Session, number: int) -> dict[str, Any] | None:
        """What the viewer shows of one of the conversation's scans, which is then looked at; None without scans."""
        session.looked_at = number
        if not session.scans:
            return None
        scan = session.scans[number]
        with self._refusing(session):
            return session.show(show_scan(scan["image_path"], scan["modality"], session.name(scan)))

    def picture_seen(self, session: Session) -> list[Seen]:
        """What each model saw of the scan that is looked at, or would see."""
        if not session.scans:
            raise Refusal(NO_SCAN)
        row = session.conversations[0].ask(session.next_question or Question.about(""))
        with self._refusing(session):
            seen = [
                picture_what_was_seen(talk.talker.opened.answerer.prompts, row, session.looked_at)
                for talk in self.talks
            ]
        for one in seen:
            if one.volume is not None:
                session.show(one.volume)
        return seen

    def look(self, session: Session) -> Iterator[list[Looked | None]]:
        """Where each model looked when it gave its last answer, one model after the other, in the scan shown."""
        found: list[Looked | None] = [None] * len(self.talks)
        answered = [one.last_answered for one in session.conversations if one.last_answered is not None]
        if len(answered) < len(self.talks):
            raise Refusal("Ask a question first: it is looked where its answer comes from.")
        if session.asked is not None:
            raise Refusal(BUSY)
        if session.looked_at >= len(session.conversations[0].scans):
            raise Refusal("The answer is not about this scan: choose one of those that it is about.")
        session.stop = stop = Event()
        place, conversations = session.looked_at, session.conversations  # another may be chosen meanwhile
        name = session.name(session.scans[place])
        with self._refusing(session):
            for number, (talk, one) in enumerate(zip(self.talks, answered, strict=True)):
                for looked in find_where_it_looked(talk.talker, one, place, name, stop):
                    if looked.viewer is not None:
                        session.show(looked.viewer)
                    if stop.is_set() or session.conversations is not conversations or session.looked_at != place:
                        stop.set()
                        yield [None] * len(found) if session.conversations is not conversations else list(found)
                        return
                    found[number] = looked
                    yield list(found)

    def find_truth(self, session: Session) -> tuple[str | None, str]:
        """(label, own answer) of the row that is talked about."""
        if session.row is None:
            raise Refusal("There is no true answer to a scan of your own: choose a row of the data.")
        return session.row["metadata"]["subject_label"], last_text(session.row)

    def list_messages(self, session: Session, number: int, reply: Reply | None = None) -> list[dict[str, Any]]:
        """A conversation with what is being asked and answered, for the page: role and content of each message, with
        <, > and & as HTML has them, which Gradio's Chatbot reads its texts as, render_markdown=False or not."""
        turns = [(turn["role"], turn["content"]) for turn in session.conversations[number].turns]
        if session.asked is not None:
            turns.append(("user", list(session.asked.items)))
        said = [(role, _word_item(session, item)) for role, items in turns for item in items]
        if reply is not None:
            said.append(("assistant", _show_reply(reply)))
        return [{"role": role, "content": escape(text, quote=False)} for role, text in said]

    def _check(self, session: Session, question: Question) -> None:
        """Each model's own loader takes the scans; it keeps what it has made of them."""
        with self._refusing(session):
            for talk, conversation in zip(self.talks, session.conversations, strict=True):
                row = conversation.ask(question)
                for number in range(len(row["images"])):
                    talk.talker.opened.answerer.prompts.load_images(row, number)

    def _offer_more_tokens(self) -> str:
        """Where the models take more tokens than they are given at most, how to give them more."""
        answerers = [talk.talker.opened.answerer for talk in self.talks]
        most = [find_most_tokens(answerer.model) for answerer in answerers]
        known = min([n for n in most if n is not None], default=None)
        if known is None:
            return ", or start demo.py with a higher --max_length"
        has_room = any(answerer.prompts.max_length < known for answerer in answerers)
        return f", or start demo.py with a higher --max_length ({known} at most)" if has_room else ""

    @contextmanager
    def _refusing(self, session: Session) -> Iterator[None]:
        """Whatever goes wrong within, the page says it and goes on."""
        try:
            yield
        except Exception as error:
            raise Refusal(self._word(session, error)) from error

    def _word(self, session: Session, error: BaseException) -> str:
        """An error as one sentence, scans by the names that people know."""
        said = " ".join(str(error).split()).removeprefix("the question: ")
        if not isinstance(error, EXPECTED):
            traceback.print_exception(error)
            said = UNEXPECTED.format(found=f"{type(error).__name__}: {said}")
        shown = {scan["image_path"]: session.name(scan) for scan in session.scans}
        for path, name in (session.names | shown).items():
            said = said.replace(path, name)
        if isinstance(error, ConversationTooLongError):
            return FULL.format(found=f"{said.split('. ')[0]}.", other=self._offer_more_tokens())
        if isinstance(error, MemoryError | torch.OutOfMemoryError):
            return f"The machine's memory is too small for this question: {said}"
        return said


def _word_item(session: Session, item: dict) -> str:
    if item["type"] == "image":
        return f"Scan: {session.name(item)} ({item['modality']})"
    return item["text"] or EMPTY


def _show_reply(reply: Reply) -> str:
    if reply.state == WAITING:
        return f"Waiting for {reply.n_before} other answer{'s' if reply.n_before > 1 else ''} …"
    ends = {WRITING: " …", CUT: " … (cut: the most tokens of an answer)", STOPPED: " … (stopped)"}
    return (reply.text or EMPTY) + ends.get(reply.state, "")
