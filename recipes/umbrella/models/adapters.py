"""LoRA: small trained matrices beside the frozen ones, by PEFT."""

from importlib import import_module

import torch
from torch import nn
from transformers import BitsAndBytesConfig, PreTrainedModel
from transformers.utils import is_peft_available

from umbrella.models.base import BaseModel
from umbrella.models.freezing import LORA
from umbrella.options.extras import check_extra
from umbrella.options.training_arguments import TrainArguments


def add_lora(model: PreTrainedModel, args: TrainArguments, base: BaseModel) -> PreTrainedModel:
    """Wrap the model in adapters on the linear layers of its language model; what `--train` names beside "lora" is
    trained in full. Returns a PeftModel, whose checkpoints hold the adapters and those parts alone.

    Raises ImportError without PEFT, ValueError for --lora_target_modules that name no layer, and for weights that
    belong to no module of their own.
    """
    check_extra("peft", "--train lora", "peft")
    from peft import LoraConfig, get_peft_model, prepare_model_for_kbit_training

    whole = [name for name, parameter in model.named_parameters() if parameter.requires_grad]
    if args.load_in_4bit:
        model = prepare_model_for_kbit_training(model, use_gradient_checkpointing=False)
    in_full = _smallest_modules(model, whole)
    left = [name for name in whole if not any(name.startswith(f"{module}.") for module in in_full)]
    if left:
        raise ValueError(
            f"--train {','.join(args.train)}: expected whole modules beside lora, found {', '.join(left)}, which PEFT "
            f"would leave frozen. Name the modules instead: --train {','.join([*in_full, LORA])}"
        )
    config = LoraConfig(
        r=args.lora_r,
        lora_alpha=args.lora_alpha,
        lora_dropout=args.lora_dropout,
        target_modules=args.lora_target_modules or find_linear_layers(model),
        modules_to_save=in_full or None,
        revision=base.revision,
    )
    return get_peft_model(model, config)


def find_linear_layers(model: PreTrainedModel) -> list[str]:
    """The names of the linear layers of the language model, without its output layer."""
    inside = {id(module) for module in model.get_decoder().modules()}
    output = model.get_output_embeddings()
    return [
        name
        for name, module in model.named_modules()
        if isinstance(module, nn.Linear) and id(module) in inside and module is not output
    ]


def _smallest_modules(model: PreTrainedModel, parameters: list[str]) -> list[str]:
    """The fewest modules that hold these parameters and no others: what PEFT copies and trains in full."""
    wanted, modules = set(parameters), []
    for name, module in model.named_modules():
        own = {f"{name}.{parameter}" if name else parameter for parameter, _ in module.named_parameters()}
        if own and own <= wanted and not any(name.startswith(f"{taken}.") for taken in modules):
            modules.append(name)
    return modules


def quantization(args: TrainArguments) -> dict:
    """What `load_model` takes for QLoRA (Dettmers et al. 2023): 4-bit NormalFloat, computing in bfloat16."""
    if not args.load_in_4bit:
        return {}
    if args.train != [LORA]:
        raise ValueError(
            f"--load_in_4bit: expected --train lora, found --train {','.join(args.train)}: 4-bit weights are frozen"
        )
    check_extra("bitsandbytes", "--load_in_4bit", "qlora")
    return {
        "quantization_config": BitsAndBytesConfig(
            load_in_4bit=True,
            bnb_4bit_quant_type="nf4",
            bnb_4bit_use_double_quant=True,
            bnb_4bit_compute_dtype=torch.bfloat16,
        )
    }


def is_adapted(model: PreTrainedModel) -> bool:
    """Whether the model is a PeftModel."""
    return is_peft_available() and isinstance(model, import_module("peft").PeftModel)
