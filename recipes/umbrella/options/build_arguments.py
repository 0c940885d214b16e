"""Options of build_model.py: which parts a new model is put together from."""

from dataclasses import dataclass, field, fields

from umbrella.options.data.volume_flags import check_volume_flags
from umbrella.options.input_spec import InputSpec, read_input_spec
from umbrella.options.number_bounds import AT_LEAST_1, POSITIVE, SEED, check_bounds

VIT3D, INFLATE, MONAI, TIMM, SFCN = "vit3d", "inflate", "monai", "timm", "sfcn"
NAMELESS = (VIT3D, SFCN)  # nothing stands behind them
ENCODERS = (MONAI, TIMM, SFCN)  # dense ones, of which another program may have weights
ENCODER_FLAGS = ("input_spec", "vision_weights")
# Kind of tower → the flags that mean something to it, besides those of every tower.
TOWER_FLAGS: dict[str, tuple[str, ...]] = {
    VIT3D: ("hidden_size", "layers", "heads", "patch_size"),
    INFLATE: ("patch_depth",),
    **dict.fromkeys(ENCODERS, ENCODER_FLAGS),
}


@dataclass
class BuildArguments:
    """Which parts, and how scans are shown to the model."""

    language_model: str | None = field(
        default=None, metadata={"help": "a causal language model: a folder, or a name of the Hub"}
    )
    vision_tower: str | None = field(
        default=None,
        metadata={
            "help": "vit3d (new, sizes by the flags below), inflate:MODEL (a CLIP, SigLIP or DINOv2, or the tower of "
            "a LLaVA, made to take volumes), monai:ResNet18 (and 10 to 200), monai:ViT, monai:SwinUNETR (its "
            "encoder), timm:NAME (a vision transformer, made to take volumes) or sfcn"
        },
    )
    from_model: str | None = field(
        default=None,
        metadata={
            "help": "a whole LLaVA instead of the two: its tower is inflated, its projector and language model stay"
        },
    )
    output_dir: str | None = field(default=None, metadata={"help": "new or empty folder to write"})
    overwrite: bool = field(default=False, metadata={"help": "replace a folder that this command wrote"})
    dtype: str | None = field(
        default=None,
        metadata={
            "help": "number type of the weights (default: the language model's own)",
            "choices": ["bfloat16", "float16", "float32"],
        },
    )
    seed: int = field(default=0, metadata={"help": "of the weights that are new"})

    volume_size: str | None = field(
        default=None,
        metadata={"help": "voxels along X, Y, Z, or one number (default: 96x112x96, rounded up to whole patches)"},
    )
    volume_spacing: float | None = field(default=None, metadata={"help": "size of a voxel in mm (default: 2)"})
    frames: str | None = field(
        default=None,
        metadata={
            "help": "of a series K evenly spaced volumes, window:K neighbours, drawn anew in training, or b0+K, the "
            "mean b0 and K weighted ones (default: the mean of all)"
        },
    )

    input_spec: str | None = field(
        default=None,
        metadata={
            "help": "monai, timm, sfcn: what the encoder was trained on, as recipes/configs/encoders/*.yaml; it can "
            "name --vision_tower too"
        },
    )
    vision_weights: str | None = field(
        default=None, metadata={"help": "monai, timm, sfcn: the encoder's weights, of torch.save or as safetensors"}
    )
    key_map: str | None = field(
        default=None,
        metadata={
            "help": "where the names in the weights' file begin otherwise: 'module.=,backbone.=encoder.', or a YAML "
            "file (default: the spec's)"
        },
    )
    allow_missing: bool = field(default=False, metadata={"help": "weights that the file lacks stay as they are drawn"})
    allow_unmatched: bool = field(
        default=False, metadata={"help": "weights that the encoder has no place for are left out"}
    )

    pool: int | None = field(
        default=None,
        metadata={
            "help": "patches along each axis whose features become one token, 1 or 2 (default: 2; of monai, timm, "
            "sfcn 1)",
            "choices": [1, 2],
        },
    )
    time: str = field(
        default="pooled",
        metadata={
            "help": "of a series: pooled (as many tokens as one volume has) or attended (each frame has its own)",
            "choices": ["pooled", "attended"],
        },
    )
    hidden_size: int | None = field(default=None, metadata={"help": "vit3d: channels (default: 384)"})
    layers: int | None = field(default=None, metadata={"help": "vit3d: transformer layers (default: 12)"})
    heads: int | None = field(default=None, metadata={"help": "vit3d: attention heads (default: 6)"})
    patch_size: str | None = field(
        default=None,
        metadata={"help": "vit3d: 8, 8x8x8 voxels along X, Y, Z, or 1x8x8x8 with frames first (default: 1x8x8x8)"},
    )
    patch_depth: int | None = field(
        default=None, metadata={"help": "inflate: slices of a patch (default: as many as its pixels along one side)"}
    )

    def __post_init__(self) -> None:
        if self.output_dir is None:
            raise ValueError("expected --output_dir FOLDER")
        if self.input_spec is not None:
            self._take_spec(read_input_spec(self.input_spec))
        self._check_parts()
        self._check_weights()
        positive = ("hidden_size", "layers", "heads", "patch_depth")
        check_volume_flags(None, None, self.volume_size, self.volume_spacing, self.frames)
        check_bounds(self, dict.fromkeys(positive, AT_LEAST_1) | {"volume_spacing": POSITIVE, "seed": SEED})
        for kind, flags in TOWER_FLAGS.items():
            idle = [name for name in flags if getattr(self, name) is not None and name not in TOWER_FLAGS[self.kind]]
            if idle:
                raise ValueError(f"--{idle[0]}: expected --vision_tower {kind}, which it is for, found {self.asked}")

    def _check_parts(self) -> None:
        whole, parts = self.from_model is not None, (self.language_model is not None, self.vision_tower is not None)
        if whole == any(parts) or any(parts) != all(parts):
            raise ValueError(
                "expected either --language_model MODEL and --vision_tower TOWER, or --from_model MODEL, found "
                + (
                    " and ".join(f"--{field.name}" for field in fields(self)[:3] if getattr(self, field.name))
                    or "none"
                )
            )
        if self.kind not in TOWER_FLAGS or (self.kind in NAMELESS) == bool(self.of_model):
            known = ", ".join(kind if kind in NAMELESS else f"{kind}:MODEL" for kind in TOWER_FLAGS)
            raise ValueError(f"--vision_tower: expected one of {known}, found {self.vision_tower!r}")

    def _take_spec(self, spec: InputSpec) -> None:
        if spec.not_built is not None:
            raise ValueError(f"--input_spec {self.input_spec}: {spec.not_built}")
        if self.vision_tower not in (None, spec.vision_tower):
            raise ValueError(
                f"--vision_tower: expected {spec.vision_tower}, as {self.input_spec} has it, found "
                f"{self.vision_tower}. Leave it out, or change a copy of the spec"
            )
        self.vision_tower = spec.vision_tower

    def _check_weights(self) -> None:
        alone = [name for name in ("key_map", "allow_missing", "allow_unmatched") if getattr(self, name)]
        if alone and self.vision_weights is None:
            raise ValueError(f"--{alone[0]}: expected --vision_weights FILE, whose names it is about, found none")

    @property
    def asked(self) -> str:
        """The flag that names the tower, with its value."""
        return f"--from_model {self.from_model}" if self.from_model else f"--vision_tower {self.vision_tower}"

    @property
    def pooled(self) -> int:
        """Patches along each axis whose features become one token."""
        return self.pool or (1 if self.kind in ENCODERS else 2)

    @property
    def kind(self) -> str:
        """The kind of tower, one of TOWER_FLAGS; of another text what stands before its colon."""
        return INFLATE if self.vision_tower is None else self.vision_tower.partition(":")[0]

    @property
    def of_model(self) -> str:
        """What stands behind the kind: "MODEL" of "inflate:MODEL"."""
        return self.from_model or (self.vision_tower or "").partition(":")[2]
