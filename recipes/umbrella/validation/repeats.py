"""Conversations that come twice, in one split or in two: for the validator, a problem for each two places."""

import hashlib
import json
from collections import Counter

from umbrella_dataset import Duplicate, Problem, describe_duplicates, find_place


class Repeats:
    """Conversations that come twice: a task_id in one split of a data folder, or the same conversation about a subject
    in two splits, of any. Each two places that share them are one problem."""

    def __init__(self) -> None:
        self._first: dict[tuple[str, str | None, str], tuple[str, dict]] = {}
        self._of_split: dict[str | None, list[Duplicate]] = {}
        self._n_records: Counter[str] = Counter()
        self._contents: dict[bytes, tuple[str, str]] = {}
        self._copies: dict[tuple[str, str], list[tuple[str, str]]] = {}

    def count(self, source: str) -> None:
        """Count a record, valid or not."""
        self._n_records[find_place(source)] += 1

    def add(self, record: dict, source: str, split: str | None, folder: str) -> bool:
        """Whether another split has the conversation already."""
        found = (source, record)
        first = self._first.setdefault((folder, split, record["task_id"]), found)
        if first is not found:
            duplicate = Duplicate(record["task_id"], first[0], source, first[1] == record)
            self._of_split.setdefault(split, []).append(duplicate)
        if split is None or not record["subject_ids"]:
            return False
        content = hashlib.sha256(json.dumps({**record, "task_id": None}, sort_keys=True).encode()).digest()
        first_split, first_source = self._contents.setdefault(content, (split, source))
        if first_split != split:
            self._copies.setdefault((first_split, split), []).append((first_source, source))
        return first_split != split

    def find_problems(self) -> list[tuple[str, Problem]]:
        """(source, problem)."""
        problems = []
        for split, duplicates in self._of_split.items():
            problems += describe_duplicates(split or "these files", duplicates, self._n_records)
        for (first_split, split), sources in self._copies.items():
            expected = f"other conversations in {split} than in {first_split}"
            found = (
                f"{len(sources)} that {first_split} has too (the first: {sources[0][1]} and {sources[0][0]}): nothing "
                f"that {split} measures of them would be true. Take them out of one of the two"
            )
            problems.append((find_place(sources[0][1]), Problem("copy", "conversations", expected, found)))
        return problems
