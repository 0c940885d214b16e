"""A model and what it takes to ask it, loaded once: its processor, and its scans shown as its recipe says."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from typing import Protocol

from accelerate import PartialState

from umbrella.answers.generation import Answerer
from umbrella.models.cached_tower import attach_feature_cache
from umbrella.models.feature_cache import open_feature_cache
from umbrella.models.loading import BUILT, check_fits, load_model, load_processor
from umbrella.options.arguments import ModelArguments
from umbrella.records.recipe import load_recipe, resolve_recipe
from umbrella.rows.kept_views import CachingTransform, ViewCache
from umbrella.views.settings import ViewSettings

MOST_BYTES = 256 * 1024**2  # of views that are kept: those of a conversation's scans


class Asked(Protocol):
    """What the flags of a recipe say of how a model is asked."""

    expects: str | None
    max_length: int
    max_new_tokens: int
    feature_cache: str | None
    use_cpu: bool | None


@dataclass(frozen=True)
class OpenedModel:
    """A model by its name, what asks it, and how it is shown its scans."""

    name: str
    answerer: Answerer
    settings: ViewSettings


def open_model(model_args: ModelArguments, asked: Asked, candidates: Sequence[str] = ()) -> OpenedModel:
    """Load the model for single questions.

    candidates: whole answers whose likelihood is wanted, see `Answerer`.

    Raises as `prepare_answerer` does.
    """
    make_answerer, settings = prepare_answerer(model_args, asked)
    return OpenedModel(model_args.model_name_or_path, make_answerer(batch_size=1, candidates=candidates), settings)


def prepare_answerer(model_args: ModelArguments, asked: Asked) -> tuple[partial[Answerer], ViewSettings]:
    """What makes an Answerer of the model, given `batch_size`, and how scans are shown.

    Raises as `load_model`, `resolve_recipe` and `check_fits` do.
    """
    name, state = model_args.model_name_or_path, PartialState(cpu=asked.use_cpu)
    processor = load_processor(name)
    recipe = resolve_recipe(ViewSettings(expects=asked.expects), processor, name)
    if state.is_main_process and (name in BUILT or load_recipe(name) is None):
        shown = recipe.settings.describe()
        print(f"note: {name} has no umbrella_recipe.json: the scan is shown by default, as {shown}")
    # A scan that does not fit is an error: left out, it would change the answer unseen.
    options = recipe.settings.stated() | {"max_length": asked.max_length, "on_overflow": "raise"}
    features = open_feature_cache(asked.feature_cache)
    make_transform = partial(CachingTransform, processor, ViewCache(MOST_BYTES), feature_cache=features, **options)
    model = load_model(name, base_model=model_args.base_model).to(state.device)
    check_fits(model, processor, recipe.image_size, asked.max_length)
    if features is not None:
        attach_feature_cache(model.requires_grad_(False), processor, features, model.device)
    prompts = make_transform(add_generation_prompt=True)
    answerer = partial(Answerer, model, prompts, make_transform(), max_new_tokens=asked.max_new_tokens)
    return answerer, recipe.settings
