"""An image size passes the check of model and processor where, and only where, the model then takes such images."""

import pytest
import torch
from transformers import (
    CLIPImageProcessor,
    CLIPVisionConfig,
    Dinov2Config,
    LlavaConfig,
    LlavaForConditionalGeneration,
    LlavaProcessor,
    Qwen2Config,
    Siglip2VisionConfig,
    SiglipVisionConfig,
    ViTConfig,
)

from umbrella.models.loading import check_fits, load_processor
from umbrella.models.tiny_llava import CHAT_TEMPLATE, build_tiny_tokenizer
from umbrella.models.vision_towers import takes_size
from umbrella.records.recipe import resolve_recipe
from umbrella.rows.transform import ConversationTransform
from umbrella.views.settings import ViewSettings

LAYERS = {"hidden_size": 32, "num_hidden_layers": 1, "num_attention_heads": 2, "image_size": 84, "patch_size": 14}
TOWERS = {
    "clip": (CLIPVisionConfig(**LAYERS, intermediate_size=32), "default", False),
    "siglip": (SiglipVisionConfig(**LAYERS, intermediate_size=32, vision_use_head=False), "full", False),
    "vit": (ViTConfig(**LAYERS, intermediate_size=32), "default", False),
    "dinov2": (Dinov2Config(**LAYERS, mlp_ratio=1), "default", True),
}


def build(name, size):
    """A LLaVA whose tower's config says 84 pixels, with a processor that makes `size`."""
    vision_config, strategy, _ = TOWERS[name]
    tokenizer = build_tiny_tokenizer()
    processor = LlavaProcessor(
        CLIPImageProcessor(size={"shortest_edge": size}, crop_size={"height": size, "width": size}),
        tokenizer,
        patch_size=14,
        vision_feature_select_strategy=strategy,
        num_additional_image_tokens=1 if strategy == "default" else 0,
        chat_template=CHAT_TEMPLATE,
    )
    text = {"hidden_size": 32, "intermediate_size": 32, "num_hidden_layers": 1, "num_attention_heads": 2}
    config = LlavaConfig(
        vision_config=vision_config,
        text_config=Qwen2Config(**text, num_key_value_heads=2, vocab_size=len(tokenizer)),
        image_token_index=processor.image_token_id,
        vision_feature_select_strategy=strategy,
        vision_feature_layer=-1,
    )
    return LlavaForConditionalGeneration(config).eval(), processor


def takes(model, processor):
    example = ConversationTransform(processor).blank_example()
    tokens = {name: torch.tensor([example[name]]) for name in ("input_ids", "attention_mask")}
    try:
        model(**tokens, pixel_values=example["pixel_values"])
    except (ValueError, RuntimeError):
        return False
    return True


@pytest.mark.parametrize("size", [84, 56, 112, 60, 28])
@pytest.mark.parametrize("name", TOWERS)
def test_a_size_passes_where_the_forward_pass_works(name, size):
    model, processor = build(name, size)
    assert takes(model, processor) is (size == 84 or TOWERS[name][2])
    if takes(model, processor):
        check_fits(model, processor)
    else:
        with pytest.raises(ValueError, match=rf"expected 84, .* found {size}, .* which states {size}, is of another"):
            check_fits(model, processor)


def test_a_tower_that_needs_more_than_images_is_refused_in_a_sentence():
    config = Siglip2VisionConfig(hidden_size=32, num_hidden_layers=1, num_attention_heads=2, intermediate_size=32)
    with pytest.raises(ValueError, match=r"takes images alone \(pixel_values\), found siglip2\w+, .*attention_mask"):
        takes_size(config, 84)


def test_what_the_message_asks_for_can_be_done():
    model, processor = build("clip", 84)
    with pytest.raises(ValueError, match=r"found 56, which the tower does not take\. Leave image_size out"):
        check_fits(model, processor, image_size=56)
    check_fits(model, processor, image_size=None)


@pytest.mark.slow
def test_a_size_that_is_asked_for_is_taken_where_the_tower_takes_it(tmp_path):
    size = 60
    for name, (*_, takes_any) in TOWERS.items():
        model, processor = build(name, 84)
        model.save_pretrained(tmp_path / name)
        processor.save_pretrained(tmp_path / name)
        processor = load_processor(str(tmp_path / name))
        if not takes_any:
            with pytest.raises(ValueError, match=f"expected 84, .* found {size}"):
                resolve_recipe(ViewSettings(image_size=size), processor, str(tmp_path / name))
            continue
        assert resolve_recipe(ViewSettings(image_size=size), processor, str(tmp_path / name)).image_size == size
        processor.save_pretrained(tmp_path / "saved")
        saved = load_processor(str(tmp_path / "saved"))
        check_fits(model, saved)
        assert ConversationTransform(saved).settings.image_size == size and takes(model, saved)
