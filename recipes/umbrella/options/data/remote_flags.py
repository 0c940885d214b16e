"""Flags of scans that lie in object stores. Keys have none: they come from the environment alone."""

from dataclasses import dataclass, field


@dataclass
class RemoteFlags:
    """Which addresses may be read, and where their copies lie."""

    remote_roots: list[str] | None = field(
        default=None,
        metadata={
            "help": "beginnings of addresses that scans may have, as s3://bucket/study gs://bucket https://host/data "
            "hf://datasets/owner/name; keys come from the environment alone (default: none, and no request is made)"
        },
    )
    scan_copies: str | None = field(
        default=None,
        metadata={"help": "folder that keeps copies of such scans on this machine (default: HF_HOME/umbrella_scans)"},
    )
    scan_copies_gb: float = field(
        default=50.0, metadata={"help": "its size in 10⁹ bytes; the least recently used go out first"}
    )
    remote_patience: float = field(
        default=120.0, metadata={"help": "seconds for which a store that gives no answer is asked again"}
    )
