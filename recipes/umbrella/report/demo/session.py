"""What one open tab of the page has: its conversations, the scan that comes next, its files."""

from collections import OrderedDict
from dataclasses import dataclass, field
from pathlib import Path
from threading import Event, Lock

from umbrella.answers.talking.conversation import Conversation, Question

MOST_SESSIONS = 32  # that are kept; the oldest go first


@dataclass
class Session:
    """One tab.

    conversations  one for each model, which differ in the answers alone
    next_question  the scans that the next question is about, with the text of a row's own question; None: about those
                   that were shown before
    asked          the question that is being answered
    row            the row of the data that is talked about; None: a scan of one's own
    stop           ends the answers that are being written
    uploads        files that were sent to the page
    names          path of a scan → its name for the reader
    """

    conversations: list[Conversation]
    next_question: Question | None = None
    asked: Question | None = None
    row: dict | None = None
    stop: Event = field(default_factory=Event)
    uploads: list[Path] = field(default_factory=list)
    names: dict[str, str] = field(default_factory=dict)

    @property
    def scans(self) -> list[dict]:
        """All that were chosen, in their order."""
        coming = [] if self.next_question is None else self.next_question.scans
        return [*self.conversations[0].scans, *coming]

    def begin(self) -> None:
        """A new conversation; what is being written ends, and the files of the one before go."""
        self.stop.set()
        self.stop = Event()
        self.conversations = [Conversation() for _ in self.conversations]
        self.next_question = self.asked = self.row = None
        self.remove_uploads()

    def remove_uploads(self) -> None:
        """Remove what was sent to the page."""
        for path in self.uploads:
            path.unlink(missing_ok=True)
        self.uploads.clear()
        self.names.clear()


class Sessions:
    """The open tabs, by Gradio's name for each."""

    def __init__(self, n_models: int) -> None:
        self.n_models, self._lock = n_models, Lock()
        self._open: OrderedDict[str, Session] = OrderedDict()

    def get(self, name: str) -> Session:
        """The session of a tab, a new one for a new tab."""
        with self._lock:
            if name not in self._open:
                self._open[name] = Session([Conversation() for _ in range(self.n_models)])
            self._open.move_to_end(name)
            gone = [self._open.popitem(last=False)[1] for _ in range(len(self._open) - MOST_SESSIONS)]
        for session in gone:
            session.begin()
        return self._open[name]

    def close(self, name: str) -> None:
        """A tab was closed: its answers end, its files go."""
        with self._lock:
            session = self._open.pop(name, None)
        if session is not None:
            session.begin()
