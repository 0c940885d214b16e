"""The probability that a model gives to each label, also where its text names none."""

from collections.abc import Sequence

import numpy as np
import torch

from umbrella.conversations.ignore_index import IGNORE_INDEX
from umbrella.conversations.turns import join_texts


def last_text(row: dict) -> str:
    """The text of a row's last turn, its items joined by line breaks."""
    return join_texts(row["conversations"][-1]["content"])


def replace_answer(row: dict, answer: str) -> dict:
    """The row with another text as its last turn."""
    last = row["conversations"][-1]
    item = {**last["content"][-1], "type": "text", "text": answer}
    return {**row, "conversations": [*row["conversations"][:-1], {**last, "content": [item]}]}


def last_answer_mask(labels: torch.Tensor) -> torch.Tensor:
    """(B, T) labels → the positions of each row's last supervised run of tokens: the last answer and its end token."""
    supervised = labels != IGNORE_INDEX
    # A position belongs to the last run when it is supervised and every later gap holds no supervised token.
    starts = supervised & ~torch.nn.functional.pad(supervised, (1, 0))[:, :-1]
    runs = starts.cumsum(dim=1)  # (B, T): the number of the run
    return supervised & (runs == runs[:, -1:])


def answer_log_likelihoods(logits: torch.Tensor, labels: torch.Tensor) -> torch.Tensor:
    """(B, T, V) logits, (B, T) labels → (B,) log-likelihood of each row's last answer, in nats, summed over tokens."""
    mask = last_answer_mask(labels)[:, 1:]
    rows, positions = mask.nonzero(as_tuple=True)
    tokens = labels[:, 1:][mask]
    chosen = logits[rows, positions].float()  # the logits before a token predict it
    log_likelihoods = chosen.log_softmax(dim=-1).gather(1, tokens[:, None])[:, 0]
    return torch.zeros(len(labels), device=logits.device).index_add_(0, rows, log_likelihoods)


def to_probabilities(log_likelihoods: Sequence[float]) -> list[float]:
    """Log-likelihoods of the labels' answers → probabilities that sum to one."""
    values = np.asarray(log_likelihoods)
    odds = np.exp(values - values.max())
    return (odds / odds.sum()).tolist()
