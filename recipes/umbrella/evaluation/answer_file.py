"""A file of answers, one JSON object a line, that a killed run can continue."""

import json
import os
from pathlib import Path

from umbrella.files.written_files import writing

REMEDY = "choose another --output_dir; the same command goes on after the last whole line"


class AnswerFile:
    """Lines are appended whole, in one write, and forced to disk; a line that a kill left half written is cut off.

    Raises ValueError, with file and line, for a line that is no JSON object.
    """

    def __init__(self, path: Path, names: frozenset[str] = frozenset(("task_id",)), remedy: str = REMEDY) -> None:
        """`names`: the keys that every record has. `remedy`: what to do where it cannot be written."""
        self.path, self.names, self.remedy = path, names, remedy

    def read(self) -> list[dict]:
        """The records so far, in order."""
        if not self.path.exists():
            return []
        lines = self.path.read_bytes().split(b"\n")[:-1]  # what follows the last line break is half a line
        records = []
        for number, line in enumerate(lines, start=1):
            try:
                record = json.loads(line)
            except (ValueError, RecursionError):
                record = None
            if not isinstance(record, dict) or not record.keys() >= self.names:
                names = f" with {', '.join(sorted(self.names))}" if self.names else ""
                raise ValueError(
                    f"{self.path}:{number}: expected a JSON object{names}, found {line[:60]!r}. "
                    "Remove the line, or start anew with --overwrite."
                )
            records.append(record)
        return records

    def repair(self) -> None:
        """Cut off what follows the last line break."""
        if self.path.exists():
            text = self.path.read_bytes()
            if not text.endswith(b"\n"):
                with writing(self.path, self.remedy), open(self.path, "r+b") as file:
                    file.truncate(text.rfind(b"\n") + 1)

    def append(self, records: list[dict]) -> None:
        """Add records."""
        lines = "".join(json.dumps(record, ensure_ascii=False) + "\n" for record in records)
        with writing(self.path, self.remedy), open(self.path, "ab") as file:
            file.write(lines.encode())
            file.flush()
            os.fsync(file.fileno())
