"""The guide's API: a torch Dataset a split, its DataLoader, and all splits at once.

    dataset = UMBRELLADataLoader(json_dir, split="train", tokenizer=processor.tokenizer, processor=processor)
    loader = dataset.create_dataloader(batch_size=4)
    model = umbrella.models.loading.load_model(...)  # takes the loader's batches: model(**batch)

The batches have the guide's structure, every row padded to `max_length`. Only processors whose images are plain
`pixel_values` (n, 3, H, W) fit into it; `ConversationCollator` batches the rows of all others.
"""

import json
from pathlib import Path
from typing import Any

import torch
from torch.nn.functional import pad
from torch.utils.data import DataLoader, Dataset
from transformers import PreTrainedTokenizerBase, ProcessorMixin

from umbrella.conversations.encoder import format_conversation
from umbrella.conversations.ignore_index import IGNORE_INDEX
from umbrella.options.data.remote_flags import RemoteFlags
from umbrella.records.recipe import resolve_recipe
from umbrella.rows.remote_scans import allow_remote, know_scans
from umbrella.rows.transform import ConversationTransform
from umbrella.scans.volumes import load_image
from umbrella.views.settings import ViewSettings
from umbrella.views.volume_cache import VolumeCache
from umbrella_dataset import find_split_files, load_umbrella

__all__ = ["UMBRELLADataLoader", "create_umbrella_dataloaders", "format_conversation", "load_image"]

GUIDE_MODEL_KEYS = {"input_ids", "attention_mask", "labels", "pixel_values"}


class UMBRELLADataLoader(Dataset):
    """One split of a folder of conversations, each row loaded, viewed, tokenized and padded on access.

    Args:
        json_dir: the folder that holds `train/`, `validation/`, `test/`.
        split: "train", "validation" or "test".
        tokenizer: the processor's own, or None; no other fits the processor.
        processor: the model's processor.
        image_root: the folder that relative scan paths count from. None: `json_dir`.
        image_size: side of the images in pixels. None: what the model was trained with, else what the processor
            states, 224 where it states none.
        normalize, standardize: see `umbrella.scans.volumes.load_image`. Of a model that was trained without one of
            them, True means what it was trained with.
        max_length: tokens a row, image tokens counted; shorter rows are padded to it, longer ones go by `on_overflow`.
        add_generation_prompt: leave the last answer out and prompt for it.
        view: what is shown of a volume, see `umbrella.views.planes`. None: what the model was trained with, else
            "axial".
        on_overflow: "drop_turns" (oldest whole exchanges go, with their scans) or "raise".
        task_types, modalities: keep only these rows. None: all.
        volume_cache: keeps views on disk, see `umbrella.views.volume_cache`: a VolumeCache, or its folder.
        remote_roots: beginnings of the addresses that scans may have, s3://bucket/study; from here on this process
            reads what lies there. None: nothing changes.

    Raises:
        FormatError: invalid data, or a split that does not exist.
        ValueError: a tokenizer that is not the processor's, an image size that its model cannot take, another view,
            image size or normalisation than the model was trained with, or a processor that makes more of an image
            than `pixel_values` (n, 3, H, W), or takes whole volumes.
        ScanError, ConversationError: on access to a row, with its file and line.
    """

    def __init__(
        self,
        json_dir: str | Path,
        split: str = "train",
        tokenizer: PreTrainedTokenizerBase | None = None,
        processor: ProcessorMixin | None = None,
        image_root: str | Path | None = None,
        image_size: int | None = None,
        normalize: bool = True,
        standardize: bool = True,
        max_length: int = 2048,
        add_generation_prompt: bool = False,
        *,
        view: str | None = None,
        on_overflow: str = "drop_turns",
        task_types: list[str] | None = None,
        modalities: list[str] | None = None,
        volume_cache: VolumeCache | str | Path | None = None,
        remote_roots: list[str] | None = None,
    ) -> None:
        _check_processor(processor, tokenizer)
        # The guide's default cannot be told from a True that was asked for: it is no wish.
        asked = ViewSettings(view, image_size, None if normalize else False, None if standardize else False)
        recipe = resolve_recipe(asked, processor, processor.tokenizer.name_or_path)
        transform = ConversationTransform(
            processor,
            **recipe.settings.stated(),
            max_length=max_length,
            on_overflow=on_overflow,
            add_generation_prompt=add_generation_prompt,
            volume_cache=volume_cache,
        )
        _check_image_keys(transform)
        self.json_dir, self.split, self.processor, self.max_length = json_dir, split, processor, max_length
        self.image_size = transform.settings.image_size
        existing = find_split_files(json_dir)
        if split not in existing:
            raise ValueError(f"split: expected one of {', '.join(existing)}, which {json_dir} has; found {split!r}.")
        elsewhere: dict[str, Any] = {} if remote_roots is None else {"remote_roots": remote_roots}
        if remote_roots is not None:
            allow_remote(RemoteFlags(remote_roots))
        self.rows = load_umbrella(
            json_dir, split=split, image_root=image_root, task_types=task_types, modalities=modalities, **elsewhere
        )
        know_scans({split: self.rows})
        self.rows.set_transform(transform)

    def __len__(self) -> int:
        return len(self.rows)

    def __getitem__(self, index: int) -> dict:
        """One row: `input_ids`, `attention_mask`, `labels` (max_length,), int64; `pixel_values` (n, 3, H, W), float32,
        or None without a scan; `metadata`, a dict; `task_id`."""
        example = self.rows[index]
        tokenizer = self.processor.tokenizer
        pad_token_id = tokenizer.eos_token_id if tokenizer.pad_token_id is None else tokenizer.pad_token_id
        fill = {"input_ids": pad_token_id, "attention_mask": 0, "labels": IGNORE_INDEX}
        missing = self.max_length - len(example["input_ids"])
        padded = {name: pad(torch.tensor(example[name]), (0, missing), value=value) for name, value in fill.items()}
        return {
            **padded,
            "pixel_values": example.get("pixel_values"),
            "metadata": _original_metadata(example["metadata"]),
            "task_id": example["task_id"],
        }

    def create_dataloader(
        self,
        batch_size: int = 4,
        shuffle: bool | None = None,
        num_workers: int = 0,
        pin_memory: bool = True,
        drop_last: bool | None = None,
    ) -> DataLoader:
        """A DataLoader of the guide's batches, see `collate_fn`.

        Args:
            shuffle, drop_last: None means True for the split "train", False for the others.
            pin_memory: speeds up the way to a GPU; without one there is nothing to pin for, and it does nothing.

        Raises ValueError where `drop_last` would leave no batch at all.
        """
        is_train = self.split == "train"
        drop_last = is_train if drop_last is None else drop_last
        if drop_last and len(self) < batch_size:
            raise ValueError(
                f"batch_size: expected at most {len(self)}, the rows of {self.split!r} in {self.json_dir}; found "
                f"{batch_size}, and with drop_last not one batch is left. Lower batch_size or set drop_last=False."
            )
        return DataLoader(
            self,
            batch_size=batch_size,
            shuffle=is_train if shuffle is None else shuffle,
            num_workers=num_workers,
            pin_memory=pin_memory and torch.cuda.is_available(),
            drop_last=drop_last,
            collate_fn=self.collate_fn,
            persistent_workers=num_workers > 0,
        )

    @staticmethod
    def collate_fn(examples: list[dict]) -> dict:
        """B rows of `__getitem__` → the guide's batch; also serves as `data_collator` of a Trainer.

        Returns `input_ids`, `attention_mask`, `labels` (B, max_length); `pixel_values` (B, N, 3, H, W), rows with
        fewer than N images filled up with zeros, or None when no row has any; `num_images` (B,), int64, how many
        are real; `metadata`, `task_ids`, lists of B, absent where a Trainer removed them from the rows.
        """
        images = [example.get("pixel_values") for example in examples]
        num_images = [0 if own is None else len(own) for own in images]
        batch = {
            name: torch.stack([example[name] for example in examples])
            for name in ("input_ids", "attention_mask", "labels")
        }
        batch["pixel_values"] = _pad_images(images, max(num_images)) if any(num_images) else None
        batch["num_images"] = torch.tensor(num_images)
        for name, name_in_row in (("metadata", "metadata"), ("task_ids", "task_id")):
            if name_in_row in examples[0]:
                batch[name] = [example[name_in_row] for example in examples]
        return batch


def create_umbrella_dataloaders(
    json_dir: str | Path,
    tokenizer: PreTrainedTokenizerBase | None = None,
    processor: ProcessorMixin | None = None,
    batch_size: int = 4,
    image_size: int | None = None,
    max_length: int = 2048,
    num_workers: int = 0,
    pin_memory: bool = True,
    **dataset_options: Any,
) -> dict[str, DataLoader]:
    """The DataLoader of every split that `json_dir` has, by its name: "train", "validation", "test".

    `dataset_options` are further arguments of `UMBRELLADataLoader`, the same for each split. Raises as it does.
    """
    loaders = {}
    for split in find_split_files(json_dir):
        dataset = UMBRELLADataLoader(
            json_dir, split, tokenizer, processor, image_size=image_size, max_length=max_length, **dataset_options
        )
        loaders[split] = dataset.create_dataloader(batch_size, num_workers=num_workers, pin_memory=pin_memory)
    return loaders


def _check_processor(processor: ProcessorMixin | None, tokenizer: PreTrainedTokenizerBase | None) -> None:
    if not isinstance(processor, ProcessorMixin):
        raise ValueError(
            f"processor: expected the model's processor for text and images, found {type(processor).__name__}; "
            f"umbrella.models.loading.load_processor loads it."
        )
    if tokenizer is None or tokenizer is processor.tokenizer:
        return
    if tokenizer.get_vocab() != processor.tokenizer.get_vocab():
        raise ValueError(
            f"tokenizer: expected the processor's own, found another vocabulary ({len(tokenizer)} tokens, the "
            f"processor's has {len(processor.tokenizer)}). Pass tokenizer=processor.tokenizer, or leave it out."
        )


def _check_image_keys(transform: ConversationTransform) -> None:
    """Encode a row of two blank images: what comes out must be what the guide's batch holds."""
    if transform.is_volume:
        raise ValueError(
            f"processor: expected one of pictures, as the guide's batch holds images of (3, H, W) alone, found "
            f"{type(transform.processor).__name__}, of whole volumes. Load the rows with ConversationTransform and "
            "batch them with ConversationCollator: the model takes that batch as it is"
        )
    question = {"role": "user", "content": [{"type": "image"}, {"type": "image"}, {"type": "text", "text": "a"}]}
    answer = {"role": "assistant", "content": "b"}
    blank = torch.zeros(2, *transform.view_shape("sMRI")[1:]).numpy()
    encoded = transform.encoder.encode([question, answer], blank)
    shape = tuple(encoded["pixel_values"].shape)
    foreign = sorted(set(encoded) - GUIDE_MODEL_KEYS)
    if foreign or shape != blank.shape:
        raise ValueError(
            f"processor: expected two images as pixel_values {blank.shape} alone, which is all that the guide's batch "
            f"holds; {type(transform.processor).__name__} makes {shape} and {', '.join(foreign) or 'no other key'}. "
            f"Load the rows with ConversationTransform and batch them with ConversationCollator."
        )


def _original_metadata(metadata: dict) -> dict:
    """The metadata as the conversation file has them: what the row keeps as JSON text in `extra` stands beside the
    rest."""
    known = {name: value for name, value in metadata.items() if name != "extra"}
    return known | json.loads(metadata["extra"] or "{}")


def _pad_images(images: list[torch.Tensor | None], most: int) -> torch.Tensor:
    """(B, most, 3, H, W): each row's images, then zeros."""
    first = next(own for own in images if own is not None)
    padded = first.new_zeros(len(images), most, *first.shape[1:])
    for row, own in enumerate(images):
        if own is not None:
            padded[row, : len(own)] = own
    return padded
