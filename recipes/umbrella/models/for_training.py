"""The model as it goes into training: loaded, frozen in parts, with adapters where they are asked for."""

from typing import Any

import torch
from transformers import PreTrainedModel

from umbrella.models.adapters import add_lora, quantization
from umbrella.models.base import BaseModel, describe_base
from umbrella.models.freezing import ALL, LORA, choose_trained
from umbrella.models.loading import load_model
from umbrella.models.volumes.agreement import follow_spacing
from umbrella.options.training_arguments import TrainArguments


def load_for_training(
    model_name_or_path: str, args: TrainArguments, base_model: str | None = None, volume_spacing: float | None = None
) -> tuple[PreTrainedModel, BaseModel | None]:
    """Load a model and make ready what `args.train` names.

    In mixed precision frozen weights are loaded in 16 bits and trained ones in 32, which the optimizer needs;
    DeepSpeed takes all in 16 bits and keeps copies in 32 of its own.

    Args:
        base_model: where the base of a checkpoint of trained weights lies now, see `load_model`.
        volume_spacing: in mm, of the volumes that are asked for: a tower that counts in mm is trained for it. None:
            for those that it states.

    Returns (model, base): base is None where the whole model is trained and saved, else what its checkpoints stand on.
    Raises ValueError for parts that the model does not have, and as `load_model` and `add_lora` do.
    """
    options = {"dtype": find_dtype(args), **quantization(args)}
    if args.attn_implementation:
        options["attn_implementation"] = args.attn_implementation
    model = load_model(model_name_or_path, seed=args.seed, base_model=base_model, **options)
    follow_spacing(model, volume_spacing)
    base = describe_base(model_name_or_path, args.seed)  # now that the weights are here
    choose_trained(model, args.train)
    if LORA in args.train:
        model = add_lora(model, args, base)
    if args.deepspeed_plugin is None:
        for parameter in model.parameters():
            if parameter.requires_grad:
                parameter.data = parameter.data.float()
    return model, None if ALL in args.train else base


def find_dtype(args: TrainArguments) -> torch.dtype:
    """The number format that the weights are loaded in."""
    if args.dtype:
        return getattr(torch, args.dtype)
    if args.bf16 or args.fp16:
        return torch.bfloat16 if args.bf16 else torch.float16
    return torch.float32


def find_autocast(args: TrainArguments) -> torch.dtype | None:
    """The number type in which a forward pass computes beside that of the weights: mixed precision, which DeepSpeed
    does not know."""
    if args.deepspeed_plugin is not None or not (args.bf16 or args.fp16):
        return None
    return torch.bfloat16 if args.bf16 else torch.float16


def describe_trained(model: Any, base: BaseModel | None) -> str:
    """One line for a person: how much of the model is trained."""
    # Under ZeRO-3 a parameter is empty here, and its size stands in `ds_numel`.
    counts = [(getattr(p, "ds_numel", p.numel()), p.requires_grad) for p in model.parameters()]
    total, trained = sum(n for n, _ in counts), sum(n for n, is_trained in counts if is_trained)
    saved = "the whole model" if base is None else f"what is trained; the rest stays in {base.name!r}"
    return f"trained: {trained:,} of {total:,} weights ({trained / total:.2%}); checkpoints hold {saved}"
