"""Training with a frozen tower for volumes, its features kept (`--feature_cache`), against the tower run each time.

    python tests/benchmarks/features.py --output features.json

Both start from the same weights and see the same rows in the same order, scans decoded once beforehand
(`--volume_cache`), so their losses must be the same. Rows a second are of collating, forward, backward and step, by
the processor's time on one thread, for each epoch; use the ratio. The language model is the quickstart's small one:
with a large one the ratio is that of the whole step.
"""

import argparse
import json
import platform
import tempfile
import time
from pathlib import Path

import nibabel
import numpy as np
import torch
from transformers import LlavaForConditionalGeneration

from umbrella.models.cached_tower import attach_feature_cache
from umbrella.models.feature_cache import FeatureCache
from umbrella.models.freezing import choose_trained
from umbrella.models.loading import load_processor
from umbrella.models.tiny3d import build_tiny3d
from umbrella.rows.collator import ConversationCollator, without_names
from umbrella.rows.transform import ConversationTransform

BATCH_SIZE, LEARNING_RATE = 4, 1e-3


def make_rows(folder: Path, n_rows: int, size: int) -> list[dict]:
    rows = []
    for number in range(n_rows):
        path = folder / f"{number}.nii"
        voxels = np.random.default_rng(number).integers(0, 1000, (size,) * 3).astype(np.int16)
        nibabel.Nifti1Image(voxels, np.diag([2.0, 2.0, 2.0, 1.0])).to_filename(path)
        question = {"role": "user", "content": [{"type": "image"}, {"type": "text", "text": "Male or female?"}]}
        answer = {"role": "assistant", "content": [{"type": "text", "text": ("male", "female")[number % 2]}]}
        rows.append(
            {
                "task_id": str(number),
                "images": [{"path": str(path), "modality": "sMRI"}],
                "conversations": [question, answer],
                "metadata": {},
                "source": path.name,
            }
        )
    return rows


def build_model(layers: int, width: int) -> LlavaForConditionalGeneration:
    config = build_tiny3d()[0].config
    tower = config.vision_config
    tower.num_hidden_layers, tower.hidden_size, tower.intermediate_size = layers, width, 4 * width
    torch.manual_seed(0)
    model = LlavaForConditionalGeneration(config)
    choose_trained(model, ["projector", "language_model"])
    return model.train()


def train(rows: list[dict], arguments: argparse.Namespace, folder: Path, features: FeatureCache | None) -> dict:
    """Losses, and rows a second of each epoch."""
    processor, model = load_processor("tiny3d"), build_model(arguments.layers, arguments.width)
    options = {"volume_size": str(arguments.size), "volume_cache": folder / "views", "feature_cache": features}
    transform = ConversationTransform(processor, view="volume", **options)
    if features is not None:
        attach_feature_cache(model, processor, features, model.device)
    collate = ConversationCollator(processor)
    optimizer = torch.optim.AdamW([p for p in model.parameters() if p.requires_grad], lr=LEARNING_RATE)
    losses, speeds = [], []
    for _ in range(arguments.epochs):
        start = time.process_time()
        for first in range(0, len(rows), BATCH_SIZE):
            batch = collate([transform.encode_row(row) for row in rows[first : first + BATCH_SIZE]])
            loss = model(**without_names(batch)).loss
            loss.backward()
            optimizer.step()
            optimizer.zero_grad()
            losses.append(loss.item())
        speeds.append(round(len(rows) / (time.process_time() - start), 2))
    return {"losses": losses, "rows_per_s": speeds}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--output", type=Path, help="the JSON file (default: print only)")
    parser.add_argument("--rows", type=int, default=16)
    parser.add_argument("--epochs", type=int, default=3)
    parser.add_argument("--size", type=int, default=64, help="voxels along each axis")
    parser.add_argument("--layers", type=int, default=12, help="of the tower")
    parser.add_argument("--width", type=int, default=192, help="of the tower")
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        rows = make_rows(folder, arguments.rows, arguments.size)
        processor = load_processor("tiny3d")
        decode = ConversationTransform(
            processor, view="volume", volume_size=str(arguments.size), volume_cache=folder / "views"
        )
        for row in rows:
            decode.encode_row(row)
        ways = {
            "run": train(rows, arguments, folder, None),
            "kept": train(rows, arguments, folder, FeatureCache(folder / "features")),
        }
    losses = [way["losses"] for way in ways.values()]
    result = {
        "machine": f"{platform.processor() or platform.machine()}, torch {torch.__version__}, 1 thread",
        "tower": f"{arguments.layers} layers, {arguments.width} wide, volumes of {arguments.size}³",
        "ways": ways,
        "ratio": round(min(ways["kept"]["rows_per_s"][1:]) / max(ways["run"]["rows_per_s"][1:]), 2),
        "largest_difference_of_losses": max(abs(a - b) for a, b in zip(*losses, strict=True)),
    }
    text = json.dumps(result, indent=2)
    print(text)
    if arguments.output:
        arguments.output.write_text(text + "\n")


if __name__ == "__main__":
    main()
