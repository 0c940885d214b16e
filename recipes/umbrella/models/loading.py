"""Load a model and its processor, by name or folder, whole or put together from a checkpoint and its base."""

from functools import partial
from pathlib import Path
from pickle import UnpicklingError
from tempfile import TemporaryDirectory, gettempdir
from typing import Any

from safetensors.torch import save_file
from transformers import AutoModelForImageTextToText, AutoProcessor, PreTrainedModel, ProcessorMixin
from transformers.integrations import is_deepspeed_zero3_enabled

from umbrella.files.written_files import writing
from umbrella.models.base import BaseModel, describe_base, read_base
from umbrella.models.files import find_model_file
from umbrella.models.folder_check import check_model_folder
from umbrella.models.foreign_code import NO_FOREIGN_CODE, refuse_foreign_code
from umbrella.models.guide_batch import flatten_arguments, takes_plain_images
from umbrella.models.hub_names import EXPECTED, find_repo
from umbrella.models.image_size import resolve_image_size
from umbrella.models.tiny3d import build_tiny3d, build_tiny3d_processor
from umbrella.models.tiny_llava import build_tiny_llava, build_tiny_processor
from umbrella.models.trained_weights import FILE_NAME as TRAINED_WEIGHTS
from umbrella.models.trained_weights import load_trained
from umbrella.models.vision_towers import takes_size
from umbrella.models.volumes.agreement import check_agreement, set_spacing, states_spacing
from umbrella.models.volumes.processor import VolumeProcessor
from umbrella.models.volumes.tower import VolumeTowerBase
from umbrella.options.arguments import BUILT, TINY
from umbrella.options.extras import check_extra


def load_model(
    model_name_or_path: str = TINY, seed: int = 0, base_model: str | None = None, **from_pretrained_kwargs: Any
) -> PreTrainedModel:
    """Load an image-text-to-text model that also takes the guide's batch, in training and in evaluation of the loss.

    A checkpoint that holds only trained weights or adapters is put together with its base model; adapters are merged.

    Args:
        model_name_or_path: "tiny" or "tiny3d" (built offline), a folder written by `save_pretrained` or train.py, or
            a model of the Hub.
        seed: of the weights of those built here; a loaded model has none to draw.
        base_model: where the base model of such a checkpoint lies now, or the one that was moved of those that its
            base stands on. None: where it lay in training.
        from_pretrained_kwargs: `dtype`, `attn_implementation`, `device_map` and all else that `from_pretrained` takes.

    Raises FileNotFoundError for a folder that does not exist, OSError for a name from which no such model loads,
    ValueError for another base model than the checkpoint was trained on, and for the base of a whole model.
    """
    base = None if model_name_or_path in BUILT else read_base(model_name_or_path)
    check_model_folder(model_name_or_path)
    if base is not None:
        return _assemble(str(model_name_or_path), base, base_model, from_pretrained_kwargs)
    if base_model is not None:
        raise ValueError(
            f"--base_model {base_model}: expected a checkpoint of trained weights or adapters beside it, found "
            f"{model_name_or_path}, a whole model, which has no base. Leave the flag out."
        )
    if model_name_or_path in BUILT:
        build = build_tiny_llava if model_name_or_path == TINY else build_tiny3d
        model = _reload(build(seed)[0].eval(), AutoModelForImageTextToText, from_pretrained_kwargs)
        model.name_or_path = model_name_or_path
    else:
        if not Path(model_name_or_path).expanduser().is_dir():
            from_pretrained_kwargs = {"use_safetensors": True, **from_pretrained_kwargs}  # no pickle off the network
        model = load_pretrained(AutoModelForImageTextToText, model_name_or_path, **from_pretrained_kwargs)
    model.register_forward_pre_hook(flatten_arguments, with_kwargs=True)
    # save_pretrained would write LLaVA's, Qwen-VL's and Gemma 3's weights under the names of older versions, by which
    # Trainer, when it resumes or takes the best checkpoint, finds none of them and goes on with other weights. Trainer
    # says nothing of names when it saves, so the default is another here.
    model.save_pretrained = partial(model.save_pretrained, save_original_format=False)
    return model


def _assemble(name: str, base: BaseModel, base_model: str | None, from_pretrained_kwargs: dict) -> PreTrainedModel:
    """The base model with a checkpoint's trained weights in it, or with its adapters merged into it."""
    inner = base_model if _is_further_down(base, base_model) else None
    place = base.name if base_model is None or inner else base_model
    if place not in BUILT:
        told = place == base_model
        asked_as = f"--base_model {place}" if told else f"{name}, its base model {place}"
        find_repo(place, asked_as=asked_as, remedy="" if told else "Say where it lies now: --base_model FOLDER")
    found = describe_base(place, base.seed, base.revision)  # the commit of then, wherever the Hub's is now
    base.check(found, name)
    if found.revision is not None:
        from_pretrained_kwargs = {"revision": found.revision, **from_pretrained_kwargs}
    model = load_model(place, base.seed or 0, inner, **from_pretrained_kwargs)
    trained = find_model_file(name, TRAINED_WEIGHTS)
    if trained is not None:
        load_trained(model, trained)
    else:
        check_extra("peft", f"{name}: a checkpoint of adapters", "peft")
        if is_deepspeed_zero3_enabled():
            raise ValueError(
                f"{name}: expected a whole model under ZeRO-3, found adapters, which do not merge into weights that "
                "are spread over processes. Export it first: recipes/export.py"
            )
        from peft import PeftModel

        model = PeftModel.from_pretrained(model, name).merge_and_unload()
    if states_spacing(model):  # the base may state another, see `load_for_training`
        set_spacing(model, load_processor(name).image_processor.volume_spacing)
    model.name_or_path = name
    return model.eval()


def _is_further_down(base: BaseModel, base_model: str | None) -> bool:
    """Whether a base that was moved is not this one, which lies where it lay and stands on another itself."""
    is_here = Path(base.name).expanduser().is_dir() and read_base(base.name) is not None
    if base_model is None or not is_here:
        return False
    try:
        base.check(describe_base(base_model, base.seed, base.revision), base.name)
    except ValueError:
        return True
    return False


def load_processor(model_name_or_path: str = TINY, **from_pretrained_kwargs: Any) -> ProcessorMixin:
    """Load the processor of the model that `load_model` gives for the same name. Raises as `load_model` does."""
    if model_name_or_path in BUILT:
        build = build_tiny_processor if model_name_or_path == TINY else build_tiny3d_processor
        return _reload(build(), AutoProcessor, from_pretrained_kwargs)
    check_model_folder(model_name_or_path)
    processor = load_pretrained(AutoProcessor, model_name_or_path, **from_pretrained_kwargs)
    if not isinstance(processor, ProcessorMixin):
        raise ValueError(
            f"model_name_or_path: expected a vision-language model, whose processor reads text and images; "
            f"{str(model_name_or_path)!r} has only a {type(processor).__name__}."
        )
    return processor


def _reload(built: PreTrainedModel | ProcessorMixin, auto_class: Any, from_pretrained_kwargs: dict) -> Any:
    """Send what was built through a folder, so that each keyword means to it what it means to any other model."""
    if not from_pretrained_kwargs:
        return built
    with TemporaryDirectory() as folder:
        with writing(gettempdir(), "set TMPDIR to a folder on another disk"):
            if isinstance(built, PreTrainedModel):  # whose save_pretrained writes on the first of several processes
                weights = {name: parameter.detach() for name, parameter in built.named_parameters()}
                save_file(weights, f"{folder}/model.safetensors")
                built.config.save_pretrained(folder)
                built.generation_config.save_pretrained(folder)
            else:
                built.save_pretrained(folder)
        return auto_class.from_pretrained(folder, **from_pretrained_kwargs)


def load_pretrained(auto_class: Any, name: str | Path, asked_as: str | None = None, **kwargs: Any) -> Any:
    """`auto_class.from_pretrained`, with its pages on a missing folder or model cut down to a sentence.

    asked_as: the flag that the name stood behind (default: --model_name_or_path).
    """
    options = {**find_repo(name, asked_as=asked_as and f"{asked_as} {name}"), **NO_FOREIGN_CODE}
    path = Path(name).expanduser()
    try:
        return auto_class.from_pretrained(path if path.is_dir() else str(name), **options | kwargs)
    except UnpicklingError as error:
        raise ValueError(
            f"{name}: expected weights in safetensors, found no weights that load without running what stands in a "
            "pickle. Save them with save_pretrained where they come from"
        ) from error
    except MemoryError:
        raise
    except Exception as error:  # of a damaged file whatever meets it first: KeyError, TypeError, tokenizers' own
        if isinstance(error, RuntimeError) and "ignore_mismatched_sizes" in str(error):
            raise ValueError(
                f"{name}: expected weights of the shapes that its config.json states, found others, which are listed "
                "above: one of the two is of another model. Copy both from one place"
            ) from error
        if isinstance(error, RuntimeError | ImportError) and not isinstance(error, RecursionError):
            raise
        refuse_foreign_code(name, error)
        said = str(error).splitlines()[0] if str(error) else type(error).__name__
        raise OSError(
            f"{asked_as or 'model_name_or_path'}: expected {EXPECTED['model']}; {str(name)!r} does not load ({said})"
        ) from error


def check_fits(
    model: PreTrainedModel, processor: ProcessorMixin, image_size: int | None = None, max_length: int | None = None
) -> None:
    """Check that what the processor makes is what the model eats.

    Args:
        image_size: side in pixels of the images that will be given; None stands for the processor's own.
        max_length: most tokens of a row.

    Raises ValueError when the processor has another image token than the model, when it makes token ids beyond the
    model's embedding, when the model's vision tower takes another image size or other volumes, or when its language
    model has no place for as many tokens.
    """
    expected = getattr(model.config, "image_token_id", None)
    if expected is None:
        raise ValueError(
            f"model: expected one that reads images at image tokens among the text, such as LLaVA; "
            f"{type(model).__name__} names no image_token_id in its config."
        )
    if expected not in processor.image_token_ids:
        raise ValueError(
            f"processor: expected image token {expected}, as the model has it, found {processor.image_token_ids[0]} "
            f"({processor.image_token!r}). Load model and processor from one place."
        )
    rows = model.get_input_embeddings().num_embeddings
    largest = max(processor.tokenizer.get_vocab().values())
    if largest >= rows:
        token = processor.tokenizer.convert_ids_to_tokens(largest)
        raise ValueError(
            f"tokenizer: expected token ids below {rows}, the size of the model's embedding, found {largest} "
            f"({token!r}). Load both from one place, or call model.resize_token_embeddings({largest + 1})."
        )
    check_context(model, max_length)
    if isinstance(processor, VolumeProcessor) or isinstance(model.get_encoder(modality="image"), VolumeTowerBase):
        check_takes_volumes(model, processor)
        return
    if not takes_plain_images(model):
        return  # it cuts or scales the images itself
    size = image_size or resolve_image_size(processor, None)
    vision_size = getattr(model.config.vision_config, "image_size", size)  # a convolutional tower states none
    side = vision_size[0] if isinstance(vision_size, list | tuple) else vision_size
    if size == side or takes_size(model.config.vision_config, size):
        return
    stated = resolve_image_size(processor, None)
    remedy = "Leave image_size out, or" if stated == side else f"The processor, which states {stated}, is of another:"
    raise ValueError(
        f"image_size: expected {side}, the size of the model's vision tower, found {size}, which the tower does not "
        f"take. {remedy} load model and processor from one place."
    )


def find_most_tokens(model: PreTrainedModel) -> int | None:
    """How many tokens the language model takes at once; None where its config names no bound."""
    return getattr(model.config.get_text_config(), "max_position_embeddings", None)


def check_context(model: PreTrainedModel, max_length: int | None) -> None:
    """Raise ValueError where rows may be longer than the language model has positions for."""
    most = find_most_tokens(model)
    if most is not None and max_length is not None and max_length > most:
        raise ValueError(
            f"--max_length: expected at most {most}, the tokens that the language model takes at once "
            f"(max_position_embeddings in its config), found {max_length}. Set --max_length {most}; where the rows do "
            "not fit then, show fewer or smaller scans"
        )


def check_takes_volumes(model: PreTrainedModel, processor: ProcessorMixin) -> None:
    """Raise ValueError where one of the two is of volumes and the other is not, or of other volumes."""
    tower = model.get_encoder(modality="image")
    if not isinstance(processor, VolumeProcessor) or not isinstance(tower, VolumeTowerBase):
        raise ValueError(
            f"processor: expected a {VolumeProcessor.__name__} with a tower for volumes and with no other, found "
            f"{type(processor).__name__} and {type(tower).__name__}. Load model and processor from one place."
        )
    check_agreement(model.config.vision_config, processor.image_processor)
