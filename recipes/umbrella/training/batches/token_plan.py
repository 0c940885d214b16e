"""The batches of `--tokens_per_batch`."""

from collections.abc import Callable
from functools import partial

import torch
from datasets import Dataset

from umbrella.options.training_arguments import TrainArguments
from umbrella.rows.batches.token_batches import TokenPlan, check_budget
from umbrella.rows.batches.token_lengths import measure_some_lengths
from umbrella.rows.transform import ConversationTransform


def plan_batches(
    rows: Dataset,
    transform: ConversationTransform,
    args: TrainArguments,
    draw: Callable[[int, int], torch.Tensor] | None = None,
) -> TokenPlan | None:
    """The plan of the training rows; None where batches are made by rows.

    draw  (seed, epoch) → the rows of that epoch, where they are not each once

    Raises ValueError where a row alone is above `--tokens_per_batch`.
    """
    if args.tokens_per_batch is None:
        return None
    lengths, scans = measure_some_lengths(rows, transform)
    check_budget(rows, lengths, args.tokens_per_batch)
    seed = args.seed if args.data_seed is None else args.data_seed
    batches_a_step = args.world_size * args.gradient_accumulation_steps
    return TokenPlan(lengths, scans, args.tokens_per_batch, batches_a_step, draw and partial(draw, seed))
