"""How much memory a GPU needs for a recipe, under each way to spread a model over several: from the config alone.

Bytes a weight, of N GPUs, with AdamW; mixed stands for --bf16 true:

                      weights             gradients  optimizer            on the CPU
    DDP, mixed        2 frozen, 4 trained 4          8                    -
    DDP, float32      4                   4          8                    -
    ZeRO-2, mixed     2                   (2 + 4)/N  (4 + 8)/N            -
    ZeRO-3, mixed     2/N                 (2 + 4)/N  (4 + 8)/N            -
    offload           as above            -          -                    16 trained (and 2 all: ZeRO-3)

Gradients and optimizer count trained weights alone. Without DeepSpeed the weights themselves are the 32-bit masters
(`umbrella.models.for_training`), used through 16-bit casts that autograd keeps: those are among the activations.
DeepSpeed has masters of its own, and casts a partition of the gradients to 32 bits before a step. In float32 its 2
becomes 4.
"""

import copy
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import nn
from transformers import AutoConfig, AutoModelForImageTextToText, PreTrainedConfig, PreTrainedModel

from umbrella.models.adapters import add_lora
from umbrella.models.base import BaseModel, read_base
from umbrella.models.folder_check import check_model_folder
from umbrella.models.for_training import find_dtype
from umbrella.models.foreign_code import NO_FOREIGN_CODE, refuse_foreign_code
from umbrella.models.freezing import LORA, choose_trained
from umbrella.models.hub_names import find_repo
from umbrella.models.tiny3d import build_tiny3d
from umbrella.models.tiny_llava import build_tiny_llava
from umbrella.options.arguments import BUILT, TINY
from umbrella.options.training_arguments import TrainArguments
from umbrella.planning.planned_batch import PlannedBatch, build_batch
from umbrella.planning.saved_activations import Activations, fake_weights, measure_activations

MASTER, ADAM = 4, 8  # bytes a trained weight: its copy in 32 bits; mean and variance
NF4 = 0.5 + 1 / 64  # bytes a weight of 4 bits, with its share of the doubly quantised scales
MOST_GATHERED = 10**9  # weights that ZeRO-3 holds whole at once: stage3_max_live_parameters
OVERHEAD = 1.5 * 2**30  # CUDA's context, NCCL, the kernels' workspaces: a usual size, not computed
GIB = 2**30


@dataclass(frozen=True)
class Memory:
    """Bytes of one strategy on each GPU, and on the machine's CPU for all its GPUs.

    otherwise  not in the total: activations without checkpointing where the recipe has it, with it where it has not
    """

    name: str
    weights: float
    gradients: float
    optimizer: float
    buffers: float
    activations: float
    otherwise: float
    loss: float
    cpu: float = 0

    @property
    def total(self) -> float:
        """On each GPU, with what CUDA itself takes."""
        parts = self.weights, self.gradients, self.optimizer, self.buffers, self.activations, self.loss
        return sum(parts) + OVERHEAD


def load_config(name: str, base_model: str | None = None) -> PreTrainedConfig:
    """A model's config: of "tiny", "tiny3d", a folder (config.json is enough) or a model of the Hub; of a checkpoint
    of trained weights alone, that of its base.

    Raises OSError, one sentence, where there is none, ValueError where it brings its own code along.
    """
    if name in BUILT:
        return (build_tiny_llava if name == TINY else build_tiny3d)()[0].config
    find_repo(name)
    try:
        base = read_base(name)
        if base is not None:
            return load_config(base_model or base.name)
        check_model_folder(name)
        path = Path(name).expanduser()
        return AutoConfig.from_pretrained(path if path.is_dir() else name, **NO_FOREIGN_CODE)
    except (OSError, ValueError) as error:
        refuse_foreign_code(name, error)
        raise OSError(
            f"model_name_or_path: expected a folder with a config.json, a model of the Hub or 'tiny'; {name!r} has no "
            f"config that loads ({str(error).splitlines()[0]})"
        ) from error


def build_without_memory(
    config: PreTrainedConfig, args: TrainArguments, sharded_by_deepspeed: bool
) -> PreTrainedModel:
    """The model as it goes into training, on the meta device: frozen, adapted and in the number formats that
    `load_for_training` gives it, with DeepSpeed or without."""
    config, dtype = copy.deepcopy(config), find_dtype(args)
    attention = args.attn_implementation  # None: the model's choice, as in training
    if sharded_by_deepspeed:
        dtype = torch.bfloat16 if args.bf16 else torch.float32
    with torch.device("meta"):
        model = AutoModelForImageTextToText.from_config(
            config,
            dtype=dtype,
            attn_implementation="sdpa" if attention and "flash" in attention else attention,  # which keep the same
        )
        choose_trained(model, args.train)
        if LORA in args.train:
            model = add_lora(model, args, BaseModel(name=""))
    for parameter in model.parameters():
        if sharded_by_deepspeed or parameter.requires_grad:
            parameter.data = parameter.data.to(dtype if sharded_by_deepspeed else torch.float32)
    if args.load_in_4bit:  # computed with in 16 bits, whatever PEFT has made of the weights that are not there
        for weight in weights_in_4bit(model):
            weight.data = weight.data.to(torch.bfloat16)
    return model


def count_weights(model: nn.Module) -> tuple[int, int]:
    """(all, trained) weights of a model, tied ones once."""
    return (
        sum(p.numel() for p in model.parameters()),
        sum(p.numel() for p in model.parameters() if p.requires_grad),
    )


def weights_in_4bit(model: PreTrainedModel) -> list[nn.Parameter]:
    """What QLoRA quantises: the frozen weights of linear layers, without the output layer."""
    linear = [module.weight for module in model.modules() if isinstance(module, nn.Linear)]
    output = model.get_output_embeddings().weight
    return [weight for weight in linear if weight is not output and not weight.requires_grad]


def frozen_bytes(model: PreTrainedModel, in_4bit: bool) -> float:
    """Memory of the frozen weights."""
    small = {id(weight) for weight in weights_in_4bit(model)} if in_4bit else set()
    frozen = [parameter for parameter in model.parameters() if not parameter.requires_grad]
    return sum(p.numel() * NF4 if id(p) in small else p.nbytes for p in frozen)


def measure_step(model: PreTrainedModel, plan: PlannedBatch, autocast: bool) -> tuple[Activations, Activations]:
    """What a step keeps of its forward pass: (without activation checkpointing, with it). Changes the model, which
    must be on the meta device."""
    batch = build_batch(model, plan, torch.float32 if autocast else model.dtype)
    fake = fake_weights(model)
    plain = measure_activations(fake, batch, autocast)
    fake.activation_checkpointing_enable()
    kept = measure_activations(fake, batch, autocast).kept
    # The layer that is recomputed keeps its own on top of what all have kept.
    return Activations(plain.kept, 0, plain.loss), Activations(kept, plain.largest_layer, plain.loss)


def estimate(config: PreTrainedConfig, args: TrainArguments, plan: PlannedBatch, num_gpus: int) -> list[Memory]:
    """A recipe's memory under DDP, ZeRO-2 and ZeRO-3, with and without offload, on `num_gpus` of one machine."""

    def step(model: PreTrainedModel, autocast: bool) -> dict[str, int]:
        plain, spared = measure_step(model, plan, autocast)
        kept = [plain.kept, spared.kept + spared.largest_layer]
        used, otherwise = reversed(kept) if args.activation_checkpointing else kept
        return {"activations": used, "otherwise": otherwise, "loss": plain.loss}

    ddp = build_without_memory(config, args, sharded_by_deepspeed=False)
    frozen = frozen_bytes(ddp, args.load_in_4bit)
    total, trained = count_weights(ddp)
    # Over several GPUs, DDP has the gradients a second time, in the buckets in which it sends them.
    buckets = 4 * trained if num_gpus > 1 else 0
    weights = frozen + MASTER * trained
    rows = [Memory("DDP", weights, 4 * trained, ADAM * trained, buckets, **step(ddp, autocast=args.bf16))]
    if args.load_in_4bit:
        return rows  # quantised weights are not for DeepSpeed's shards

    kept = step(build_without_memory(config, args, sharded_by_deepspeed=True), autocast=False)
    size = 2 if args.bf16 else 4  # bytes of a weight
    # ds_configs/*.json: buckets of hidden_size² gradients, two of them since one is sent while the other fills.
    hidden = config.get_text_config().hidden_size
    buckets, gathered = 2 * size * hidden**2, size * min(total, MOST_GATHERED)
    weights, gradients, optimizer = size * total, (size + 4) * trained, (MASTER + ADAM) * trained
    on_cpu = optimizer + 4 * trained
    return [
        *rows,
        Memory("ZeRO-2", weights, gradients / num_gpus, optimizer / num_gpus, buckets, **kept),
        Memory("ZeRO-2 offload", weights, 0, 0, buckets, **kept, cpu=on_cpu),
        Memory("ZeRO-3", weights / num_gpus, gradients / num_gpus, optimizer / num_gpus, buckets + gathered, **kept),
        Memory("ZeRO-3 offload", 0, 0, 0, buckets + gathered, **kept, cpu=on_cpu + weights),
    ]


def to_table(rows: list[Memory], cards: tuple[int, ...] = (24, 40, 80)) -> str:
    """The estimate for a person, in GiB."""
    columns = ("weights", "gradients", "optimizer", "buffers", "activations", "otherwise", "loss", "total", "cpu")
    lines = [f"{'GiB a GPU':<15}" + "".join(f"{name:>12}" for name in columns) + "   fits"]
    for row in rows:
        fits = [f"{card}" for card in cards if row.total <= card * GIB]
        figures = "".join(f"{getattr(row, name) / GIB:>12.2f}" for name in columns)
        lines.append(f"{row.name:<15}{figures}   {', '.join(fits) + ' GB' if fits else 'none'}")
    return "\n".join(lines)
