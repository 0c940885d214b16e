"""Scans in shards."""

from dataclasses import dataclass, field


@dataclass
class ShardFlags:
    """Where packed scans are."""

    scan_shards: str | None = field(
        default=None,
        # Not "+": lists are torn at commas and spaces, which folders may have in their names.
        metadata={
            "help": "folder of shards that pack_scans.py has written of these scans, which are then read from there; "
            "any other is read from its own file. Of several data folders one for each, in their order: A B C",
            "nargs": "*",
        },
    )

    @property
    def shard_folders(self) -> list[str]:
        """The folders of shards. Raises ValueError where the flag names none."""
        folders = [self.scan_shards] if isinstance(self.scan_shards, str) else list(self.scan_shards or ())
        if self.scan_shards is not None and not all([folders, *folders]):
            raise ValueError("--scan_shards: expected a folder, or several with spaces between them, found none")
        return folders
