"""What inspect_labels.py shows is what is trained on; its lengths are those of training."""

import re
import runpy
import sys
from pathlib import Path

import pytest
from conversation_folder import make_record, write_folder
from families import FAMILIES

from umbrella.models.tiny3d import build_tiny3d_processor
from umbrella.models.tiny_llava import build_tiny_processor
from umbrella.rows.blank_scans import BlankScans
from umbrella.rows.label_report import (
    RowLength,
    describe_counts,
    describe_scan_tokens,
    draw_histogram,
    find_runs,
    mark_runs,
    measure_lengths,
)
from umbrella.rows.transform import ConversationTransform
from umbrella_dataset import load_umbrella

RECIPE = str(Path(__file__).parents[2] / "recipes" / "inspect_labels.py")


def make_row(n_scans, answer="The subject is female."):
    """A row whose scans do not exist."""
    row = make_record("task", [f"nowhere/{i}.nii" for i in range(n_scans)]) | {"source": f"train/{n_scans}.json"}
    row["conversations"][-1]["content"][0]["text"] = answer
    return row


def encode_blank(processor, row):
    return BlankScans(processor, image_size=56 if "Qwen2" in type(processor).__name__ else None).encode_row(row)


def mark(example, processor, colour=False):
    return mark_runs(find_runs(example, processor.tokenizer, list(processor.image_token_ids)), colour)


def test_marks_stand_around_each_answer_and_the_token_that_ends_it():
    processor = build_tiny_processor(32)
    marked = mark(encode_blank(processor, make_row(2)), processor)
    turn = (
        "<|im_start|>user\n<image>×4\nIs this scan of a male or a female?<|im_end|>\n"
        "<|im_start|>assistant\n⟦The subject is female.<|im_end|>⟧\n"
    )
    assert marked == 2 * turn


@pytest.mark.parametrize("family", FAMILIES)
def test_without_its_marks_the_text_is_the_tokens_own(family):
    processor = FAMILIES[family]()
    example = encode_blank(processor, make_row(2, answer="Ja, 大脑 🧠"))
    marked = mark(example, processor)
    expanded = re.sub(r"(<[^<>]*>)×(\d+)", lambda match: match[1] * int(match[2]), marked)
    plain = expanded.replace("⟦", "").replace("⟧", "")
    assert plain == processor.tokenizer.decode(example["input_ids"], clean_up_tokenization_spaces=False)
    assert re.search(r"⟦ ?Ja, 大脑 🧠", marked)


def test_colour_is_closed_at_each_lines_end_and_text_cannot_steer_the_terminal():
    processor = build_tiny_processor(32)
    example = encode_blank(processor, make_row(1, answer="One.\nTwo \x1b[2J."))
    marked = mark(example, processor, colour=True)
    assert "\x1b[30;42mOne.\x1b[0m\n\x1b[30;42mTwo \\x1b[2J.<|im_end|>\x1b[0m\n" in marked
    assert "\x1b[90m<image>×4\x1b[0m" in marked


def test_counts_add_up_to_the_row():
    example = {"input_ids": [7, 9, 9, 9, 7, 5], "labels": [-100, -100, -100, -100, 7, 5]}
    assert describe_counts(example, [9]) == "6 tokens: 1 text, 3 image, 2 supervised"


@pytest.mark.parametrize("view", ["axial", "slices:3"])
def test_lengths_are_those_of_training_without_a_scan_being_read(view, tmp_path):
    folder = write_folder(tmp_path, {"train": [0, 1, 2, 3]})
    rows = load_umbrella(str(folder), split="train")
    transform = ConversationTransform(build_tiny_processor(32), view=view)
    trained = [len(transform.encode_row(row)["input_ids"]) for row in rows]
    for scan in folder.glob("*.nii"):
        scan.unlink()
    lengths = measure_lengths(rows, transform)
    assert [length.tokens for length in lengths] == [length.kept for length in lengths] == trained
    assert len(set(trained)) == 4


@pytest.mark.parametrize("on_overflow, kept", [("drop_turns", "one exchange"), ("raise", None)])
def test_lengths_tell_what_max_length_does_to_a_row(on_overflow, kept):
    processor = build_tiny_processor(32)
    one = len(encode_blank(processor, make_row(1))["input_ids"])
    transform = ConversationTransform(processor, max_length=2 * one - 1, on_overflow=on_overflow)
    assert measure_lengths([make_row(1), make_row(2)], transform) == [
        RowLength("train/1.json", one, one),
        RowLength("train/2.json", 2 * one, one if kept else None),
    ]
    too_small = ConversationTransform(processor, max_length=one - 1, on_overflow=on_overflow)
    assert measure_lengths([make_row(1)], too_small) == [RowLength("train/1.json", one, None)]


def test_the_histogram_counts_every_row_and_names_those_that_cannot_fit():
    lengths = [RowLength("a", 10, 10), RowLength("b", 10, 10), RowLength("c", 11, 11), RowLength("d", 30, 12)]
    lengths.append(RowLength("train/e.json", 33, None))
    lines = draw_histogram(lengths, max_length=20).splitlines()
    assert lines[0] == "5 rows: 10 to 33 tokens, median 11"
    assert lines[1] == "     10–11           3 " + "█" * 40
    assert lines[11] == "     30–31           1 " + "█" * 14 + "  > max_length"
    assert lines[12:] == [
        "     32–33           1 " + "█" * 14 + "  > max_length",
        "max_length 20: 1 rows lose their oldest turns, 1 rows cannot fit",
        "  cannot fit: train/e.json",
    ]


def test_what_a_scan_costs_in_tokens_is_said_for_each_modality():
    pictures = ConversationTransform(build_tiny_processor(32), view="slices:3")
    assert describe_scan_tokens(pictures, {"sMRI"}) == "sMRI scan: slices:3, 32 pixels: 12 tokens"
    pooled = build_tiny3d_processor()
    volumes = ConversationTransform(pooled, view="volume", volume_size="32x48x32", volume_spacing=3.0, frames="4")
    size = "volume, 32x48x32 voxels of 3 mm"
    assert describe_scan_tokens(volumes, ["sMRI", "fMRI", "fMRI"]).splitlines() == [
        f"fMRI scan: {size}, frames 4: 96 tokens, one for each cube of 24 mm over all frames",
        f"sMRI scan: {size}: 96 tokens, one for each cube of 24 mm",
    ]
    pooled.image_processor.pools_time, pooled.image_processor.patch_size = False, [1, 8, 8, 8]
    assert "frames 4: 384 tokens, one for each cube of 24 mm in each frame" in describe_scan_tokens(volumes, ["fMRI"])


def run_recipe(monkeypatch, *flags):
    monkeypatch.setattr(sys, "argv", [RECIPE, *flags])
    runpy.run_path(RECIPE, run_name="__main__")


def test_the_recipe_shows_n_rows_and_the_lengths_of_the_split(tmp_path, monkeypatch, capsys):
    folder = write_folder(tmp_path, {"train": [1, 2, 0]})
    run_recipe(monkeypatch, "--json_dir", str(folder), "--n", "2")
    output = capsys.readouterr().out
    assert re.findall(r"── (\S+) · task (\S+) · (\d) scans", output) == [
        ("train/train_0.json", "train_0", "1"),
        ("train/train_1.json", "train_1", "2"),
    ]
    assert output.count("⟦The subject is female.<|im_end|>⟧") == 3
    assert "\x1b" not in output  # no terminal
    assert "3 rows: " in output and "0 rows cannot fit" in output
    assert output.startswith("sMRI scan: axial, 64 pixels: 16 tokens\n")


def test_the_recipe_ends_with_code_1_when_rows_cannot_fit(tmp_path, monkeypatch, capsys):
    folder = write_folder(tmp_path, {"train": [1], "test": [0, 2]})
    with pytest.raises(SystemExit) as stop:
        run_recipe(monkeypatch, "--json_dir", str(folder), "--split", "test", "--max_length", "40")
    assert stop.value.code == 1
    output = capsys.readouterr().out
    assert "cannot fit: test/test_1.json" in output
    assert re.search(r"task test_1 · 2 scans\n   \d+ tokens cannot fit into max_length 40", output)
