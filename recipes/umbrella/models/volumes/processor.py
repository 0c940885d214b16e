"""The processor of a model for volumes: scans (files, or volumes as they are) and text → what the model takes."""

from dataclasses import replace
from typing import Any, ClassVar

import numpy as np
import torch
from transformers import BaseImageProcessor, BatchFeature, ProcessorMixin
from transformers.processing_utils import MultiModalData

from umbrella.models.volumes.given_scans import flatten_scans, read_given
from umbrella.models.volumes.patches import POOLED_TIME, FeatureUnit, check_multiple, fill_time, pack_patches
from umbrella.views.expectations import parse_expects
from umbrella.views.intensity_steps import parse_intensity
from umbrella.views.settings import (
    VOLUME,
    VOLUME_SIZE,
    VOLUME_SPACING,
    ViewSettings,
    parse_volume_size,
    write_volume_size,
)


class VolumeImageProcessor(BaseImageProcessor):
    """Scans → packed patches.

    Args:
        volume_size, volume_spacing, frames, normalize, standardize, intensity, expects: see
            `umbrella.views.loading.load_view`.
        only_size: the tower takes volumes of `volume_size` and of no other.
        patch_size: frames, and voxels along X, Y and Z, of the tower's patches.
        pool, pools_time: see `umbrella.models.volumes.tower.VolumeTowerConfig`.
    """

    model_input_names: ClassVar[list[str]] = ["pixel_values", "image_sizes"]

    def __init__(
        self,
        volume_size: str = VOLUME_SIZE,
        volume_spacing: float = VOLUME_SPACING,
        frames: str | None = None,
        normalize: bool = True,
        standardize: bool = True,
        intensity: str | None = None,
        expects: str | None = None,
        only_size: bool = False,
        patch_size: tuple[int, int, int, int] | list[int] = (1, 8, 8, 8),
        pool: int = 2,
        pools_time: bool = False,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.volume_size, self.volume_spacing, self.frames = volume_size, volume_spacing, frames
        self.normalize, self.standardize = normalize, standardize
        self.intensity, self.expects, self.only_size = intensity, expects, only_size
        self.patch_size, self.pool, self.pools_time = list(patch_size), pool, pools_time

    @property
    def settings(self) -> ViewSettings:
        """How the model is shown a scan."""
        return ViewSettings(
            VOLUME,
            None,
            self.normalize,
            self.standardize,
            self.volume_size,
            self.volume_spacing,
            self.frames,
            self.intensity,
            self.expects,
        )

    @property
    def unit(self) -> FeatureUnit:
        """What becomes one feature of the tower."""
        return FeatureUnit.of(self.patch_size, self.pool, self.pools_time)

    def settle(self, asked: ViewSettings) -> ViewSettings:
        """Take the settings that are asked for, and return all of them. Raises ValueError for those that the tower
        does not take."""
        size = parse_volume_size(asked.volume_size or self.volume_size)
        if self.only_size and size != parse_volume_size(self.volume_size):
            raise ValueError(
                f"--volume_size: expected {self.volume_size}, the one size that the encoder has positions for, "
                f"found {asked.volume_size}. Leave it out"
            )
        taken = replace(self.settings, **asked.stated() | {"volume_size": write_volume_size(size)})
        check_multiple((self.patch_size[0], *size), self.patch_size, self.pool)
        if taken.intensity is not None:
            parse_intensity(taken.intensity)
        if taken.expects is not None:
            parse_expects(taken.expects)
        for name in set(vars(taken)) - {"view", "image_size"}:
            setattr(self, name, getattr(taken, name))
        return self.settings

    def fetch_images(self, images: Any) -> Any:
        """Scans stay as they are: `preprocess` reads them."""
        return images

    def __call__(self, images: Any, *args: Any, **kwargs: Any) -> BatchFeature:
        """As `preprocess`."""
        return self.preprocess(images, *args, **kwargs)

    def preprocess(self, images: Any, return_tensors: str | None = None, **kwargs: Any) -> BatchFeature:
        """Scans, in any nesting, → `pixel_values` (all patches, voxels of one) and `image_sizes` (scans, 4).

        images  files (paths, or bytes) of any kind that `load_view` takes; nibabel's images; views that are made
                already, (T, X, Y, Z) or (X, Y, Z) of `volume_size`

        Raises ScanError for a file that is no whole scan, ValueError for what is no scan at all.
        """
        volumes = [self.read(scan) for scan in flatten_scans(images)]
        patches = [pack_patches(volume, self.patch_size) for volume in volumes]
        added = POOLED_TIME if self.pools_time else 0
        sizes = [[added + n_frames, *space] for n_frames, *space in (volume.shape for volume in volumes)]
        data = {"pixel_values": torch.cat(patches), "image_sizes": torch.tensor(sizes)}
        return BatchFeature(data, tensor_type=return_tensors)

    def read(self, scan: Any) -> torch.Tensor:
        """(T, X, Y, Z) of a file or a volume; its last frame is repeated to fill a patch, see `fill_time`."""
        volume = read_given(scan, self.settings)
        missing = fill_time(len(volume), self.patch_size) - len(volume)
        return torch.cat([volume, volume[-1:].expand(missing, -1, -1, -1)]) if missing else volume


class VolumeProcessor(ProcessorMixin):
    """A tokenizer, and a `VolumeImageProcessor` beside it. Raises ValueError for a tokenizer without `image_token`."""

    def __init__(
        self,
        image_processor: VolumeImageProcessor | None = None,
        tokenizer: Any = None,
        chat_template: str | None = None,
        image_token: str = "<image>",
        **kwargs: Any,
    ) -> None:
        self.image_token = getattr(tokenizer, "image_token", image_token)
        if self.image_token not in tokenizer.get_vocab():
            raise ValueError(
                f"tokenizer: expected one with the token {self.image_token!r}, which stands for a scan, found none. "
                f"Add it: tokenizer.add_tokens({self.image_token!r}, special_tokens=True)"
            )
        self.image_token_id = tokenizer.convert_tokens_to_ids(self.image_token)
        super().__init__(image_processor, tokenizer, chat_template=chat_template)

    def validate_inputs(self, images: Any = None, text: Any = None, **kwargs: Any) -> None:
        """The stock check with as many pictures as there are scans: it takes neither files nor volumes for images."""
        picture = np.zeros((2, 2, 3), np.uint8)
        stand_ins = None if images is None else [picture] * len(flatten_scans(images))
        super().validate_inputs(images=stand_ins, text=text, **kwargs)

    def _process_images(self, images: Any, **kwargs: Any) -> tuple[BatchFeature, list[str]]:
        # Overridden, though private: the stock one flattens lists of pictures, and volumes are none.
        processed = self.image_processor(images, **kwargs)
        counts = range(len(processed["image_sizes"]))
        return processed, [self.replace_image_token(processed, image_idx=i) for i in counts]

    def replace_image_token(self, image_inputs: dict, image_idx: int, **kwargs: Any) -> str:
        """As many image tokens as the tower gives features for a scan."""
        return self.image_token * self.image_processor.unit.count(image_inputs["image_sizes"][image_idx].tolist())

    def _get_num_multimodal_tokens(self, image_sizes: list[list[int]] | None = None, **kwargs: Any) -> MultiModalData:
        # Overridden, though private: servers ask it before they have read an image. Sizes are rows of `image_sizes`.
        if image_sizes is None:
            return MultiModalData()
        counts = [self.image_processor.unit.count(size) for size in image_sizes]
        return MultiModalData(num_image_tokens=counts, num_image_patches=[1] * len(counts))
