"""The page: its parts, and what each does. Ids of its elements, for tests and scripts:

viewer, upload, modality, reference_label, show_reference, row, show_row     the scan, and where it comes from
chat_0, chat_1, question, ask, stop, new                                     the conversation, with each model
labels_0, labels_1, show_truth, truth, status                                what is known of the answers
seen, show_seen, looked, show_looked                                         what the model saw, where it looked
"""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import gradio
from datasets import Dataset

from umbrella.answers.talking.talker import Reply
from umbrella.files.data_format import MODALITIES
from umbrella.report.demo.fragments import show_header, show_probabilities, show_status, show_truth
from umbrella.report.demo.handlers import Handlers, Refusal
from umbrella.report.demo.session import Session

MOST_ROWS = 1000  # that are listed
SUFFIXES = [".nii", ".gz", ".mgz", ".mgh"]
PLACEHOLDER = "Choose a scan on the left, then ask about it."
ASKING = "Answering …"


class Page:
    """Gradio's side of the handlers: values of its parts in, values of its parts out."""

    def __init__(self, handlers: Handlers, most_upload_mb: int | None = None) -> None:
        self.handlers, self.most_upload_mb = handlers, most_upload_mb
        self.n = len(handlers.talks)

    def build(self) -> gradio.Blocks:
        """The page, not yet served."""
        with gradio.Blocks(title="Umbrella", analytics_enabled=False, fill_width=True) as blocks:
            opened = [talk.talker.opened for talk in self.handlers.talks]
            shown = " and ".join(dict.fromkeys(one.settings.describe() for one in opened))
            gradio.HTML(show_header([Path(one.name).name for one in opened], shown), elem_id="header")
            self.status = gradio.HTML(show_status(PLACEHOLDER), elem_id="status")
            with gradio.Row(elem_id="columns"):
                with gradio.Column(scale=5, min_width=320, elem_id="scan_column"):
                    self._lay_out_scan()
                with gradio.Column(scale=6, min_width=320, elem_id="talk_column"):
                    self._lay_out_talk()
            self._lay_out_evidence()
            self._connect(blocks)
        return blocks

    def _lay_out_scan(self) -> None:
        self.viewer = gradio.Image(elem_id="viewer", label="Scan", interactive=False)
        with gradio.Tabs(elem_id="source"):
            if self.handlers.rows is not None:
                with gradio.Tab("A row of the data", elem_id="tab_row"):
                    self._lay_out_rows(self.handlers.rows)
            with gradio.Tab("Your own scan", elem_id="tab_upload"):
                self._lay_out_upload()

    def _lay_out_rows(self, rows: Dataset) -> None:
        ids = rows["task_id"][:MOST_ROWS]
        choices = [(f"{number}: {task_id}", number) for number, task_id in enumerate(ids)]
        label = "Row" if len(rows) <= MOST_ROWS else f"Row, the first {MOST_ROWS} of {len(rows)}"
        with gradio.Row(elem_id="row_choice"):
            self.row = gradio.Dropdown(choices, value=0, label=label, elem_id="row", scale=5, min_width=180)
            self.show_row = gradio.Button("Show it", elem_id="show_row", scale=1, min_width=100)

    def _lay_out_upload(self) -> None:
        label = "NIfTI (.nii, .nii.gz) or FreeSurfer (.mgz)"
        if self.most_upload_mb is not None:
            label += f", at most {self.most_upload_mb} MB"
        self.upload = gradio.File(label=label, file_types=SUFFIXES, elem_id="upload", height=130)
        with gradio.Row(elem_id="upload_choice"):
            self.modality = gradio.Dropdown(
                list(MODALITIES), value="sMRI", label="Modality", elem_id="modality", min_width=100
            )
            self.reference_label = gradio.Textbox(
                label="What is known of it (a reference)",
                placeholder="as: male",
                elem_id="reference_label",
                max_length=200,
                min_width=150,
            )
            self.show_reference = gradio.Button("Show as reference", elem_id="show_reference", min_width=140)

    def _lay_out_talk(self) -> None:
        names = [Path(talk.talker.opened.name).name for talk in self.handlers.talks]
        self.chats, self.labels = [], []
        with gradio.Row(elem_id="chats"):
            for number, name in enumerate(names):
                with gradio.Column(min_width=260):
                    chat = gradio.Chatbot(
                        label=name,
                        show_label=self.n > 1,
                        elem_id=f"chat_{number}",
                        height=400,
                        render_markdown=False,
                        allow_tags=False,
                        buttons=[],
                        feedback_options=None,
                    )
                    self.chats.append(chat)
                    self.labels.append(gradio.HTML(elem_id=f"labels_{number}", elem_classes=["labels"]))
        self.question = gradio.Textbox(label="Question", elem_id="question", lines=2, max_lines=6, max_length=4000)
        with gradio.Row(elem_id="buttons"):
            self.ask = gradio.Button("Ask", variant="primary", elem_id="ask", min_width=90)
            self.stop = gradio.Button("Stop", elem_id="stop", min_width=90, interactive=False)
            self.new = gradio.Button("New conversation", elem_id="new", min_width=150)
            has_rows = self.handlers.rows is not None
            self.show_truth = gradio.Button(
                "Show the true answer", elem_id="show_truth", min_width=170, visible=has_rows
            )
        self.truth = gradio.HTML(elem_id="truth")

    def _lay_out_evidence(self) -> None:
        with gradio.Accordion("What the model saw", open=False, elem_id="seen_part"):
            self.seen = gradio.Gallery(elem_id="seen", show_label=False, columns=4, object_fit="contain")
        with gradio.Accordion("Where it looked", open=False, elem_id="looked_part"):
            self.looked = gradio.Gallery(elem_id="looked", show_label=False, columns=4, object_fit="contain")

    def _connect(self, blocks: gradio.Blocks) -> None:
        shown = [self.viewer, *self.chats, *self.labels, self.question, self.truth, self.status]
        quick: dict[str, Any] = {"api_visibility": "private", "show_progress": "hidden", "concurrency_limit": None}
        slow = quick | {"show_progress": "minimal", "show_progress_on": [self.viewer], "concurrency_limit": 1}
        if self.handlers.rows is not None:
            gradio.on([self.show_row.click, self.row.input], self.on_row, [self.row], shown, **slow)
        sent = [self.upload, self.modality]
        gradio.on([self.upload.upload, self.modality.input], self.on_upload, sent, shown, **slow)
        self.upload.clear(self.on_drop, None, None, **quick)
        self.show_reference.click(self.on_reference, [self.reference_label], shown, **quick)
        asked = [*self.chats, *self.labels, self.question, self.ask, self.stop, self.truth, self.status]
        gradio.on([self.ask.click, self.question.submit], self.on_ask, [self.question], asked, **quick)
        self.stop.click(self.on_stop, None, None, queue=False, **quick)
        self.new.click(self.on_new, None, [*shown, self.upload], **quick)
        self.show_truth.click(self.on_truth, None, [self.truth, self.status], **quick)
        blocks.unload(self.on_leave)

    # ------------------------------------------------------------------------------------------------ doings
    def on_upload(self, file: str | None, modality: str, request: gradio.Request) -> list[Any]:
        """A scan was sent, or is of another modality."""
        session = self._find(request)
        if file is None:
            return self._show(session)
        name = Path(file).name
        try:
            self.handlers.choose_upload(session, file, name, modality)
        except Refusal as refusal:
            return self._show(session, error=str(refusal))
        return self._show(session, f"{name} is chosen. Ask about it, or show it as a reference for the next.")

    def on_drop(self, request: gradio.Request) -> None:
        """The file that was sent is taken away."""
        self.handlers.drop_upload(self._find(request))

    def on_row(self, number: int, request: gradio.Request) -> list[Any]:
        """A row of the data was chosen."""
        session = self._find(request)
        try:
            question = self.handlers.choose_row(session, number)
        except Refusal as refusal:
            return self._show(session, error=str(refusal))
        return self._show(session, "The row's own question is in the box: ask it, or change it.", question.text)

    def on_reference(self, label: str, request: gradio.Request) -> list[Any]:
        """The scan that was sent becomes the reference."""
        session = self._find(request)
        try:
            self.handlers.show_reference(session, label)
        except Refusal as refusal:
            return self._show(session, error=str(refusal))
        return self._show(session, "The reference is shown. Send the scan to compare with it.")

    def on_ask(self, text: str, request: gradio.Request) -> Iterator[list[Any]]:
        """A question: the answers as they grow."""
        session = self._find(request)
        replies: list[Reply | None] = []
        try:
            for replies in self.handlers.ask(session, text):
                yield self._show_answers(session, replies, "", ASKING)
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
        """Viewer, conversations, no probabilities, question (None: as it stands), no truth, and what is said."""
        scans = session.scans
        status = show_status(error or said, is_error=bool(error))
        kept = gradio.skip() if question is None else question
        return [self._show_scan(session, scans), *self._list_chats(session), *[""] * self.n, kept, "", status]

    def _show_scan(self, session: Session, scans: list[dict]) -> Any:
        return None

    def _show_answers(self, session: Session, replies: list[Reply | None], text: str, said: str) -> list[Any]:
        """While answers are written: conversations, question, buttons, and what is said."""
        chats = self._list_chats(session, replies)
        return [*chats, *[""] * self.n, text, *self._set_buttons(is_writing=True), "", show_status(said)]

    def _show_end(self, session: Session, replies: list[Reply | None], text: str, error: str = "") -> list[Any]:
        """The same once they have ended, with the probabilities of labels."""
        labels = [
            show_probabilities(talk.labels, reply.probabilities if reply else ()) if replies else ""
            for talk, reply in zip(self.handlers.talks, replies or [None] * self.n, strict=True)
        ]
        chats = self._list_chats(session)
        status = show_status(error, is_error=True)
        return [*chats, *labels, text, *self._set_buttons(is_writing=False), "", status]

    def _set_buttons(self, is_writing: bool) -> list[Any]:
        return [gradio.update(interactive=not is_writing), gradio.update(interactive=is_writing)]
