"""Claims about partly trained models: frozen weights stay and are not saved, what is saved finds its base again."""

import json
import shutil
from pathlib import Path

import estimate_memory
import predict
import pytest
import torch
import train
from conversation_folder import write_folder
from families import FAMILIES
from family_models import MODELS, build_model
from safetensors.torch import load_file
from transformers import AutoModelForImageTextToText
from transformers.integrations import HfDeepSpeedConfig

from umbrella.models.adapters import add_lora
from umbrella.models.base import BaseModel
from umbrella.models.freezing import PARTS, choose_trained, split_parameters
from umbrella.models.loading import load_model, load_processor
from umbrella.options.training_arguments import TrainArguments
from umbrella.records.training_data import read_training_data, subjects_of
from umbrella_dataset import load_umbrella

SHORT = ("--max_steps", 2, "--batch_size", 2, "--learning_rate", "1e-2", "--max_length", 256, "--report_to", "none")


@pytest.fixture
def run(call, small_data):
    def run(output_dir, *flags):
        return call(train, "--json_dir", small_data, "--output_dir", output_dir, *SHORT, *flags)

    return run


def moved(model, seed=42):
    """The names of the weights that are no longer those that the tiny model of this seed starts with."""
    before = load_model("tiny", seed=seed).state_dict()
    return {name for name, value in model.state_dict().items() if not torch.equal(value, before[name])}


@pytest.mark.parametrize("family", MODELS)
def test_each_weight_of_every_family_is_in_one_part(family):
    model = build_model(family, FAMILIES[family]())
    names = {id(parameter): name for name, parameter in model.named_parameters()}
    parts = {part: {names[id(p)] for p in parameters} for part, parameters in split_parameters(model).items()}
    assert sorted(name for part in parts.values() for name in part) == sorted(names.values())
    assert all(parts[part] for part in PARTS)
    assert any("merger" in name or "projector" in name or "connector" in name for name in parts["projector"])
    assert ("lm_head.weight" in parts["language_model"]) == (family != "gemma3")  # whose embedding it is
    for part in PARTS:
        assert set(choose_trained(model, part)) == parts[part]
        assert {name for name, parameter in model.named_parameters() if parameter.requires_grad} == parts[part]
    norms = {name for name in names.values() if name.endswith("layers.1.input_layernorm.weight")}
    assert set(choose_trained(model, "vision_tower, layers.1.input_layernorm")) == parts["vision_tower"] | norms


def test_a_part_that_is_none_is_refused_with_those_that_are(run):
    with pytest.raises(SystemExit, match=r"--train: expected .*projector, language_model.*lm_head.*found 'projectr'"):
        run("run", "--train", "projectr")


@pytest.mark.slow
def test_a_checkpoint_of_the_projector_holds_the_projector(run, tmp_path):
    out = run("run", "--train", "projector", "--save_steps", 1)
    assert "trained: 24,832 of 679,552 weights" in out
    for folder in ("run", "run/checkpoint-1", "run/checkpoint-2"):
        saved = load_file(tmp_path / folder / "trained_weights.safetensors")
        assert {name.split(".")[1] for name in saved} == {"multi_modal_projector"}
        assert not list((tmp_path / folder).glob("model*.safetensors"))
        assert json.loads((tmp_path / folder / "base_model.json").read_text()) == {
            "name": "tiny", "revision": None, "weights_sha256": None, "seed": 42
        }  # fmt: skip
    model = load_model(tmp_path / "run")
    assert moved(model) == set(saved)
    assert all(torch.equal(model.state_dict()[name], value) for name, value in saved.items())
    assert load_processor(tmp_path / "run").image_token == "<image>"
    with pytest.raises(OSError):  # not half of it, with the rest at random
        AutoModelForImageTextToText.from_pretrained(tmp_path / "run")


@pytest.mark.slow
def test_two_parts_and_a_checkpoint_as_the_next_base(run, small_data, other_data, tmp_path):
    run("first", "--train", "projector")
    run("second", "--train", "language_model", "--model_name_or_path", "first", "--json_dir", other_data)
    subjects = [subjects_of(load_umbrella(str(folder), split="train")) for folder in (small_data, other_data)]
    shutil.copytree("first", "elsewhere")
    (tmp_path / "elsewhere/training_data.json").unlink()
    for name, expected in (("first", subjects[0]), ("second", subjects[0] | subjects[1]), ("elsewhere", set())):
        seen = read_training_data(name)
        assert set(seen.find_overlap(subjects[0] | subjects[1])) == expected
        assert seen.unknown == (["elsewhere"] if name == "elsewhere" else [])
    assert [model["name"] for model in read_training_data("second").models] == ["first", "tiny"]
    first, second = (load_model(tmp_path / name) for name in ("first", "second"))
    changed = {name.split(".")[1] for name in moved(second)}
    assert changed == {"multi_modal_projector", "language_model", "weight"}
    projector = "model.multi_modal_projector.linear_1.weight"
    assert torch.equal(first.state_dict()[projector], second.state_dict()[projector])


@pytest.mark.slow
def test_another_base_is_refused_and_one_that_was_moved_is_taken(run, call, small_data, tmp_path):
    for seed in (1, 2):
        load_model("tiny", seed=seed).save_pretrained(tmp_path / f"base{seed}")
        load_processor("tiny").save_pretrained(tmp_path / f"base{seed}")
    run("run", "--train", "projector", "--model_name_or_path", "base1")
    assert load_model("run", base_model="base1") is not None
    with pytest.raises(ValueError, match=r"run: expected the base model .* 'base1' with weights.* found 'base2'"):
        load_model("run", base_model="base2")
    (tmp_path / "base1").rename(tmp_path / "moved")
    moved_base = ("--model_name_or_path", "run", "--base_model", "moved")
    run("next", "--train", "projector", *moved_base)
    assert "679,552 weights" in call(estimate_memory, *moved_base, "--max_length", 100)
    with pytest.raises(FileNotFoundError, match=r"run, its base model base1: .* lies now: --base_model FOLDER$"):
        load_model("run")
    with pytest.raises(FileNotFoundError, match=r"run, its base model base1: .* lies now: --base_model FOLDER$"):
        load_model("next")
    on_next = load_model("next", base_model="moved").state_dict()  # two further down
    trained = load_file("next/trained_weights.safetensors")
    assert all(torch.equal(on_next[name], value) for name, value in trained.items())
    with pytest.raises(ValueError, match=r"run: expected the base model .* 'base1' with weights.* found 'base2'"):
        load_model("next", base_model="base2")
    scan = next((small_data / "images/test").iterdir())
    assert call(predict, *moved_base, "--image", scan, "--question", "Male or female?", "--max_new_tokens", 2)
    load_model("tiny", seed=3).save_pretrained(tmp_path / "base1")
    with pytest.raises(ValueError, match="expected the base model"):
        load_model("run")


@pytest.mark.slow
def test_lora_trains_adapters_and_the_named_part_and_is_merged_when_loaded(run, tmp_path):
    out = run("run", "--train", "projector,lora", "--lora_r", 4, "--save_steps", 2)
    assert "checkpoints hold what is trained" in out
    for folder in ("run", "run/checkpoint-2"):
        saved = load_file(tmp_path / folder / "adapter_model.safetensors")
        assert all("lora_" in name or "multi_modal_projector" in name for name in saved)
        assert {name.split(".")[-2] for name in saved if "lora_" in name} == {"lora_A", "lora_B"}
        assert not any("vision_tower" in name or "lm_head" in name for name in saved)
        assert not list((tmp_path / folder).glob("model*.safetensors"))
    model = load_model(tmp_path / "run")
    changed = moved(model)
    assert {name.split(".")[1] for name in changed} == {"multi_modal_projector", "language_model"}
    assert all("proj" in name for name in changed)
    deepspeed = HfDeepSpeedConfig({"zero_optimization": {"stage": 3}})
    with pytest.raises(ValueError, match=r"run: expected a whole model under ZeRO-3, found adapters, .*export\.py"):
        load_model(tmp_path / "run")
    del deepspeed  # and with it transformers' memory of it


@pytest.mark.slow
def test_merged_adapters_are_a_whole_model_for_any_reader(run, small_data, tmp_path):
    for name, flags in (("adapters", ()), ("merged", ("--merge_lora", "true"))):
        run(name, "--train", "projector,lora", *flags)
    model = AutoModelForImageTextToText.from_pretrained(tmp_path / "merged")
    assert read_training_data("merged").find_overlap(subjects_of(load_umbrella(str(small_data), split="train")))
    assert not list((tmp_path / "merged").glob("adapter*")) and not (tmp_path / "merged/base_model.json").exists()
    expected = load_model(tmp_path / "adapters").state_dict()
    assert all(torch.equal(value, expected[name]) for name, value in model.state_dict().items())
    with pytest.raises(SystemExit):
        run("other", "--train", "projector", "--merge_lora", "true")


@pytest.mark.slow
def test_four_bits_name_the_extra_that_they_need(run, monkeypatch):
    monkeypatch.setattr("umbrella.options.extras.find_spec", lambda package: None)
    with pytest.raises(SystemExit, match="--load_in_4bit: expected --train lora, found --train projector,lora"):
        run("run", "--train", "projector,lora", "--load_in_4bit", "true")
    with pytest.raises(SystemExit, match=r"--load_in_4bit: .*bitsandbytes, found none.*\[qlora\]"):
        run("run", "--train", "lora", "--load_in_4bit", "true")
    with pytest.raises(SystemExit, match=r"--train lora: .*peft, found none.*\[peft\]"):
        run("run", "--train", "lora")


def test_weights_that_lora_would_leave_frozen_are_named_with_the_remedy(tmp_path):
    model = build_model("llava_onevision", FAMILIES["llava_onevision"]())
    args = TrainArguments(output_dir=str(tmp_path), report_to="none", train="projector,lora")
    choose_trained(model, args.train)
    with pytest.raises(ValueError, match=r"found model.image_newline, .* --train model.multi_modal_projector,lora"):
        add_lora(model, args, BaseModel("base"))


@pytest.mark.slow
def test_a_run_of_a_part_goes_on_from_its_checkpoint(run, tmp_path):
    for train_parts in ("projector", "lora"):
        name, flags = train_parts, ("--train", train_parts, "--lr_scheduler_type", "constant", "--lora_dropout", 0.1)
        flags += (
            "--dataloader_num_workers",
            2,
        )  # the resumed run starts its own, within an epoch
        run(f"{name}-whole", *flags, "--max_steps", 6)
        run(name, *flags, "--save_steps", 2)
        run(name, *flags, "--max_steps", 6, "--resume_from_checkpoint", "auto")
        whole, resumed = (load_model(tmp_path / folder).state_dict() for folder in (f"{name}-whole", name))
        assert all(torch.equal(whole[key], resumed[key]) for key in whole)


@pytest.mark.slow
def test_rows_without_a_scan_train_a_projector_too(call, tmp_path):
    """Alone in a batch they reach no trained weight: the blank row does, with gradients of zero."""
    data = write_folder(tmp_path / "data", {"train": [0, 1, 0]})
    flags = ("--json_dir", data, *SHORT, "--batch_size", 1, "--train", "projector")
    call(train, *flags, "--output_dir", "run", "--max_steps", 3, "--train_sampling_strategy", "sequential")
    assert moved(load_model(tmp_path / "run"))  # in the second step
    only_text = write_folder(tmp_path / "text", {"train": [0, 0]})
    flags = ("--json_dir", only_text, *flags[2:], "--weight_decay", 0)
    with pytest.raises(SystemExit, match=r"found 2 steps after which they are what they were: .* gradients were 0"):
        call(train, *flags, "--output_dir", "unmoved")
    assert not list(Path("unmoved").glob("*.safetensors"))


@pytest.mark.slow
def test_mixed_precision_trains_in_32_bits_what_is_trained_and_keeps_the_rest_in_16(run, tmp_path):
    run("run", "--train", "projector", "--bf16", "true", "--gradient_checkpointing", "true")
    saved = load_file(tmp_path / "run/trained_weights.safetensors")
    assert {value.dtype for value in saved.values()} == {torch.float32}
    assert moved(load_model(tmp_path / "run")) == set(saved)
