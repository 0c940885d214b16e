"""Options of build_model.py: which parts a new model is put together from."""

from dataclasses import dataclass, field, fields

from umbrella.options.number_bounds import AT_LEAST_1, POSITIVE, SEED, check_bounds

VIT3D, INFLATE = "vit3d", "inflate"
# Kind of tower → the flags that mean something to it, besides those of every tower.
TOWER_FLAGS: dict[str, tuple[str, ...]] = {
    VIT3D: ("hidden_size", "layers", "heads", "patch_size"),
    INFLATE: ("patch_depth",),
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
            "help": "vit3d (new, sizes by the flags below), or inflate:MODEL (a CLIP, SigLIP or DINOv2, or the "
            "tower of a LLaVA, made to take volumes)"
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
            "help": "of a series K evenly spaced volumes, or window:K neighbours, drawn anew in training (default: "
            "their mean)"
        },
    )

    pool: int = field(
        default=2,
        metadata={"help": "patches along each axis whose features become one token, 1 or 2", "choices": [1, 2]},
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
        self._check_parts()
        positive = ("hidden_size", "layers", "heads", "patch_depth")
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
        if self.kind not in TOWER_FLAGS or (self.kind == VIT3D) == bool(self.of_model):
            known = ", ".join(kind if kind == VIT3D else f"{kind}:MODEL" for kind in TOWER_FLAGS)
            raise ValueError(f"--vision_tower: expected one of {known}, found {self.vision_tower!r}")

    @property
    def asked(self) -> str:
        """The flag that names the tower, with its value."""
        return f"--from_model {self.from_model}" if self.from_model else f"--vision_tower {self.vision_tower}"

    @property
    def kind(self) -> str:
        """The kind of tower, one of TOWER_FLAGS; of another text what stands before its colon."""
        return INFLATE if self.vision_tower is None else self.vision_tower.partition(":")[0]

    @property
    def of_model(self) -> str:
        """What stands behind the kind: "MODEL" of "inflate:MODEL"."""
        return self.from_model or (self.vision_tower or "").partition(":")[2]
