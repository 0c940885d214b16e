"""The settings a model was trained with, which evaluation and data loaders must repeat: they travel with the
checkpoint. Their file is read without torch and transformers."""

from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import get_args

from umbrella.files.json_files import read_json, show_json, write_json
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


def read_recipe(path: Path) -> Recipe:
    """A recipe's file. Raises ValueError for one that is no recipe."""
    expected = {field.name: (get_args(field.type) or (field.type,))[0] for field in fields(Recipe)}
    record = read_json(path, dict, tuple(name for name in expected if name not in OPTIONAL), REMEDY)
    found = {name: value for name, value in record.items() if type(value) is not expected.get(name)}
    if found:
        raise ValueError(
            f"{path}: expected {', '.join(f'{name}: {kind.__name__}' for name, kind in expected.items())}, found "
            f"{show_json(found)}. {REMEDY}"
        )
    return Recipe(**dict.fromkeys(OPTIONAL) | record)
