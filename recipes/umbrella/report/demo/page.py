"""What happens on the page: values of its parts in, values of its parts out. Each doing says what went wrong in one
sentence, in its status."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import gradio

from umbrella.answers.talking.talker import Reply
from umbrella.report.demo.fragments import show_probabilities, show_status, show_text, show_truth, show_warnings
from umbrella.report.demo.handlers import Handlers, Refusal
from umbrella.report.demo.looking import Looked
from umbrella.report.demo.parts import PLACEHOLDER, Parts
from umbrella.report.demo.session import Session

ASKING = "Answering …"
DROPPED = "The scan that was sent is taken away."
ROW_SHOWN = "The row's own question is in the box: ask it, or change it."


class Page:
    """Gradio's side of the handlers."""

    def __init__(self, handlers: Handlers, most_upload_mb: int) -> None:
        self.handlers, self.most_upload_mb = handlers, most_upload_mb
        self.n = len(handlers.talks)

    def build(self) -> gradio.Blocks:
        """The page, not yet served."""
        opened = [talk.talker.opened for talk in self.handlers.talks]
        shown = [one.settings.describe() for one in opened]
        names = [Path(one.name).name for one in opened]
        if len(set(names)) < len(names):  # checkpoints of two runs, as checkpoint-100
            names = [one.name for one in opened]
        with gradio.Blocks(title="Umbrella", analytics_enabled=False, fill_width=True) as blocks:
            self._connect(Parts(names, shown, self.handlers.rows, self.most_upload_mb), blocks)
        return blocks

    def _connect(self, parts: Parts, blocks: gradio.Blocks) -> None:
        quick: dict[str, Any] = {"api_visibility": "private", "show_progress": "hidden", "concurrency_limit": None}
        slow = quick | {"show_progress": "minimal", "show_progress_on": [parts.viewer], "concurrency_limit": 2}
        slow["trigger_mode"] = "always_last"  # what is chosen while another scan is read is not forgotten
        maps = [*parts.looked, *parts.looked_viewers]
        of_scan = [parts.viewer, parts.which_scan, parts.seen_part, parts.looked_part, *maps]
        shown = [*of_scan, *parts.chats, *parts.labels, parts.question, parts.truth, parts.status]
        if self.handlers.rows is not None:
            parts.show_row.click(self.on_row, [parts.row], shown, **slow)
            parts.row.input(self.on_other_row, [parts.row], shown, **slow)
        sent = [parts.upload, parts.modality]
        gradio.on([parts.upload.upload, parts.modality.input], self.on_upload, sent, shown, **slow, preprocess=False)
        parts.upload.clear(self.on_drop, None, shown, **quick)
        parts.show_reference.click(self.on_reference, [parts.reference_label], shown, **quick)
        parts.which_scan.input(self.on_which_scan, [parts.which_scan], [*of_scan, parts.status], **slow)
        buttons = [parts.question, parts.ask, parts.stop]
        asked = [*parts.chats, *parts.labels, *buttons, parts.truth, *maps, parts.status]
        gradio.on([parts.ask.click, parts.question.submit], self.on_ask, [parts.question], asked, **quick)
        parts.stop.click(self.on_stop, None, None, queue=False, **quick)
        parts.new.click(self.on_new, None, [*shown, parts.upload], **quick)
        parts.show_truth.click(self.on_truth, None, [parts.truth, parts.status], **quick)
        seen = [*parts.seen, *parts.seen_viewers, parts.status]
        parts.seen_part.expand(self.on_seen, None, seen, **quick | {"show_progress": "minimal"})
        looked = [*maps, parts.stop, parts.status]
        parts.show_looked.click(self.on_look, None, looked, **quick)
        blocks.unload(self.on_leave)

    # ------------------------------------------------------------------------------------------------ doings
    def on_upload(self, file: dict | None, modality: str, request: gradio.Request) -> Any:
        """A scan was sent, or is of another modality. `file`: as Gradio tells of it, with the name that it had."""
        session = self._find(request)
        if file is None:  # a modality was chosen first; what it returned late would hide the scan that is sent next
            return gradio.skip()
        path = file["path"]
        name = file["orig_name"] or Path(path).name
        try:
            self.handlers.choose_upload(session, path, name, modality)
        except Refusal as refusal:
            return self._show(session, error=str(refusal))
        return self._show(session, f"{name} is chosen. Ask about it, or show it as a reference for the next.")

    def on_drop(self, request: gradio.Request) -> Any:
        """The file that was sent is taken away."""
        session = self._find(request)
        if not self.handlers.drop_upload(session):
            return gradio.skip()
        return self._show(session, DROPPED)

    def on_row(self, number: int, request: gradio.Request) -> list[Any]:
        """A row of the data was chosen."""
        session = self._find(request)
        try:
            question = self.handlers.choose_row(session, number)
        except Refusal as refusal:
            return self._show(session, error=str(refusal))
        return self._show(session, ROW_SHOWN, question.text)

    def on_other_row(self, number: int, request: gradio.Request) -> Any:
        """A row was taken from the list, of which Gradio tells twice."""
        if self.handlers.has_just_begun(self._find(request), number):
            return gradio.skip()
        return self.on_row(number, request)

    def on_reference(self, label: str, request: gradio.Request) -> list[Any]:
        """The scan that was sent becomes the reference."""
        session = self._find(request)
        try:
            self.handlers.show_reference(session, label)
        except Refusal as refusal:
            return self._show(session, error=str(refusal))
        return self._show(session, "The reference is shown. Send the scan to compare with it.")

    def on_which_scan(self, number: int, request: gradio.Request) -> list[Any]:
        """Another of the conversation's scans is looked at."""
        session = self._find(request)
        *shown, error = self._show_scan(session, number)
        return [*shown, show_status(error, is_error=True)]

    def on_ask(self, text: str, request: gradio.Request) -> Iterator[list[Any]]:
        """A question: the answers as they grow."""
        session = self._find(request)
        replies: list[Reply | None] = []
        try:
            for replies in self.handlers.ask(session, text):
                yield self._show_answers(session, replies)
            is_taken = bool(replies) and all(reply and reply.is_answer for reply in replies)
            yield self._show_end(session, replies, "" if is_taken else text)
        except Refusal as refusal:
            yield self._show_end(session, [], text, str(refusal))

    def on_stop(self, request: gradio.Request) -> None:
        """The answers that are being written end."""
        self._find(request).stop.set()

    def on_new(self, request: gradio.Request) -> list[Any]:
        """A new conversation."""
        session = self._find(request)
        session.begin()
        return [*self._show(session, PLACEHOLDER, ""), None]

    def on_truth(self, request: gradio.Request) -> list[str]:
        """The true answer of the row."""
        try:
            return [show_truth(*self.handlers.find_truth(self._find(request))), ""]
        except Refusal as refusal:
            return ["", show_status(str(refusal), is_error=True)]

    def on_seen(self, request: gradio.Request) -> list[Any]:
        """What the models saw of the scan that is looked at: pictures, or volumes in viewers."""
        try:
            seen = self.handlers.picture_seen(self._find(request))
        except Refusal as refusal:
            return [*[""] * self.n, *[None] * self.n, show_status(str(refusal), is_error=True)]
        return [*(one.html for one in seen), *(one.volume for one in seen), ""]

    def on_look(self, request: gradio.Request) -> Iterator[list[Any]]:
        """Where the models looked: how far it is, and at last maps over the scan."""
        session = self._find(request)
        found: list[Looked | None] = [None] * self.n
        said = ""
        try:
            for found in self.handlers.look(session):
                done, known = (sum(getattr(one, n) for one in found if one) for n in ("n_done", "n_known"))
                said = f"{done} of {known} views so far …"
                yield self._show_looked(found, show_status(said), is_looking=True)
            yield self._show_looked(found, "", is_looking=False)
        except Refusal as refusal:
            yield self._show_looked(found, show_status(str(refusal), is_error=True), is_looking=False)

    def _show_looked(self, found: list[Looked | None], status: str, is_looking: bool) -> list[Any]:
        viewers = [one.viewer if one else None for one in found]
        texts = [show_text(one.told) if one else "" for one in found]
        return [*texts, *viewers, gradio.update(interactive=is_looking), status]

    def on_leave(self, request: gradio.Request) -> None:
        """The tab was closed."""
        self.handlers.sessions.close(str(request.session_hash))

    # ------------------------------------------------------------------------------------------------ values
    def _find(self, request: gradio.Request) -> Session:
        return self.handlers.sessions.get(str(request.session_hash))

    def _list_chats(self, session: Session, replies: list[Reply | None] | None = None) -> list[list[dict]]:
        said = replies or [None] * self.n
        return [self.handlers.list_messages(session, number, said[number]) for number in range(self.n)]

    def _show(self, session: Session, said: str = "", question: str | None = None, error: str = "") -> list[Any]:
        """The newest scan, conversations, no probabilities, question (None: as it stands), no truth, what is said."""
        *of_scan, refused = self._show_scan(session, len(session.scans) - 1)
        error = error or refused
        status = show_status(error or said, is_error=bool(error))
        kept = gradio.skip() if question is None else question
        return [*of_scan, *self._list_chats(session), *[""] * self.n, kept, "", status]

    def _show_scan(self, session: Session, number: int) -> list[Any]:
        """The viewer, the choice among the scans, both parts about the model's sight shut, no map, what went wrong."""
        names = self.handlers.name_scans(session)
        choices = [(f"{place + 1}: {name}", place) for place, name in enumerate(names)]
        which = gradio.update(choices=choices, value=number if names else None, visible=len(names) > 1)
        shut = [*[gradio.update(open=False)] * 2, *self._no_maps()]
        try:
            return [self.handlers.view_scan(session, number), which, *shut, ""]
        except Refusal as refusal:
            return [None, which, *shut, str(refusal)]

    def _show_answers(self, session: Session, replies: list[Reply | None]) -> list[Any]:
        """While answers are written: conversations, no question, and the button that stops them."""
        buttons = [gradio.update(interactive=False), gradio.update(interactive=True)]
        chats = self._list_chats(session, replies)
        warned = [show_warnings(warnings) for warnings in session.warnings]
        return [*chats, *warned, "", *buttons, "", *self._no_maps(), show_status(ASKING)]

    def _show_end(self, session: Session, replies: list[Reply | None], text: str, error: str = "") -> list[Any]:
        """The same once they have ended, with the probabilities of labels."""
        said = replies or [None] * self.n
        labels = [
            show_warnings(warnings) + show_probabilities(talk.labels, reply.probabilities)
            if reply and reply.is_answer
            else ""
            for talk, reply, warnings in zip(self.handlers.talks, said, session.warnings or [[]] * self.n, strict=True)
        ]
        buttons = [gradio.update(interactive=True), gradio.update(interactive=False)]
        shown = [*self._list_chats(session), *labels, text, *buttons, "", *self._no_maps()]
        return [*shown, show_status(error, is_error=True)]

    def _no_maps(self) -> list[Any]:
        """A map is of one answer: none stands beside another."""
        return [*[""] * self.n, *[None] * self.n]
