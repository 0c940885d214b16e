"""build_model.py: a language model and a tower put together, or a LLaVA whose tower is inflated. The oracles are the
language model alone, its own chat template, and the tower for pictures."""

import io
import json
import re
import sys
from contextlib import redirect_stdout
from pathlib import Path
from types import SimpleNamespace
from unittest.mock import patch

import build_model
import numpy as np
import pytest
import torch
import train
from families import build_tokenizer
from flat_models import build_flat, to_picture
from safetensors.torch import load_file
from transformers import (
    AutoConfig,
    AutoModelForCausalLM,
    AutoModelForImageTextToText,
    AutoProcessor,
    AutoTokenizer,
    Gemma3TextConfig,
    GPT2Config,
    GraniteConfig,
    LlamaConfig,
    LlavaConfig,
    LlavaForConditionalGeneration,
    LlavaNextConfig,
    LlavaNextForConditionalGeneration,
    MambaConfig,
    PhiConfig,
    Qwen2Config,
    Qwen3Config,
)

from umbrella.conversations.encoder import ConversationEncoder
from umbrella.models.building.chat import ITEMS_TO_TEXT
from umbrella.models.loading import load_model, load_processor
from umbrella.models.tiny_llava import build_tiny_processor, make_tiny_text_config
from umbrella.models.volumes.inflated import InflatedTower
from umbrella.options.parsing import parse_arguments
from umbrella.records.training_data import read_training_data

ROWS = 520  # of an embedding: more than the tokenizer has before an image token is added
SIZES = {
    "vocab_size": ROWS,
    "hidden_size": 32,
    "intermediate_size": 48,
    "num_hidden_layers": 1,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
    "max_position_embeddings": 256,
    "bos_token_id": None,
    "eos_token_id": 0,
    "pad_token_id": None,
}
LANGUAGE_MODELS = {
    "qwen2": Qwen2Config(**SIZES, tie_word_embeddings=True),
    "qwen3": Qwen3Config(**SIZES, head_dim=8),
    "llama": LlamaConfig(**SIZES),
    "gemma3": Gemma3TextConfig(**SIZES, head_dim=8, sliding_window=64),
    "gpt2": GPT2Config(
        n_embd=32, n_layer=1, n_head=4, vocab_size=400, n_positions=256, bos_token_id=0, eos_token_id=0
    ),
}
REFUSED = {
    "phi": (PhiConfig(**SIZES), "an output layer of weights alone, as LLaVA's, found one with a bias"),
    "granite": (GraniteConfig(**SIZES, logits_scaling=4.0), "GraniteForCausalLM does more than LLaVA takes over"),
    "mamba": (
        MambaConfig(vocab_size=ROWS, hidden_size=32, num_hidden_layers=1, state_size=4),
        "MambaForCausalLM does",
    ),
}
# As Qwen2.5's: a turn's content is a text, and a first turn that is none of the user's gets a system turn before it.
TEMPLATE = (
    "{%- if messages[0]['role'] == 'system' -%}{{ '<|im_start|>system\n' + messages[0].content + '<|im_end|>\n' }}"
    "{%- else -%}{{ '<|im_start|>system\nYou help.<|im_end|>\n' }}{%- endif -%}"
    "{%- for message in messages -%}{%- if message.role != 'system' -%}"
    "{{ '<|im_start|>' + message.role + '\n' + message.content + '<|im_end|>\n' }}{%- endif -%}{%- endfor -%}"
    "{%- if add_generation_prompt -%}{{ '<|im_start|>assistant\n' }}{%- endif -%}"
)
RECIPES = Path(build_model.__file__).parent
MODEL_CONFIGS = Path(__file__).parents[1] / "model_configs"
PATCH_EMBEDDING = ("projection.weight", "projection.bias", "place.weight")
SMALL_TOWER = ("--hidden_size", 16, "--layers", 1, "--heads", 2, "--volume_size", "32x48x16")
VIT3D = ("--vision_tower", "vit3d", *SMALL_TOWER)
IMAGE, QUESTION, ANSWER = {"type": "image"}, {"type": "text", "text": "Which side?"}, {"type": "text", "text": "Left."}


def save_language_model(folder, config, template=None):
    torch.manual_seed(0)
    AutoModelForCausalLM.from_config(config).save_pretrained(folder)
    tokenizer = build_tokenizer("bytelevel", ["<|im_start|>"] if template else [], eos="<|im_end|>", pad=None)
    tokenizer.chat_template = template
    tokenizer.save_pretrained(folder)
    return folder


def save_llava(folder, published):
    """A published LLaVA's geometry (pictures, patches, which layer's features, which tokens), with few channels."""
    processor = build_tiny_processor()
    config = LlavaConfig.from_pretrained(MODEL_CONFIGS / published)
    few = {"hidden_size": 32, "intermediate_size": 48, "num_hidden_layers": 3, "num_attention_heads": 4}
    small = LlavaConfig(
        vision_config=config.vision_config.to_dict() | few,
        text_config=make_tiny_text_config(processor.tokenizer),
        image_token_index=processor.image_token_id,
        vision_feature_select_strategy=config.vision_feature_select_strategy,
        vision_feature_layer=config.vision_feature_layer,
        tie_word_embeddings=True,
    )
    torch.manual_seed(0)
    model = LlavaForConditionalGeneration(small)
    for parameter in model.model.vision_tower.parameters():
        parameter.data += 0.1 * torch.randn_like(parameter)
    model.save_pretrained(folder)
    processor.save_pretrained(folder)


def find_error(call, *flags):
    """What a build that is refused says; it leaves nothing."""
    with pytest.raises(SystemExit) as error:
        call(build_model, "--output_dir", "refused", *flags)
    return str(error.value)


# ------------------------------------------------------------------------------------------------ two parts


@pytest.fixture(scope="module", params=LANGUAGE_MODELS)
def built(request, tmp_path_factory):
    """A language model's folder, that of the model it became part of, and what the command said."""
    place = tmp_path_factory.mktemp(request.param)
    template = TEMPLATE if request.param in ("qwen2", "qwen3") else None
    language = save_language_model(place / "language", LANGUAGE_MODELS[request.param], template)
    flags = ["--language_model", language, *VIT3D, "--seed", 3, "--output_dir", place / "built"]
    said = io.StringIO()
    with patch.object(sys, "argv", ["build_model.py", *map(str, flags)]), redirect_stdout(said):
        build_model.main()
    return SimpleNamespace(language=language, model=place / "built", said=said.getvalue())


def test_a_language_model_says_the_same_within_the_new_model_and_reads_a_scan(built):
    model = AutoModelForImageTextToText.from_pretrained(built.model)
    processor = AutoProcessor.from_pretrained(built.model)
    alone = AutoModelForCausalLM.from_pretrained(built.language)
    tokens = torch.arange(1, 20)[None]
    with torch.no_grad():
        rows = alone.config.vocab_size
        torch.testing.assert_close(model(input_ids=tokens).logits[..., :rows], alone(input_ids=tokens).logits)
    text = "The left ventricle is larger."
    assert processor.tokenizer(text).input_ids == AutoTokenizer.from_pretrained(built.language)(text).input_ids
    asked = [{"role": "user", "content": [IMAGE, QUESTION]}]
    prompt = processor.apply_chat_template(asked, add_generation_prompt=True, tokenize=False)
    batch = processor(text=[prompt], images=[np.ones((32, 48, 16), np.float32)], return_tensors="pt")
    assert (batch["input_ids"] == model.config.image_token_id).sum() == 2 * 3 * 1
    assert "tokens: 6 a scan (volume, 32x48x16 voxels of 2 mm); context: 256, 42 scans and no text" in built.said
    with torch.no_grad():
        assert model.generate(**batch, max_new_tokens=2, min_new_tokens=2).shape[1] == batch["input_ids"].shape[1] + 2
    assert str(built.language) not in (built.model / "config.json").read_text()


def test_a_chat_template_that_is_kept_writes_the_same_text_and_chatml_stands_in_for_none(built):
    said, processor, own = built.said, load_processor(str(built.model)), AutoTokenizer.from_pretrained(built.language)
    turns = [
        {"role": "user", "content": [IMAGE, QUESTION]},
        {"role": "assistant", "content": [ANSWER]},
        {"role": "user", "content": [QUESTION]},
        {"role": "assistant", "content": [ANSWER]},
    ]
    written = processor.apply_chat_template(turns, tokenize=False)
    if own.chat_template:
        texts = ["<image>\nWhich side?", "Left.", "Which side?", "Left."]
        plain = [turn | {"content": text} for turn, text in zip(turns, texts, strict=True)]
        assert written == own.apply_chat_template(plain, tokenize=False)
        assert "chat template: that of" in said and "<|im_start|>" not in said
    else:
        turn = "<|im_start|>user\n{}Which side?<|im_end|>\n<|im_start|>assistant\nLeft.<|im_end|>\n"
        assert written == turn.format("<image>\n") + turn.format("")
        assert "chat template: ChatML, as" in said and "<|im_start|> added to the tokenizer" in said
    encoder = ConversationEncoder(processor)
    labels = encoder.encode(turns[2:])["labels"]
    supervised = processor.tokenizer.decode([token for token in labels if token >= 0])
    assert supervised == "Left.<|im_end|>"
    assert "image token: <image> added to the tokenizer" in said and "pad token: <|im_end|>" in said


def test_what_was_settled_is_said_and_stored(built):
    record = json.loads((built.model / "build.json").read_text())
    assert record["arguments"]["seed"] == 3
    assert set(record["notes"] + record["parts"]) <= set(built.said.splitlines())
    is_gpt2 = AutoConfig.from_pretrained(built.language).model_type == "gpt2"
    assert any(note.startswith("output layer: a copy") for note in record["notes"]) == is_gpt2
    assert any(note.startswith("embedding: ") for note in record["notes"]) == is_gpt2
    assert read_training_data(str(built.model)).unknown == [str(built.language)]


@pytest.mark.slow
def test_new_weights_are_drawn_from_the_seed_alone(call, tmp_path):
    save_language_model(tmp_path / "lm", LANGUAGE_MODELS["llama"])
    for name, seed in (("a", 1), ("b", 1), ("c", 2)):
        torch.manual_seed(len(name) + seed)
        before = torch.random.get_rng_state()
        call(build_model, "--language_model", "lm", *VIT3D, "--seed", seed, "--output_dir", name)
        assert torch.equal(torch.random.get_rng_state(), before)
    a, b, c = (load_model(str(tmp_path / name)).state_dict() for name in "abc")
    assert all(torch.equal(a[name], b[name]) for name in a)
    names = ("model.vision_tower.patch_embedding.projection.weight", "model.multi_modal_projector.linear_1.weight")
    assert not any(torch.equal(a[name], c[name]) for name in names)


def test_items_become_text_before_any_template():
    message = [{"role": "user", "content": [IMAGE, QUESTION, IMAGE]}, {"role": "assistant", "content": "Left."}]
    tokenizer = build_tokenizer("bytelevel", [], eos="<|im_end|>", pad=None)
    template = ITEMS_TO_TEXT + "{{ messages | tojson }}"
    written = json.loads(tokenizer.apply_chat_template(message, chat_template=template, tokenize=False))
    assert [turn["content"] for turn in written] == ["<image>\nWhich side?\n<image>", "Left."]


@pytest.mark.parametrize("template", [None, TEMPLATE])
def test_an_image_token_that_the_tokenizer_has_is_taken(call, tmp_path, template):
    save_language_model(tmp_path / "lm", LANGUAGE_MODELS["llama"])
    tokenizer = build_tokenizer("bytelevel", ["<|im_start|>"], eos="<|im_end|>", image_token="<scan>")
    tokenizer.chat_template = template
    tokenizer.save_pretrained(tmp_path / "lm")
    said = call(build_model, "--language_model", "lm", *VIT3D, "--output_dir", "built")
    processor = load_processor("built")
    assert "image token" not in said and "pad token" not in said
    prompt = processor.apply_chat_template([{"role": "user", "content": [IMAGE, QUESTION]}], tokenize=False)
    assert "<|im_start|>user\n<scan>\nWhich side?<|im_end|>" in prompt
    assert load_model("built").config.image_token_id == tokenizer.convert_tokens_to_ids("<scan>")


def test_a_template_that_loses_a_turn_is_refused_and_the_remedy_works(call, tmp_path):
    lost = "{% for message in messages %}{% if loop.last %}{{ message.content }}{% endif %}{% endfor %}"
    save_language_model(tmp_path / "lm", LANGUAGE_MODELS["llama"], lost)
    error = find_error(call, "--language_model", "lm", *VIT3D)
    assert "expected a chat template that writes each turn of a conversation once, found one that writes" in error
    assert "Take the template out of the folder" in error
    (tmp_path / "lm/chat_template.jinja").unlink()
    call(build_model, "--language_model", "lm", *VIT3D, "--output_dir", "built")


@pytest.mark.slow
def test_the_tower_of_another_model_is_inflated(call, tmp_path):
    save_language_model(tmp_path / "lm", LANGUAGE_MODELS["llama"])
    build_flat("dinov2").save_pretrained(tmp_path / "dino")
    flags = ("--language_model", "lm", "--vision_tower", "inflate:dino", "--patch_depth", 4, "--pool", 1)
    said = call(build_model, *flags, "--volume_size", "32x32x8", "--output_dir", "built", "--dtype", "bfloat16")
    model = load_model(str(tmp_path / "built"))
    assert isinstance(model.model.vision_tower, InflatedTower) and model.dtype == torch.bfloat16
    assert (model.config.vision_feature_layer, model.config.vision_feature_select_strategy) == (-2, "full")
    assert "patches of 8 x 8 pixels are 4 slices deep" in said and "tokens: 32 a scan" in said
    assert read_training_data(str(tmp_path / "built")).unknown == ["lm", "dino"]


# ------------------------------------------------------------------------------------------------ a whole LLaVA


@pytest.mark.slow
@pytest.mark.parametrize("published, pixels", [("llava_interleave_0_5b", 384), ("llava_1_5_7b", 336)])
def test_a_llava_keeps_all_but_its_eye_and_sees_equal_slices_as_the_picture(call, tmp_path, published, pixels):
    save_llava(tmp_path / "llava", published)
    side, n = 14, pixels // 14  # 27 patches do not fill 384 pixels: those left over are at the right and below
    flags = ("--volume_size", f"{n * side}x{n * side}x4", "--pool", 1, "--patch_depth", 2)
    said = call(build_model, "--from_model", "llava", *flags, "--output_dir", "built")
    before, after = load_model(str(tmp_path / "llava")), load_model(str(tmp_path / "built"))
    kept = {name: value for name, value in before.state_dict().items() if "vision_tower" not in name}
    assert len(kept) > 20 and all(torch.equal(after.state_dict()[name], value) for name, value in kept.items())
    axial = torch.randn(n * side, n * side, generator=torch.Generator().manual_seed(1))
    picture = torch.nn.functional.pad(to_picture(axial), (0, pixels - n * side) * 2)
    packed = load_processor("built").image_processor(axial[:, :, None].expand(-1, -1, 4))
    with torch.no_grad():
        expected = before.get_image_features(picture).pooler_output[0]
        found = after.get_image_features(**packed).pooler_output[0].reshape(n, n, 2, -1)
    by_x_and_y = expected.reshape(n, n, -1).flip(0).transpose(0, 1)[:, :, None].expand_as(found)
    assert expected.std(dim=0).mean() > 0.005
    torch.testing.assert_close(found, by_x_and_y, atol=1e-6, rtol=0)
    assert f"a picture of {n * side} x {n * side} pixels is an axial slice of {2 * n * side} mm, anterior up" in said
    assert load_processor("built").chat_template == load_processor("llava").chat_template


@pytest.mark.slow
def test_the_recipe_that_ships_trains_the_patch_embedding_alone(call, tmp_path, small_data):
    """As its header says, on a model of the published geometry with few channels."""
    name = "llava_interleave_0_5b_volumes"
    header = (RECIPES / "configs" / f"{name}.yaml").read_text("utf-8").split("\n\n")[0]
    command = " ".join(re.search(r"build_model.py (--from_model .*)\n#( .*)\n", header).groups()).split()
    save_llava(tmp_path / "llava", "llava_interleave_0_5b")
    said = call(build_model, *command, "--from_model", "llava")
    assert "98x112x98 voxels of 2 mm" in header.replace(" x ", "x") and "tokens: 392 a scan (volume, 98x112x98" in said
    flags = ("--json_dir", small_data, "--output_dir", "run", "--max_steps", 2, "--save_strategy", "no")
    flags += ("--eval_strategy", "no", "--gradient_accumulation_steps", 1, "--dataloader_num_workers", 0)
    said = call(train, RECIPES / "configs" / f"{name}.yaml", *flags, "--report_to", "none", "--warmup_steps", 0)
    before, after = (load_model(str(tmp_path / folder)).state_dict() for folder in (f"models/{name}", "run"))
    changed = {name for name in before if not torch.equal(before[name], after[name])}
    assert changed == {f"model.vision_tower.patch_embedding.{name}" for name in PATCH_EMBEDDING}
    assert set(load_file(tmp_path / "run/trained_weights.safetensors")) == changed
    assert "checkpoints hold what is trained" in said


def test_the_default_size_is_rounded_up_to_whole_patches_and_said(call, tmp_path):
    said = call(build_model, "--from_model", "tiny", "--output_dir", "built")
    assert load_processor(str(tmp_path / "built")).image_processor.volume_size == "96x128x96"
    assert "volume_size: 96x128x96, as the default of 96x112x96 is no multiple of [32, 32, 32] voxels" in said


# ------------------------------------------------------------------------------------------------ refused


@pytest.mark.parametrize("name", REFUSED)
def test_a_language_model_that_llava_cannot_hold_is_refused(call, name, tmp_path):
    config, message = REFUSED[name]
    save_language_model(tmp_path / "lm", config)
    error = find_error(call, "--language_model", "lm", *VIT3D)
    assert "--language_model lm: expected" in error and message in error
    assert not (tmp_path / "refused").exists()


def test_models_of_other_kinds_are_refused(call, tmp_path):
    save_language_model(tmp_path / "lm", LANGUAGE_MODELS["llama"])
    save_llava(tmp_path / "llava", "llava_interleave_0_5b")
    text, vision = make_tiny_text_config(build_tiny_processor().tokenizer), build_flat("clip").config
    LlavaNextForConditionalGeneration(LlavaNextConfig(vision_config=vision, text_config=text)).save_pretrained(
        tmp_path / "next"
    )
    build_tiny_processor().save_pretrained(tmp_path / "next")
    for message, *flags in (
        ("found LlavaNextForConditionalGeneration, which arranges them for pictures", "--from_model", "next"),
        ("--from_model tiny3d: expected a vision tower out of CLIP", "--from_model", "tiny3d"),
        (
            "--language_model llava: expected a language model alone, found a llava",
            "--language_model",
            "llava",
            *VIT3D,
        ),
        ("found a model of the type llama", "--language_model", "lm", "--vision_tower", "inflate:lm"),
        ("found no folder 'nowhere'", "--language_model", "lm", "--vision_tower", "inflate:nowhere"),
        ("found no folder 'nowhere'", "--language_model", "nowhere", *VIT3D),
        ("found no folder 'nowhere'", "--from_model", "nowhere"),
    ):
        assert message in find_error(call, *flags), message
    assert not (tmp_path / "refused").exists()


def test_sizes_that_do_not_fit_are_refused_and_the_remedy_works(call, tmp_path):
    save_language_model(tmp_path / "lm", LANGUAGE_MODELS["llama"])
    tower = ("--language_model", "lm", "--vision_tower", "vit3d", "--hidden_size", 16, "--layers", 1, "--heads", 2)
    for wrong in (("--volume_size", "40x48"), ("--frames", "b1+8")):
        assert find_error(call, *tower, *wrong) == "2"  # as all wrong flags, before anything is loaded
    error = find_error(call, *tower, "--volume_size", "40x48x16")
    assert (
        "expected a multiple of 16x16x16 voxels (patches of 8x8x8, --pool 2), found 40x48x16. Set it to 48x48x16"
        in error
    )
    error = find_error(call, *tower, "--volume_size", "48x48x16", "--patch_size", "4", "--pool", 1)
    assert "expected fewer image tokens a scan than the 256 of the language model's context, found 576" in error
    error = find_error(call, *tower[:4], "--hidden_size", 15, "--heads", 2)
    assert "--hidden_size: expected a multiple of --heads 2, found 15" in error
    call(build_model, *tower, "--volume_size", "48x48x16", "--patch_size", "4", "--pool", 2, "--output_dir", "built")
    call(build_model, *tower, "--volume_size", 32, "--frames", 4, "--patch_size", "2x8x8x8", "--output_dir", "series")


@pytest.mark.parametrize(
    "flags, message",
    [
        (("--language_model", "lm"), "either --language_model MODEL and --vision_tower TOWER, or --from_model MODEL"),
        (("--from_model", "a", "--vision_tower", "vit3d"), "found --vision_tower and --from_model"),
        (
            ("--language_model", "lm", "--vision_tower", "resnet"),
            "expected one of vit3d, inflate:MODEL, monai:MODEL, timm:MODEL, sfcn, found 'resnet'",
        ),
        (("--language_model", "lm", "--vision_tower", "inflate"), "expected one of vit3d, inflate:MODEL"),
        (("--language_model", "lm", "--vision_tower", "vit3d:x"), "expected one of vit3d, inflate:MODEL"),
        (
            ("--from_model", "a", "--layers", "3"),
            "--layers: expected --vision_tower vit3d, which it is for, found --from",
        ),
        (("--language_model", "lm", "--vision_tower", "vit3d", "--patch_depth", "3"), "--patch_depth: expected"),
    ],
)
def test_flags_that_mean_nothing_together_are_refused(flags, message, capsys):
    with pytest.raises(SystemExit):
        parse_arguments((build_model.BuildArguments,), ["--output_dir", "x", *flags])
    assert message in capsys.readouterr().err


# ------------------------------------------------------------------------------------------------ the folder


def test_a_folder_is_replaced_only_if_all_in_it_was_written_by_the_command(call, tmp_path):
    flags = ("--from_model", "tiny", "--volume_size", 64)
    call(build_model, *flags, "--output_dir", "built")
    with pytest.raises(SystemExit, match=r"expected a new or empty folder, found .* files"):
        call(build_model, *flags, "--output_dir", "built")
    call(build_model, *flags, "--output_dir", "built", "--overwrite", "--patch_depth", 8)
    assert load_model(str(tmp_path / "built")).config.vision_config.patch_size == [1, 16, 16, 8]
    (tmp_path / "built/notes.txt").write_text("mine")
    with pytest.raises(SystemExit, match=r"found files of others in it, as notes\.txt"):
        call(build_model, *flags, "--output_dir", "built", "--overwrite")
    assert (tmp_path / "built/notes.txt").read_text() == "mine"
