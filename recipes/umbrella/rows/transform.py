"""Rows → examples: loads the scans that a row names, makes views of them and encodes the conversation."""

from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from umbrella.conversations.encoder import ConversationEncoder, ConversationError
from umbrella.conversations.ignore_index import IGNORE_INDEX
from umbrella.conversations.turns import repeat_image_items
from umbrella.files.contained_files import RemoteError, find_elsewhere, find_packed
from umbrella.files.shards.reading import PackedScans
from umbrella.models.feature_cache import FeatureCache
from umbrella.models.view_settings import settle_settings
from umbrella.rows.cached_scans import CachedScan, make_stand_in, put_features
from umbrella.scans.scan_files import find_source
from umbrella.scans.volumes import ScanError, read_scan
from umbrella.views.augmentation import Augmentation, load_augmented_grid
from umbrella.views.intensity_steps import round_to_levels, to_levels
from umbrella.views.loading import load_grid, load_view
from umbrella.views.packed_views import PackedViews
from umbrella.views.planes import make_view, n_images
from umbrella.views.settings import ENCODER, VOLUME, ViewSettings, count_frames, parse_volume_size
from umbrella.views.volume_cache import VolumeCache

ON_OVERFLOW = ("drop_turns", "raise")


class ConversationTransform:
    """Turns a batch of rows into examples; made for `dataset.set_transform`, so that voxels are loaded on access only.

    Args:
        processor: the model's processor.
        view: how a volume becomes images, see `umbrella.views.planes`. None takes "axial", or "volume" of a model for
            volumes.
        image_size: side in pixels; None takes the processor's own.
        volume_size, volume_spacing, frames, expects: of the view "volume", see
            `umbrella.views.loading.load_grid`; None takes the processor's own.
        intensity: in place of normalize and standardize, see `umbrella.views.intensity_steps`. With "encoder" the
            processor is given what a PNG of the view holds, and does with it what it does with any PNG.
        normalize, standardize: see `umbrella.scans.volumes.load_volume`. With `standardize` the volume's own z-score
            stands; without it the processor's mean and std are applied. None takes true, or what the processor of a
            model for volumes states.
        max_length: most tokens of an example, image tokens counted.
        on_overflow: "drop_turns" (oldest whole exchanges go, with their scans) or "raise".
        add_generation_prompt: leave the last answer out and prompt for it (evaluation).
        augment: changes the volumes in training, see `umbrella.views.augmentation.Augmentation`; None leaves them as
            they are.
        draw_window: where in a series the frames "window:K" lie, from (`draw_name`, number of the scan), see
            `umbrella.views.augmentation.WindowDraw`; None, as in evaluation: in the middle.
        volume_cache: keeps the views on disk, so that each scan is decoded once: a VolumeCache, or its folder.
            Augmented scans and drawn windows neither come from it nor go to it.
        feature_cache: what the model's tower makes of scans, which are then not read; for a model to which it is
            attached, see `umbrella.models.cached_tower`.
        fetch_ahead: takes paths of scans that lie elsewhere and will be read soon; must return at once and raise
            nothing. None: all lie here.

    Returns, for a dict of lists as datasets hands it, a dict of lists: `input_ids`, `attention_mask`, `labels` and
    other keys of T ints a row; `pixel_values` (n, 3, H, W) and the processor's other image keys as tensors, None
    for a row without scans and absent when no row has one; `metadata`, `task_id`.

    Raises:
        ScanError, ConversationError: with the row's `source` (file and line) in front.
    """

    def __init__(
        self,
        processor: Any,
        view: str | None = None,
        image_size: int | None = None,
        normalize: bool | None = None,
        standardize: bool | None = None,
        volume_size: str | None = None,
        volume_spacing: float | None = None,
        frames: str | None = None,
        intensity: str | None = None,
        expects: str | None = None,
        max_length: int = 2048,
        on_overflow: str = "drop_turns",
        add_generation_prompt: bool = False,
        augment: Augmentation | None = None,
        draw_window: Callable[[str, int], float] | None = None,
        volume_cache: VolumeCache | str | Path | None = None,
        feature_cache: FeatureCache | None = None,
        fetch_ahead: Callable[[list[str]], None] | None = None,
    ) -> None:
        if augment is not None and (add_generation_prompt or normalize is False):
            raise ValueError(
                "augment: expected add_generation_prompt=False (training) and normalize=True; found "
                f"add_generation_prompt={add_generation_prompt}, normalize={normalize}"
            )
        if on_overflow not in ON_OVERFLOW:
            raise ValueError(f"on_overflow: expected one of {', '.join(ON_OVERFLOW)}, found {on_overflow!r}")
        if augment is not None and feature_cache is not None:
            raise ValueError("feature_cache: expected scans that are always shown alike, found augment")
        self.elsewhere = find_elsewhere()  # goes along into workers that are not forked
        self.packed = find_packed()  # likewise, after what it may lie on
        self.processor, self.feature_cache, self.fetch_ahead = processor, feature_cache, fetch_ahead
        self.settings = settle_settings(
            ViewSettings(
                view, image_size, normalize, standardize, volume_size, volume_spacing, frames, intensity, expects
            ),
            processor,
            "",
        )
        self.shows_levels = self.settings.intensity == ENCODER
        if augment is not None and self.settings.intensity is not None and not self.shows_levels:
            raise ValueError(
                "augment: expected a model without intensities of its own, as those of a scan are changed between its "
                f"percentiles, found intensity={self.settings.intensity!r}. Leave augmentation out"
            )
        self.n_images = 1 if self.is_volume else n_images(self.settings.view)
        self.max_length, self.on_overflow = max_length, on_overflow
        self.add_generation_prompt, self.augment, self.draw_window = add_generation_prompt, augment, draw_window
        self.times_before = 0  # the row that is loaded came in this epoch
        cache = VolumeCache(volume_cache) if isinstance(volume_cache, str | Path) else volume_cache
        self.volume_cache = self._add_packed_views(cache)
        # The view is already what the encoder eats: the processor must neither resize nor rescale it.
        as_it_is = {"do_resize": False, "do_rescale": False, "do_normalize": not self.settings.standardize}
        options = {} if self.shows_levels else as_it_is
        self.encoder = ConversationEncoder(processor, **options, input_data_format="channels_first")

    def _add_packed_views(self, cache: VolumeCache | None) -> VolumeCache | PackedViews | None:
        """The cache, behind the views that lie in `--scan_shards`."""
        packed = find_packed()
        if not isinstance(packed, PackedScans) or not packed.holds_views:
            return cache
        if self.augment is not None or self.draw_window is not None:
            drawn = "--augment false" if self.augment is not None else "--frames K"
            raise ValueError(
                "--scan_shards: expected shards of scans, as each epoch shows them in another way, found shards of "
                f"views. Set {drawn}, or pack the scans with --what scans"
            )
        return PackedViews(packed, self.settings, cache)

    @property
    def is_volume(self) -> bool:
        """Whether the model takes whole volumes."""
        return self.settings.view == VOLUME

    def view_shape(self, modality: str) -> tuple[int, ...]:
        """Of the view of a scan: (n_images, 3, rows, columns), or (T, X, Y, Z) of a volume."""
        if not self.is_volume:
            return self.n_images, 3, self.settings.image_size, self.settings.image_size
        n_frames = 1 if modality == "sMRI" else count_frames(self.settings.frames)
        return n_frames, *parse_volume_size(self.settings.volume_size)

    def __call__(self, rows: dict[str, list]) -> dict[str, list]:
        names = list(rows)
        examples = [
            self.encode_row(dict(zip(names, values, strict=True))) for values in zip(*rows.values(), strict=True)
        ]
        keys = dict.fromkeys(key for example in examples for key in example)
        return {key: [example.get(key) for example in examples] for key in keys}

    def encode_row(self, row: dict) -> dict:
        """One row → one example."""
        try:
            scans = [self.find_features(row, number) for number in range(len(row["images"]))]
            views = [
                self.load_images(row, number) if scan.kept is None else make_stand_in(scan.kept.view_shape)
                for number, scan in enumerate(scans)
            ]
            encoded = self._encode(row, views)
        except (ScanError, ConversationError) as error:
            raise type(error)(f"{row['source']}: {error}") from error
        if self.feature_cache is not None:
            encoded = put_features(encoded, scans, self.n_images, row["conversations"])
        return encoded | {"metadata": row["metadata"], "task_id": row["task_id"]}

    def to_images(self, views: list[np.ndarray]) -> list[np.ndarray]:
        """What the processor is given of the views of a row's scans, in the shapes of `load_images`: volumes, or
        pictures (3, H, W), in levels where it is to do with them what it does with a PNG."""
        images = views if self.is_volume else [image for view in views for image in view]
        return [to_levels(image) for image in images] if self.shows_levels else images

    def encode_views(self, row: dict, views: list[np.ndarray]) -> dict:
        """`encode_row` with other views of the row's scans than its own, in the shapes of `load_images`; what is kept
        of their features is not used."""
        try:
            encoded = self._encode(row, views)
        except ConversationError as error:
            raise type(error)(f"{row['source']}: {error}") from error
        return encoded | {"metadata": row["metadata"], "task_id": row["task_id"]}

    def blank_example(self) -> dict:
        """The example of a row with one blank scan and no supervised token, see
        `umbrella.rows.batches.blank_rows`; its `task_id` and `metadata` are None."""
        question = {"role": "user", "content": [{"type": "image"}, {"type": "text", "text": "a"}]}
        shape = self.view_shape("sMRI")
        blank = np.ones((1, *shape) if self.is_volume else (1, *shape[1:]), np.float32)  # Idefics3: zeros are padding
        turns: list[dict] = [question, {"role": "assistant", "content": "b"}]
        encoded = self.encoder.encode(turns, to_levels(blank) if self.shows_levels else blank)
        if self.feature_cache is not None:
            encoded = put_features(encoded, [CachedScan()], 1, turns)
        return encoded | {"labels": [IGNORE_INDEX] * len(encoded["labels"]), "metadata": None, "task_id": None}

    @property
    def shows_scans_as_they_are(self) -> bool:
        """Whether the view of a scan is `load_view`'s, whatever row it stands in: only then its features are kept. A
        class that loads views in another way says so itself."""
        return (
            self.augment is None
            and self.draw_window is None
            and type(self).load_images is ConversationTransform.load_images
        )

    def find_features(self, row: dict, number: int) -> CachedScan:
        """What is kept of one scan of a row."""
        cache = self.feature_cache
        if cache is None or not self.shows_scans_as_they_are:
            return CachedScan()
        scan = row["images"][number]
        key = cache.make_key(load_view, find_source(scan), modality=scan["modality"], **self.settings.stated())
        return CachedScan(key, None if key is None else cache.get(key))

    def prefetch(self, rows: list[dict]) -> None:
        """Let the scans of rows that come soon be fetched: those whose views or features are not kept."""
        paths = [
            row["images"][number]["path"]
            for row in rows
            for number in range(len(row["images"]))
            if not row["images"][number].get("bytes") and not self.is_kept(row, number)
        ]
        if paths and self.fetch_ahead is not None:
            self.fetch_ahead(paths)

    def is_kept(self, row: dict, number: int) -> bool:
        """Whether one scan of a row will not be read, as there is an entry of its view or features."""
        if not self.shows_scans_as_they_are:
            return False
        caches = (self.volume_cache, self.feature_cache)
        scan = row["images"][number]
        options = {"modality": scan["modality"], **self.settings.stated()}
        try:
            return any(cache is not None and cache.holds(load_view, find_source(scan), **options) for cache in caches)
        except (ScanError, RemoteError):  # what is wrong with it is said when its row is read
            return True

    def load_images(self, row: dict, number: int) -> np.ndarray:
        """The views of one scan of a row, (n_images, 3, image_size, image_size), or its volume (T, X, Y, Z); from its
        `bytes` where the row has them, else from its path."""
        scan = row["images"][number]
        source, modality = find_source(scan), scan["modality"]
        if self.is_volume and (self.augment is not None or self.draw_window is not None):
            place = self.draw_name(row), number
            start = None if self.draw_window is None else self.draw_window(*place)
            if self.augment is None:
                return load_grid(source, modality, self.settings, start)
            return load_augmented_grid(source, modality, self.settings, self.augment.draw(*place), start)
        if self.augment is not None:
            return self._load_augmented(source, modality, self.draw_name(row), number)
        load = load_view if self.volume_cache is None else partial(self.volume_cache.load, load_view)
        return load(source, modality=modality, **self.settings.stated())

    def draw_name(self, row: dict) -> str:
        """By which is drawn what changes a row's scans: its task_id, another name each time that it comes in an
        epoch."""
        return f"{row['task_id']}\0{self.times_before}" if self.times_before else row["task_id"]

    def _load_augmented(self, source: str | bytes, modality: str, name: str, number: int) -> np.ndarray:
        scan = read_scan(source, modality, normalize=True, standardize=False)
        volume = self.augment(scan.volume(), scan.spacing_mm, name, number)
        if self.settings.standardize:  # after, not before: mean and variance are then those of every other scan
            volume = ((volume - volume.mean(dtype=np.float64)) / volume.std(dtype=np.float64)).astype(np.float32)
        try:
            view = make_view(volume, self.settings.view, self.settings.image_size, scan.spacing_mm)
        except ValueError as error:
            raise ScanError(f"{scan.name}: {error}") from error
        return round_to_levels(view) if self.shows_levels else view

    def _encode(self, row: dict, views: list[np.ndarray]) -> dict:
        turns = repeat_image_items(row["conversations"], self.n_images)
        encoded = self.encoder.encode_within(
            turns, self.to_images(views), self.max_length, self.on_overflow, self.add_generation_prompt
        )
        if not self.add_generation_prompt and all(label == IGNORE_INDEX for label in encoded["labels"]):
            raise ConversationError("expected at least one supervised token, found none: no assistant turn has text")
        return encoded
