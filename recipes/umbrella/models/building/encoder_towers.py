"""Towers out of other programs' encoders: built as a spec says, with their published weights."""

import math
from pathlib import Path
from typing import Any

import torch
from torch import nn

from umbrella.models.building.key_map import Rules, parse_key_map, to_rules
from umbrella.models.building.weight_loading import WeightChoices, load_weights
from umbrella.models.volumes.axes import Axes
from umbrella.models.volumes.dense import BATCH_NORMS, DenseTower, DenseTowerConfig, build_net
from umbrella.options.build_arguments import MONAI, SFCN, TIMM, BuildArguments
from umbrella.options.input_spec import InputSpec, read_input_spec
from umbrella.views.expectations import ONE_VOLUME
from umbrella.views.intensity_steps import parse_intensity
from umbrella.views.settings import VOLUME_SIZE, VOLUME_SPACING, count_frames, parse_volume_size, write_volume_size

# Parts of a network that is saved whole which its encoder has not, by its kind: heads, decoders, and the cross
# attention that older versions of MONAI saved with every ViT and never ran.
LEFT_OUT: dict[str, tuple[str, ...]] = {
    MONAI: ("fc.*", "classification_head.*", "*cross_attn*", "encoder[0-9]*", "decoder[0-9]*", "out.conv.*"),
    TIMM: ("head.*", "fc_norm.*", "attn_pool.*"),
    SFCN: ("classifier.*",),
}
HOMES: dict[str, Rules] = {"monai:SwinUNETR": (("swinViT.", ""),)}  # where a whole network has its encoder
# Of a transformer for pictures: an axial slice as a view shows it, rows from anterior backwards, columns to the right.
ORIENTATIONS = {TIMM: "SPR"}
PATCH = 16  # of a ViT, where its options say none


def build_encoder_tower(args: BuildArguments) -> tuple[DenseTower, dict[str, Any], tuple[str, ...]]:
    """The tower, the arguments of its `VolumeImageProcessor`, and what was settled, one sentence each.

    Raises ValueError for sizes that the encoder does not take, and for weights that do not fit.
    """
    encoder = str(args.vision_tower)
    spec = read_input_spec(args.input_spec) if args.input_spec else InputSpec(encoder, encoder)
    orientation = spec.orientation or ORIENTATIONS.get(args.kind, "RAS")
    axes, channels, options = Axes(orientation), spec.channels or 1, find_options(args, spec)
    spacing_mm, factors = split_spacing(spec, args.input_spec)
    stride = axes.sizes_to_ras(find_stride(encoder, options, channels))
    cell = [n * factor for n, factor in zip(stride, factors, strict=True)]
    grid, notes = settle_size(args, spec, cell, factors)
    size = [n // factor for n, factor in zip(grid, factors, strict=True)]
    net = build_net(encoder, options, axes.sizes_from_ras(size), channels)
    if args.vision_weights is not None:
        notes += load_weights(net, Path(args.vision_weights), choose_weights(args, spec))
    else:
        notes.append(f"{encoder}: its weights are new, as there is no --vision_weights")
    if any(isinstance(module, BATCH_NORMS) for module in net.modules()):
        notes.append("BatchNorm keeps the statistics that it came with, also in training")
    config = DenseTowerConfig(
        encoder=encoder,
        encoder_options=options,
        volume_size=grid,
        voxel_pool=factors,
        orientation=orientation,
        channels=channels,
        hidden_size=net.hidden_size,
        patch_size=[1, *cell],
        pool=args.pooled,
        pools_time=args.time == "pooled",
        dtype=torch.float32,
    )
    shown, more = show(args, spec, config, spacing_mm)
    told = [f"features: every {_join(cell)} voxels along X, Y, Z, {net.hidden_size} channels"]
    told += spec.describe() if args.input_spec else []
    return join_net(config, net), shown, (*told, *notes, *more)


def join_net(config: DenseTowerConfig, net: nn.Module) -> DenseTower:
    """The tower of a config with a network that is there already."""
    with torch.device("meta"):
        tower = DenseTower(config)
    tower.encoder.net = net
    return tower.float().eval()


def find_options(args: BuildArguments, spec: InputSpec) -> dict[str, Any]:
    """The encoder's options, with a patch where it has patches."""
    patched = args.kind == TIMM or args.vision_tower == "monai:ViT"
    return ({"patch_size": PATCH} if patched else {}) | (spec.options or {})


def split_spacing(spec: InputSpec, path: str | None) -> tuple[float, list[int]]:
    """The mm of the grid's voxels, one size along each axis, and how many of them along X, Y, Z are one voxel of the
    encoder's. Raises ValueError for a spec whose voxels are no whole multiples of the smallest."""
    texts = (spec.spacing or f"{VOLUME_SPACING:g}").split("x")
    try:
        numbers = [float(text) for text in texts]
        least = min(numbers)
        factors = [round(number / least) for number in (numbers * 3 if len(numbers) == 1 else numbers)]
        whole = all(math.isclose(n * least, mm, rel_tol=1e-3) for n, mm in zip(factors, numbers * 3, strict=False))
        fits = len(factors) == 3 and whole and math.isfinite(least) and least > 0
    except (ValueError, ZeroDivisionError):
        fits = False
    if not fits:
        raise ValueError(
            f"{path}: spacing: expected mm along X, Y, Z that are whole multiples of the smallest, as 1x1x4, or one "
            f"number, found {spec.spacing!r}"
        )
    return least, factors


def find_stride(encoder: str, options: dict[str, Any], channels: int) -> list[int]:
    """Voxels of the encoder's along its axes that one feature stands for."""
    if "patch_size" in options and encoder != "monai:SwinUNETR":
        patch = options["patch_size"]
        return [patch] * 3 if isinstance(patch, int) else list(patch)
    with torch.device("meta"):
        return list(build_net(encoder, options, [64] * 3, channels).stride)


def settle_size(
    args: BuildArguments, spec: InputSpec, cell: list[int], factors: list[int]
) -> tuple[list[int], list[str]]:
    """Voxels of the grid along X, Y, Z, and what of them was not asked for.

    cell     voxels of the grid that one feature stands for
    factors  voxels of the grid that are one of the encoder's

    Raises ValueError for a size that is no multiple of what becomes one token.
    """
    units = [n * (args.pooled) for n in cell]
    of_spec = None
    if spec.size is not None:
        of_spec = [n * factor for n, factor in zip(parse_volume_size(spec.size), factors, strict=True)]
    stated = of_spec if args.volume_size is None else list(parse_volume_size(args.volume_size))
    size = stated or list(parse_volume_size(VOLUME_SIZE))
    up = [-(-n // unit) * unit for n, unit in zip(size, units, strict=True)]
    if stated is not None and up != size:
        where = f"{args.input_spec}: size" if args.volume_size is None else "--volume_size"
        raise ValueError(
            f"{where}: expected a multiple of {_join(units)} voxels, as the features of {args.vision_tower} stand for "
            f"{_join(cell)} and --pool is {args.pooled}, found {_join(size)}. Take {_join(up)}"
        )
    notes = []
    if up != size:
        notes.append(f"volume_size: {_join(up)}, as the default of {VOLUME_SIZE} is no multiple of {_join(units)}")
    if of_spec is not None and up != of_spec:
        notes.append(f"volume_size: {_join(up)} as asked for, though the encoder was trained on {_join(of_spec)}")
    return up, notes


def choose_weights(args: BuildArguments, spec: InputSpec) -> WeightChoices:
    """What the names in the weights' file mean: by --key_map, else by the spec; then by the encoder's kind."""
    rules = parse_key_map(args.key_map) if args.key_map else to_rules(spec.key_map or {}, str(args.input_spec))
    home = HOMES.get(str(args.vision_tower), ())
    ignored = (*LEFT_OUT[args.kind], *(spec.ignored or ()))
    return WeightChoices((*rules, *home), ignored, args.allow_missing, args.allow_unmatched)


def show(
    args: BuildArguments, spec: InputSpec, config: DenseTowerConfig, spacing_mm: float
) -> tuple[dict[str, Any], list[str]]:
    """The arguments of the tower's `VolumeImageProcessor`, and what of them was not asked for."""
    words, notes = spec.expects.split(",") if args.input_spec else [], []
    if ONE_VOLUME in words and count_frames(args.frames) > 1:
        words.remove(ONE_VOLUME)
        notes.append(f"--frames {args.frames}: each frame is shown as the one volume that the encoder was trained on")
    if spec.spacing and args.volume_spacing not in (None, spacing_mm):
        notes.append(
            f"volume_spacing: {args.volume_spacing:g} as asked for, though the encoder was trained on {spacing_mm:g}"
        )
    if spec.intensity is not None:
        parse_intensity(spec.intensity)
    x, y, z = config.volume_size
    shown = {
        "volume_size": write_volume_size((x, y, z)),
        "volume_spacing": args.volume_spacing or spacing_mm,
        "frames": args.frames,
        "intensity": spec.intensity,
        "expects": ",".join(words) or None,
        "only_size": "patch_size" in config.encoder_options and config.encoder != "monai:SwinUNETR",
        "patch_size": config.patch_size,
        "pool": config.pool,
        "pools_time": config.pools_time,
    }
    return shown, notes


def _join(numbers: list[int]) -> str:
    return "x".join(map(str, numbers))
