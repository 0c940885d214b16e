"""Load a model and its processor, and let the model take the guide's batch beside the stock one.

The guide's batch (`UMBRELLADataLoader.collate_fn`) holds B rows of N images each, short rows filled up with padding:

    input_ids, attention_mask, labels  (B, T)
    pixel_values                       (B, N, 3, H, W), or None
    num_images                         (B,): how many of the N are real, they come first
    metadata, task_ids                 lists of B

A stock model wants `pixel_values` as (all real images, 3, H, W) and no other keys. `flatten_batch` makes one from the
other. A model from `load_model` does so by itself, in a hook that runs before `forward` and is not saved.
"""

import inspect
from collections.abc import Mapping
from pathlib import Path
from tempfile import TemporaryDirectory

import torch
from transformers import AutoModelForImageTextToText, AutoProcessor, PreTrainedModel, ProcessorMixin

from umbrella.base_model import BaseModel, describe_base, read_base
from umbrella.extras import check_extra
from umbrella.model_files import find_model_file
from umbrella.tiny_llava import build_tiny_llava, build_tiny_processor
from umbrella.trained_weights import FILE_NAME as TRAINED_WEIGHTS
from umbrella.trained_weights import load_trained
from umbrella.transform import resolve_image_size

TINY = "tiny"  # the name that builds the small LLaVA instead of loading one
GUIDE_KEYS = ("metadata", "task_ids", "num_images")  # in the guide's batch, and no model's


def load_model(
    model_name_or_path: str = TINY, seed: int = 0, base_model: str | None = None, **from_pretrained_kwargs
) -> PreTrainedModel:
    """Load an image-text-to-text model that also takes the guide's batch, in training and in evaluation of the loss.

    A checkpoint that holds only trained weights or adapters is put together with its base model; adapters are merged.

    Args:
        model_name_or_path: "tiny" (built offline), a folder written by `save_pretrained` or train.py, or a model of
            the Hub.
        seed: of the weights of "tiny"; a loaded model has none to draw.
        base_model: where the base model of such a checkpoint lies now. None: where it lay in training.
        from_pretrained_kwargs: `dtype`, `attn_implementation`, `device_map` and all else that `from_pretrained` takes.

    Raises FileNotFoundError for a folder that does not exist, OSError for a name from which no such model loads,
    ValueError for another base model than the checkpoint was trained on.
    """
    _check_exists(model_name_or_path)
    base = None if model_name_or_path == TINY else read_base(model_name_or_path)
    if base is not None:
        return _assemble(str(model_name_or_path), base, base_model, from_pretrained_kwargs)
    if model_name_or_path == TINY:
        model = _reload(build_tiny_llava(seed)[0].eval(), AutoModelForImageTextToText, from_pretrained_kwargs)
        model.name_or_path = TINY
    else:
        if not Path(model_name_or_path).expanduser().is_dir():
            from_pretrained_kwargs = {"use_safetensors": True, **from_pretrained_kwargs}  # no pickle off the network
        model = _from_pretrained(AutoModelForImageTextToText, model_name_or_path, **from_pretrained_kwargs)
    model.register_forward_pre_hook(_flatten_arguments, with_kwargs=True)
    # save_pretrained would write LLaVA's, Qwen-VL's and Gemma 3's weights under the names of older versions, by which
    # Trainer, when it resumes or takes the best checkpoint, finds none of them and goes on with other weights.
    model._weight_conversions = []
    return model


def _assemble(name: str, base: BaseModel, base_model: str | None, from_pretrained_kwargs: dict) -> PreTrainedModel:
    """The base model with a checkpoint's trained weights in it, or with its adapters merged into it."""
    place = base_model or base.name
    found = describe_base(place, base.seed)
    base.check(found, name)
    if found.revision is not None:
        from_pretrained_kwargs = {"revision": found.revision, **from_pretrained_kwargs}
    model = load_model(place, base.seed or 0, **from_pretrained_kwargs)
    trained = find_model_file(name, TRAINED_WEIGHTS)
    if trained is not None:
        load_trained(model, trained)
    else:
        check_extra("peft", f"{name}: a checkpoint of adapters", "peft")
        from peft import PeftModel

        model = PeftModel.from_pretrained(model, name).merge_and_unload()
    model.name_or_path = name
    return model.eval()


def load_processor(model_name_or_path: str = TINY, **from_pretrained_kwargs) -> ProcessorMixin:
    """Load the processor of the model that `load_model` gives for the same name. Raises as `load_model` does."""
    if model_name_or_path == TINY:
        return _reload(build_tiny_processor(), AutoProcessor, from_pretrained_kwargs)
    processor = _from_pretrained(AutoProcessor, model_name_or_path, **from_pretrained_kwargs)
    if not isinstance(processor, ProcessorMixin):
        raise ValueError(
            f"model_name_or_path: expected a vision-language model, whose processor reads text and images; "
            f"{str(model_name_or_path)!r} has only a {type(processor).__name__}."
        )
    return processor


def _reload(built, auto_class: type, from_pretrained_kwargs: dict):
    """Send what was built through a folder, so that each keyword means to it what it means to any other model."""
    if not from_pretrained_kwargs:
        return built
    with TemporaryDirectory() as folder:
        built.save_pretrained(folder)
        return auto_class.from_pretrained(folder, **from_pretrained_kwargs)


def _from_pretrained(auto_class: type, name: str | Path, **kwargs):
    """`auto_class.from_pretrained`, with its pages on a missing folder or model cut down to a sentence."""
    _check_exists(name)
    path = Path(name).expanduser()
    try:
        return auto_class.from_pretrained(path if path.is_dir() else str(name), **kwargs)
    except (OSError, ValueError) as error:
        raise OSError(
            f"model_name_or_path: expected a folder that save_pretrained wrote, a model of the Hub or 'tiny'; "
            f"{str(name)!r} does not load ({str(error).splitlines()[0]})"
        ) from error


def _check_exists(name: str | Path) -> None:
    """Raise FileNotFoundError for what can only be a folder, and is none."""
    path = Path(name).expanduser()
    looks_like_a_path = path.is_absolute() or str(name).startswith((".", "~")) or len(path.parts) > 2
    if looks_like_a_path and not path.is_dir():
        raise FileNotFoundError(
            f"model_name_or_path: expected a folder that save_pretrained wrote, a model of the Hub or 'tiny'; "
            f"found no folder {str(path)!r}."
        )


def flatten_batch(batch: Mapping, image_token_id: int | None = None) -> dict:
    """The guide's batch as keyword arguments of a stock model: `model(**flatten_batch(batch))`.

    Real images are told from padding ones by `num_images` or, where it is missing, by the image tokens in `input_ids`.
    A batch that is stock already comes back as it is, without `metadata` and `task_ids`.

    Args:
        batch: the guide's batch (legend at the top of this file), or a stock one with 4-D `pixel_values`.
        image_token_id: `model.config.image_token_id`; only a batch without `num_images` needs it.

    Returns:
        A new dict; `batch` stays as it is. `pixel_values` is (real images, 3, H, W), and absent where there are none.

    Raises ValueError where real and padding images cannot be told apart.
    """
    inputs = {name: value for name, value in batch.items() if name not in GUIDE_KEYS}
    pixel_values = inputs.get("pixel_values")
    if pixel_values is None:
        inputs.pop("pixel_values", None)
    elif pixel_values.ndim == 5:  # (B, N, 3, H, W)
        rows, images_a_row = pixel_values.shape[:2]
        num_images = batch.get("num_images")
        if num_images is None:
            num_images = _count_images(inputs["input_ids"], rows, images_a_row, image_token_id)
        num_images = num_images.to(pixel_values.device)
        if num_images.shape != (rows,) or (num_images > images_a_row).any():
            raise ValueError(
                f"num_images: expected {rows} counts of at most {images_a_row}, to go with pixel_values of shape "
                f"{tuple(pixel_values.shape)}; found {num_images.tolist()}."
            )
        is_real = torch.arange(images_a_row, device=pixel_values.device) < num_images[:, None]  # (B, N)
        inputs["pixel_values"] = pixel_values[is_real]  # (real images, 3, H, W), row by row
        if not len(inputs["pixel_values"]):
            del inputs["pixel_values"]
    return inputs


def _count_images(input_ids: torch.Tensor, rows: int, images_a_row: int, image_token_id: int | None) -> torch.Tensor:
    """(B,) real images a row, by the image tokens of the rows.

    All images have one size, hence the same number of tokens, and the row with the most images has no padding image.
    """
    if image_token_id is None:
        raise ValueError("This batch has no num_images: pass image_token_id=model.config.image_token_id.")
    tokens = (input_ids == image_token_id).sum(dim=1)  # (B,)
    most = int(tokens.max())
    if len(tokens) != rows or most % images_a_row or (most and (tokens % (most // images_a_row)).any()):
        raise ValueError(
            f"pixel_values: expected image tokens that tell real images from padding ones, as many for each image; "
            f"found {tokens.tolist()} a row for {rows} rows of {images_a_row} images. Pass the batch's num_images too."
        )
    return tokens // (most // images_a_row) if most else tokens


def _flatten_arguments(model: PreTrainedModel, args: tuple, kwargs: dict) -> tuple[tuple, dict]:
    """Forward pre-hook: turn the guide's batch into the model's arguments, leave every other call alone."""
    pixel_values = kwargs.get("pixel_values")
    if pixel_values is None or pixel_values.ndim != 5:
        return args, flatten_batch(kwargs)
    if not takes_plain_images(model):
        if kwargs.get("num_images") is not None:
            raise ValueError(
                f"pixel_values: {type(model).__name__} needs more about an image than the guide's batch holds; "
                f"batch the rows with ConversationCollator."
            )
        return args, kwargs  # five dimensions of the model's own: patches, or images padded by its processor
    if kwargs.get("num_images") is None and pixel_values.shape[2] != 3:
        return args, kwargs  # volumes (n, channels, X, Y, Z) for a 3-D vision tower
    if args:
        kwargs = {**kwargs, "input_ids": args[0]}
    return (), flatten_batch(kwargs, getattr(model.config, "image_token_id", None))


def takes_plain_images(model: PreTrainedModel) -> bool:
    """Whether `pixel_values` (n, 3, H, W) is all that the model takes of its images.

    So it is for LLaVA, PaliGemma or InternVL. LLaVA-NeXT needs `image_sizes` too, Idefics3 `pixel_attention_mask` and
    Qwen-VL `image_grid_thw`: `get_image_features`, which encodes the images of each of them, names these.
    """
    if not hasattr(model, "get_image_features"):  # Mllama: six dimensions and aspect ratios
        return False
    parameters = inspect.signature(model.get_image_features).parameters
    return not [name for name in parameters if ("pixel" in name or "image" in name) and name != "pixel_values"]


def check_fits(model: PreTrainedModel, processor: ProcessorMixin, image_size: int | None = None) -> None:
    """Check that what the processor makes is what the model eats.

    Args:
        image_size: side in pixels of the images that will be given; None stands for the processor's own.

    Raises ValueError when the processor has another image token than the model, when it makes token ids beyond the
    model's embedding, or when the model's vision tower takes another image size.
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
    if not takes_plain_images(model):
        return  # it cuts or scales the images itself
    size = image_size or resolve_image_size(processor, None)
    vision_size = getattr(model.config.vision_config, "image_size", size)  # a convolutional tower states none
    side = vision_size[0] if isinstance(vision_size, list | tuple) else vision_size
    if size != side:
        raise ValueError(
            f"image_size: expected {side}, the size of the model's vision tower, found {size}. "
            f"Set it to {side}, or load model and processor from one place."
        )
