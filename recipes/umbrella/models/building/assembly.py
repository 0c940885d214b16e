"""A LLaVA for volumes put together: of a tower and a language model, or of a LLaVA for pictures."""

from dataclasses import dataclass, field

import torch
from transformers import LlavaConfig, LlavaForConditionalGeneration, PreTrainedModel

from umbrella.models.building.language_models import TOLERANCE, LanguageModel, load_language
from umbrella.models.building.pictures import LLAVA, check_flat
from umbrella.models.building.towers import BuiltTower, build_inflated, build_tower
from umbrella.models.loading import load_model, load_processor
from umbrella.models.volumes.patches import POOLED_TIME, fill_time
from umbrella.models.volumes.processor import VolumeImageProcessor, VolumeProcessor
from umbrella.options.build_arguments import INFLATE, BuildArguments
from umbrella.views.settings import count_frames, parse_volume_size


@dataclass
class BuiltModel:
    """A new model: what `save_pretrained` writes, and what is to be said of it.

    sources  the models that its weights come from, by name
    parts    what it is made of, a line each
    notes    what was settled without being asked for, a sentence each
    """

    model: LlavaForConditionalGeneration
    processor: VolumeProcessor
    sources: list[str]
    parts: list[str] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)

    def count_tokens(self) -> int:
        """Image tokens of a scan as it is shown."""
        shown = self.processor.image_processor
        n_frames = fill_time(count_frames(shown.frames), shown.patch_size) + (POOLED_TIME if shown.pools_time else 0)
        return shown.unit.count([n_frames, *parse_volume_size(shown.volume_size)])

    def find_context(self) -> int | None:
        """Most tokens that the language model takes; None where its config names no bound."""
        return getattr(self.model.config.text_config, "max_position_embeddings", None)

    def check(self) -> None:
        """Raise ValueError for a scan that has more tokens than the language model's context."""
        tokens, context = self.count_tokens(), self.find_context()
        if context is not None and tokens >= context:
            raise ValueError(
                f"expected fewer image tokens a scan than the {context} of the language model's context, found "
                f"{tokens}. Choose a smaller --volume_size, larger patches, --pool 2 or --time pooled"
            )


def build_model(args: BuildArguments) -> BuiltModel:
    """Put together what `args` names. The caller's random state is left as it was. Raises ValueError for parts that do
    not fit, and as `load_model`."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(args.seed)
        built = _inflate_llava(args) if args.from_model else _join(args)
    built.check()
    return built


def _join(args: BuildArguments) -> BuiltModel:
    assert args.language_model is not None  # for mypy: checked with the flags
    built = build_tower(args)
    language = load_language(args.language_model)
    model = join(built, language)
    check_same(model, language, args.language_model)
    processor = make_processor(built, language.tokenizer, language.chat_template)
    sources = [args.language_model, *([args.of_model] if args.kind == INFLATE else [])]
    parts = [
        f"vision tower: {describe(model.model.vision_tower)}, {args.vision_tower}, features of layer "
        f"{built.feature_layer}",
        f"projector: {describe(model.model.multi_modal_projector)}, new",
        f"language model: {describe(language.whole)} from {args.language_model}",
    ]
    return BuiltModel(model, processor, sources, parts, [*built.notes, *language.notes])


def join(built: BuiltTower, language: LanguageModel) -> LlavaForConditionalGeneration:
    """A LLaVA of these two, which are in it themselves, in the language model's number type, with a new projector."""
    text_config = language.whole.config
    text_config.name_or_path = ""  # config.json would name a folder of this machine
    config = LlavaConfig(
        vision_config=built.tower.config,
        text_config=text_config,
        image_token_index=language.image_token_id,
        vision_feature_layer=built.feature_layer,
        vision_feature_select_strategy="full",
        tie_word_embeddings=language.is_tied,
        dtype=language.whole.dtype,
    )
    with torch.device("meta"):
        model = LlavaForConditionalGeneration(config)
    inner = model.model
    if type(inner.language_model) is not type(language.base):
        raise ValueError(
            f"--language_model: expected one whose layers LLaVA builds itself, found {type(language.base).__name__} "
            f"where it builds {type(inner.language_model).__name__}. Choose another language model"
        )
    inner.vision_tower, inner.language_model, model.lm_head = built.tower, language.base, language.head
    inner.multi_modal_projector = type(inner.multi_modal_projector)(config)
    model.generation_config = language.whole.generation_config
    return model.to(language.whole.dtype).eval()


def check_same(model: LlavaForConditionalGeneration, language: LanguageModel, name: str) -> None:
    """Raise ValueError where the language model says another thing within the LLaVA than alone: of some, the class
    itself does more than layers and output layer (soft caps, scales of logits), which LLaVA leaves out."""
    kind = type(language.whole).__name__
    try:
        with torch.no_grad():
            found = model(input_ids=language.probe).logits
    except (AttributeError, TypeError, LookupError, RuntimeError) as error:
        raise ValueError(
            f"--language_model {name}: expected one that runs within a LLaVA, found that {kind} does not ({error}). "
            "Choose another language model"
        ) from error
    difference = (found - language.logits).abs().max().item() / language.logits.abs().max().item()
    if not difference <= TOLERANCE:
        raise ValueError(
            f"--language_model {name}: expected the same answers within a LLaVA as alone, found logits that differ by "
            f"{difference:.1%} of the largest: {kind} does more than LLaVA takes over. "
            "Choose another language model"
        )


def _inflate_llava(args: BuildArguments) -> BuiltModel:
    name = args.from_model
    assert name is not None
    model, old = load_llava(name), load_processor(name)
    flat = check_flat(model.model.vision_tower, f"--from_model {name}")
    built = build_inflated(args, flat, model.config.vision_feature_layer)
    model.model.vision_tower, model.config.vision_config = built.tower, built.tower.config
    model.config.vision_feature_select_strategy = "full"  # the tower gives no class token
    processor = make_processor(built, old.tokenizer, old.chat_template, old.image_token)
    parts = [
        f"vision tower: {describe(built.tower)}, that of {name} inflated, features of layer {built.feature_layer}",
        f"projector: {describe(model.model.multi_modal_projector)}, that of {name}",
        f"language model: {describe(model.model.language_model)}, that of {name}",
    ]
    return BuiltModel(model, processor, [name], parts, list(built.notes))


def load_llava(name: str) -> LlavaForConditionalGeneration:
    """A whole LLaVA for pictures. Raises ValueError for a model of another family."""
    model = load_model(name)
    if not isinstance(model, LlavaForConditionalGeneration) or model.config.model_type != LLAVA:
        raise ValueError(
            f"--from_model {name}: expected a LLaVA (LLaVA-1.5, LLaVA-Interleave), whose language model takes the "
            f"features of its tower one for one, found {type(model).__name__}, which arranges them for pictures. Take "
            "its language model and a tower apart, by --language_model and --vision_tower"
        )
    return model


def make_processor(
    built: BuiltTower, tokenizer: object, chat_template: str | None, image_token: str | None = None
) -> VolumeProcessor:
    """The processor of a model with this tower."""
    image_processor = VolumeImageProcessor(**built.shown)
    named = {} if image_token is None else {"image_token": image_token}
    return VolumeProcessor(image_processor, tokenizer, chat_template=chat_template, **named)


def describe(module: torch.nn.Module) -> str:
    """ "Qwen2Model, 494.0 M weights"."""
    weights = sum(parameter.numel() for parameter in module.parameters())
    name = module.config.model_type if isinstance(module, PreTrainedModel) else type(module).__name__
    return f"{name}, {weights / 1e6:,.1f} M weights"
