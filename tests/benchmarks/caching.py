"""How fast cached views come, against decoding the plain way and against other caches. One thread, one JSON.

    python tests/benchmarks/caching.py --output caching.json

Peers that are not installed are left out (`pip install monai diskcache safetensors`). Every time is the shortest of
the repeats, in milliseconds, files in the system's memory; use the ratios.
"""

import argparse
import gzip
import importlib.util
import json
import platform
import tempfile
import time
from pathlib import Path

import nibabel
import numpy as np
import torch
from decoding import LIA, make_head, plain_slice

from umbrella.models.tiny_llava import build_tiny_processor
from umbrella.rows.collator import ConversationCollator
from umbrella.rows.transform import ConversationTransform
from umbrella.views.loading import load_view
from umbrella.views.volume_cache import VolumeCache

OPTIONS = {"modality": "sMRI", "view": "axial", "image_size": 224, "normalize": True, "standardize": True}
ROWS, SCANS_A_ROW = 8, 2


def save_scans(folder: Path, size: int) -> list[Path]:
    head = make_head(size, background=0).astype(np.int16)
    paths = [folder / f"{number}.nii.gz" for number in range(ROWS * SCANS_A_ROW)]
    for number, path in enumerate(paths):
        path.write_bytes(gzip.compress(nibabel.Nifti1Image(head + number, LIA).to_bytes(), 1))
    return paths


def shortest_ms(call, repeats: int) -> float:
    times = []
    for _ in range(repeats):
        start = time.perf_counter()
        call()
        times.append(time.perf_counter() - start)
    return round(1000 * min(times), 3)


def find_peers(folder: Path, paths: list[Path]) -> dict:
    """name → a function of a scan's number that gives its view, all of them filled."""
    views = {number: load_view(path, **OPTIONS) for number, path in enumerate(paths)}
    peers = {}
    if importlib.util.find_spec("safetensors"):
        from safetensors.numpy import load, save

        for number, view in views.items():
            (folder / f"{number}.safetensors").write_bytes(save({"view": np.ascontiguousarray(view[:, :1])}))
        peers["safetensors (no checksum)"] = lambda number: load((folder / f"{number}.safetensors").read_bytes())[
            "view"
        ].repeat(3, axis=1)
    if importlib.util.find_spec("diskcache"):
        import diskcache

        cache = diskcache.Cache(folder / "diskcache")
        for number, view in views.items():
            cache[number] = view[:, :1].tobytes()
        shape = (1, 1, *views[0].shape[2:])
        peers["diskcache (SQLite)"] = lambda number: (
            np.frombuffer(cache[number], np.float32).reshape(shape).repeat(3, axis=1)
        )
    if importlib.util.find_spec("monai"):
        from monai.data import PersistentDataset
        from monai.transforms import Transform

        class LoadView(Transform):  # MONAI keeps the results of its own kind of transform only
            def __call__(self, path):
                return torch.from_numpy(load_view(path, **OPTIONS))

        dataset = PersistentDataset([str(path) for path in paths], LoadView(), folder / "monai")
        _ = [dataset[number] for number in views]
        peers["MONAI PersistentDataset"] = lambda number: dataset[number]
    return peers


def make_rows(paths: list[Path]) -> list[dict]:
    rows = []
    for number in range(ROWS):
        scans = [str(path) for path in paths[SCANS_A_ROW * number : SCANS_A_ROW * (number + 1)]]
        items = [{"type": "image", "modality": "sMRI", "image_path": scan} for scan in scans]
        question = {"type": "text", "text": "The first scan is a reference. Is the second subject male or female?"}
        rows.append(
            {
                "images": [{"path": scan, "modality": "sMRI"} for scan in scans],
                "conversations": [
                    {"role": "user", "content": [*items, question]},
                    {"role": "assistant", "content": [{"type": "text", "text": "The subject is female."}]},
                ],
                "metadata": {},
                "task_id": str(number),
                "source": str(number),
            }
        )
    return rows


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--output", type=Path, help="the JSON file (default: print only)")
    parser.add_argument("--size", type=int, default=256, help="voxels along each axis")
    parser.add_argument("--repeats", type=int, default=30)
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    with tempfile.TemporaryDirectory() as folder:
        paths = save_scans(Path(folder), arguments.size)
        cache = VolumeCache(Path(folder) / "cache")
        processor = build_tiny_processor(OPTIONS["image_size"])
        transform = ConversationTransform(processor, image_size=OPTIONS["image_size"], volume_cache=cache)
        rows, collate = make_rows(paths), ConversationCollator(processor)
        batch = collate([transform.encode_row(row) for row in rows])  # fills the cache
        keys = [cache.make_key(load_view, path, **OPTIONS) for path in paths]
        calls = {
            "plain way": (lambda: plain_slice(paths[0]), 3),
            "decoded": (lambda: load_view(paths[0], **OPTIONS), 5),
            "cached": (lambda: [cache.load(load_view, path, **OPTIONS) for path in paths], arguments.repeats),
            # As the peers do: from the name of the entry, without a look at the scan's own file.
            "cached, entry alone": (lambda: [cache.get(key) for key in keys], arguments.repeats),
        }
        peers = find_peers(Path(folder), paths)
        for name, peer in peers.items():
            calls[name] = (lambda peer=peer: [peer(number) for number in range(len(paths))], arguments.repeats)
        times = {name: shortest_ms(call, repeats) for name, (call, repeats) in calls.items()}
        for name in ("cached", "cached, entry alone", *peers):
            times[name] = round(times[name] / len(paths), 4)
        in_batch = shortest_ms(lambda: collate([transform.encode_row(row) for row in rows]), arguments.repeats)
        result = {
            "machine": f"{platform.processor() or platform.machine()}, Python {platform.python_version()}, 1 thread",
            "ms_a_scan": times,
            "ratios": {
                "plain way / cached": round(times["plain way"] / times["cached"], 1),
                **{f"{name} / entry alone": round(times[name] / times["cached, entry alone"], 2) for name in peers},
            },
            "batch": {
                "rows": ROWS,
                "scans": len(batch["pixel_values"]),
                "pixels": batch["pixel_values"].shape[-1],
                "ms_from_rows_to_batch": in_batch,
            },
        }
    text = json.dumps(result, indent=2)
    print(text)
    if arguments.output:
        arguments.output.write_text(text + "\n")


if __name__ == "__main__":
    main()
