"""The parts of the page and where they stand. Ids of its elements, for tests and scripts:

status                                          what happens, or what went wrong, in one sentence
viewer, which_scan                              the scan; which of a conversation's scans it is
tab_row: row, show_row                          a row of the data
tab_upload: upload, modality, reference_label, show_reference
                                                a scan of one's own, and to show it as a reference first
chat_0, chat_1, question, ask, stop, new        the conversation, with each model
labels_0, labels_1, show_truth, truth           what is known of the answers
seen_part: seen, seen_viewer                    what the model saw, once its part is opened
looked_part: show_looked, looked, looked_viewer
                                                where it looked, once its button is pressed
"""

from collections.abc import Sequence

import gradio
from datasets import Dataset

from umbrella.files.data_format import MODALITIES
from umbrella.report.demo.fragments import show_header, show_status, show_title
from umbrella.report.demo.viewer import make_viewer

MOST_ROWS = 1000  # that are listed
SUFFIXES = [".nii", ".gz", ".mgz", ".mgh"]
PLACEHOLDER = "Choose a scan, then ask about it."


class Parts:
    """Gradio's components, laid out where this is made.

    Args:
        names: of the models.
        shown: how a scan is shown to each, in words.
        rows: of the data; None without data.
        most_upload_mb: the most megabytes of a file that is sent, which stands beside its field.
    """

    def __init__(self, names: Sequence[str], shown: Sequence[str], rows: Dataset | None, most_upload_mb: int) -> None:
        self.names, self.rows, self.most_upload_mb = names, rows, most_upload_mb
        gradio.HTML(show_header(names, shown), elem_id="header")
        self.status = gradio.HTML(show_status(PLACEHOLDER), elem_id="status")
        with gradio.Row(elem_id="columns"):
            with gradio.Column(scale=5, min_width=320, elem_id="scan_column"):
                self._lay_out_scan()
            with gradio.Column(scale=6, min_width=320, elem_id="talk_column"):
                self._lay_out_talk()
        self._lay_out_evidence()

    def _lay_out_scan(self) -> None:
        self.viewer = make_viewer("viewer", most_height=460)
        self.which_scan = gradio.Radio([], label="Scan of this conversation", elem_id="which_scan", visible=False)
        with gradio.Tabs(elem_id="source"):
            if self.rows is not None:
                with gradio.Tab("A row of the data", elem_id="tab_row"):
                    self._lay_out_rows(self.rows)
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
        label = f"NIfTI (.nii, .nii.gz) or FreeSurfer (.mgz), at most {self.most_upload_mb} MB"
        self.upload = gradio.File(label=label, file_types=SUFFIXES, elem_id="upload", height=130)
        with gradio.Row(elem_id="upload_choice"):
            self.modality = gradio.Dropdown(
                list(MODALITIES), value="sMRI", label="Modality", elem_id="modality", min_width=100
            )
            self.reference_label = gradio.Textbox(
                label="Known of it, if a reference",
                placeholder="as: male",
                elem_id="reference_label",
                max_length=200,
                min_width=150,
            )
            self.show_reference = gradio.Button("Show as reference", elem_id="show_reference", min_width=150)

    def _lay_out_talk(self) -> None:
        self.chats, self.labels = [], []
        with gradio.Row(elem_id="chats"):
            for number, name in enumerate(self.names):
                with gradio.Column(min_width=260):
                    chat = gradio.Chatbot(
                        label=name,
                        show_label=len(self.names) > 1,
                        elem_id=f"chat_{number}",
                        height=400,
                        render_markdown=False,
                        allow_tags=False,
                        buttons=[],
                        feedback_options=None,
                    )
                    self.chats.append(chat)
                    self.labels.append(gradio.HTML(elem_id=f"labels_{number}", elem_classes=["labels"]))
        self.question = gradio.Textbox(
            label="Question", elem_id="question", lines=1, max_lines=6, max_length=4000, placeholder="Enter asks it."
        )
        with gradio.Row(elem_id="buttons"):
            self.ask = gradio.Button("Ask", variant="primary", elem_id="ask", min_width=90)
            self.stop = gradio.Button("Stop", elem_id="stop", min_width=90, interactive=False)
            self.new = gradio.Button("New conversation", elem_id="new", min_width=160)
            has_rows = self.rows is not None
            self.show_truth = gradio.Button("Show the truth", elem_id="show_truth", min_width=140, visible=has_rows)
        self.truth = gradio.HTML(elem_id="truth")

    def _lay_out_evidence(self) -> None:
        with gradio.Accordion("What the model saw", open=False, elem_id="seen_part") as self.seen_part:
            self.seen, self.seen_viewers = self._lay_out_viewers("seen")
        with gradio.Accordion("Where it looked", open=False, elem_id="looked_part") as self.looked_part:
            self.show_looked = gradio.Button(
                "Hide box by box, and see what the last answer loses", elem_id="show_looked", min_width=160
            )
            self.looked, self.looked_viewers = self._lay_out_viewers("looked")

    def _lay_out_viewers(self, kind: str) -> tuple[list[gradio.HTML], list[gradio.HTML]]:
        """For each model a text and a viewer below it, which the style hides while it is empty."""
        texts, viewers = [], []
        with gradio.Row():
            for number, name in enumerate(self.names):
                with gradio.Column(min_width=280):
                    if len(self.names) > 1:
                        gradio.HTML(show_title(name))
                    texts.append(gradio.HTML(elem_id=f"{kind}_{number}"))
                    viewers.append(make_viewer(f"{kind}_viewer_{number}", empty_text=""))
        return texts, viewers
