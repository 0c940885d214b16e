"""Towers for volumes by the name of their kind: what stands behind --vision_tower."""

from typing import Any, NamedTuple

import torch
from transformers import PreTrainedModel

from umbrella.models.building.encoder_towers import build_encoder_tower
from umbrella.models.building.pictures import inflate, load_flat, make_config, read_parts
from umbrella.models.volumes.tower import VolumeTower, VolumeTowerConfig
from umbrella.options.build_arguments import ENCODERS, VIT3D, BuildArguments
from umbrella.views.settings import VOLUME_SIZE, VOLUME_SPACING, parse_volume_size, write_volume_size


class BuiltTower(NamedTuple):
    """A tower and how its volumes are to be shown to it.

    tower          on the packed patches of `umbrella.models.volumes`
    shown          arguments of its `VolumeImageProcessor`
    feature_layer  whose features the language model is given, as LLaVA's vision_feature_layer
    notes          what was settled without being asked for, one sentence each
    """

    tower: PreTrainedModel
    shown: dict[str, Any]
    feature_layer: int | list[int] = -1
    notes: tuple[str, ...] = ()


def build_tower(args: BuildArguments) -> BuiltTower:
    """The tower that `args` names; new weights are drawn from torch's own random state. Raises ValueError for one that
    cannot be built so."""
    if args.kind == VIT3D:
        return build_vit3d(args)
    if args.kind in ENCODERS:
        tower, shown, notes = build_encoder_tower(args)
        return BuiltTower(tower, shown, notes=notes)
    return build_inflated(args, *load_flat(args.of_model, "--vision_tower"))


def build_vit3d(args: BuildArguments) -> BuiltTower:
    """A new transformer for volumes, of the sizes that the flags say."""
    patch = parse_patch(args.patch_size or "1x8x8x8")
    hidden, heads = args.hidden_size or 384, args.heads or 6
    if hidden % heads:
        raise ValueError(f"--hidden_size: expected a multiple of --heads {heads}, found {hidden}")
    shown, notes = settle_shown(args, patch)
    config = VolumeTowerConfig(
        hidden_size=hidden,
        intermediate_size=4 * hidden,
        num_hidden_layers=args.layers or 12,
        num_attention_heads=heads,
        patch_size=patch,
        spacing_mm=shown["volume_spacing"],
        pool=args.pooled,
        pools_time=shown["pools_time"],
        dtype=torch.float32,
    )
    return BuiltTower(VolumeTower(config), shown, notes=notes)


def build_inflated(args: BuildArguments, flat: PreTrainedModel, feature_layer: int | list[int]) -> BuiltTower:
    """A transformer for pictures, as `load_flat` gives it, made to take volumes."""
    parts = read_parts(flat)
    side = parts.kernel.shape[-1]
    patch = [1, side, side, args.patch_depth or side]
    shown, notes = settle_shown(args, patch)
    config = make_config(flat, parts, shown)
    pixels = side * config.table_side
    told = (
        f"inflated: a picture of {pixels} x {pixels} pixels is an axial slice of {config.plane_mm:g} mm, anterior up; "
        f"patches of {side} x {side} pixels are {patch[-1]} slices deep, their kernels summed over the colours"
    )
    return BuiltTower(inflate(flat, parts, config), shown, feature_layer, (told, *notes))


def parse_patch(text: str) -> list[int]:
    """ "8" and "8x8x8" -> [1, 8, 8, 8]; "2x8x8x4" -> [2, 8, 8, 4]: frames, voxels along X, Y and Z.

    Raises ValueError for any other text.
    """
    numbers = text.lower().replace("×", "x").split("x")
    if len(numbers) not in (1, 3, 4) or not all(n.isascii() and n.isdigit() and int(n) > 0 for n in numbers):
        raise ValueError(f"--patch_size: expected voxels as 8, 8x8x8, or with frames first 1x8x8x8, found {text!r}")
    found = [int(n) for n in numbers]
    return [1, *found * 3] if len(found) == 1 else [1] * (4 - len(found)) + found


def settle_shown(args: BuildArguments, patch: list[int]) -> tuple[dict[str, Any], tuple[str, ...]]:
    """The arguments of the tower's `VolumeImageProcessor`, and what of them was rounded. Raises ValueError for a
    volume's size that is no multiple of what becomes one token."""
    units = [n * args.pooled for n in patch[1:]]
    asked = parse_volume_size(args.volume_size or VOLUME_SIZE)
    up = tuple(-(-n // unit) * unit for n, unit in zip(asked, units, strict=True))
    x, y, z = up
    size, notes = write_volume_size((x, y, z)), []
    if args.volume_size is not None and asked != up:
        raise ValueError(
            f"--volume_size: expected a multiple of {write_volume_size((units[0], units[1], units[2]))} voxels "
            f"(patches of {'x'.join(map(str, patch[1:]))}, --pool {args.pooled}), found {args.volume_size}. Set it to "
            f"{size}"
        )
    if asked != up:
        notes.append(f"volume_size: {size}, as the default of {VOLUME_SIZE} is no multiple of {units} voxels")
    shown = {
        "volume_size": size,
        "volume_spacing": args.volume_spacing or VOLUME_SPACING,
        "frames": args.frames,
        "patch_size": patch,
        "pool": args.pooled,
        "pools_time": args.time == "pooled",
    }
    return shown, tuple(notes)
