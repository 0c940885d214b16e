"""What is kept beside the table of answers, so that a stopped run goes on and no answer is taken for another's.

answers.csv         the table, written at the end, whole or not at all
answers.asked.json  what the answers depend on: model, question, reference, how scans are shown
answers.notes.txt   how the scans were found, where there is something to say; it may name participants
answers.kept.jsonl  each answer as it came, by its scan and the state of the scan's file; a run that goes on holds its
                    lock, so that no other writes the same answers
"""

import fcntl
import os
import time
from pathlib import Path
from typing import BinaryIO

from umbrella.answers.question_turns import list_paths
from umbrella.cohort.shared.visits import to_text
from umbrella.evaluation.answer_file import AnswerFile
from umbrella.files.claimed_folder import PATIENCE_S
from umbrella.files.json_files import read_json, write_json
from umbrella.files.written_files import write_whole, writing
from umbrella.views.volume_cache import identify_scan

REMEDY = "choose another --output; the same command goes on after the last whole line"
ANEW = "Start anew with --overwrite true, or choose another --output"
NAMES = frozenset(("image", "state", "answer"))


class KeptAnswers:
    """The files beside a table of answers."""

    def __init__(self, output: Path) -> None:
        self.output = output
        self.settings_path = output.with_suffix(".asked.json")
        self.file = AnswerFile(output.with_suffix(".kept.jsonl"), NAMES, REMEDY)
        self.held: BinaryIO | None = None  # the same file, locked until `close`

    def open(self, settings: dict, overwrite: bool) -> None:
        """Start, or go on where the settings are the same.

        Raises ValueError, naming what differs, where there are answers to something else, or a table of another's;
        FileExistsError where another process writes them.
        """
        if self.file.path.is_file():
            self._hold()
        if overwrite:
            for path in (self.output, self.settings_path):
                path.unlink(missing_ok=True)
            if self.held is not None:
                self.held.truncate(0)
        if self.settings_path.exists():
            self._refuse_others(read_json(self.settings_path, dict, ("question",), ANEW), settings)
        elif there := [path for path in (self.output, self.file.path) if os.path.lexists(path) and not overwrite]:
            raise ValueError(
                f"{there[0]}: expected {self.settings_path.name} beside it, which tells what was asked; found none. "
                f"{ANEW}"
            )
        if self.held is None:
            self._hold()
        with writing(self.settings_path, REMEDY):
            write_json(self.settings_path, settings, indent=2)
        self.file.repair()

    def close(self) -> None:
        """Let others write."""
        if self.held is not None:
            self.held.close()

    def write_notes(self, notes: list[str]) -> str:
        """A sentence that says where the notes are; "" without any. They are not printed: they may name people."""
        path = self.output.with_suffix(".notes.txt")
        if not notes:
            path.unlink(missing_ok=True)
            return ""
        write_whole(path, "".join(f"{to_text(note)}\n" for note in notes))
        return f"{len(notes)} notes on how the scans were found are in {path}"

    def read(self, images: list[str]) -> tuple[dict[str, dict], int]:
        """(image → its record, of scans that are as they were, how many have changed since they were answered)."""
        kept = {record["image"]: record for record in self.file.read()}
        known = {image: kept[image] for image in images if image in kept}
        same = {image: record for image, record in known.items() if record["state"] == describe_state(image)}
        return same, len(known) - len(same)

    def _hold(self) -> None:
        """Lock the file of answers, which is made where there is none."""
        with writing(self.file.path, REMEDY):
            self.file.path.parent.mkdir(parents=True, exist_ok=True)
            self.held = self.file.path.open("ab")
        for _ in range(max(1, int(10 * PATIENCE_S))):
            try:
                fcntl.flock(self.held, fcntl.LOCK_EX | fcntl.LOCK_NB)
                return
            except BlockingIOError:
                time.sleep(0.1)
            except OSError:  # a file system without locks
                return
        raise FileExistsError(
            f"{self.output}: expected no other process that writes these answers, found one. Wait until it has ended, "
            "or choose another --output"
        )

    def _refuse_others(self, found: dict, settings: dict) -> None:
        for name in dict.fromkeys((*settings, *found)):
            if found.get(name) != settings.get(name):
                raise ValueError(
                    f"{self.output}: expected answers for {name} {settings.get(name)!r}, found those for "
                    f"{found.get(name)!r}. {ANEW}"
                )


def describe_state(image: str) -> list | None:
    """Place, size and times of a scan's files, of a study's one after the other, as JSON has them; None where any is
    not there."""
    states = [identify_scan(path) for path in list_paths(image)]
    return None if None in states else [list(part) for state in states for part in state or ()]
