"""The small LLaVA for volumes, built offline from a seed: the tiny one with a tower for volumes in place of CLIP."""

import torch
from transformers import LlavaConfig, LlavaForConditionalGeneration

from umbrella.models.tiny_llava import (
    CHAT_TEMPLATE,
    NUM_HEADS,
    NUM_LAYERS,
    VISION_HIDDEN_SIZE,
    build_tiny_tokenizer,
    draw_tiny_model,
    make_tiny_text_config,
)
from umbrella.models.volumes.processor import VolumeImageProcessor, VolumeProcessor
from umbrella.models.volumes.tower import VolumeTowerConfig

# Frames, and voxels along each axis. A patch of several frames sees their order in one linear step.
PATCH_SIZE = (8, 8, 8, 8)
POOL = 1
VOLUME_SIZE, VOLUME_SPACING = "48x56x48", 4.0  # its own: 252 tokens a scan, so that five fit a context of 2048
POOLS_TIME = True
# Of the language model and the projector, about 1 / √width. With the library's 0.02, meant for wider layers, hundreds
# of steps go by before an answer depends on one scan token among many; with this a few dozen.
INITIALIZER_RANGE = 0.08


def build_tiny3d_processor() -> VolumeProcessor:
    """The processor of `build_tiny3d` alone."""
    image_processor = VolumeImageProcessor(
        volume_size=VOLUME_SIZE,
        volume_spacing=VOLUME_SPACING,
        patch_size=PATCH_SIZE,
        pool=POOL,
        pools_time=POOLS_TIME,
    )
    return VolumeProcessor(
        image_processor=image_processor, tokenizer=build_tiny_tokenizer(), chat_template=CHAT_TEMPLATE
    )


def build_tiny3d(seed: int = 0) -> tuple[LlavaForConditionalGeneration, VolumeProcessor]:
    """Build the model (float32, random weights drawn from `seed`) and its processor. The caller's random state is left
    as it was."""
    processor = build_tiny3d_processor()
    text_config = make_tiny_text_config(processor.tokenizer)
    text_config.initializer_range = INITIALIZER_RANGE
    config = LlavaConfig(
        vision_config=VolumeTowerConfig(
            hidden_size=VISION_HIDDEN_SIZE,
            intermediate_size=4 * VISION_HIDDEN_SIZE,
            num_hidden_layers=NUM_LAYERS,
            num_attention_heads=NUM_HEADS,
            patch_size=PATCH_SIZE,
            spacing_mm=processor.image_processor.volume_spacing,
            pool=POOL,
            pools_time=POOLS_TIME,
        ),
        text_config=text_config,
        image_token_index=processor.image_token_id,
        vision_feature_select_strategy="full",
        vision_feature_layer=-1,
        tie_word_embeddings=True,
        dtype=torch.float32,
    )
    return draw_tiny_model(config, seed), processor
