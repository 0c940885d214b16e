"""Tiny random models for the processors of `families`, from their transformers classes. Eager attention, float32, so
that a row alone and the same row in a padded batch can be compared to the last digits."""

import torch
from transformers import (
    CLIPVisionConfig,
    Gemma3Config,
    Gemma3ForConditionalGeneration,
    Idefics3Config,
    Idefics3ForConditionalGeneration,
    LlavaConfig,
    LlavaForConditionalGeneration,
    LlavaNextConfig,
    LlavaNextForConditionalGeneration,
    LlavaOnevisionConfig,
    LlavaOnevisionForConditionalGeneration,
    Qwen2_5_VLConfig,
    Qwen2_5_VLForConditionalGeneration,
    Qwen2Config,
    Qwen3VLConfig,
    Qwen3VLForConditionalGeneration,
    SmolVLMConfig,
    SmolVLMForConditionalGeneration,
)

from umbrella.models.volumes.tower import VolumeTowerConfig

LAYERS = {"hidden_size": 32, "intermediate_size": 64, "num_hidden_layers": 2, "num_attention_heads": 4}


def _text(tokenizer, **options):
    return {
        **LAYERS,
        "num_key_value_heads": 4,
        "vocab_size": len(tokenizer),
        "max_position_embeddings": 2048,
        "pad_token_id": tokenizer.pad_token_id,
        "bos_token_id": tokenizer.bos_token_id,
        "eos_token_id": tokenizer.eos_token_id,
        **options,
    }


def _vision(patch_size=8, **options):
    return {**LAYERS, "image_size": 32, "patch_size": patch_size, **options}


def _llava_parts(processor):
    return {
        "text_config": Qwen2Config(**_text(processor.tokenizer)),
        "vision_config": CLIPVisionConfig(**_vision()),
        "image_token_index": processor.image_token_ids[0],
        "vision_feature_layer": -1,
    }


def _build_llava(processor):
    return LlavaForConditionalGeneration(LlavaConfig(**_llava_parts(processor), image_seq_length=16))


def _build_llava_next(processor):
    pinpoints = processor.image_processor.image_grid_pinpoints
    return LlavaNextForConditionalGeneration(
        LlavaNextConfig(**_llava_parts(processor), image_grid_pinpoints=pinpoints, image_seq_length=16)
    )


def _build_llava_onevision(processor):
    parts = _llava_parts(processor)
    parts["vision_config"] = {"model_type": "siglip_vision_model", **_vision(vision_use_head=False)}
    return LlavaOnevisionForConditionalGeneration(
        LlavaOnevisionConfig(
            **parts,
            video_token_index=processor.video_token_id,
            vision_feature_select_strategy="full",
            image_grid_pinpoints=processor.image_processor.image_grid_pinpoints,
            vision_aspect_ratio="anyres_max_9",
        )
    )


def _build_qwen2_5_vl(processor):
    ids = processor.tokenizer.convert_tokens_to_ids
    config = Qwen2_5_VLConfig(
        text_config=_text(
            processor.tokenizer,
            rope_parameters={"rope_type": "default", "mrope_section": [2, 1, 1], "rope_theta": 1e4},
        ),
        vision_config={
            "depth": 2,
            "hidden_size": 32,
            "intermediate_size": 64,
            "num_heads": 4,
            "out_hidden_size": 32,
            "patch_size": 14,
            "fullatt_block_indexes": [1],
            "window_size": 56,
        },
        image_token_id=processor.image_token_ids[0],
        video_token_id=ids("<|video_pad|>"),
        vision_start_token_id=ids("<|vision_start|>"),
        vision_end_token_id=ids("<|vision_end|>"),
    )
    return Qwen2_5_VLForConditionalGeneration(config)


def _build_qwen3_vl(processor):
    ids = processor.tokenizer.convert_tokens_to_ids
    config = Qwen3VLConfig(
        text_config=_text(
            processor.tokenizer,
            head_dim=8,
            rope_parameters={"rope_type": "default", "mrope_section": [2, 1, 1], "rope_theta": 1e4},
        ),
        vision_config={
            "depth": 2,
            "hidden_size": 32,
            "intermediate_size": 64,
            "num_heads": 4,
            "out_hidden_size": 32,
            "patch_size": 16,
            "num_position_embeddings": 64,
            "deepstack_visual_indexes": [0],
        },
        image_token_id=processor.image_token_ids[0],
        video_token_id=ids("<|video_pad|>"),
        vision_start_token_id=ids("<|vision_start|>"),
        vision_end_token_id=ids("<|vision_end|>"),
    )
    return Qwen3VLForConditionalGeneration(config)


def _idefics_parts(processor):
    return {
        "vision_config": _vision(),
        "text_config": {"model_type": "llama", **_text(processor.tokenizer)},
        "image_token_id": processor.image_token_ids[0],
        "scale_factor": 2,
    }


def _build_idefics3(processor):
    return Idefics3ForConditionalGeneration(Idefics3Config(**_idefics_parts(processor)))


def _build_smolvlm(processor):
    return SmolVLMForConditionalGeneration(SmolVLMConfig(**_idefics_parts(processor)))


def _build_gemma3(processor):
    tokenizer = processor.tokenizer
    config = Gemma3Config(
        text_config=_text(tokenizer, head_dim=8, sliding_window=512),
        vision_config=_vision(vision_use_head=False),
        mm_tokens_per_image=16,
        image_token_index=processor.image_token_ids[0],
        boi_token_index=tokenizer.convert_tokens_to_ids("<start_of_image>"),
        eoi_token_index=tokenizer.convert_tokens_to_ids("<end_of_image>"),
    )
    return Gemma3ForConditionalGeneration(config)


def _build_volumes(processor):
    shown = processor.image_processor
    config = LlavaConfig(
        vision_config=VolumeTowerConfig(**LAYERS, patch_size=shown.patch_size, pool=shown.pool),
        text_config=Qwen2Config(**_text(processor.tokenizer)),
        image_token_index=processor.image_token_id,
        vision_feature_layer=-1,
        vision_feature_select_strategy="full",
    )
    return LlavaForConditionalGeneration(config)


MODELS = {
    "llava_1_5": _build_llava,
    "llava_next": _build_llava_next,
    "llava_onevision": _build_llava_onevision,
    "qwen2_5_vl": _build_qwen2_5_vl,
    "qwen3_vl": _build_qwen3_vl,
    "idefics3": _build_idefics3,
    "smolvlm": _build_smolvlm,
    "gemma3": _build_gemma3,
    "volumes": _build_volumes,
}


def build_model(name, processor):
    """The tiny random model of a family, in evaluation mode, the same weights at each call."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        model = MODELS[name](processor)
        with torch.no_grad():
            for weights in model.parameters():
                # At their usual start the weights are so small, Gemma 3's projector even zero, that the answer hardly
                # depends on the image.
                if weights.ndim > 1:
                    torch.nn.init.normal_(weights, std=0.1)
    model.set_attn_implementation("eager")
    return model.eval()
