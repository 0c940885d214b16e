"""Options of the recipes, as dataclasses: model, data and evaluation. Others stand beside what they are for."""

import os
import sys
from dataclasses import dataclass, field

from umbrella.options.cuda import by_cuda, settle_by_cuda
from umbrella.options.data.cohort_flags import CohortFlags
from umbrella.options.data.remote_flags import RemoteFlags
from umbrella.options.data.shard_flags import ShardFlags
from umbrella.options.data.volume_flags import ENCODER, check_encoder_intensity, check_volume_flags
from umbrella.options.number_bounds import (
    AT_LEAST_1,
    BELOW_1,
    NOT_NEGATIVE,
    POSITIVE,
    PROPER_SHARE,
    SEED,
    check_bounds,
)
from umbrella.options.remote_roots import check_remote

TINY = "tiny"  # the name that builds the small LLaVA instead of loading one
TINY3D = "tiny3d"  # the same for volumes
BUILT = (TINY, TINY3D)  # drawn from a seed: no files, nothing seen before
# What trains random weights of this size; 2e-5, the default of all others, is for weights that have learned before.
TINY_DEFAULTS = {"learning_rate": 1e-3, "per_device_train_batch_size": 8}
EXPECTS = (
    "--view volume: what is refused or warned of, some of one_volume,field,stripped,skull, or none (default: none, or "
    "the model's own)"
)
FEATURE_CACHE = (
    "folder that keeps what a frozen vision tower makes of scans, in umbrella_views/: each goes through the tower once"
)
# Those that a scheduler has given to this job, where the system can tell.
N_CORES = len(os.sched_getaffinity(0)) if sys.platform == "linux" else os.cpu_count() or 1


@dataclass
class ModelArguments:
    """Which model."""

    model_name_or_path: str = field(
        default=TINY,
        metadata={
            "help": "a folder, a model of the Hub, or a small LLaVA built here, without a network: 'tiny', or "
            "'tiny3d' for whole volumes"
        },
    )
    base_model: str | None = field(
        default=None,
        metadata={"help": "where the base of a checkpoint of trained weights or adapters lies now, if it was moved"},
    )


@dataclass
class DataArguments(ShardFlags, RemoteFlags, CohortFlags):  # the last are shown first
    """Which conversations, and how their scans are shown to the model."""

    dataset_name: str | None = field(
        default=None, metadata={"help": "a published dataset instead: its name on the Hub, or a local copy's folder"}
    )
    image_root: str | None = field(
        default=None,
        metadata={"help": "folder, or address as s3://..., that scan paths start from (default: the data folder)"},
    )
    task_types: list[str] | None = field(default=None, metadata={"help": "keep rows of these task types only"})
    modalities: list[str] | None = field(
        default=None, metadata={"help": "keep rows whose scans are all of these modalities only"}
    )
    view: str | None = field(
        default=None,
        metadata={
            "help": "axial, coronal, sagittal, triplanar, slices:K or montage:K, or volume for a model that takes "
            "whole volumes (default: axial, or the model's own)"
        },
    )
    image_size: int | None = field(
        default=None, metadata={"help": "side of the view in pixels (default: what the model's processor states)"}
    )
    volume_size: str | None = field(
        default=None,
        metadata={
            "help": "--view volume: voxels along X, Y, Z, or one number (default: 96x112x96, or the model's own)"
        },
    )
    volume_spacing: float | None = field(
        default=None, metadata={"help": "--view volume: size of a voxel in mm (default: 2, or the model's own)"}
    )
    frames: str | None = field(
        default=None,
        metadata={
            "help": "--view volume: of a series K evenly spaced volumes, window:K neighbours, drawn anew in training, "
            "or b0+K, the mean b0 and K weighted ones; where a .bval lies beside the scan K are weighted volumes "
            "(default: the mean of all)"
        },
    )
    intensity: str | None = field(
        default=None,
        metadata={
            "help": "in place of --normalize and --standardize. Pictures: encoder, 8 bits by the 1st and 99th "
            "percentile, then the processor's mean and std, as a server shows a PNG. --view volume: steps as 'window "
            "-1000 1000', 'percentile 0.5 99.5', 'zscore nonzero', joined by + (default: none, or the model's own)"
        },
    )
    expects: str | None = field(default=None, metadata={"help": EXPECTS})
    normalize: bool | None = field(
        default=None, metadata={"help": "clip to the 1st and 99th percentile and scale to [0, 1] (default: true)"}
    )
    standardize: bool | None = field(
        default=None,
        metadata={"help": "z-score of the volume instead of the processor's mean and std (default: true)"},
    )
    max_length: int = field(default=2048, metadata={"help": "most tokens of a row, its scans' tokens counted"})
    on_overflow: str = field(
        default="drop_turns",
        metadata={
            "help": "longer rows: drop_turns (oldest exchanges go, with their scans) or raise",
            "choices": ["drop_turns", "raise"],
        },
    )
    volume_cache: str | None = field(
        default=None,
        metadata={"help": "folder that keeps the views of scans, in umbrella_views/, so that each is decoded once"},
    )
    volume_cache_gb: float = field(
        default=50.0,
        metadata={"help": "its size in 10⁹ bytes, and that of --feature_cache; the least recently used go out first"},
    )

    def __post_init__(self) -> None:
        if sum(given is not None for given in (self.json_dir, self.cohorts, self.dataset_name)) != 1:
            of_several = "" if self.cohorts is None else ", or of the two and --cohorts FILE"
            raise ValueError(f"expected exactly one of --json_dir FOLDER and --dataset_name NAME{of_several}")
        self.check_numbers()

    @property
    def data_name(self) -> str:
        """What the data are called, in the name of a file."""
        named = [place.name for place in self.cohort_places] or [self.json_dir or str(self.dataset_name)]
        return "+".join(os.path.basename(os.path.realpath(name)) for name in named)

    def check_numbers(self) -> None:
        self.image_root = self.settle_cohorts(self.image_root)
        check_bounds(self, {"image_size": AT_LEAST_1, "max_length": AT_LEAST_1, "volume_cache_gb": POSITIVE})
        check_bounds(self, {"volume_spacing": POSITIVE})
        check_remote(self, *(place.image_root for place in self.cohort_places), self.image_root)
        check_volume_flags(self.view, self.image_size, self.volume_size, self.volume_spacing, self.frames)
        if self.intensity == ENCODER:
            check_encoder_intensity(self.view, self.normalize, self.standardize)


@dataclass
class EvalArguments:
    """How a model is evaluated."""

    split: str = field(default="test", metadata={"help": "which split"})
    output_dir: str | None = field(
        default=None,
        metadata={
            "help": "folder to write (default: MODEL/eval, or MODEL/eval_SPLIT if not test; "
            "runs/evaluations/NAME/eval for a model that is no folder)"
        },
    )
    overwrite: bool = field(default=False, metadata={"help": "remove the predictions that are in the folder first"})
    batch_size: int = field(default=8, metadata={"help": "rows generated at once"})
    max_new_tokens: int = field(default=64, metadata={"help": "most tokens of an answer"})
    task: str = field(
        default="auto",
        metadata={
            "help": "kind of answer (auto: as metadata.target_type says; else regression where every subject_label is "
            "a number and nothing else but a unit, and they are no codes of classes as 0/1, classification "
            "otherwise); or text. Of rows of both target types it keeps those of the task",
            "choices": ["auto", "classification", "regression", "text"],
        },
    )
    labels: list[str] | None = field(
        default=None,
        metadata={
            "help": "labels to look for, as male,female; commas keep labels with spaces whole (default: the split's)"
        },
    )
    answer_template: str | None = field(
        default=None,
        metadata={
            "help": "wording in which each label is scored, as 'This subject is {label}.' (default: the commonest)"
        },
    )
    unit: str | None = field(
        default=None,
        metadata={"help": "unit of the labels' numbers: years, kg/m2, ... (default: metadata.unit, or as written)"},
    )
    decimal_sign: str | None = field(
        default=None,
        metadata={"help": "of numbers in answers (default: told from the split's own answers)", "choices": [".", ","]},
    )
    by: list[str] | None = field(
        default=None, metadata={"help": "accuracy by groups of these metadata, as sex,site,age_bin (bins of age)"}
    )
    pairs: str | None = field(
        default=None,
        metadata={
            "help": "table of repeats, .tsv or .csv: columns task_id_1,task_id_2 or subject_id,session_1,session_2 "
            "(default: what the rows' metadata say of sessions)"
        },
    )
    positive_label: str | None = field(
        default=None,
        metadata={"help": "the label to act on, for the net benefit (default: of two labels both are shown)"},
    )
    confounds: list[str] | None = field(
        default=None,
        metadata={"help": "metadata that may explain the labels, as age,site; head_volume is taken from the scans"},
    )
    site_tell: str | None = field(
        default=None,
        metadata={"help": "metadata, as site: how well it can be told from what the vision encoder makes of scans"},
    )
    controls: bool = field(
        default=True,
        metadata={"help": "also evaluate with other, changed, blank and no scans; of a study two more a sequence"},
    )
    controls_n: int = field(default=500, metadata={"help": "most rows of each control"})
    baselines: bool = field(default=True, metadata={"help": "also fit simple models on the training split"})
    uncertainty: bool = field(
        default=False,
        metadata={
            "help": "also ask the validation split, and by its answers set a temperature, a threshold to abstain, and "
            "sets of labels or intervals of numbers that hold the truth"
        },
    )
    uncertainty_n: int = field(default=1000, metadata={"help": "most rows of the validation split that are asked"})
    abstain_at: float | None = field(
        default=None,
        metadata={
            "help": "with --uncertainty: share of wrong answers, as 0.05, that is not to be exceeded; the least sure "
            "rows get no answer, by a threshold that the validation split sets"
        },
    )
    conformal_level: float = field(
        default=0.9,
        metadata={"help": "with --uncertainty: share of the truths that sets and intervals are to hold"},
    )
    robustness: bool = field(
        default=False,
        metadata={"help": "also answer with noise, blur, moved scans and six more changes, in three strengths each"},
    )
    wording: bool = field(default=False, metadata={"help": "also ask each question in all phrasings of the data"})
    phrasings: str | None = field(
        default=None, metadata={"help": "--wording: a YAML file of phrasings instead of those found in the data"}
    )
    robustness_n: int = field(
        default=200, metadata={"help": "most rows for --robustness and --wording, of whole subjects drawn by --seed"}
    )
    bootstrap: int = field(default=1000, metadata={"help": "resamples for the 95 %% intervals"})
    allow_subject_overlap: bool = field(
        default=False, metadata={"help": "evaluate on subjects of the training data too; the report says so"}
    )
    report: bool = field(default=True, metadata={"help": "write report.html and report_public.html"})
    num_workers: int = field(default=0, metadata={"help": "processes that load scans"})
    feature_cache: str | None = field(default=None, metadata={"help": FEATURE_CACHE})
    seed: int = field(default=0, metadata={"help": "of the exchange of scans and of the bootstrap"})
    use_cpu: bool | None = by_cuda("evaluate on the CPU (default: where no CUDA device is)")

    def __post_init__(self) -> None:
        check_bounds(
            self,
            dict.fromkeys(("batch_size", "max_new_tokens", "controls_n", "bootstrap", "robustness_n"), AT_LEAST_1),
        )
        check_bounds(self, {"num_workers": NOT_NEGATIVE, "seed": SEED, "uncertainty_n": AT_LEAST_1})
        check_bounds(self, {"abstain_at": BELOW_1, "conformal_level": PROPER_SHARE})
        if self.abstain_at is not None and not self.uncertainty:
            raise ValueError(
                "--abstain_at: expected --uncertainty true beside it, whose threshold it sets; found none"
            )
        self.wording = self.wording or self.phrasings is not None
        if self.answer_template is not None and "{label}" not in self.answer_template:
            raise ValueError(f"--answer_template: expected {{label}} in it, found {self.answer_template!r}")
        settle_by_cuda(self)
