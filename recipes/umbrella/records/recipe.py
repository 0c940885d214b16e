"""The settings a model was trained with, which evaluation and data loaders must repeat: they travel with the
checkpoint."""

from dataclasses import asdict, dataclass, fields, replace
from pathlib import Path
from typing import Any, get_args

from umbrella.files.json_files import read_json, show_json, write_json
from umbrella.models.chat_templates import explain_template, hash_template
from umbrella.models.files import find_model_file
from umbrella.models.tiny3d import VOLUME_SIZE, VOLUME_SPACING
from umbrella.models.view_settings import check_states, settle_settings
from umbrella.options.arguments import BUILT, TINY3D
from umbrella.views.settings import ViewSettings

FILE_NAME = "umbrella_recipe.json"
LABEL_RULE = "assistant text and end of turn, v1"
REMEDY = "Copy it from another checkpoint of the run, which has the same"
# None where they mean nothing to the view.
OPTIONAL = ("image_size", "volume_size", "volume_spacing", "frames", "intensity", "expects")


@dataclass(frozen=True)
class Recipe:
    """How scans are shown and text is labelled; see `umbrella.rows.transform.ConversationTransform`."""

    view: str
    image_size: int | None
    normalize: bool
    standardize: bool
    label_rule: str
    prompt_template: str  # sha256 of the chat template that saves with the processor, or "chatml"
    volume_size: str | None = None
    volume_spacing: float | None = None
    frames: str | None = None
    intensity: str | None = None
    expects: str | None = None

    def save(self, folder: str | Path) -> None:
        """Write the recipe beside a checkpoint."""
        record = {name: value for name, value in asdict(self).items() if value is not None}
        write_json(Path(folder) / FILE_NAME, record, indent=2)

    @property
    def settings(self) -> ViewSettings:
        """How scans are shown."""
        return ViewSettings.of(self)


def load_recipe(model_name_or_path: str) -> Recipe | None:
    """The recipe saved beside a model, in a folder or on the Hub; None for a model that has none.

    Raises ValueError for a file that is no recipe.
    """
    path = find_model_file(model_name_or_path, FILE_NAME)
    if path is None:
        return None
    expected = {field.name: (get_args(field.type) or (field.type,))[0] for field in fields(Recipe)}
    record = read_json(path, dict, tuple(name for name in expected if name not in OPTIONAL), REMEDY)
    found = {name: value for name, value in record.items() if type(value) is not expected.get(name)}
    if found:
        raise ValueError(
            f"{path}: expected {', '.join(f'{name}: {kind.__name__}' for name, kind in expected.items())}, found "
            f"{show_json(found)}. {REMEDY}"
        )
    return Recipe(**dict.fromkeys(OPTIONAL) | record)


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
