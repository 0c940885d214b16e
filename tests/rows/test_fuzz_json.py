"""Whatever a conversation folder holds: validator and loader agree, in one sentence, in little time and memory."""

import contextlib
import io
import itertools
import json
import resource
import shutil
import signal
import sys
import time

import datasets
import pytest
import validate_json_format
from families import build_llava
from fuzzing import assert_quick, fuzz
from json_mutants import write_mutant, write_table_mutant

from umbrella.conversations.encoder import ConversationError, format_conversation
from umbrella.rows.blank_scans import BlankScans
from umbrella.rows.published import load_published
from umbrella.validation.migration import migrate
from umbrella.validation.validator import find_files
from umbrella_dataset import FormatError, load_umbrella

BETWEEN_RECORDS = {"subject leak", "copy", "labels", "wrong answer"}  # rules of the validator alone
MOST_LOOPS, MOST_BYTES = 200, 1 << 30
MAXRSS_UNIT = 1 if sys.platform == "darwin" else 1024


def _validate(folder, report, image_root) -> set[str] | None:
    """The kinds of problems that the validator's command finds; None where it stops at one sentence."""
    with contextlib.redirect_stdout(io.StringIO()) as printed:
        flags = ["--image_root", str(image_root)] if image_root else []
        code = validate_json_format.main([str(folder), "--report", str(report), *flags])
    printed.getvalue().encode()
    if not report.exists():
        assert code == 1
        return None
    found = json.loads(report.read_text())
    assert (code == 0) is found["passed"]
    return set(found["counts"])


def _load(folder, cache, image_root) -> datasets.DatasetDict | str:
    """The rows, or the loader's sentence."""
    try:
        return load_umbrella(str(folder), cache_dir=str(cache), image_root=image_root and str(image_root))
    except FormatError as error:
        chain = list(itertools.islice(_causes(error), 100))
        assert len(chain) < 100, "a circle of causes"
        return str(error)


def _causes(error):
    while error is not None:
        yield error
        error = error.__cause__ or error.__context__


def _check_rows(rows) -> None:
    """What was accepted stays JSON and text."""
    for row in rows:
        again = json.loads(json.dumps(row, allow_nan=False, ensure_ascii=False).encode())
        assert again == row
        assert isinstance(json.loads(row["metadata"]["extra"], parse_constant=pytest.fail), dict)
        assert "\0" not in "".join(scan["path"] for scan in row["images"])
        format_conversation(row["conversations"])


def _check_examples(rows, transform) -> None:
    for row in rows:
        try:
            assert any(label != -100 for label in transform.encode_row(row)["labels"])
        except ConversationError as error:
            assert str(error).startswith(row["source"])


def _end_hang(*_):
    raise TimeoutError("the case hangs")


@pytest.mark.fuzz
def test_validator_and_loader_agree_on_every_mutant(tmp_path, capsys, monkeypatch):
    datasets.disable_progress_bars()
    monkeypatch.setattr("datasets.config.HF_DATASETS_CACHE", tmp_path / "tables")
    transform = BlankScans(build_llava(), max_length=300)
    numbers, counts = itertools.count(), {"accepted": 0, "refused": 0, "migrated": 0, "tables": 0}
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    signal.signal(signal.SIGALRM, _end_hang)

    def check(random) -> None:
        number = next(numbers)
        place = tmp_path / str(number)
        folder, cache = place / "data", place / "cache"
        write_mutant(random, folder)
        image_root = folder if random.random() < 0.3 else None
        is_encoded = random.random() < 0.1
        signal.alarm(60)
        start = time.process_time()
        kinds = _validate(folder, place / "report.json", image_root)
        rows = _load(folder, cache, image_root)
        taken = time.process_time() - start
        is_valid = kinds is not None and not kinds - BETWEEN_RECORDS
        assert is_valid == (not isinstance(rows, str)), (kinds, rows)
        if isinstance(rows, str):
            assert str(folder) in rows or "train" in rows or "test" in rows
            rows.encode()
        else:
            for split in rows.values():
                _check_rows(split)
                if is_encoded:
                    _check_examples(split, transform)
        with contextlib.suppress(FormatError):
            files = find_files([str(folder)])
            migrate(files, str(place / "new"), None, "train", "sMRI")
            counts["migrated"] += 1
        if random.random() < 0.2 and write_table_mutant(random, place / "table"):
            with contextlib.suppress(FormatError):
                _check_rows(load_published(str(place / "table"))["train"])
                counts["tables"] += 1
        signal.alarm(0)
        counts["refused" if isinstance(rows, str) else "accepted"] += 1
        assert_quick(taken, MOST_LOOPS)
        grown = (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) * MAXRSS_UNIT
        assert grown < MOST_BYTES
        shutil.rmtree(place)
        shutil.rmtree(tmp_path / "tables", ignore_errors=True)

    fuzz(check)
    with capsys.disabled():
        print(counts)
