"""The recipe travels with the model: evaluation and data loaders repeat what training did, or refuse."""

import itertools
import json
from dataclasses import replace

import pytest
from conversation_folder import write_folder
from families import build_chatml

from umbrella.dataloaders import UMBRELLADataLoader
from umbrella.models.loading import load_processor
from umbrella.models.tiny_llava import build_tiny_processor
from umbrella.options.arguments import DataArguments
from umbrella.records.recipe import FILE_NAME, Recipe, load_recipe, resolve_recipe
from umbrella.views.settings import ViewSettings

SETTINGS = ViewSettings(view="coronal", image_size=64, normalize=True, standardize=False)


def save_checkpoint(folder, **settings):
    """A processor with the recipe beside it, as train.py leaves them. Returns the loaded processor and the folder."""
    processor = build_tiny_processor(64)
    processor.save_pretrained(folder)
    resolve_recipe(replace(SETTINGS, **settings), processor, "tiny").save(folder)
    return load_processor(str(folder)), str(folder)


def test_a_model_without_a_recipe_gets_what_is_asked_for_and_the_defaults_for_the_rest():
    processor = build_tiny_processor(64)
    assert resolve_recipe(ViewSettings(view="slices:4"), processor, "tiny").settings == ViewSettings(
        view="slices:4", image_size=64, normalize=True, standardize=True
    )
    with pytest.raises(ValueError, match=r"image_size: expected 64, .* found 48"):
        resolve_recipe(ViewSettings(image_size=48), processor, "tiny")


def test_a_checkpoints_recipe_goes_before_the_defaults(tmp_path):
    processor, folder = save_checkpoint(tmp_path)
    assert resolve_recipe(ViewSettings(), processor, folder) == load_recipe(folder)
    assert resolve_recipe(ViewSettings(), processor, folder).settings == SETTINGS
    flags = ViewSettings.of(DataArguments(json_dir="data"))
    assert resolve_recipe(flags, processor, folder).settings == SETTINGS


@pytest.mark.parametrize(
    "name, trained, asked",
    [
        ("view", "'coronal'", "axial"),
        ("image_size", "64", 224),
        ("normalize", "True", False),
        ("standardize", "False", True),
    ],
)
def test_a_flag_that_contradicts_the_checkpoint_is_an_error_with_both_values(tmp_path, name, trained, asked):
    processor, folder = save_checkpoint(tmp_path)
    with pytest.raises(ValueError) as error:
        resolve_recipe(ViewSettings(**{name: asked}), processor, folder)
    assert str(error.value).startswith(f"{name}: {folder} was trained with {trained}, found {asked!r}. Leave {name}")


def test_what_an_encoder_expects_can_be_overruled_of_a_trained_model_too_and_nothing_else_of_it(tmp_path):
    """As the messages say: --expects none."""
    processor = load_processor("tiny3d")
    resolve_recipe(ViewSettings(expects="one_volume,stripped"), processor, "tiny3d").save(tmp_path)
    processor.save_pretrained(tmp_path)
    trained = load_recipe(tmp_path)
    assert trained.expects == "one_volume,stripped"
    overruled = resolve_recipe(ViewSettings(expects="none"), load_processor(str(tmp_path)), str(tmp_path))
    assert overruled == replace(trained, expects="none")
    with pytest.raises(ValueError, match=r"frames: .* was trained with None, found '4'"):
        resolve_recipe(ViewSettings(expects="none", frames="4"), load_processor(str(tmp_path)), str(tmp_path))


def test_a_flag_that_repeats_the_checkpoint_is_no_error(tmp_path):
    processor, folder = save_checkpoint(tmp_path)
    assert resolve_recipe(SETTINGS, processor, folder).settings == SETTINGS


def test_a_changed_chat_template_is_noticed(tmp_path):
    processor, folder = save_checkpoint(tmp_path)
    processor.chat_template += " "
    with pytest.raises(ValueError, match=r"prompt_template: .* was trained with '[0-9a-f]{64}', found '[0-9a-f]{64}'"):
        resolve_recipe(ViewSettings(), processor, folder)


def test_a_chat_template_that_changed_is_named_with_its_files_and_a_remedy_that_works(tmp_path):
    _, folder = save_checkpoint(tmp_path)
    added = tmp_path / "additional_chat_templates" / "x.jinja"
    added.parent.mkdir()
    added.write_text("{{ messages }}")
    files = "chat_template.jinja and additional_chat_templates/x.jinja"
    with pytest.raises(ValueError, match=f"which comes from {files} there") as error:
        resolve_recipe(ViewSettings(), load_processor(folder), folder)
    assert str(error.value).endswith("is as in training: take additional_chat_templates/x.jinja out.")
    added.unlink()
    assert resolve_recipe(ViewSettings(), load_processor(folder), folder)
    with (tmp_path / "chat_template.jinja").open("a") as file:
        file.write("{# another #}")
    with pytest.raises(ValueError, match=r"comes from chat_template\.jinja there\. Put it back as it was saved"):
        resolve_recipe(ViewSettings(), load_processor(folder), folder)


def test_several_chat_templates_are_the_same_in_any_order_of_their_files(tmp_path):
    processor = build_tiny_processor(64)
    processor.chat_template = {"default": "d", "b": "b", "a": "a"}
    processor.save_pretrained(tmp_path)
    resolve_recipe(SETTINGS, processor, "tiny").save(tmp_path)
    loaded = load_processor(str(tmp_path))
    assert loaded.chat_template == processor.chat_template
    for names in itertools.permutations(loaded.chat_template):
        loaded.chat_template = {name: processor.chat_template[name] for name in names}
        assert resolve_recipe(ViewSettings(), loaded, str(tmp_path))


def test_a_processor_without_a_template_is_recorded_as_chatml():
    assert resolve_recipe(ViewSettings(), build_chatml(), "tiny").prompt_template == "chatml"


def test_another_label_rule_is_noticed(tmp_path):
    processor, folder = save_checkpoint(tmp_path)
    saved = json.loads((tmp_path / FILE_NAME).read_text())
    (tmp_path / FILE_NAME).write_text(json.dumps(saved | {"label_rule": "everything, v0"}))
    with pytest.raises(ValueError, match=r"label_rule: .* was trained with 'everything, v0', found"):
        resolve_recipe(ViewSettings(), processor, folder)


def test_a_recipe_is_saved_and_loaded_as_it_is(tmp_path):
    recipe = Recipe("montage:3", 336, True, False, "rule", "chatml")
    recipe.save(tmp_path)
    assert load_recipe(str(tmp_path)) == recipe


@pytest.mark.parametrize("name", ["/nowhere/at/all", "someone/some-model"])
def test_a_model_that_has_no_recipe_has_none(name):
    assert load_recipe(name) is None


def test_a_recipe_in_the_working_folder_is_no_recipe_of_a_built_processor(tmp_path, monkeypatch):
    save_checkpoint(tmp_path)
    monkeypatch.chdir(tmp_path)
    assert resolve_recipe(ViewSettings(), build_tiny_processor(64), "").view == "axial"


def test_data_loaders_read_the_recipe_beside_their_processor(tmp_path):
    data = write_folder(tmp_path / "data", {"train": [1]})
    processor, _ = save_checkpoint(tmp_path / "checkpoint")
    ours = UMBRELLADataLoader(data, processor=processor)[0]["pixel_values"]
    explicit = UMBRELLADataLoader(data, processor=build_tiny_processor(64), view="coronal", standardize=False)
    assert ours.equal(explicit[0]["pixel_values"])
    assert not ours.equal(UMBRELLADataLoader(data, processor=build_tiny_processor(64))[0]["pixel_values"])


@pytest.mark.parametrize("option", [{"view": "axial"}, {"normalize": False}, {"image_size": 32}])
def test_data_loaders_refuse_what_contradicts_the_recipe(tmp_path, option):
    data = write_folder(tmp_path / "data", {"train": [0]})
    processor, folder = save_checkpoint(tmp_path / "checkpoint")
    ((name, value),) = option.items()
    with pytest.raises(ValueError, match=f"{name}: {folder} was trained with .*, found {value!r}"):
        UMBRELLADataLoader(data, processor=processor, **option)
