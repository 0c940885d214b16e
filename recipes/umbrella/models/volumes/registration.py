"""Makes the models for volumes known to transformers, by the names in their configs."""

from typing import Any

from transformers import AutoConfig, AutoImageProcessor, AutoModel, AutoProcessor

from umbrella.models.volumes.dense import DenseTower, DenseTowerConfig
from umbrella.models.volumes.inflated import InflatedTower, InflatedTowerConfig
from umbrella.models.volumes.processor import VolumeImageProcessor, VolumeProcessor
from umbrella.models.volumes.tower import VolumeTower, VolumeTowerConfig

# Nothing of it depends on how pictures are read; with one backend alone transformers says that the other is missing.
OF_EACH_BACKEND = {"pil": VolumeImageProcessor, "torchvision": VolumeImageProcessor}
TOWERS: tuple[tuple[Any, Any], ...] = (
    (VolumeTowerConfig, VolumeTower),
    (InflatedTowerConfig, InflatedTower),
    (DenseTowerConfig, DenseTower),
)


def register_volume_models() -> None:
    """Afterwards `AutoModelForImageTextToText` and `AutoProcessor` load them. May be called again."""
    for config, tower in TOWERS:
        AutoConfig.register(config.model_type, config, exist_ok=True)
        AutoModel.register(config, tower, exist_ok=True)
        AutoImageProcessor.register(config, image_processor_classes=OF_EACH_BACKEND, exist_ok=True)
        AutoProcessor.register(config, VolumeProcessor, exist_ok=True)
