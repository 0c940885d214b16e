"""A trained model as other tools read it: whole, its weights under the names that published checkpoints have.

transformers 5 renames many families' weights while it loads them (LLaVA's `language_model.model.layers…` become
`model.language_model.layers…`), and `save_pretrained` writes them back under the names that the file had. `load_model`
switches that off, so that a run can go on; its folder hence has the names in memory, which other tools do not know.
"""

from collections.abc import Set
from copy import deepcopy
from pathlib import Path

import torch
from torch import Tensor
from transformers import PreTrainedModel, ProcessorMixin
from transformers.conversion_mapping import get_model_conversion_mapping
from transformers.core_model_loading import PrefixChange, apply_renamings, revert_weight_conversion
from transformers.integrations.deepspeed import unset_hf_deepspeed_config
from transformers.utils import SAFE_WEIGHTS_INDEX_NAME, SAFE_WEIGHTS_NAME, cached_file

from umbrella.conversations.encoder import ConversationEncoder
from umbrella.files.json_files import read_json
from umbrella.files.written_files import PARTIAL
from umbrella.models.base import FILE_NAME as BASE_FILE
from umbrella.models.end_tokens import list_end_tokens
from umbrella.models.folder_check import REMEDY, read_header
from umbrella.models.loading import load_model
from umbrella.records.recipe import Recipe
from umbrella.records.training_data import read_training_data


def check_export_dir(output_dir: str | Path) -> Path:
    """The folder to export to. Raises ValueError unless it is new or empty but for what a killed export left."""
    path = Path(output_dir)
    if path.exists() and not path.is_dir():
        raise ValueError(f"--output_dir {path}: expected a folder to write to, found a file. Choose another")
    if path.is_dir() and (found := len([file for file in path.iterdir() if file.name != PARTIAL])):
        raise ValueError(f"--output_dir {path}: expected an empty or new folder, found {found} files. Choose another")
    return path


def export_model(
    model: PreTrainedModel,
    processor: ProcessorMixin,
    recipe: Recipe | None,
    output_dir: Path,
    dtype: str | None = None,
    names: Set[str] = frozenset(),
) -> None:
    """Write model, generation config, processor and recipe for `from_pretrained` into `output_dir`.

    Args:
        model: one from `load_model`; it is changed, to `dtype` among others.
        dtype: "bfloat16", "float16" or "float32"; None leaves the weights as they are.
        names: those of a published checkpoint's weights, which are taken where they differ from transformers' own.

    Where there is a recipe, the generation config is told the token that ends an answer in training: other tools stop
    there too.
    """
    if recipe is not None:
        config, taught = model.generation_config, ConversationEncoder(processor).end_token_id
        if config.eos_token_id != taught:
            config.eos_token_id = list_end_tokens(config, taught)
    if dtype is not None:
        model.to(getattr(torch, dtype))
    anew = _build_anew(model)
    output_dir.mkdir(parents=True, exist_ok=True)
    anew.save_pretrained(output_dir, state_dict=_choose_prefixes(anew, model.state_dict(), names))
    processor.save_pretrained(output_dir)
    if recipe is not None:
        recipe.save(output_dir)


def merge_adapters(folder: Path, processor: ProcessorMixin, recipe: Recipe) -> None:
    """Make of a folder of adapters one of the whole model. It is put together on the CPU, by one process alone."""
    unset_hf_deepspeed_config()  # ZeRO-3 would spread what is loaded over processes that do not load it
    model = load_model(str(folder))
    export_model(model, processor, recipe, folder)
    for path in (*folder.glob("adapter_*"), folder / BASE_FILE):  # the last one: as long as it is there, none takes
        path.unlink()  # what a kill leaves for a whole model


def read_base_names(run: str, names_of: str | None) -> set[str]:
    """The weights' names of the published model that `run` was trained from: of `names_of`, else of the one that
    training_data.json names. Empty where it is not known, or not on this machine.

    Raises ValueError where `names_of` is given and has no safetensors here.
    """
    base = names_of or read_training_data(run).find_hub_model()
    names = set() if base is None else _read_names(base)
    if names_of is not None and not names:
        raise ValueError(
            f"--names_of {names_of}: expected a model's folder, or a model of the Hub that has been fetched; "
            f"found no safetensors of it on this machine. Fetch it with: hf download {names_of}"
        )
    return names


def _build_anew(model: PreTrainedModel) -> PreTrainedModel:
    """The same model without memory for weights, built and not loaded: one that was loaded saves under the names that
    its file had, which are a checkpoint's here."""
    with torch.device("meta"):
        anew = type(model)(deepcopy(model.config)).to(model.dtype)
    anew.generation_config = model.generation_config
    return anew


def _choose_prefixes(anew: PreTrainedModel, state: dict[str, Tensor], names: Set[str]) -> dict[str, Tensor]:
    """The weights as `save_pretrained` of a model that was built anew is to rename them: as they are, or with prefixes
    that older checkpoints have besides (CLIP's "vision_model."), whichever comes nearer to `names`."""
    every = get_model_conversion_mapping(anew, add_legacy=False)
    prefixes = [conversion.reverse_transform() for conversion in every[::-1] if isinstance(conversion, PrefixChange)]
    prefixed = {name: apply_renamings(name, prefixes) for name in state}
    as_it_is, with_prefixes = (
        revert_weight_conversion(anew, {renamed.get(name, name): value for name, value in anew.state_dict().items()})
        for renamed in ({}, prefixed)
    )
    if len(names & with_prefixes.keys()) > len(names & as_it_is.keys()):
        return {prefixed[name]: value for name, value in state.items()}
    return state


def _read_names(model_name_or_path: str) -> set[str]:
    """The names of a checkpoint's weights, from its files' headers; empty without safetensors on this machine."""
    for file in (SAFE_WEIGHTS_INDEX_NAME, SAFE_WEIGHTS_NAME):
        try:
            path = cached_file(model_name_or_path, file, local_files_only=True)
        except OSError:
            path = None
        if path is not None and path.endswith(".json"):
            index = read_json(Path(path), dict, ("weight_map",), REMEDY, keys_twice=True)
            return set(index["weight_map"])
        if path is not None:
            return read_header(Path(path)).keys() - {"__metadata__"}
    return set()
