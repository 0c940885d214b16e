"""What export.py writes: equal weights, for any tool that reads the published names."""

import re
from copy import deepcopy

import export
import pytest
import torch
from families import FAMILIES
from family_models import MODELS, build_model
from safetensors.torch import load_file, save_file
from transformers import AutoModelForImageTextToText, AutoProcessor, GenerationConfig, Trainer, TrainingArguments

from umbrella.models.loading import load_model, load_processor
from umbrella.models.volumes.processor import VolumeProcessor
from umbrella.records.recipe import Recipe, load_recipe, resolve_recipe
from umbrella.records.training_data import SeenRows, TrainingData, hash_subject, read_training_data
from umbrella.views.settings import ViewSettings

WEIGHTS = "model.safetensors"


def save_run(folder, source):
    """What train.py leaves: the weights of `source` under the names in memory, processor and recipe. The recipe."""
    load_model(source).save_pretrained(folder)
    processor = load_processor(source)
    processor.save_pretrained(folder)
    view = "volume" if isinstance(processor, VolumeProcessor) else "coronal"
    recipe = resolve_recipe(ViewSettings(view=view), processor, "")
    recipe.save(folder)
    rows = SeenRows(1, ("sMRI",), (hash_subject("s", "sub-01"),), "s", "ab", 0)
    base = {"name": str(source), "revision": "c0ffee", "recorded": False}
    TrainingData((rows,), (base,)).save(folder)
    return recipe


def save_stock(folder, family):
    processor = FAMILIES[family]()
    model = build_model(family, processor)
    model.save_pretrained(folder)
    processor.save_pretrained(folder)
    return model


@pytest.mark.parametrize("family", MODELS)
def test_a_checkpoint_has_the_names_in_memory_whoever_saves_it(tmp_path, family):
    """By these Trainer finds the weights again, when it resumes or takes the best checkpoint."""
    save_stock(tmp_path / "stock", family)
    model = load_model(tmp_path / "stock")
    args = TrainingArguments(output_dir=str(tmp_path), report_to="none", use_cpu=True)
    Trainer(model, args).save_model(tmp_path / "trainer")
    copied = deepcopy(model)
    torch.nn.init.zeros_(copied.get_input_embeddings().weight)
    copied.save_pretrained(tmp_path / "copied")
    model.save_pretrained(tmp_path / "stock again", save_original_format=True)
    for name, saved_from in (("trainer", model), ("copied", copied)):
        saved, in_memory = load_file(tmp_path / name / WEIGHTS), saved_from.state_dict()
        assert saved.keys() == in_memory.keys() - set(model.all_tied_weights_keys)
        assert all(torch.equal(value, in_memory[name]) for name, value in saved.items())
    assert load_file(tmp_path / "stock again" / WEIGHTS).keys() == load_file(tmp_path / "stock" / WEIGHTS).keys()


@pytest.mark.slow
@pytest.mark.parametrize("family", MODELS)
def test_export_has_the_weights_and_the_names_of_a_stock_save(call, tmp_path, family):
    model = save_stock(tmp_path / "stock", family)
    recipe = save_run(tmp_path / "run", tmp_path / "stock")
    names = {name: load_file(tmp_path / name / WEIGHTS).keys() for name in ("stock", "run")}
    assert (names["stock"] == names["run"]) == (family in ("qwen3_vl", "idefics3", "smolvlm"))
    out = call(export, "--model_name_or_path", "run", "--output_dir", "out/exported")
    assert "torch.float32: exported to out/exported" in out
    assert load_file(tmp_path / "out/exported" / WEIGHTS).keys() == names["stock"]
    for load in (AutoModelForImageTextToText.from_pretrained, load_model):
        loaded = load(tmp_path / "out/exported").state_dict()
        assert all(torch.equal(value, loaded[name]) for name, value in model.state_dict().items())
    assert AutoProcessor.from_pretrained(tmp_path / "out/exported").image_token_ids
    assert GenerationConfig.from_pretrained(tmp_path / "out/exported")
    exported = load_recipe(str(tmp_path / "out/exported"))
    assert isinstance(exported, Recipe) and exported == recipe
    assert (tmp_path / "out/exported/training_data.json").read_bytes() == (
        tmp_path / "run/training_data.json"
    ).read_bytes()


def write_as_published(folder):
    """LLaVA-1.5 as it lies on the Hub: CLIP's tower has a prefix more than transformers 5 writes for a new model."""
    save_stock(folder, "llava_1_5")
    weights = load_file(folder / WEIGHTS)
    older = {re.sub(r"^vision_tower\.", "vision_tower.vision_model.", name): value for name, value in weights.items()}
    save_file(older, folder / WEIGHTS, metadata={"format": "pt"})
    return older


@pytest.mark.slow
def test_names_of_the_base_model_are_taken_where_they_are_known(call, tmp_path):
    published = write_as_published(tmp_path / "base")
    save_run(tmp_path / "run", tmp_path / "base")
    for name, flags in (("named", ("--names_of", "base")), ("recorded", ())):
        call(export, "--model_name_or_path", "run", "--output_dir", name, *flags)
        exported = load_file(tmp_path / name / WEIGHTS)
        assert exported.keys() == published.keys()
    assert all(torch.equal(exported[name], published[name]) for name in published)
    loaded = load_model(tmp_path / "named").state_dict()
    assert all(torch.equal(value, loaded[name]) for name, value in load_model(tmp_path / "base").state_dict().items())
    with pytest.raises(SystemExit, match=r"--names_of lab/none: .* hf download lab/none"):
        call(export, "--model_name_or_path", "run", "--output_dir", "other", "--names_of", "lab/none")


def test_another_number_type(call, tmp_path):
    out = call(export, "--model_name_or_path", "tiny", "--output_dir", "half", "--dtype", "bfloat16")
    assert "bfloat16" in out
    assert {value.dtype for value in load_file(tmp_path / "half" / WEIGHTS).values()} == {torch.bfloat16}
    assert AutoModelForImageTextToText.from_pretrained(tmp_path / "half").dtype == torch.bfloat16
    assert load_recipe(str(tmp_path / "half")) is None
    assert read_training_data(tmp_path / "half") == TrainingData()  # random weights have seen nobody


def test_a_folder_with_files_is_refused_and_left_as_it_is(call, tmp_path):
    (tmp_path / "full").mkdir()
    (tmp_path / "full/notes.txt").write_text("mine")
    with pytest.raises(SystemExit, match=r"--output_dir full: expected an empty or new folder, found 1 files"):
        call(export, "--output_dir", "full")
    with pytest.raises(SystemExit, match="expected a folder to write to, found a file"):
        call(export, "--output_dir", "full/notes.txt")
    assert [path.name for path in (tmp_path / "full").iterdir()] == ["notes.txt"]
    with pytest.raises(SystemExit, match="found no folder '/nowhere'"):
        call(export, "--model_name_or_path", "/nowhere", "--output_dir", "out")
    assert not (tmp_path / "out").exists()
