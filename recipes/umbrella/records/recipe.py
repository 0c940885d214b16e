"""What a model was trained with, beside what is asked for: which of the two stands."""

from dataclasses import replace
from typing import Any

from umbrella.files.json_files import read_json
from umbrella.models.chat_templates import explain_template, hash_template
from umbrella.models.files import find_model_file
from umbrella.models.tiny3d import VOLUME_SIZE, VOLUME_SPACING
from umbrella.models.view_settings import check_states, settle_settings
from umbrella.options.arguments import BUILT, TINY3D
from umbrella.records.recipe_file import FILE_NAME, LABEL_RULE, Recipe, read_recipe
from umbrella.views.settings import ViewSettings


def load_recipe(model_name_or_path: str) -> Recipe | None:
    """The recipe saved beside a model, in a folder or on the Hub; None for a model that has none.

    Raises ValueError for a file that is no recipe.
    """
    path = find_model_file(model_name_or_path, FILE_NAME)
    return None if path is None else read_recipe(path)


def find_settings(asked: ViewSettings, model_name_or_path: str) -> ViewSettings:
    """What is asked for, and where that is left open what the model was trained with, or what its processor's file
    states of volumes; the processor is not loaded."""
    if model_name_or_path in (*BUILT, ""):
        own = ViewSettings(volume_size=VOLUME_SIZE, volume_spacing=VOLUME_SPACING)
        return replace(own if model_name_or_path == TINY3D else ViewSettings(), **asked.stated())
    trained = load_recipe(model_name_or_path)
    if trained is not None:
        return replace(trained.settings, **asked.stated())
    path = find_model_file(model_name_or_path, "processor_config.json")
    stated = read_json(path, dict).get("image_processor", {}) if path else {}
    names = ("volume_size", "volume_spacing", "frames")
    return replace(asked, **{name: stated[name] for name in names if name in stated} | asked.stated())


def resolve_recipe(asked: ViewSettings, processor: Any, model_name_or_path: str) -> Recipe:
    """What the model was trained with, else what is asked for, else the defaults.

    Args:
        asked: what is left open in it is no wish.
        model_name_or_path: where the recipe may lie; those built here and "" (a processor that was built, not
            loaded) have none.

    Raises ValueError for a wish that contradicts the model's own recipe, and for a recipe that contradicts what the
    model's processor states of volumes; shows both values.
    """
    trained = None if model_name_or_path in (*BUILT, "") else load_recipe(model_name_or_path)
    prompt = "chatml" if processor.chat_template is None else hash_template(processor.chat_template)
    if trained is None:
        settings = settle_settings(asked, processor, model_name_or_path)
        return Recipe(**vars(settings), label_rule=LABEL_RULE, prompt_template=prompt)
    check_states(processor, trained.settings, f"{model_name_or_path}, {FILE_NAME}")
    for name, value in asked.stated().items():
        if name != "expects" and value != getattr(trained, name):
            raise ValueError(
                f"{name}: {model_name_or_path} was trained with {getattr(trained, name)!r}, found {value!r}. "
                f"Leave {name} out; to train it further with another, remove {FILE_NAME} beside it."
            )
    if trained.label_rule != LABEL_RULE:
        raise ValueError(
            f"label_rule: {model_name_or_path} was trained with {trained.label_rule!r}, found {LABEL_RULE!r}. "
            "Train it again with this version, or use the version that it was trained with."
        )
    if trained.prompt_template != prompt:
        raise ValueError(
            f"prompt_template: {model_name_or_path} was trained with {trained.prompt_template!r}, found {prompt!r}"
            f"{explain_template(model_name_or_path, trained.prompt_template)}"
        )
    # What is refused or warned of changes nothing of what the model is shown, and can be overruled.
    return trained if asked.expects is None else replace(trained, expects=asked.expects)
