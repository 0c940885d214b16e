"""Options of push_to_hub.py."""

import sys
from dataclasses import dataclass, field

from umbrella.options.data.cohort_flags import take_one_folder
from umbrella.options.data.remote_flags import RemoteFlags
from umbrella.options.parsing import parse_arguments


@dataclass
class _PushArguments:
    """Where to and for whom anything is published."""

    repo_id: str | None = field(default=None, metadata={"help": "name on the Hub: user/name"})
    allow: list[str] = field(
        default_factory=list, metadata={"help": "kinds of personal data to publish as they are; the card names them"}
    )
    public: bool = field(default=False, metadata={"help": "for everybody to see (default: private)"})
    gated: str | None = field(
        default=None, metadata={"help": "who asks gets access: auto at once, manual by your hand"}
    )
    license: str = field(
        default="unknown", metadata={"help": "the Hub's name of the licence, as cc-by-4.0 or apache-2.0"}
    )
    languages: list[str] = field(default_factory=lambda: ["en"], metadata={"help": "codes of the texts' languages"})
    delete_other_files: bool = field(
        default=False,
        metadata={
            "help": "replace files in the push's way that no push of this program wrote, and delete all others "
            "(default: stop at the former, leave the latter)"
        },
    )

    def __post_init__(self) -> None:
        if self.gated not in (None, "auto", "manual"):
            raise ValueError(f"--gated: expected auto or manual, found {self.gated}")


@dataclass
class PushDatasetArguments(_PushArguments, RemoteFlags):
    """What of a data folder is published, and how."""

    json_dir: str | None = field(
        default=None, metadata={"help": "folder with train/, validation/, test/ of JSON files", "nargs": "*"}
    )
    image_root: str | None = field(
        default=None,
        metadata={"help": "folder, or address as s3://..., that scan paths start from (default: the data folder)"},
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
    presidio: str | None = field(
        default=None,
        metadata={"help": "look for names with Presidio and this spaCy model too, as en_core_web_lg"},
    )
    dua: str | None = field(default=None, metadata={"help": "line of the data use agreement, for the card"})
    with_script: bool = field(
        default=False, metadata={"help": "add umbrella_dataset.py, for users of datasets below 4"}
    )
    work_dir: str | None = field(
        default=None,
        metadata={"help": "folder for the upload and the secret key (default: JSON_DIR with .hub behind)"},
    )

    def __post_init__(self) -> None:
        self.json_dir = take_one_folder(self.json_dir, "Publish each cohort by itself, under a name of its own")
        if self.json_dir is None or self.repo_id is None:
            raise ValueError("expected --json_dir FOLDER and --repo_id USER/NAME")
        if self.nifti_feature and self.scans != "embed":
            raise ValueError(f"--nifti_feature: expected --scans embed, found --scans {self.scans}")
        super().__post_init__()
        if self.with_script and self.repo_id.split("/")[-1] == "umbrella_dataset":
            raise ValueError(
                "--with_script: expected another --repo_id: datasets below 4 would run the script as its own"
            )


@dataclass
class PushModelArguments(_PushArguments):
    """What of a trained model is published, and how."""

    model: str | None = field(default=None, metadata={"help": "the model's folder, as train.py wrote it"})
    report_scans: bool = field(default=False, metadata={"help": "publish the report with single rows and their scans"})
    with_code: bool = field(
        default=False,
        metadata={
            "help": "of a model for volumes publish the code beside it, so that it loads with trust_remote_code=True "
            "where umbrella-vlm is not installed"
        },
    )
    checkable_subjects: bool | None = field(
        default=None,
        metadata={
            "help": "let who loads the model find an id that they know among the training subjects (default: true in "
            "a private repo, false in a public one)"
        },
    )
    base_model: str | None = field(
        default=None,
        metadata={"help": "the model it was trained from, on the Hub (default: what training_data.json says)"},
    )
    work_dir: str | None = field(
        default=None, metadata={"help": "folder for the upload and the secret key (default: MODEL with .hub behind)"}
    )

    def __post_init__(self) -> None:
        if self.model is None or self.repo_id is None:
            raise ValueError("expected --model FOLDER and --repo_id USER/NAME")
        super().__post_init__()


@dataclass
class PushDemoArguments(_PushArguments):
    """Which model a Space serves."""

    model: str | None = field(default=None, metadata={"help": "the model's name on the Hub: user/name"})
    title: str | None = field(default=None, metadata={"help": "of the page (default: Ask NAME)"})

    def __post_init__(self) -> None:
        if self.model is None or self.repo_id is None:
            raise ValueError("expected --model USER/NAME and --repo_id USER/NAME")
        if self.gated is not None:
            raise ValueError(f"--gated {self.gated}: a Space cannot be gated, only private. Leave the flag out")


COMMANDS = {"dataset": PushDatasetArguments, "model": PushModelArguments, "demo": PushDemoArguments}


def parse_push_arguments(description: str) -> PushDatasetArguments | PushModelArguments | PushDemoArguments:
    """The options of `push_to_hub.py dataset ...`, `push_to_hub.py model ...` or `push_to_hub.py demo ...`."""
    command = sys.argv[1] if len(sys.argv) > 1 else None
    if command in ("--help", "-h"):
        print(f"{description}\nAll flags: " + ", ".join(f"push_to_hub.py {name} --help" for name in COMMANDS))
        raise SystemExit(0)
    if command not in COMMANDS:
        raise SystemExit(
            "error: expected `push_to_hub.py dataset ...`, `push_to_hub.py model ...` or `push_to_hub.py demo ...` "
            "(--help after it)"
        )
    (options,) = parse_arguments((COMMANDS[command],), sys.argv[2:])
    return options
