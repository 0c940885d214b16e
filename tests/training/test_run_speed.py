"""Claims about the table at a run's end: what it counts."""

import json
import time

import pytest
import train
from conversation_folder import write_folder

from umbrella.conversations.encoder import IGNORE_INDEX
from umbrella.models.loading import load_processor
from umbrella.rows.transform import ConversationTransform
from umbrella_dataset import load_umbrella

NAMES = [
    "samples per second",
    "tokens per second",
    "waiting for data",
    "supervised tokens",
    "peak memory of a process",
]


@pytest.mark.slow
def test_the_table_counts_rows_tokens_and_the_wait(call, tmp_path, monkeypatch):
    data = write_folder(tmp_path / "data", {"train": [0, 1, 2]})  # the fourth of the two batches is a blank row
    encode = ConversationTransform.encode_row
    monkeypatch.setattr(ConversationTransform, "encode_row", lambda *args: (time.sleep(0.3), encode(*args))[1])
    flags = ("--batch_size", 2, "--epochs", 2, "--max_length", 256, "--report_to", "none")
    out = call(train, "--json_dir", data, "--output_dir", "run", *flags)
    assert [name for line in out.splitlines() if (name := line.split("  ")[0]) in NAMES] == NAMES
    results = json.loads((tmp_path / "run/train_results.json").read_text())
    rows = load_umbrella(data, split="train", cache_dir=str(tmp_path / "cache"))
    rows.set_transform(ConversationTransform(load_processor("tiny")))
    examples = [rows[i] for i in range(3)]
    seconds = 6 / results["samples_per_second"]
    assert seconds > 1.8
    blank = ConversationTransform(load_processor("tiny")).blank_example()
    tokens = 2 * (sum(len(example["input_ids"]) for example in examples) + len(blank["input_ids"]))
    supervised = 2 * sum(label != IGNORE_INDEX for example in examples for label in example["labels"])
    assert results["tokens_per_second"] * seconds == pytest.approx(tokens)
    assert results["supervised_token_share"] == pytest.approx(supervised / tokens)
    assert 1.8 / seconds < results["data_wait_share"] < 1  # six rows of 0.3 s
    assert 0.2 < results["peak_memory_gib"] < 10
