"""The page: its parts, and what each does. Ids of its elements, for tests and scripts:

viewer, upload, modality, reference_label, show_reference, row, show_row     the scan, and where it comes from
chat_0, chat_1, question, ask, stop, new                                     the conversation, with each model
labels_0, labels_1, show_truth, truth, status                                what is known of the answers
seen, show_seen, looked, show_looked                                         what the model saw, where it looked
"""

from collections.abc import Callable, Iterator
from functools import wraps
from pathlib import Path
from typing import Any

import gradio

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

    def __init__(self, handlers: Handlers) -> None:
        self.handlers = handlers
        self.n = len(handlers.talks)

    def build(self) -> gradio.Blocks:
        """The page, not yet served."""
        with gradio.Blocks(title="Umbrella", analytics_enabled=False, fill_width=True) as blocks:
            opened = [talk.talker.opened for talk in self.handlers.talks]
            shown = " and ".join(dict.fromkeys(one.settings.describe() for one in opened))
            gradio.HTML(show_header([Path(one.name).name for one in opened], shown), elem_id="header")
            self.status = gradio.HTML(show_status(PLACEHOLDER), elem_id="status")
            with gradio.Row(elem_id="columns"):
                with gradio.Column(scale=5, min_width=340, elem_id="scan_column"):
                    self._lay_out_scan()
                with gradio.Column(scale=6, min_width=340, elem_id="talk_column"):
                    self._lay_out_talk()
            self._connect(blocks)
        return blocks

    def _lay_out_scan(self) -> None:
        self.viewer = gradio.Image(elem_id="viewer", label="Scan", interactive=False)
        with gradio.Tabs(elem_id="source"):
            if self.handlers.rows is not None:
                with gradio.Tab("A row of the data", elem_id="tab_row"):
                    ids = self.handlers.rows["task_id"][:MOST_ROWS]
                    choices = [(f"{number}: {task_id}", number) for number, task_id in enumerate(ids)]
                    more = "" if len(self.handlers.rows) <= MOST_ROWS else f", the first {MOST_ROWS}"
                    with gradio.Row(equal_height=True):
                        self.row = gradio.Dropdown(
                            choices, value=0, label=f"Row{more}", elem_id="row", filterable=True, scale=4
                        )
                        self.show_row = gradio.Button("Show it", elem_id="show_row", scale=1, min_width=90)
            with gradio.Tab("Your own scan", elem_id="tab_upload"):
                self.upload = gradio.File(
                    label="NIfTI (.nii, .nii.gz) or FreeSurfer (.mgz)",
                    file_types=SUFFIXES,
                    elem_id="upload",
                    height=120,
                )
                with gradio.Row(equal_height=True):
                    self.modality = gradio.Dropdown(
                        list(MODALITIES), value="sMRI", label="Modality", elem_id="modality", min_width=100
                    )
                    self.reference_label = gradio.Textbox(
                        label="As a reference: what is known of it",
                        elem_id="reference_label",
                        max_length=200,
                        min_width=150,
                    )
                    self.show_reference = gradio.Button("Show as reference", elem_id="show_reference", min_width=120)

    def _lay_out_talk(self) -> None:
        names = [Path(talk.talker.opened.name).name for talk in self.handlers.talks]
        self.chats, self.labels = [], []
        with gradio.Row(elem_id="chats"):
            for number, name in enumerate(names):
                with gradio.Column(min_width=280):
                    self.chats.append(
                        gradio.Chatbot(
                            label=name,
                            elem_id=f"chat_{number}",
                            height=360,
                            render_markdown=False,
                            allow_tags=False,
                            buttons=["copy"],
                            feedback_options=None,
                            placeholder="",
                            show_label=self.n > 1,
                        )
                    )
                    self.labels.append(gradio.HTML(elem_id=f"labels_{number}", elem_classes=["labels"]))
        self.question = gradio.Textbox(
            label="Question", elem_id="question", lines=2, max_lines=6, max_length=4000, submit_btn=False
        )
        with gradio.Row(elem_id="buttons"):
            self.ask = gradio.Button("Ask", variant="primary", elem_id="ask", min_width=80)
            self.stop = gradio.Button("Stop", elem_id="stop", min_width=80, interactive=False)
            self.new = gradio.Button("New conversation", elem_id="new", min_width=80)
            self.show_truth = gradio.Button(
                "Show the true answer", elem_id="show_truth", min_width=80, visible=self.handlers.rows is not None
            )
        self.truth = gradio.HTML(elem_id="truth")
        with gradio.Accordion("What the model saw", open=False, elem_id="seen_part") as self.seen_part:
            self.seen = gradio.Gallery(elem_id="seen", show_label=False, columns=3, object_fit="contain")
        with gradio.Accordion("Where it looked", open=False, elem_id="looked_part"):
            self.looked = gradio.Gallery(elem_id="looked", show_label=False, columns=3, object_fit="contain")

    def _connect(self, blocks: gradio.Blocks) -> None:
        shown = [self.viewer, *self.chats, *self.labels, self.question, self.truth, self.status]
        quick: dict[str, Any] = {"api_visibility": "private", "show_progress": "hidden", "concurrency_limit": None}
        if self.handlers.rows is not None:
            gradio.on(
                [self.show_row.click, self.row.input],
                self.on_row,
                [self.row],
                shown,
                **quick | {"show_progress": "minimal"},
            )
        self.upload.upload(self.on_upload, [self.upload, self.modality], shown, **quick | {"show_progress": "minimal"})
        self.show_reference.click(self.on_reference, [self.reference_label], shown, **quick)
        asked = [*self.chats, *self.labels, self.question, self.ask, self.stop, self.truth, self.status]
        gradio.on([self.ask.click, self.question.submit], self.on_ask, [self.question], asked, **quick)
        self.stop.click(self.on_stop, None, None, queue=False, **quick)
        self.new.click(self.on_new, None, [*shown, self.upload], queue=False, **quick)
        self.show_truth.click(self.on_truth, None, [self.truth, self.status], **quick)
        blocks.unload(self.on_leave)

    # ------------------------------------------------------------------------------------------------ doings
    def on_upload(self, file: str | None, modality: str, request: gradio.Request) -> list[Any]:
        """A scan was sent."""
        session = self._find(request)
        if file is None:
            return self._show(session)
        name = Path(file).name
        try:
            self.handlers.choose_upload(session, file, name, modality)
        except Refusal as refusal:
            return self._show(session, error=str(refusal))
        return self._show(
            session, f"{name} is shown. Ask about it, or show it as a reference for the next.", scan=file
        )

    def on_row(self, number: int, request: gradio.Request) -> list[Any]:
        """A row of the data was chosen."""
        session = self._find(request)
        try:
            question = self.handlers.choose_row(session, number)
        except Refusal as refusal:
            return self._show(session, error=str(refusal))
        scans = session.scans
        return self._show(
            session,
            "The row's own question is below: ask it, or change it.",
            question.text,
            scans and scans[-1]["image_path"],
        )

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
        try:
            replies: list[Reply | None] = [None] * self.n
            for replies in self.handlers.ask(session, text):
                yield self._show_answers(session, replies, "", ASKING)
            taken = session.next_question is None
            yield self._show_answers(session, None if taken else replies, "" if taken else text, "", replies)
        except Refusal as refusal:
            yield self._show_answers(session, None, text, str(refusal), is_error=True)

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

    def _show(
        self, session: Session, said: str = "", question: Any = gradio.skip(), scan: Any = None, error: str = ""
    ) -> list[Any]:
        labels = [""] * self.n
        status = show_status(error or said, is_error=bool(error))
        return [None, *self._list_chats(session), *labels, question, "", status]

    def _show_answers(
        self,
        session: Session,
        replies: list[Reply | None] | None,
        text: str,
        said: str,
        ended: list[Reply | None] | None = None,
        is_error: bool = False,
    ) -> list[Any]:
        is_writing = replies is not None and ended is None
        labels = (
            [""] * self.n
            if ended is None
            else [
                show_probabilities(
                    talk.labels.labels,
                    reply.probabilities if reply else (),
                    talk.labels.told,
                    talk.labels.answer_template,
                )
                for talk, reply in zip(self.handlers.talks, ended, strict=True)
            ]
        )
        return [
            *self._list_chats(session, replies),
            *labels,
            text,
            gradio.update(interactive=not is_writing),
            gradio.update(interactive=is_writing),
            "",
            show_status(said, is_error),
        ]
