"""Which steps a run has taken, and whether they changed the weights: one that changed none has trained nothing."""

from typing import Any

import torch
from accelerate import Accelerator
from torch.distributed.tensor import DTensor
from transformers import PreTrainedModel, TrainerCallback, TrainerControl, TrainerState, TrainingArguments

from umbrella.models.trained_weights import gathered

PIECE = 2**24  # values that are summed at a time: a whole embedding in float64 might not fit beside a model


class StepsTaken(TrainerCallback):
    """Counts from where training began or was resumed, and compares the trained weights with those of then.

    Args:
        accelerator: tells of a step that was left out, its gradients too large for fp16.
    """

    def __init__(self, accelerator: Accelerator) -> None:
        self.accelerator = accelerator
        self.first, self.last, self.has_moved = 0, 0, False
        self.has_changed, self.is_finite, self.highest_rate = False, True, 0.0
        self._at_first = torch.zeros(0)

    def on_train_begin(
        self,
        args: TrainingArguments,
        state: TrainerState,
        control: TrainerControl,
        model: PreTrainedModel | None = None,
        **kwargs: Any,
    ) -> None:
        self.first = self.last = state.global_step
        self.has_moved = self.has_changed = False
        self.highest_rate = 0.0
        self._at_first = sum_weights(model)

    def on_pre_optimizer_step(
        self,
        args: TrainingArguments,
        state: TrainerState,
        control: TrainerControl,
        optimizer: torch.optim.Optimizer | None = None,
        **kwargs: Any,
    ) -> None:
        self.highest_rate = max(self.highest_rate, *(group["lr"] for group in optimizer.param_groups))

    def on_step_end(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **kwargs: Any
    ) -> None:
        self.last = state.global_step
        self.has_moved = self.has_moved or not self.accelerator.optimizer_step_was_skipped

    def on_epoch_end(
        self,
        args: TrainingArguments,
        state: TrainerState,
        control: TrainerControl,
        model: PreTrainedModel | None = None,
        **kwargs: Any,
    ) -> None:
        """Before the best weights are taken back: they may be those that the run went on from."""
        if not self.has_changed:
            self.has_changed = self._holds_anywhere(not torch.equal(sum_weights(model), self._at_first), args)

    def on_train_end(
        self,
        args: TrainingArguments,
        state: TrainerState,
        control: TrainerControl,
        model: PreTrainedModel | None = None,
        **kwargs: Any,
    ) -> None:
        """Raises FloatingPointError where steps were taken, and the weights are as before or not all finite."""
        self.is_finite = not self._holds_anywhere(not sum_weights(model).isfinite().all().item(), args)
        self._check(args, state.max_steps)

    def _holds_anywhere(self, found: bool, args: TrainingArguments) -> bool:
        """Whether it was found on one of the processes, each of which may have its own part of the weights."""
        return bool(self.accelerator.reduce(torch.tensor(int(found), device=args.device)).item())

    @property
    def count(self) -> int:
        return self.last - self.first

    def _check(self, args: TrainingArguments, n_steps: int) -> None:
        if not self.count:
            return
        steps = say_steps(self.count)
        if not self.has_moved:
            raise FloatingPointError(
                f"expected a step that changes the weights, found {steps} that were all left out, their "
                "gradients too large for --fp16. Train in --bf16, or for more steps: each lowers the scale"
            )
        if not self.has_changed:
            raise FloatingPointError(
                f"expected a step that changes the weights, found {steps} after which they are what they were: "
                f"{self._say_why(args, n_steps)}. Nothing was trained, and no model is saved"
            )
        if not self.is_finite:
            raise FloatingPointError(
                f"expected finite weights at the end, found nan or infinite ones after {steps} with learning rates up "
                f"to {self.highest_rate:g}. Lower --learning_rate; no model is saved"
            )

    def _say_why(self, args: TrainingArguments, n_steps: int) -> str:
        if self.highest_rate:
            return (
                f"at learning rates up to {self.highest_rate:g} the gradients were 0, or too small for the weights' "
                "number type. Do the rows reach what --train names? Rows without a scan train no projector or vision "
                "tower"
            )
        if args.learning_rate == 0:
            return "--learning_rate is 0. Set it higher"
        warmup = args.get_warmup_steps(n_steps)
        if warmup and not self.first:
            return (
                f"the learning rate was 0, in a warm-up of {say_steps(warmup)} for a run of {n_steps}. "
                "Lower --warmup_steps, or train for more steps"
            )
        return (
            "the learning rate was 0 at each of them: of a run that had come to its end, the schedule goes on from "
            "there. Set --max_steps or --epochs higher, or train from the checkpoint as a model: "
            "--model_name_or_path, in another --output_dir"
        )


def say_steps(n: int) -> str:
    """A number of steps in a sentence."""
    return f"{n} step" if n == 1 else f"{n} steps"


def sum_weights(model: PreTrainedModel) -> torch.Tensor:
    """(trained parameters, 2) float64 sums of the values and of their squares: equal where no weight has changed.

    Parameters that FSDP has spread are summed in part; those of ZeRO-3 whole, so every process must call this.
    """
    sums = []
    for parameter in model.parameters():
        if parameter.requires_grad:
            with gathered(parameter):
                value = parameter.detach()
                value = value.to_local() if isinstance(value, DTensor) else value
                sums.append(sum(map(_sum_piece, value.reshape(-1).split(PIECE)), torch.zeros(2)))
    return torch.stack(sums)


def _sum_piece(values: torch.Tensor) -> torch.Tensor:
    exact = values.to(torch.float32 if values.device.type == "mps" else torch.float64)  # which Apple's GPUs lack
    return torch.stack([exact.sum(), exact.square().sum()]).cpu()
