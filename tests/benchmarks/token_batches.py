"""Epochs of training on rows whose lengths vary 10-fold: batches by tokens, against as many rows in each.

    python tests/benchmarks/token_batches.py --output token_batches.json

All ways have the same peak of tokens, four of the longest rows: --tokens_per_batch that many, --batch_size 4 in
random order and by --train_sampling_strategy group_by_length. The model is tiny with a wider language model, in which
as in large ones the work goes by the tokens. Times are CPU seconds of collating, forward, backward and step on one
thread, for the same rows each once; use the ratios. What fewer and fuller steps save on a GPU is not in them.
"""

import argparse
import json
import platform
import time
from pathlib import Path

import numpy as np
import torch
from transformers import AutoModelForImageTextToText

from umbrella.models.loading import load_model, load_processor
from umbrella.rows.batches.order import BatchSizes, RowOrder
from umbrella.rows.batches.token_batches import TokenPlan
from umbrella.rows.collator import ConversationCollator, without_names
from umbrella.rows.transform import ConversationTransform
from umbrella.training.batches.token_loss import supervised_loss

ROWS_AT_THE_PEAK, LONGEST, FOLD = 4, 640, 10
LEARNING_RATE, SEED = 1e-3, 0


def make_examples(n_rows: int, processor: object) -> list[dict]:
    """Rows of one blank scan, their lengths from a tenth of the longest on, as many in each octave."""
    blank = ConversationTransform(processor).blank_example()
    fixed, rng = blank["input_ids"], np.random.default_rng(0)
    lengths = np.exp(rng.uniform(np.log(LONGEST / FOLD), np.log(LONGEST), n_rows)).astype(int)
    lengths[:2] = LONGEST // FOLD, LONGEST
    word = fixed[-1]
    examples = []
    for length in lengths:
        more = [word] * (int(length) - len(fixed))
        input_ids = [*fixed, *more]
        labels = [-100] * len(fixed) + more
        mask = [1] * len(input_ids)
        examples.append(blank | {"input_ids": input_ids, "labels": labels, "attention_mask": mask, "task_id": "a"})
    return examples


def widen(hidden: int) -> torch.nn.Module:
    """tiny, whose language model has so many hidden values."""
    config = load_model("tiny", seed=0).config
    text = config.text_config
    text.hidden_size, text.intermediate_size = hidden, 4 * hidden
    text.num_attention_heads = text.num_key_value_heads = 4
    text.head_dim = hidden // 4
    torch.manual_seed(0)
    return AutoModelForImageTextToText.from_config(config)


def run_epoch(batches: list[list[int]], examples: list[dict], collate: ConversationCollator, hidden: int) -> dict:
    """What an epoch over these batches comes to, after a first step that does not count."""
    model = widen(hidden).train()
    optimizer = torch.optim.AdamW(model.parameters(), lr=LEARNING_RATE)
    tokens, most, start = 0, 0, 0.0
    for number, batch in enumerate([batches[0], *batches]):
        if number == 1:
            start = time.process_time()
        inputs = collate([examples[row] for row in batch])
        loss, _ = supervised_loss(model, without_names(inputs), None, keeps_logits=True)
        loss.backward()
        optimizer.step()
        optimizer.zero_grad()
        if number:
            tokens, most = tokens + inputs["input_ids"].numel(), max(most, inputs["input_ids"].numel())
    seconds = time.process_time() - start
    n_rows = sum(map(len, batches))
    real = sum(len(examples[row]["input_ids"]) for batch in batches for row in batch)
    return {
        "samples_per_s": round(n_rows / seconds, 2),
        "steps": len(batches),
        "padded_over_real_tokens": round(tokens / real, 3),
        "most_tokens_of_a_batch": most,
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--output", type=Path, help="the JSON file (default: print only)")
    parser.add_argument("--rows", type=int, default=400, help="a multiple of 4")
    parser.add_argument("--hidden", type=int, default=128, help="width of the language model")
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    processor = load_processor("tiny")
    collate = ConversationCollator(processor)
    examples = make_examples(arguments.rows, processor)
    lengths = [len(example["input_ids"]) for example in examples]
    budget = ROWS_AT_THE_PEAK * LONGEST

    def cut(strategy: str) -> list[list[int]]:
        sizes = BatchSizes(ROWS_AT_THE_PEAK, ROWS_AT_THE_PEAK)
        order = list(RowOrder(len(lengths), strategy, sizes, SEED, lambda: 0, lengths))
        return [order[start : start + ROWS_AT_THE_PEAK] for start in range(0, len(lengths), ROWS_AT_THE_PEAK)]

    batches = {
        f"--tokens_per_batch {budget}": TokenPlan(lengths, [0] * len(lengths), budget, 1).batches(SEED, 0),
        "--batch_size 4": cut("random"),
        "--batch_size 4 --train_sampling_strategy group_by_length": cut("group_by_length"),
    }
    ways = {name: run_epoch(own, examples, collate, arguments.hidden) for name, own in batches.items()}
    by_tokens, *others = [way["samples_per_s"] for way in ways.values()]
    result = {
        "rows": arguments.rows,
        "tokens_of_a_row": [min(lengths), max(lengths)],
        "machine": f"{platform.processor() or platform.machine()}, torch {torch.__version__}, 1 thread",
        "ways": ways,
        "samples_per_s_over_random_batches": round(by_tokens / others[0], 2),
        "samples_per_s_over_grouped_batches": round(by_tokens / others[1], 2),
    }
    text = json.dumps(result, indent=2)
    print(text)
    if arguments.output:
        arguments.output.write_text(text + "\n")


if __name__ == "__main__":
    main()
