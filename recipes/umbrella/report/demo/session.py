"""What one open tab of the page has: its conversations, the scan that comes next, its files."""

from collections import Counter, OrderedDict
from dataclasses import dataclass, field
from pathlib import Path
from threading import Event, Lock
from typing import Any

from umbrella.answers.talking.conversation import Conversation, Question
from umbrella.report.demo.shown_files import drop_files

MOST_SESSIONS = 32  # that are kept; the oldest go first


class Uploads:
    """Files that were sent to the page. The same file of two tabs lies there once, and goes with the last of them."""

    def __init__(self) -> None:
        self._uses, self._lock = Counter[str](), Lock()

    def take(self, path: str) -> None:
        """One more use of a file."""
        with self._lock:
            self._uses[path] += 1

    def give_back(self, path: str) -> None:
        """One use less; the file that nobody uses is removed."""
        with self._lock:
            self._uses[path] -= 1
            if self._uses[path] <= 0:
                del self._uses[path]
                Path(path).unlink(missing_ok=True)


@dataclass
class Session:
    """One tab.

    conversations  one for each model, which differ in the answers alone
    next_question  the scans that the next question is about, with the text of a row's own question; None: about those
                   that were shown before
    asked          the question that is being answered
    warnings       for each model what is to be said of the last question
    row            the row of the data that is talked about; None: a scan of one's own
    stop           ends the answers that are being written
    uploads        where files that were sent to the page lie
    looked_at      the number of the scan that the viewer shows
    sent           those of this tab's conversation
    names          path of a scan → its name for the reader
    shown          what viewers were given in this conversation
    shown_before   the same of the one before: a browser may still be loading it
    """

    conversations: list[Conversation]
    uploads: Uploads = field(default_factory=Uploads)
    next_question: Question | None = None
    asked: Question | None = None
    warnings: list[list[str]] = field(default_factory=list)
    row: dict | None = None
    looked_at: int = 0
    stop: Event = field(default_factory=Event)
    sent: list[str] = field(default_factory=list)
    names: dict[str, str] = field(default_factory=dict)
    shown: list[dict[str, Any]] = field(default_factory=list)
    shown_before: list[dict[str, Any]] = field(default_factory=list)

    @property
    def scans(self) -> list[dict]:
        """All that were chosen, in their order."""
        coming = [] if self.next_question is None else self.next_question.scans
        return [*self.conversations[0].scans, *coming]

    def name(self, scan: dict) -> str:
        """The name that people know a scan by."""
        path = scan["image_path"]
        return self.names.get(path, Path(path).name)

    def begin(self) -> None:
        """A new conversation; what is being written ends, and the files of the one before go."""
        self.stop.set()
        self.conversations = [Conversation() for _ in self.conversations]
        self.next_question = self.asked = self.row = None
        for path in self.sent:
            self.uploads.give_back(path)
        for value in self.shown_before:
            drop_files(value)
        self.sent, self.names, self.shown, self.shown_before = [], {}, [], self.shown

    def end(self) -> None:
        """Nobody looks at it any more."""
        self.begin()
        self.begin()  # and the conversation before it

    def show(self, value: dict[str, Any]) -> dict[str, Any]:
        """A viewer is given this."""
        self.shown.append(value)
        return value

    def take_upload(self, path: str, name: str) -> None:
        """A file was sent, under this name."""
        if path not in self.sent:
            self.uploads.take(path)
            self.sent.append(path)
        self.names[path] = name


class Sessions:
    """The open tabs, by Gradio's name for each."""

    def __init__(self, n_models: int) -> None:
        self.n_models, self._lock, self._uploads = n_models, Lock(), Uploads()
        self._open: OrderedDict[str, Session] = OrderedDict()

    def get(self, name: str) -> Session:
        """The session of a tab, a new one for a new tab."""
        with self._lock:
            if name not in self._open:
                self._open[name] = Session([Conversation() for _ in range(self.n_models)], self._uploads)
            self._open.move_to_end(name)
            found = self._open[name]
            gone = [self._open.popitem(last=False)[1] for _ in range(len(self._open) - MOST_SESSIONS)]
        for session in gone:
            session.end()
        return found

    def close(self, name: str) -> None:
        """A tab was closed: its answers end, its files go."""
        with self._lock:
            session = self._open.pop(name, None)
        if session is not None:
            session.end()
