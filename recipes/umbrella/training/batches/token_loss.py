"""The loss of the supervised tokens, the same for every model family and any division of a step."""

import inspect
from collections.abc import Callable

import torch
from torch.nn.functional import cross_entropy
from transformers import PreTrainedModel
from transformers.utils import ModelOutput

from umbrella.conversations.ignore_index import IGNORE_INDEX


def supervised_loss(
    model: PreTrainedModel,
    inputs: dict,
    n_supervised: torch.Tensor | int | None,
    keeps_logits: bool,
    label_smoothing: float = 0.0,
    watch: Callable[[torch.Tensor], None] | None = None,
) -> tuple[torch.Tensor, ModelOutput]:
    """Cross-entropy of the labels (B, T), which are not shifted, as a sum over `n_supervised`.

    Only positions at which some row predicts a supervised token go through the output layer: of a brain scan's
    hundreds of image tokens none does, and with a vocabulary of 150,000 the logits are the largest tensor of a step.

    Args:
        n_supervised: supervised tokens of the whole step, over all processes and accumulated batches; None takes those
            of this batch.
        keeps_logits: whether the model takes `logits_to_keep`, see `takes_logits_to_keep`.
        watch: is told what `sum_rows` gives; the loss is the same to its last bit.

    Returns (loss, the model's outputs with `logits` (B, P, V)).
    """
    labels = inputs["labels"][:, 1:]  # (B, T - 1), what the logits at each position predict
    others = {key: value for key, value in inputs.items() if key != "labels"}
    supervised = labels != IGNORE_INDEX
    if keeps_logits:
        positions = supervised.any(dim=0).nonzero().flatten()  # (P,)
        outputs = model(**others, logits_to_keep=positions)
        logits, labels = outputs.logits, labels[:, positions]
    else:
        outputs = model(**others)
        logits = outputs.logits[:, :-1]
    total = cross_entropy(
        logits.flatten(0, 1).float(),
        labels.flatten(),
        ignore_index=IGNORE_INDEX,
        reduction="sum",
        label_smoothing=label_smoothing,
    )
    if watch is not None:
        watch(sum_rows(logits, labels, label_smoothing))
    return total / (supervised.sum().clamp(min=1) if n_supervised is None else n_supervised), outputs


@torch.no_grad()
def sum_rows(logits: torch.Tensor, labels: torch.Tensor, label_smoothing: float = 0.0) -> torch.Tensor:
    """(B,) sums of the cross-entropy of each row, of logits (B, P, V) and labels (B, P). Row by row: all at once would
    take as much memory as the logits again."""
    sums = [
        cross_entropy(own.float(), wanted, ignore_index=IGNORE_INDEX, reduction="sum", label_smoothing=label_smoothing)
        for own, wanted in zip(logits, labels, strict=True)
    ]
    return torch.stack(sums)


def takes_logits_to_keep(model: PreTrainedModel) -> bool:
    """Whether the model's output layer can be given a part of the positions. Few cannot: BLIP-2, MiniCPM."""
    return "logits_to_keep" in inspect.signature(model.forward).parameters
