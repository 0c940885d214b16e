"""Options of the recipes, as dataclasses."""

import os
import sys
from dataclasses import dataclass, field

import torch

HAS_CUDA = torch.cuda.is_available()
# Those that a scheduler has given to this job, where the system can tell.
N_CORES = len(os.sched_getaffinity(0)) if sys.platform == "linux" else os.cpu_count()


@dataclass
class ModelArguments:
    """Which model."""

    model_name_or_path: str = field(
        default="tiny",
        metadata={"help": "a folder, a model of the Hub, or 'tiny': a small LLaVA built here, without a network"},
    )
    base_model: str | None = field(
        default=None,
        metadata={"help": "where the base of a checkpoint of trained weights or adapters lies now, if it was moved"},
    )


@dataclass
class DataArguments:
    """Which conversations, and how their scans are shown to the model."""

    json_dir: str | None = field(
        default=None, metadata={"help": "folder with train/, validation/, test/ of JSON files"}
    )
    dataset_name: str | None = field(
        default=None, metadata={"help": "a published dataset instead: its name on the Hub, or a local copy's folder"}
    )
    image_root: str | None = field(
        default=None, metadata={"help": "folder that relative scan paths start from (default: the data folder)"}
    )
    task_types: list[str] | None = field(default=None, metadata={"help": "keep rows of these task types only"})
    modalities: list[str] | None = field(
        default=None, metadata={"help": "keep rows whose scans are all of these modalities only"}
    )
    view: str | None = field(
        default=None,
        metadata={
            "help": "axial, coronal, sagittal, triplanar, slices:K or montage:K (default: axial, or the model's own)"
        },
    )
    image_size: int | None = field(
        default=None, metadata={"help": "side of the view in pixels (default: what the model's processor states)"}
    )
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
        default=None, metadata={"help": "folder that keeps the views of scans, so that each scan is decoded once"}
    )
    volume_cache_gb: float = field(
        default=50.0, metadata={"help": "its size in 10⁹ bytes; the least recently used views go out first"}
    )

    def __post_init__(self):
        if (self.json_dir is None) == (self.dataset_name is None):
            raise ValueError("expected exactly one of --json_dir FOLDER and --dataset_name NAME")


@dataclass
class EvalArguments:
    """How a model is evaluated."""

    split: str = field(default="test", metadata={"help": "which split"})
    output_dir: str | None = field(
        default=None, metadata={"help": "folder to write (default: MODEL/eval; MODEL/eval_SPLIT if not test)"}
    )
    overwrite: bool = field(default=False, metadata={"help": "remove the predictions that are in the folder first"})
    batch_size: int = field(default=8, metadata={"help": "rows generated at once"})
    max_new_tokens: int = field(default=64, metadata={"help": "most tokens of an answer"})
    task: str = field(
        default="auto",
        metadata={
            "help": "kind of answer: regression where every subject_label is a number, else classification; or text",
            "choices": ["auto", "classification", "regression", "text"],
        },
    )
    labels: str | None = field(
        default=None,
        metadata={"help": "labels to look for, as male,female (default: the split's subject_label values)"},
    )
    answer_template: str | None = field(
        default=None,
        metadata={
            "help": "wording in which each label is scored, as 'This subject is {label}.' (default: the commonest)"
        },
    )
    unit: str | None = field(default=None, metadata={"help": "unit of numbers in answers: years, kg/m2, ..."})
    by: str | None = field(
        default=None, metadata={"help": "accuracy by groups of these metadata, as sex,site,age_bin (bins of age)"}
    )
    confounds: str | None = field(
        default=None,
        metadata={"help": "metadata that may explain the labels, as age,site; head_volume is taken from the scans"},
    )
    controls: bool = field(default=True, metadata={"help": "also evaluate with exchanged, blank and no scans"})
    controls_n: int = field(default=500, metadata={"help": "most rows of each control"})
    baselines: bool = field(default=True, metadata={"help": "also fit simple models on the training split"})
    bootstrap: int = field(default=1000, metadata={"help": "resamples for the 95 %% intervals"})
    allow_subject_overlap: bool = field(
        default=False, metadata={"help": "evaluate on subjects of the training data too; the report says so"}
    )
    report: bool = field(default=True, metadata={"help": "write report.html"})
    num_workers: int = field(default=0, metadata={"help": "processes that load scans"})
    seed: int = field(default=0, metadata={"help": "of the exchange of scans and of the bootstrap"})
    use_cpu: bool = field(default=not HAS_CUDA, metadata={"help": "evaluate on the CPU"})

    def __post_init__(self):
        for name, least in (("batch_size", 1), ("max_new_tokens", 1), ("controls_n", 1), ("bootstrap", 1)):
            if getattr(self, name) < least:
                raise ValueError(f"--{name}: expected at least {least}, found {getattr(self, name)}")
        if self.answer_template is not None and "{label}" not in self.answer_template:
            raise ValueError(f"--answer_template: expected {{label}} in it, found {self.answer_template!r}")


@dataclass
class InspectArguments:
    """What of a split is shown."""

    split: str = field(default="train", metadata={"help": "which split"})
    n: int = field(default=4, metadata={"help": "how many of its first rows are shown"})


@dataclass
class PredictArguments:
    """What is asked about a scan."""

    image: str | None = field(default=None, metadata={"help": "the scan: NIfTI or FreeSurfer"})
    question: str | None = field(default=None, metadata={"help": "what is asked about it"})
    modality: str = field(default="sMRI", metadata={"help": "of the scans", "choices": ["sMRI", "dMRI", "fMRI"]})
    reference: str | None = field(default=None, metadata={"help": "a scan that is shown first, to compare with"})
    reference_label: str | None = field(default=None, metadata={"help": "what is known of the reference, as male"})
    reference_text: str | None = field(
        default=None,
        metadata={
            "help": "what is said in front of the reference (default: 'The reference subject is {reference_label}. "
            "Their scan:'; without a label 'This is the reference scan.')"
        },
    )
    reference_reply: str | None = field(
        default=None,
        metadata={
            "help": "what the model has answered to it (default: 'Understood. The reference subject is "
            "{reference_label}.'; without a label 'I will compare the next scan with this reference.')"
        },
    )
    max_length: int = field(default=2048, metadata={"help": "most tokens of the question, its scans' tokens counted"})
    max_new_tokens: int = field(default=64, metadata={"help": "most tokens of the answer"})
    use_cpu: bool = field(default=not HAS_CUDA, metadata={"help": "answer on the CPU"})

    def __post_init__(self):
        if self.image is None or self.question is None:
            raise ValueError('expected --image SCAN and --question "TEXT"')
        for name in ("reference_label", "reference_text", "reference_reply"):
            value = getattr(self, name)
            if value is not None and self.reference is None:
                raise ValueError(f"--{name} {value}: expected --reference SCAN too, found none")
            if value is not None and "{reference_label}" in value and self.reference_label is None:
                raise ValueError(f"--{name} {value!r}: expected --reference_label too, found none")
        own = [text for text in (self.reference_text, self.reference_reply) if text is not None]
        if self.reference_label is not None and len(own) == 2 and "{reference_label}" not in "".join(own):
            raise ValueError(
                f"--reference_label {self.reference_label}: expected {{reference_label}} in --reference_text or "
                "--reference_reply, found it in neither"
            )
        if self.max_new_tokens < 1:
            raise ValueError(f"--max_new_tokens: expected at least 1, found {self.max_new_tokens}")


@dataclass
class ExportArguments:
    """How a model is exported."""

    output_dir: str | None = field(default=None, metadata={"help": "new or empty folder to write"})
    dtype: str | None = field(
        default=None,
        metadata={
            "help": "number type of the weights (default: as they are)",
            "choices": ["bfloat16", "float16", "float32"],
        },
    )
    names_of: str | None = field(
        default=None,
        metadata={"help": "the published model whose names the weights get (default: the one that run.json names)"},
    )

    def __post_init__(self):
        if self.output_dir is None:
            raise ValueError("expected --output_dir FOLDER")


@dataclass
class CacheArguments:
    """How a cache of views is filled."""

    num_workers: int = field(default=N_CORES, metadata={"help": "processes that decode scans (default: all cores)"})
    shard_index: int = field(default=0, metadata={"help": "which part of the scans, from 0: one for each job"})
    num_shards: int = field(default=1, metadata={"help": "number of parts, that is of jobs"})

    def __post_init__(self):
        if not 0 <= self.shard_index < self.num_shards:
            raise ValueError(
                f"--shard_index: expected 0 to {self.num_shards - 1} for --num_shards {self.num_shards}, found "
                f"{self.shard_index}"
            )


@dataclass
class BenchmarkArguments:
    """What of the data path is measured."""

    split: str = field(default="train", metadata={"help": "which split"})
    n_rows: int = field(default=64, metadata={"help": "how many of its first rows are used"})
    batch_size: int = field(default=8, metadata={"help": "rows a step on each GPU"})
    num_workers: int = field(default=N_CORES, metadata={"help": "most workers tried (default: all cores)"})
    step_ms: float | None = field(default=None, metadata={"help": "milliseconds that your model's step takes"})
    cold: bool = field(default=False, metadata={"help": "read the scans from the disk, not from the system's memory"})
    epochs: int = field(default=5, metadata={"help": "epochs over which memory is watched"})
    seconds: float = field(default=5.0, metadata={"help": "duration of each measurement of batches"})
    output_dir: str = field(default="benchmark", metadata={"help": "folder of benchmark.json and benchmark.png"})

    def __post_init__(self):
        for name, least in (("n_rows", 1), ("batch_size", 1), ("num_workers", 0), ("epochs", 1)):
            if getattr(self, name) < least:
                raise ValueError(f"--{name}: expected at least {least}, found {getattr(self, name)}")
        if self.step_ms is not None and self.step_ms <= 0:
            raise ValueError(f"--step_ms: expected more than 0 milliseconds, found {self.step_ms:g}")


@dataclass
class EstimateArguments:
    """For which machine, and which rows, memory is estimated."""

    num_gpus: int = field(default=1, metadata={"help": "GPUs over which the model is spread, all of one machine"})
    tokens: int | None = field(default=None, metadata={"help": "tokens of a row, all as long (default: max_length)"})
    scans: int = field(default=1, metadata={"help": "scans of a row"})
    supervised_tokens: int | None = field(
        default=None,
        metadata={"help": "tokens of a row that carry the loss (default: all text, the most possible)"},
    )

    def __post_init__(self):
        for name in ("num_gpus", "scans"):
            if getattr(self, name) < 1:
                raise ValueError(f"--{name}: expected at least 1, found {getattr(self, name)}")


@dataclass
class PlannedDataArguments(DataArguments):
    """The same for a recipe that is not run: the conversations need not be there."""

    def __post_init__(self):
        pass


@dataclass
class PreviewArguments:
    """What of a split is shown in the preview."""

    split: str = field(default="train", metadata={"help": "which split"})
    n: int = field(default=12, metadata={"help": "how many rows are shown, drawn by the seed"})
    most_scans: int = field(default=500, metadata={"help": "how many scans are searched for what is odd"})
    output: str = field(default="preview.html", metadata={"help": "file to write"})
    seed: int = field(default=0, metadata={"help": "of the draw of rows and scans"})

    def __post_init__(self):
        for name in ("n", "most_scans"):
            if getattr(self, name) < 1:
                raise ValueError(f"--{name}: expected at least 1, found {getattr(self, name)}")


@dataclass
class PushDatasetArguments:
    """What of a data folder is published, and how."""

    json_dir: str | None = field(
        default=None, metadata={"help": "folder with train/, validation/, test/ of JSON files"}
    )
    repo_id: str | None = field(default=None, metadata={"help": "name on the Hub: user/name"})
    image_root: str | None = field(
        default=None, metadata={"help": "folder that relative scan paths start from (default: the data folder)"}
    )
    scans: str = field(
        default="none",
        metadata={
            "help": "none: the table alone; files: scans beside it; embed: scans in it",
            "choices": ["none", "files", "embed"],
        },
    )
    nifti_feature: bool = field(
        default=False, metadata={"help": "with embed: scans as datasets' Nifti feature (datasets 5 and later only)"}
    )
    max_shard_size: str = field(default="500MB", metadata={"help": "size of a Parquet file"})
    scrub: bool = field(default=False, metadata={"help": "publish clean copies instead of stopping at personal data"})
    allow: list[str] = field(
        default_factory=list, metadata={"help": "kinds of personal data to publish as they are; the card names them"}
    )
    presidio: str | None = field(
        default=None,
        metadata={"help": "look for names with Presidio and this spaCy model too, as en_core_web_lg"},
    )
    public: bool = field(default=False, metadata={"help": "for everybody to see (default: private)"})
    gated: str | None = field(
        default=None, metadata={"help": "who asks gets access: auto at once, manual by your hand"}
    )
    license: str = field(default="unknown", metadata={"help": "the Hub's name of the licence, as cc-by-4.0"})
    languages: list[str] = field(default_factory=lambda: ["en"], metadata={"help": "codes of the texts' languages"})
    dua: str | None = field(default=None, metadata={"help": "line of the data use agreement, for the card"})
    with_script: bool = field(
        default=False, metadata={"help": "add umbrella_dataset.py, for users of datasets below 4"}
    )
    work_dir: str | None = field(
        default=None,
        metadata={"help": "folder for the upload and the secret key (default: JSON_DIR with .hub behind)"},
    )

    def __post_init__(self):
        if self.json_dir is None or self.repo_id is None:
            raise ValueError("expected --json_dir FOLDER and --repo_id USER/NAME")
        if self.nifti_feature and self.scans != "embed":
            raise ValueError(f"--nifti_feature: expected --scans embed, found --scans {self.scans}")
        if self.gated not in (None, "auto", "manual"):
            raise ValueError(f"--gated: expected auto or manual, found {self.gated}")
        if self.with_script and self.repo_id.split("/")[-1] == "umbrella_dataset":
            raise ValueError(
                "--with_script: expected another --repo_id: datasets below 4 would run the script as its own"
            )


@dataclass
class PushModelArguments:
    """What of a trained model is published, and how."""

    model: str | None = field(default=None, metadata={"help": "the model's folder, as train.py wrote it"})
    repo_id: str | None = field(default=None, metadata={"help": "name on the Hub: user/name"})
    report_scans: bool = field(default=False, metadata={"help": "leave pictures of scans in the report"})
    allow: list[str] = field(
        default_factory=list, metadata={"help": "kinds of personal data to publish as they are; the card names them"}
    )
    public: bool = field(default=False, metadata={"help": "for everybody to see (default: private)"})
    gated: str | None = field(
        default=None, metadata={"help": "who asks gets access: auto at once, manual by your hand"}
    )
    license: str = field(default="unknown", metadata={"help": "the Hub's name of the licence, as apache-2.0"})
    languages: list[str] = field(default_factory=lambda: ["en"], metadata={"help": "codes of the texts' languages"})
    base_model: str | None = field(
        default=None, metadata={"help": "the model it was trained from, on the Hub (default: what run.json says)"}
    )
    work_dir: str | None = field(
        default=None, metadata={"help": "folder for the upload and the secret key (default: MODEL with .hub behind)"}
    )

    def __post_init__(self):
        if self.model is None or self.repo_id is None:
            raise ValueError("expected --model FOLDER and --repo_id USER/NAME")
        if self.gated not in (None, "auto", "manual"):
            raise ValueError(f"--gated: expected auto or manual, found {self.gated}")
