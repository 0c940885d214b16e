"""Many scans are asked one question; answers are kept as they come, and become a table."""

import csv
from collections.abc import Callable, Iterator
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from accelerate import PartialState

from umbrella.answers.generation import Answer, Answerer
from umbrella.answers.prediction import make_question_rows
from umbrella.answers.question_turns import list_paths, word_reference
from umbrella.answers.scoring import to_probabilities
from umbrella.cohort.many.arguments import ManyArguments
from umbrella.cohort.many.kept import KeptAnswers, describe_state
from umbrella.cohort.many.reading import AnswerReading
from umbrella.cohort.many.scans import AskedScan, FoundScans
from umbrella.cohort.shared.visits import to_text
from umbrella.files.file_hashes import hash_file
from umbrella.files.written_files import replacing
from umbrella.models.files import fingerprint_model
from umbrella.training.main_process import on_main_process

COLUMNS = ("participant_id", "session", "image", "answer", "label", "number")


@dataclass(frozen=True)
class ManyScans:
    """The scans that are asked about, and how the answers are read.

    settings  what the answers depend on, see `describe_settings`
    """

    asked: ManyArguments
    found: FoundScans
    reading: AnswerReading
    settings: dict[str, Any]

    def answer(self, make_answerer: Callable[..., Answerer]) -> "Outcome":
        """Ask about the scans that have no answer yet, and write the table. On several processes the same on each.

        make_answerer  options of Answerer → one
        Raises ValueError where the files beside the table are of something else, FileExistsError where another run
        writes them, ScanError for the reference.
        """
        with closing(KeptAnswers(Path(self.asked.output).expanduser())) as kept:
            return self._answer(kept, make_answerer)

    def _answer(self, kept: KeptAnswers, make_answerer: Callable[..., Answerer]) -> "Outcome":
        on_main_process(kept.open, self.settings, self.asked.overwrite)
        if said := on_main_process(kept.write_notes, self.found.notes):
            on_main_process(print, said)
        images = list(dict.fromkeys(row.image for row in self.found.rows if row.image))
        records, n_changed = on_main_process(kept.read, images)
        todo = [image for image in images if image not in records]
        if n_changed:
            are = "1 scan is another file" if n_changed == 1 else f"{n_changed} scans are other files"
            on_main_process(print, f"{are} than when first answered: asked anew")
        n_kept, refused = len(records), {}
        for answers in self._ask(todo, make_answerer):
            new = [self._to_record(answer) for answer in answers if answer.refused is None]
            refused |= {answer.task_id: answer.refused for answer in answers if answer.refused is not None}
            if PartialState().is_main_process and new:
                kept.file.append(new)
            records |= {record["image"]: record for record in new}
        outcome = Outcome(self, records, refused, n_kept)
        on_main_process(outcome.write, kept.output)
        return outcome

    def _ask(self, images: list[str], make_answerer: Callable[..., Answerer]) -> Iterator[list[Answer]]:
        if not images:
            return
        rows = make_question_rows(self.asked, images, self.asked.modalities_of_visit or ())
        answerer = make_answerer(
            batch_size=self.asked.batch_size,
            num_workers=self.asked.num_workers,
            candidates=self.reading.candidates,
        )
        if self.asked.reference is not None:  # one that cannot be read is no fault of the scans
            for number in range(len(list_paths(self.asked.reference))):
                answerer.prompts.load_images(rows[0], number)
        yield from answerer.answer(rows, "answering", score=True, keep_refused=True)

    def _to_record(self, answer: Answer) -> dict:
        return {
            "image": answer.task_id,
            "state": describe_state(answer.task_id),
            "answer": answer.text,
            "log_likelihoods": answer.log_likelihoods,
        }


def describe_settings(asked: ManyArguments, model: str, shown: dict, reading: AnswerReading) -> dict[str, Any]:
    """What the answers depend on. A reference stands for its content and for what is said of it."""
    reference = None
    if asked.reference is not None:
        reference = {
            "sha256": " ".join(map(hash_file, list_paths(asked.reference))),
            "said": list(word_reference(asked.reference_label, asked.reference_text, asked.reference_reply)),
        }
    return {
        "model": fingerprint_model(model),
        "question": asked.question,
        "reference": reference,
        "modality": asked.modality,
        "sequences": asked.modalities_of_visit,
        "shown": shown,
        "max_length": asked.max_length,
        "max_new_tokens": asked.max_new_tokens,
        "answers": reading.to_dict(),
    }


@dataclass(frozen=True)
class Outcome:
    """What was answered.

    records  image → its record
    refused  image → why it has no answer
    n_kept   how many of the records are of an earlier start
    """

    many: ManyScans
    records: dict[str, dict]
    refused: dict[str, str]
    n_kept: int

    @property
    def n_without(self) -> int:
        """Rows without an answer."""
        return sum(bool(self._find_error(row)) for row in self.many.found.rows)

    def write(self, path: Path) -> None:
        """Write the table: a row a scan, with tabs where its name ends in .tsv; of a scan without an answer the reason
        in the column error."""
        names = [*COLUMNS, *(f"probability_{label}" for label in self.many.reading.labels), "error"]
        with replacing(path) as partial, open(partial, "w", encoding="utf-8", newline="") as file:
            writer = csv.DictWriter(file, names, delimiter="\t" if path.suffix.lower() == ".tsv" else ",")
            writer.writeheader()
            for row in self.many.found.rows:
                writer.writerow({name: to_text(value) for name, value in self._describe(row).items()})

    def describe(self) -> str:
        """What was answered, in numbers."""
        n, without = len(self.many.found.rows), self.n_without
        kept = f", {self.n_kept} of them before" if self.n_kept else ""
        lines = [f"{n - without} of {n} rows answered{kept}; they are in {self.many.asked.output}"]
        if without:
            lines.append(
                f"{without} {'row has' if without == 1 else 'rows have'} no answer; the column error says why"
            )
        reading = self.many.reading.reading
        unread = 0 if reading is None else sum(reading.read(one["answer"]) is None for one in self.records.values())
        if unread:
            kind = "label" if self.many.reading.labels else "number"
            lines.append(f"{unread} of {len(self.records)} answers state no {kind}: that column is empty there")
        return "\n".join(lines)

    def _find_error(self, row: AskedScan) -> str:
        return row.error or self.refused.get(row.image, "")

    def _describe(self, row: AskedScan) -> dict[str, str]:
        """Column → cell; a column that is not named stays empty."""
        cells = {"participant_id": row.participant_id, "session": row.session, "image": row.image}
        if error := self._find_error(row):
            return cells | {"error": error}
        record, reading = self.records[row.image], self.many.reading
        found = None if reading.reading is None else reading.reading.read(record["answer"])
        if reading.labels:
            by_label = zip(reading.labels, to_probabilities(record["log_likelihoods"]), strict=True)
            cells |= {f"probability_{label}": f"{value:.6f}" for label, value in by_label}
        if found is not None:
            cells |= {"number": f"{found:.10g}"} if isinstance(found, float) else {"label": found}
        return cells | {"answer": record["answer"]}
