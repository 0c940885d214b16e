"""Which weights are trained: parts of a model by name, all others frozen.

    vision_tower     the encoder of images
    projector        what leads from it to the language model: LLaVA's multi_modal_projector, Idefics3's connector,
                     Qwen-VL's merger
    language_model   the decoder with its output layer

Any other name is taken as a module's, as `model.named_modules()` has it, or its end: `lm_head`, `layers.31`.
"""

from collections.abc import Sequence

from torch import nn
from transformers import PreTrainedModel

from umbrella.options.list_flags import split_list

PARTS = ("projector", "language_model", "vision_tower")
ALL, LORA = "all", "lora"
MERGERS = ("merger", "deepstack_merger_list")  # Qwen-VL's projector lies within its vision tower


def choose_trained(model: PreTrainedModel, train: str | Sequence[str]) -> list[str]:
    """Set `requires_grad` of every parameter, and return the names of those that are trained.

    Args:
        train: parts or modules, see `split_list`, or "all". "lora" stands for no part: adapters come later.

    Raises ValueError for a name that matches nothing, with the names that do.
    """
    names, chosen = split_list(train), set()
    for name in names:
        if name not in (ALL, LORA):
            chosen |= {id(parameter) for parameter in find_parameters(model, name)}
    for parameter in model.parameters():
        parameter.requires_grad_(ALL in names or id(parameter) in chosen)
    return [name for name, parameter in model.named_parameters() if parameter.requires_grad]


def find_parameters(model: PreTrainedModel, name: str) -> list[nn.Parameter]:
    """The parameters of a part or module. Raises ValueError as `choose_trained` does."""
    if name in PARTS:
        found = split_parameters(model)[name]
    else:
        modules = [module for full, module in model.named_modules() if f".{full}".endswith(f".{name}")]
        found = [parameter for module in modules for parameter in module.parameters()]
    if not found:
        top = [*PARTS, ALL, LORA, *dict(model.named_children()), *dict(model.base_model.named_children())]
        raise ValueError(
            f"--train: expected names out of {', '.join(dict.fromkeys(top))}, or another module of "
            f"{type(model).__name__}; found {name!r}, which names no weights of it."
        )
    return found


def split_parameters(model: PreTrainedModel) -> dict[str, list[nn.Parameter]]:
    """Each parameter of the model in exactly one part."""
    encoder, decoder = model.get_encoder(modality="image"), model.get_decoder()
    mergers = [getattr(encoder, name) for name in MERGERS if hasattr(encoder, name)]
    merging = {id(parameter) for module in mergers for parameter in module.parameters()}
    seeing = {id(parameter) for parameter in encoder.parameters()} - merging
    speaking = {id(parameter) for parameter in decoder.parameters()}
    speaking |= {id(parameter) for parameter in model.get_output_embeddings().parameters()}
    parts = {name: [] for name in PARTS}
    for parameter in model.parameters():
        place = "vision_tower" if id(parameter) in seeing else "projector"
        parts["language_model" if id(parameter) in speaking else place].append(parameter)
    return parts
