"""The batches of `--tokens_per_batch`: planned once, by the main process for all."""

import numpy as np
from datasets import Dataset

from umbrella.options.training_arguments import TrainArguments
from umbrella.rows.token_batches import TokenPlan, check_budget
from umbrella.rows.token_lengths import measure_some_lengths
from umbrella.rows.transform import ConversationTransform
from umbrella.training.main_process import on_main_process


def plan_batches(rows: Dataset, transform: ConversationTransform, args: TrainArguments) -> TokenPlan | None:
    """The plan of the training rows, on every process the same; None where batches are made by rows.

    Raises ValueError where a row alone is above `--tokens_per_batch`.
    """
    if args.tokens_per_batch is None:
        return None
    lengths = on_main_process(_measure, rows, transform, args.tokens_per_batch)
    return TokenPlan(lengths, args.tokens_per_batch, args.world_size * args.gradient_accumulation_steps)


def _measure(rows: Dataset, transform: ConversationTransform, tokens_a_batch: int) -> np.ndarray:
    lengths = measure_some_lengths(rows, transform)
    check_budget(rows, lengths, tokens_a_batch)
    return lengths
