"""Options of the smaller recipes, each beside those of model and data."""

import re
from dataclasses import dataclass, field

from umbrella.files.data_format import MODALITIES
from umbrella.files.studies import describe_sequences, find_unknown_names, read_named
from umbrella.options.arguments import EXPECTS, FEATURE_CACHE, N_CORES, DataArguments
from umbrella.options.cuda import by_cuda, settle_by_cuda
from umbrella.options.number_bounds import AT_LEAST_1, NOT_NEGATIVE, POSITIVE, SEED, check_bounds


@dataclass
class InspectArguments:
    """What of a split is shown."""

    split: str = field(default="train", metadata={"help": "which split"})
    n: int = field(default=4, metadata={"help": "how many of its first rows are shown"})

    def __post_init__(self) -> None:
        check_bounds(self, {"n": NOT_NEGATIVE})


@dataclass
class PredictArguments:
    """What is asked about a scan."""

    image: str | None = field(
        default=None,
        metadata={
            "help": "the scan: NIfTI or FreeSurfer; of a study NAME=SCAN for each sequence, as T1w=a.nii FLAIR=b.nii",
            "nargs": "*",
        },
    )
    question: str | None = field(
        default=None, metadata={"help": "what is asked about it (default: the most frequent question of training)"}
    )
    modality: str = field(default="sMRI", metadata={"help": "of the scans", "choices": list(MODALITIES)})
    reference: str | None = field(
        default=None, metadata={"help": "a scan, or study, that is shown first, to compare with", "nargs": "*"}
    )
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
    expects: str | None = field(default=None, metadata={"help": EXPECTS})
    max_length: int = field(default=2048, metadata={"help": "most tokens of the question, its scans' tokens counted"})
    max_new_tokens: int = field(default=64, metadata={"help": "most tokens of the answer"})
    feature_cache: str | None = field(default=None, metadata={"help": FEATURE_CACHE})
    use_cpu: bool | None = by_cuda("answer on the CPU (default: where no CUDA device is)")

    def __post_init__(self) -> None:
        self.join_words("image", "reference")
        if not self.image:
            raise ValueError('expected --image SCAN, and --question "TEXT" for another than the model\'s own')
        self.check_question()

    def join_words(self, *names: str) -> None:
        """The words of flags that name a scan, or the scans of a study, as one text. Raises ValueError for others."""
        for name in names:
            if isinstance(words := getattr(self, name), list):
                text = " ".join(words)
                unknown = find_unknown_names(words)
                if unknown:
                    known = f"the names that BIDS gives sequences ({describe_sequences()})"
                    raise ValueError(f"--{name}: expected {known}, found {unknown[0]}. Write it so, or leave it out")
                try:
                    named = read_named(text)
                except ValueError as error:
                    raise ValueError(f"--{name}: {error}") from None
                if len(words) > 1 and not named:
                    raise ValueError(f"--{name}: expected one scan, or NAME=SCAN for each of a study, found {text}")
                setattr(self, name, text)

    def check_question(self) -> None:
        """Raises ValueError for flags of the question that do not fit one another."""
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
        check_bounds(self, {"max_length": AT_LEAST_1, "max_new_tokens": AT_LEAST_1})
        settle_by_cuda(self)


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
        metadata={"help": "the published model whose names the weights get (default: the one that it came from)"},
    )

    def __post_init__(self) -> None:
        if self.output_dir is None:
            raise ValueError("expected --output_dir FOLDER")


@dataclass
class TaskExportArguments:
    """What of a split becomes a task of another harness."""

    output_dir: str | None = field(default=None, metadata={"help": "new or empty folder to write"})
    split: str = field(default="test", metadata={"help": "which split"})
    task_name: str | None = field(
        default=None, metadata={"help": "of the task, letters, digits and _ (default: the data's name and the split)"}
    )
    task: str = field(
        default="auto",
        metadata={
            "help": "kind of answer, as eval.py tells and takes it",
            "choices": ["auto", "classification", "regression", "text"],
        },
    )
    labels: list[str] | None = field(
        default=None, metadata={"help": "labels to look for, as male,female (default: the split's)"}
    )
    unit: str | None = field(default=None, metadata={"help": "unit of the labels' numbers (default: metadata.unit)"})
    decimal_sign: str | None = field(
        default=None,
        metadata={"help": "of numbers in answers (default: told from the answers)", "choices": [".", ","]},
    )
    max_new_tokens: int = field(default=64, metadata={"help": "most tokens of an answer"})
    with_model: bool = field(
        default=True, metadata={"help": "write the model beside its processor, as export.py does"}
    )
    allow_subject_overlap: bool = field(
        default=False, metadata={"help": "export subjects of the training data too; the folder says so"}
    )

    def __post_init__(self) -> None:
        if self.output_dir is None:
            raise ValueError("expected --output_dir FOLDER")
        if self.task_name is not None and not re.fullmatch(r"\w+", self.task_name, re.ASCII):
            raise ValueError(f"--task_name: expected letters, digits and _, found {self.task_name!r}")
        check_bounds(self, {"max_new_tokens": AT_LEAST_1})


@dataclass
class CacheArguments:
    """How a cache of views is filled."""

    num_workers: int = field(default=N_CORES, metadata={"help": "processes that decode scans (default: all cores)"})
    shard_index: int = field(default=0, metadata={"help": "which part of the scans, from 0: one for each job"})
    num_shards: int = field(default=1, metadata={"help": "number of parts, that is of jobs"})

    def __post_init__(self) -> None:
        check_bounds(self, {"num_workers": NOT_NEGATIVE, "num_shards": AT_LEAST_1})
        if not 0 <= self.shard_index < self.num_shards:
            raise ValueError(
                f"--shard_index: expected 0 to {self.num_shards - 1} for --num_shards {self.num_shards}, found "
                f"{self.shard_index}"
            )


@dataclass
class PackArguments:
    """How scans are packed."""

    what: str = field(
        default="scans",
        metadata={
            "help": "scans, as their files are; or views, as the model and the flags of views make them: smaller, and "
            "for these alone",
            "choices": ["scans", "views"],
        },
    )
    output_dir: str | None = field(default=None, metadata={"help": "folder to write, or to go on in"})
    shard_gb: float = field(default=1.0, metadata={"help": "most of a shard, in 10⁹ bytes"})
    num_workers: int = field(default=N_CORES, metadata={"help": "processes that read scans (default: all cores)"})

    def __post_init__(self) -> None:
        if self.output_dir is None:
            raise ValueError("expected --output_dir FOLDER")
        check_bounds(self, {"shard_gb": POSITIVE, "num_workers": NOT_NEGATIVE})


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
    output_dir: str = field(default="runs/benchmark", metadata={"help": "folder of benchmark.json and benchmark.png"})

    def __post_init__(self) -> None:
        check_bounds(self, dict.fromkeys(("n_rows", "batch_size", "epochs"), AT_LEAST_1))
        check_bounds(self, {"num_workers": NOT_NEGATIVE, "step_ms": POSITIVE, "seconds": POSITIVE})


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

    def __post_init__(self) -> None:
        check_bounds(self, dict.fromkeys(("num_gpus", "tokens", "scans", "supervised_tokens"), AT_LEAST_1))


@dataclass
class PlannedDataArguments(DataArguments):
    """The same for a recipe that is not run: the conversations need not be there."""

    def __post_init__(self) -> None:
        self.check_numbers()


@dataclass
class PreviewArguments:
    """What of a split is shown in the preview."""

    split: str = field(default="train", metadata={"help": "which split"})
    n: int = field(default=12, metadata={"help": "how many rows are shown, drawn by the seed"})
    most_scans: int = field(default=500, metadata={"help": "how many scans are searched for what is odd"})
    output: str | None = field(
        default=None, metadata={"help": "page to write (default: runs/preview/NAME_SPLIT.html, NAME the data's)"}
    )
    seed: int = field(default=0, metadata={"help": "of the draw of rows and scans"})

    def __post_init__(self) -> None:
        check_bounds(self, {"n": AT_LEAST_1, "most_scans": AT_LEAST_1, "seed": SEED})
