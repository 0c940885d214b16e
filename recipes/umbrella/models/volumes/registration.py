"""Makes the models for volumes known to transformers, by the names in their configs."""

from transformers import AutoConfig, AutoImageProcessor, AutoModel, AutoProcessor

from umbrella.models.volumes.processor import VolumeImageProcessor, VolumeProcessor
from umbrella.models.volumes.tower import VolumeTower, VolumeTowerConfig

TOWERS = ((VolumeTowerConfig, VolumeTower),)


def register_volume_models() -> None:
    """Afterwards `AutoModelForImageTextToText` and `AutoProcessor` load them. May be called again."""
    for config, tower in TOWERS:
        AutoConfig.register(config.model_type, config, exist_ok=True)
        AutoModel.register(config, tower, exist_ok=True)
        # Under both names: it needs neither, and transformers says so where it finds only one.
        classes = dict.fromkeys(("torchvision", "pil"), VolumeImageProcessor)
        AutoImageProcessor.register(config, image_processor_classes=classes, exist_ok=True)
        AutoProcessor.register(config, VolumeProcessor, exist_ok=True)
