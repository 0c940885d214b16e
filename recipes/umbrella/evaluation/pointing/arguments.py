"""Options of explain.py, beside those of model and data."""

from dataclasses import dataclass, field

from umbrella.options.cuda import by_cuda, settle_by_cuda
from umbrella.options.number_bounds import AT_LEAST_1, POSITIVE, SEED, check_bounds


@dataclass
class ExplainArguments:
    """Which answers are explained, and how."""

    split: str = field(default="test", metadata={"help": "which split"})
    n: int = field(default=20, metadata={"help": "how many rows, drawn by the seed, of as many subjects as there are"})
    method: str = field(
        default="occlusion",
        metadata={
            "help": "occlusion (what the answer loses when a box is hidden) or gradient (gradient x input)",
            "choices": ["occlusion", "gradient"],
        },
    )
    box_mm: float = field(default=32.0, metadata={"help": "side of the smallest boxes"})
    answer: str = field(
        default="own", metadata={"help": "explain the model's own answer, or the true one", "choices": ["own", "true"]}
    )
    region: str | None = field(
        default=None,
        metadata={
            "help": "the region that answers should come from: a name, as lesion for the metadata's lesion_mask, "
            "lesion_box_mm or lesion_centre_mm and lesion_radius_mm; or a mask for all scans, as mask.nii.gz; or none "
            "(default: the first that the metadata name)"
        },
    )
    random_model: bool = field(
        default=True, metadata={"help": "compare with the same model with random weights; costs as much again"}
    )
    batch_size: int = field(default=8, metadata={"help": "views at once; it changes no map"})
    max_new_tokens: int = field(default=64, metadata={"help": "most tokens of an answer"})
    seed: int = field(default=0, metadata={"help": "of the draw of rows, and of the random weights"})
    output_dir: str | None = field(
        default=None, metadata={"help": "folder to write (default: explain/ within the model's)"}
    )
    use_cpu: bool | None = by_cuda("work on the CPU (default: where no CUDA device is)")

    def __post_init__(self) -> None:
        check_bounds(self, dict.fromkeys(("n", "batch_size", "max_new_tokens"), AT_LEAST_1))
        check_bounds(self, {"box_mm": POSITIVE, "seed": SEED})
        settle_by_cuda(self)
