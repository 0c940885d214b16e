"""What autograd keeps of a forward pass, in bytes, counted in a real run or in one without numbers.

    model on the meta device ──fake_weights──▶ the same with weights that have a shape and a type, and no memory
    model, batch ──measure_activations──▶ Activations

Text and image inputs are real in both cases, since models look into them (where are the image tokens?). All that the
weights touch is fake from there on (torch's FakeTensor) and runs a CPU's operations: a real run on a CPU counts the
same. Attention is SDPA's flash kernel there as on a GPU: no (T, T) matrix is kept.
"""

from contextlib import ExitStack
from dataclasses import dataclass
from typing import Any

import torch
from torch import nn
from torch._subclasses.fake_tensor import FakeTensorMode  # from where PyTorch's own documentation imports it
from torch.multiprocessing.reductions import StorageWeakRef
from transformers.modeling_layers import GradientCheckpointingLayer

from umbrella.models.adapters import is_adapted
from umbrella.training.batches.token_loss import supervised_loss, takes_logits_to_keep


@dataclass(frozen=True)
class Activations:
    """Bytes that one forward pass leaves behind for the backward pass.

    kept           everything before the output layer
    largest_layer  the most that a single layer keeps: with checkpointing on top, while that layer is recomputed
    loss           output layer and loss: log-probabilities, their gradient, logits in 16 bits
    """

    kept: int
    largest_layer: int
    loss: int


class _Saved:
    """A tensor in autograd's keeping; says when it is let go."""

    def __init__(self, tensor: torch.Tensor, counter: "SavedBytes") -> None:
        self.tensor, self.counter = tensor, counter

    def __del__(self) -> None:
        self.counter.release(self.tensor)


class SavedBytes:
    """Counts the distinct memory that autograd holds while this context is open, weights and buffers left out."""

    def __init__(self, model: nn.Module) -> None:
        weights = [*model.parameters(), *model.buffers()]
        self.known = {StorageWeakRef(weight.untyped_storage()) for weight in weights}
        self.holders: dict[StorageWeakRef, int] = {}  # storage → how many saved tensors lie in it
        self.total = 0  # bytes
        self.hooks = torch.autograd.graph.saved_tensors_hooks(self._pack, lambda saved: saved.tensor)

    def __enter__(self) -> "SavedBytes":
        self.hooks.__enter__()
        return self

    def __exit__(self, *exception: Any) -> None:
        self.hooks.__exit__(*exception)

    def _pack(self, tensor: torch.Tensor) -> _Saved:
        storage = tensor.untyped_storage()
        place = StorageWeakRef(storage)
        if place not in self.known:
            if place not in self.holders:
                self.total += storage.nbytes()
            self.holders[place] = self.holders.get(place, 0) + 1
        return _Saved(tensor.detach(), self)

    def release(self, tensor: torch.Tensor) -> None:
        """One saved tensor less in its memory."""
        storage = tensor.untyped_storage()
        place = StorageWeakRef(storage)
        if place in self.known:
            return
        self.holders[place] -= 1
        if not self.holders[place]:
            del self.holders[place]
            self.total -= storage.nbytes()


def fake_weights(model: nn.Module) -> nn.Module:
    """Give a model of the meta device weights that pass for a CPU's and take no memory. Changes the model."""
    mode = FakeTensorMode(allow_non_fake_inputs=True)
    fakes: dict[int, torch.Tensor] = {}  # tied weights stay tied

    def fake(weight: torch.Tensor) -> torch.Tensor:
        if id(weight) not in fakes:
            with mode:
                empty = torch.empty(weight.shape, dtype=weight.dtype)
            is_weight = isinstance(weight, nn.Parameter)
            fakes[id(weight)] = nn.Parameter(empty, weight.requires_grad) if is_weight else empty
        return fakes[id(weight)]

    for module in model.modules():
        own = {"recurse": False, "remove_duplicate": False}
        for name, weight in [*module.named_parameters(**own), *module.named_buffers(**own)]:
            setattr(module, name, fake(weight))
    return model


def measure_activations(model: Any, batch: dict, bf16: bool) -> Activations:
    """Run a training step's forward pass and loss, and count what is kept for the backward pass.

    Args:
        model: a real one, or one out of `fake_weights`; checkpointing as it is switched on in it. It is left in
            training mode.
        batch: `input_ids`, `labels` (B, T) and the model's image inputs, real tensors.
        bf16: under autocast to bfloat16, as a Trainer without DeepSpeed runs it.
    """
    counter, layers, before_loss = SavedBytes(model.train()), [0], []
    starts: dict[nn.Module, int] = {}

    def enter(layer: torch.nn.Module, _: tuple) -> None:
        starts[layer] = counter.total

    def leave(layer: torch.nn.Module, *_: Any) -> None:
        layers.append(counter.total - starts[layer])

    output_layer = model.get_output_embeddings()
    with ExitStack() as stack:
        for module in model.modules():
            if isinstance(module, GradientCheckpointingLayer):
                stack.callback(module.register_forward_pre_hook(enter).remove)
                stack.callback(module.register_forward_hook(leave).remove)
        stack.callback(output_layer.register_forward_pre_hook(lambda *_: before_loss.append(counter.total)).remove)
        stack.enter_context(counter)
        stack.enter_context(torch.autocast("cpu", torch.bfloat16, enabled=bf16))
        keeps_logits = takes_logits_to_keep(model.get_base_model() if is_adapted(model) else model)
        loss, outputs = supervised_loss(model, batch, None, keeps_logits)
        logits, kept_by_loss = outputs.logits, counter.total - before_loss[-1]
    # The gradient of the log-probabilities is as large as they are, and that of 16-bit logits is beside it.
    backward = 4 * logits.numel() + (logits.nbytes if logits.element_size() < 4 else 0)
    assert loss.requires_grad  # the graph was alive while it was counted
    return Activations(before_loss[-1], max(layers), kept_by_loss + backward)
