"""Training steps of the quickstart model: rows padded to the longest of their batch, against all padded to 2048.

    python tests/benchmarks/training.py --output training.json

The second is how the training guide does it. Both start from the same weights and see the same rows in the same order,
so their losses must be the same. Times are CPU seconds of collating, forward, backward and step on one thread, after a
first step that does not count; use the ratio.
"""

import argparse
import json
import platform
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import torch

from umbrella.models.loading import load_model, load_processor
from umbrella.rows.collator import ConversationCollator
from umbrella.rows.transform import ConversationTransform
from umbrella_dataset import load_umbrella

BATCH_SIZE, LEARNING_RATE = 8, 1e-3  # of recipes/configs/quickstart.yaml
GENERATOR = Path(__file__).parents[2] / "sample_data" / "generate_sex_comparison_conversations.py"


def train(examples: list[dict], collate: ConversationCollator, steps: int) -> dict:
    """Losses, and samples a second from the second step on."""
    model = load_model("tiny", seed=0).train()
    optimizer = torch.optim.AdamW(model.parameters(), lr=LEARNING_RATE)
    losses, start = [], 0.0
    for step in range(steps + 1):
        if step == 1:
            start = time.process_time()
        first = step * BATCH_SIZE % (len(examples) - BATCH_SIZE + 1)
        loss = model(**collate(examples[first : first + BATCH_SIZE])).loss
        loss.backward()
        optimizer.step()
        optimizer.zero_grad()
        losses.append(loss.item())
    return {"losses": losses, "samples_per_s": round(steps * BATCH_SIZE / (time.process_time() - start), 2)}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--output", type=Path, help="the JSON file (default: print only)")
    parser.add_argument("--steps", type=int, default=6)
    parser.add_argument("--padding", type=int, default=2048, help="tokens that the other way pads to")
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    processor = load_processor("tiny")
    with tempfile.TemporaryDirectory() as folder:
        data = Path(folder) / "data"
        options = ["--output_dir", data, "--subjects_per_split", "8"]
        subprocess.run([sys.executable, GENERATOR, *options], check=True, stdout=subprocess.DEVNULL)
        rows = load_umbrella(str(data), split="train", cache_dir=str(Path(folder) / "cache"))
        transform = ConversationTransform(processor, max_length=arguments.padding)
        examples = [transform.encode_row(row) for row in rows]
    ways = {
        "longest": train(examples, ConversationCollator(processor), arguments.steps),
        "padded": train(examples, ConversationCollator(processor, padding=arguments.padding), arguments.steps),
    }
    result = {
        "padded_to": arguments.padding,
        "tokens_of_the_longest_row": max(len(example["input_ids"]) for example in examples),
        "machine": f"{platform.processor() or platform.machine()}, torch {torch.__version__}, 1 thread",
        "ways": ways,
        "ratio": round(ways["longest"]["samples_per_s"] / ways["padded"]["samples_per_s"], 2),
        "largest_difference_of_losses": max(
            abs(a - b) for a, b in zip(ways["longest"]["losses"], ways["padded"]["losses"], strict=True)
        ),
    }
    text = json.dumps(result, indent=2)
    print(text)
    if arguments.output:
        arguments.output.write_text(text + "\n")


if __name__ == "__main__":
    main()
