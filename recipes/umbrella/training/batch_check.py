"""One batch, looked at: shapes, what is supervised, loss and memory. For a person, before a long job."""

from contextlib import suppress
from pathlib import Path

import torch
from transformers.integrations import is_deepspeed_zero3_enabled

from umbrella.conversations.ignore_index import IGNORE_INDEX
from umbrella.rows.collator import without_names
from umbrella.training.batches.run_speed import peak_memory_gib
from umbrella.training.trainer import ConversationTrainer


def check_batch(trainer: ConversationTrainer) -> None:
    """Run forward and backward on the first training batch and print what it is made of.

    Raises ValueError where the weights are spread over processes, which they are in training alone.
    """
    if trainer.is_fsdp_enabled or is_deepspeed_zero3_enabled():
        raise ValueError("--check_batch: expected no ZeRO-3 or FSDP, which spread the weights; check without")
    # Private: moves and casts a batch as training does, which no public method does alone.
    batch = trainer._prepare_inputs(next(iter(trainer.get_train_dataloader())))
    inputs = without_names(batch)
    for key, value in inputs.items():
        print(f"{key:<22} {tuple(value.shape)!s:<22} {value.dtype}")
    if trainer.token_plan is not None:
        print(trainer.token_plan.describe(), describe_fullness(batch, trainer.token_plan.tokens_a_batch), sep="\n")
    supervised = (batch["labels"] != IGNORE_INDEX).sum(dim=1).tolist()
    for task_id, n in zip(batch["task_ids"], supervised, strict=True):
        print(f"row {task_id}: {n} supervised tokens")
    model = trainer.model.to(trainer.args.device).train()  # which DeepSpeed does in training
    with trainer.accelerator.autocast():
        loss = trainer.compute_loss(model, trainer._prepare_inputs(trainer.with_scan(batch)))
    loss.backward()
    print(f"loss {loss.item():.4f}")
    if torch.cuda.is_available():
        print(f"peak GPU memory {torch.cuda.max_memory_allocated() / 2**30:.2f} GiB")
    with suppress(OSError):  # Trainer made the folder; the next call shall find none
        Path(trainer.args.output_dir).rmdir()
    print(f"peak memory of the process {peak_memory_gib():.2f} GiB")


def describe_fullness(batch: dict, tokens_a_batch: int) -> str:
    """How many tokens a batch has, beside those that it was to have at most."""
    n_rows, width = batch["input_ids"].shape
    n_tokens, n_real = n_rows * width, int(batch["attention_mask"].sum())
    share = n_tokens / tokens_a_batch - 1
    than = f"{abs(share):.1%} {'more' if share > 0 else 'fewer'} than" if share else "as many as"
    return (
        f"the fullest batch: {n_rows} rows × {width} tokens = {n_tokens} with padding, {n_real} without: {than} "
        f"--tokens_per_batch {tokens_a_batch}"
    )
