"""Which models a stock server can show scans as they were shown in training: told by their recipe alone."""

from pathlib import Path

from umbrella.records.recipe_file import FILE_NAME, Recipe, read_recipe
from umbrella.views.settings import ENCODER, VOLUME

CHATML = "chatml"  # `prompt_template` of a processor without a chat template


def read_servable(model: str | Path) -> Recipe:
    """The recipe of a model's folder, or a recipe's file itself. Raises ValueError where there is none, and as
    `check_servable`."""
    path = Path(model).expanduser()
    path = path / FILE_NAME if path.is_dir() else path
    if not path.is_file():
        raise ValueError(
            f"{model}: expected a model's folder with {FILE_NAME}, or that file, found none. "
            f"Copy {FILE_NAME} from the folder of the model that is served"
        )
    recipe = read_recipe(path)
    check_servable(recipe, str(path))
    return recipe


def check_servable(recipe: Recipe, where: str) -> None:
    """Raise ValueError, with the reason and the way out, for a model that a stock server cannot show scans as it was
    trained to see them.

    Args:
        where: the recipe stands.
    """
    if recipe.view == VOLUME:
        raise ValueError(
            f"{where}: expected a model of pictures, found view {VOLUME!r}: a server takes pictures, and no PNG holds "
            f"a volume. Ask it with recipes/predict.py, or train one on a view of pictures with --intensity {ENCODER}"
        )
    if recipe.intensity != ENCODER:
        shown = "the z-score of each scan" if recipe.standardize else "numbers that were not rounded to 8 bits"
        raise ValueError(
            f"{where}: expected a model that was trained with --intensity {ENCODER}, found one that was shown "
            f"{shown}: no PNG with one mean and deviation for all holds that, so a server would show it other scans. "
            f"Train it with --intensity {ENCODER}; until then ask it with recipes/predict.py"
        )
    if recipe.prompt_template == CHATML:
        raise ValueError(
            f"{where}: expected a model with a chat template, by which a server writes the prompt, found none. Put a "
            "chat_template.jinja beside the model that training starts from, and train it so"
        )
