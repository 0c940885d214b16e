"""Scans in shards."""

from dataclasses import dataclass, field


@dataclass
class ShardFlags:
    """Where packed scans are."""

    scan_shards: str | None = field(
        default=None,
        metadata={
            "help": "folder of shards that pack_scans.py has written of these scans, which are then read from there; "
            "any other is read from its own file"
        },
    )
