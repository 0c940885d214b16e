"""A model whose frozen vision tower is not run on scans whose features are kept, see `umbrella.models.feature_cache`.

It takes a batch with two keys more, which `umbrella.rows.cached_scans` makes:

    pixel_values   of those scans alone that the tower has to see; empty where it has to see none
    image_sizes    of all scans, where the model takes them
    scan_keys      (scans, 4), int64: the entry's name in two numbers (zeros: it is not kept), how many rows of
                   scan_features are the scan's (0: the tower has to see it), how many images it is
    scan_features  what the projector eats of the others, one after the other; absent where there are none

What the tower makes of the others is kept then. Nothing of this is saved with the model.
"""

from collections.abc import Callable
from functools import update_wrapper
from itertools import islice
from typing import Any

import torch
from torch import nn
from transformers import LlavaForConditionalGeneration, LlavaProcessor, PreTrainedModel, ProcessorMixin
from transformers.integrations import is_deepspeed_zero3_enabled
from transformers.integrations.fsdp import is_fsdp_enabled
from transformers.modeling_outputs import BaseModelOutputWithPooling

from umbrella.models.adapters import is_adapted
from umbrella.models.feature_cache import (
    SCAN_FEATURES,
    SCAN_KEYS,
    FeatureCache,
    ScanFeatures,
    identify_tower,
    numbers_to_key,
)
from umbrella.models.volumes.patches import POOLED_TIME
from umbrella.models.volumes.processor import VolumeProcessor

# In a config, and of how it was saved: a trained model and the one that it started from share their entries.
NOT_OF_THE_TOWER = ("_name_or_path", "architectures", "dtype", "transformers_version")


def attach_feature_cache(
    model: PreTrainedModel,
    processor: ProcessorMixin,
    cache: FeatureCache,
    device: torch.device,
    autocast: torch.dtype | None = None,
) -> None:
    """Let a model take features out of the cache and keep new ones in it, and tell the cache which tower they are of.

    Args:
        device: that the model will be on.
        autocast: the number type of mixed precision; None without.

    Raises ValueError for a model other than LLaVA, for a tower that is trained, and for weights that are spread over
    processes.
    """
    llava = model.get_base_model() if is_adapted(model) else model
    _check(llava, processor)
    CachedTower(llava, cache, device, autocast).install()
    config, tower = llava.config, llava.model.vision_tower
    stated = config.vision_config.to_dict()
    cache.tower = identify_tower(
        tower,
        sorted((name, repr(value)) for name, value in stated.items() if name not in NOT_OF_THE_TOWER),
        config.vision_config._attn_implementation,  # private: no public name tells which was chosen
        (config.vision_feature_layer, config.vision_feature_select_strategy),
        (type(processor.image_processor).__qualname__, processor.image_processor.to_json_string()),
        (str(tower.dtype), str(autocast), device.type, torch.get_float32_matmul_precision()),
    )


def _check(llava: PreTrainedModel, processor: ProcessorMixin) -> None:
    if not isinstance(llava, LlavaForConditionalGeneration) or not isinstance(
        processor, LlavaProcessor | VolumeProcessor
    ):
        raise ValueError(
            f"--feature_cache: expected a LLaVA, for pictures or for volumes, found {type(llava).__name__} with "
            f"{type(processor).__name__}, which gives each scan to its tower in another way. Leave the flag out"
        )
    if is_deepspeed_zero3_enabled() or is_fsdp_enabled():
        raise ValueError(
            "--feature_cache: expected each process to hold the whole vision tower, found ZeRO-3 or FSDP, which "
            "spread it: all would have to run it for each scan. Leave the flag out, or take ds_configs/zero2.json"
        )
    trained = [name for name, parameter in llava.model.vision_tower.named_parameters() if parameter.requires_grad]
    if trained:
        raise ValueError(
            f"--feature_cache: expected a frozen vision tower, found {len(trained)} of its weights trained "
            f"({trained[0]}): what it makes of a scan changes with each step. Leave the flag out, or train other "
            "parts: --train projector,language_model, or --train projector,lora without the tower's layers among "
            "--lora_target_modules"
        )


class CachedTower:
    """Stands before a LLaVA's vision tower. The tower runs as in evaluation, without its dropout."""

    def __init__(
        self,
        model: LlavaForConditionalGeneration,
        cache: FeatureCache,
        device: torch.device,
        autocast: torch.dtype | None,
    ) -> None:
        self.model, self.cache = model, cache
        self.tower: nn.Module = model.model.vision_tower
        self.device_type, self.dtype, self.autocast = device.type, self.tower.dtype, autocast
        self.stock_features, self.stock_generate = model.model.get_image_features, model.generate
        self.shown: tuple[torch.Tensor, torch.Tensor | None] | None = None

    def install(self) -> None:
        """In place of the model's own, on this model alone."""
        self.model.register_forward_pre_hook(self.take_arguments, with_kwargs=True)
        # `generate` asks for the features before it first calls the model, and by the names of the arguments.
        self.model.generate = _in_place_of(self.stock_generate, self.generate)
        features = torch.compiler.disable(self.get_image_features)
        self.model.model.get_image_features = _in_place_of(self.stock_features, features)

    def take_arguments(self, model: nn.Module, args: tuple, kwargs: dict) -> tuple[tuple, dict]:
        """Forward pre-hook: the model itself takes no such keys."""
        return args, self._take(kwargs)

    def generate(self, *args: Any, **kwargs: Any) -> Any:
        return self.stock_generate(*args, **self._take(kwargs))

    def _take(self, kwargs: dict) -> dict:
        keys = kwargs.get(SCAN_KEYS)
        self.shown = None if keys is None else (keys, kwargs.get(SCAN_FEATURES))
        return {name: value for name, value in kwargs.items() if name not in (SCAN_KEYS, SCAN_FEATURES)}

    def get_image_features(
        self, pixel_values: torch.Tensor, image_sizes: torch.Tensor | None = None, **kwargs: Any
    ) -> BaseModelOutputWithPooling:
        """As LLaVA's own, which it is where the batch says nothing of kept features."""
        shown, self.shown = self.shown, None
        if shown is None:
            return self.stock_features(pixel_values, image_sizes=image_sizes, **kwargs)
        features = self._join(*shown, pixel_values, image_sizes, kwargs)
        projector = self.model.model.multi_modal_projector
        if image_sizes is None:
            joined = torch.cat(features)  # (images, tokens, C)
            projected = list(projector(joined))
        else:
            joined = torch.cat(features)[None]  # (1, tokens of all volumes, C)
            projected = list(projector(joined)[0].split([len(of_scan) for of_scan in features]))
        return BaseModelOutputWithPooling(last_hidden_state=joined, pooler_output=projected)

    def _join(
        self,
        keys: torch.Tensor,
        kept: torch.Tensor | None,
        pixel_values: torch.Tensor,
        image_sizes: torch.Tensor | None,
        kwargs: dict,
    ) -> list[torch.Tensor]:
        """What the projector eats of each scan, in their order."""
        table = keys.tolist()
        queue = iter(() if kept is None else kept.split([rows for *_, rows, _ in table if rows]))
        new_sizes = None if image_sizes is None else image_sizes[[not rows for *_, rows, _ in table]]
        encoded = iter(self._encode(pixel_values, new_sizes, kwargs) if len(pixel_values) else ())
        features = []
        for number, (*name, rows, n_images) in enumerate(table):
            if rows:
                features.append(next(queue))
                continue
            images = list(islice(encoded, n_images))
            features.append(images[0] if image_sizes is not None else torch.stack(images))
            if key := numbers_to_key(*name):
                size = None if image_sizes is None else image_sizes[number].tolist()
                shape = (n_images, *pixel_values.shape[1:]) if size is None else (size[0] % POOLED_TIME, *size[1:])
                self.cache.put(key, ScanFeatures(shape, features[-1]))
        return features

    @torch.no_grad()
    def _encode(
        self, pixel_values: torch.Tensor, image_sizes: torch.Tensor | None, kwargs: dict
    ) -> list[torch.Tensor]:
        """What the projector eats of each image or volume, (tokens, C): the model's own way, with no projector."""
        self._check_precision()
        inner, training = self.model.model, self.tower.training
        projector = inner.multi_modal_projector
        inner.multi_modal_projector = nn.Identity()
        self.tower.eval()
        try:
            with torch.autocast(self.device_type, self.autocast, enabled=self.autocast is not None):
                return self.stock_features(pixel_values, image_sizes=image_sizes, **kwargs).pooler_output
        finally:
            inner.multi_modal_projector = projector
            self.tower.train(training)

    def _check_precision(self) -> None:
        """The entries' names say what the tower computes in."""
        found = (self.tower.dtype, self.tower.device.type)
        if found != (self.dtype, self.device_type):
            raise ValueError(
                f"--feature_cache: expected the vision tower in {self.dtype} on {self.device_type}, as it was loaded, "
                f"found {found[0]} on {found[1]}. Load it as it is used (--dtype), or leave the flag out"
            )


def _in_place_of(stock: Callable, ours: Callable) -> Callable:
    """A function of ours with the name and arguments of the library's."""

    def call(*args: Any, **kwargs: Any) -> Any:
        return ours(*args, **kwargs)

    return update_wrapper(call, stock)
