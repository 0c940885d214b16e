"""Claims about benchmark_data.py: what it measures, writes and concludes."""

import json

import benchmark_data
import pytest
from conversation_folder import write_folder

from umbrella.planning.throughput import choose_workers
from umbrella.planning.throughput_report import draw_conclusion, draw_picture, draw_table

RESULT = {
    "cold": False,
    "batch_size": 8,
    "step_ms": 400.0,
    "building": {"rows": 100, "rows_per_s": 5000.0},
    "scans": {
        "read": 0.002,
        "inflate": 0.02,
        "statistics": 0.01,
        "view": 0.008,
        "decoded": 0.04,
        "cached": 0.0005,
        "file_bytes": 4e6,
        "cached_bytes": 2e5,
    },
    "texts": {"tokenize": 0.003, "collate": 0.001},
    "memory_workers": 2,
    "memory_bytes": [1_000_000_000, 1_010_000_000],
    "samples_per_s": {
        0: {"decoded": 24.0, "cached": 300.0},
        1: {"decoded": 12.0, "cached": 250.0},
        2: {"decoded": 24.0, "cached": 500.0},
    },
}


def test_the_table_has_every_stage_and_every_number_of_workers():
    assert (
        draw_table(RESULT)
        == """\
building          5000 conversations/s (100 of them)
decoding          25.0 scans/s, one thread, files in the system's memory
cached          2000.0 scans/s, one thread
scan              4.00 MB a file, 0.200 MB in the cache

stage         ms
read            2.00 a scan
inflate        20.00 a scan
statistics     10.00 a scan
view            8.00 a scan
tokenize        3.00 a row
collate         1.00 a row

workers   samples/s   batches/s   samples/s, cached   batches/s, cached
      0        24.0         3.0               300.0                37.5
      1        12.0         1.5               250.0                31.2
      2        24.0         3.0               500.0                62.5

memory over epochs with 2 workers: 1000, 1010 MB"""
    )


@pytest.mark.parametrize(
    ("step_ms", "expected"),
    [
        (None, "give --step_ms, the duration of your model's step, to see whether that is enough"),
        (400.0, "your step needs 20.0 (batch size 8, 400 ms): enough with train.py --dataloader_num_workers 2"),
        (800.0, "your step needs 10.0 (batch size 8, 800 ms): enough with train.py --dataloader_num_workers 1"),
        (
            40.0,
            "200.0 (batch size 8, 40 ms): enough with train.py --dataloader_num_workers 1 and --volume_cache",
        ),
        (8.0, "your step needs 1000.0 (batch size 8, 8 ms): not enough. Use a machine with about 4 cores a GPU"),
    ],
)
def test_the_conclusion_says_what_feeds_the_model(step_ms, expected):
    conclusion = draw_conclusion(RESULT | {"step_ms": step_ms})
    assert conclusion.startswith("with 2 workers this feeds 24.0 samples/s, cached 500.0; ")
    assert expected in conclusion


def test_workers_are_tried_in_powers_of_two_up_to_the_most():
    assert [choose_workers(most) for most in (0, 1, 2, 6)] == [[0], [0, 1], [0, 1, 2], [0, 1, 2, 4, 6]]


def test_the_picture_is_a_png(tmp_path):
    pytest.importorskip("matplotlib")
    draw_picture(RESULT, tmp_path / "benchmark.png")
    assert (tmp_path / "benchmark.png").read_bytes().startswith(b"\x89PNG")


@pytest.mark.slow
@pytest.mark.parametrize("flags", [(), ("--cold", "true", "--volume_cache", "cache", "--step_ms", 10)])
def test_the_recipe_measures_and_writes_everything(tmp_path, call, flags):
    json_dir = write_folder(tmp_path / "data", {"train": [2, 1, 0, 1]})
    options = ("--seconds", 0.05, "--num_workers", 1, "--batch_size", 2, "--epochs", 2)
    out = call(benchmark_data, "--json_dir", json_dir, *options, *flags)
    assert "with 1 workers this feeds" in out
    result = json.loads((tmp_path / "runs/benchmark" / "benchmark.json").read_text())
    assert result["building"]["rows"] == 4
    assert result["scans"]["file_bytes"] == 352 + 9 * 11 * 7 * 2
    assert result["scans"]["cached_bytes"] == 28 + 64 * 64 * 4
    assert list(result["samples_per_s"]) == ["0", "1"]
    assert all(rate > 0 for rates in result["samples_per_s"].values() for rate in rates.values())
    assert len(result["memory_bytes"]) == 2
    assert list(tmp_path.glob("cache/*")) == []  # its own entries went with it


@pytest.mark.slow
def test_volumes_and_frames_are_measured(tmp_path, call):
    json_dir = write_folder(tmp_path / "data", {"train": [1, 1]})
    options = ("--seconds", 0.01, "--num_workers", 0, "--batch_size", 2, "--epochs", 1)
    call(benchmark_data, "--json_dir", json_dir, *options, "--model_name_or_path", "tiny3d", "--volume_size", 16)
    result = json.loads((tmp_path / "runs/benchmark" / "benchmark.json").read_text())
    assert result["scans"]["cached_bytes"] == 28 + 16**3 * 4
    assert 0 < result["scans"]["decoded"] < 10


def test_a_split_without_scans_is_refused(tmp_path, call):
    with pytest.raises(SystemExit, match="--split train: expected rows with scans, found none in the first 2"):
        call(benchmark_data, "--json_dir", write_folder(tmp_path / "data", {"train": [0, 0]}))
