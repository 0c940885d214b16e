"""When memory runs out: what to change, as flags with their present values."""

from collections.abc import Iterator
from contextlib import contextmanager

import torch

from umbrella.options.arguments import DataArguments
from umbrella.options.training_arguments import TrainArguments
from umbrella.views.settings import VOLUME

# What the message of an allocation that failed holds: CUDA's, a CPU's, transformers' of an evaluation, accelerate's
# --auto_find_batch_size at its end.
SIGNS = ("out of memory", "can't allocate memory", "out-of-memory", "No executable batch size found")


@contextmanager
def explain_out_of_memory(args: TrainArguments, data: DataArguments) -> Iterator[None]:
    """Turn an allocation that failed into a MemoryError that names the remedies."""
    try:
        yield
    except RuntimeError as error:
        if not isinstance(error, torch.OutOfMemoryError) and not any(sign in str(error) for sign in SIGNS):
            raise
        raise MemoryError(f"{str(error).splitlines()[0]}\n{list_remedies(args, data)}") from error


def list_remedies(args: TrainArguments, data: DataArguments) -> str:
    """The guide's remedies that are left, one a line."""
    batch, accumulation = args.per_device_train_batch_size, args.gradient_accumulation_steps
    remedies, tokens = [], args.tokens_per_batch
    if tokens is not None:
        remedies.append(
            f"--tokens_per_batch {tokens // 2} --gradient_accumulation_steps {accumulation * 2}"
            f"   (now {tokens} and {accumulation}: as many tokens a step)"
        )
    elif batch > 1:
        remedies.append(
            f"--batch_size 1 --gradient_accumulation_steps {batch * accumulation}"
            f"   (now {batch} and {accumulation}: the same rows a step)"
        )
    if not args.activation_checkpointing:
        remedies.append("--gradient_checkpointing true   (now false: recompute instead of store)")
    if not (args.bf16 or args.fp16):
        remedies.append("--bf16 true   (now float32)")
    remedies.append(f"--max_length {data.max_length // 2}   (now {data.max_length} tokens a row at most)")
    if args.deepspeed_plugin is None:
        remedies.append("--deepspeed ds_configs/zero2.json   (now none: each GPU holds the whole optimizer)")
    elif args.deepspeed_plugin.zero_stage < 3:
        remedies.append(f"--deepspeed ds_configs/zero3.json   (now ZeRO-{args.deepspeed_plugin.zero_stage})")
    if args.train == ["all"]:
        remedies.append("--train lora or --train projector   (now all weights)")
    view = data.view or "axial"
    if view.startswith("slices"):
        remedies.append(f"--view axial   (now {view}: as many images a scan)")
    if data.view == VOLUME or data.volume_size or data.volume_spacing or data.frames:
        remedies.append(
            "--volume_spacing and --volume_size   (twice the one and half the other: the same field of view with an "
            "eighth of the patches)"
        )
        remedies += [f"--frames   (now {data.frames}: fewer)"] if data.frames else []
    return "What helps, in this order:\n  " + "\n  ".join(remedies)
