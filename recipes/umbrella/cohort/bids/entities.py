"""The entities of BIDS file names (task-rest, run-01): their long and short names, and which values are alike."""

from collections.abc import Iterable
from typing import NamedTuple

# BIDS 1.11: src/schema/objects/entities.yaml.
SHORT_NAMES = {
    "acquisition": "acq",
    "atlas": "atlas",
    "ceagent": "ce",
    "chunk": "chunk",
    "cohort": "cohort",
    "density": "den",
    "description": "desc",
    "direction": "dir",
    "echo": "echo",
    "flip": "flip",
    "hemisphere": "hemi",
    "inversion": "inv",
    "label": "label",
    "modality": "mod",
    "mtransfer": "mt",
    "nucleus": "nuc",
    "part": "part",
    "processing": "proc",
    "reconstruction": "rec",
    "recording": "recording",
    "resolution": "res",
    "run": "run",
    "sample": "sample",
    "scale": "scale",
    "segmentation": "seg",
    "session": "ses",
    "space": "space",
    "split": "split",
    "stain": "stain",
    "subject": "sub",
    "task": "task",
    "template": "tpl",
    "tracer": "trc",
    "tracksys": "tracksys",
    "volume": "voi",
}
INDICES = frozenset({"chunk", "echo", "flip", "inv", "run", "split"})  # their values are numbers: 1 is 01


class Condition(NamedTuple):
    """What a scan's name must say, as `task=rest`, `fMRI:task=rest`, or `space=` for a name without the entity."""

    modality: str | None  # None: scans of all modalities
    entity: str  # its short name
    value: str  # "": the entity must not be there

    def __str__(self) -> str:
        return f"{f'{self.modality}:' if self.modality else ''}{self.entity}={self.value}"

    def fits(self, entities: dict[str, str]) -> bool:
        value = entities.get(self.entity, "")
        return normalise(self.entity, value) == normalise(self.entity, self.value)


def to_short_name(entity: str) -> str:
    """ "description" → "desc"; one that BIDS does not know stays."""
    return SHORT_NAMES.get(entity.lower(), entity)


def normalise(entity: str, value: str) -> str:
    """What two spellings of a value share: run-1 and run-01 are the same run, task-1 and task-01 two tasks."""
    return value.lstrip("0") or "0" if entity in INDICES and value.isdecimal() else value


def select_conditions(conditions: Iterable[Condition], modality: str) -> tuple[Condition, ...]:
    """Those for one modality, one an entity: what is said of it alone goes before what is said of all."""
    chosen = {condition.entity: condition for condition in conditions if condition.modality is None}
    chosen |= {condition.entity: condition for condition in conditions if condition.modality == modality}
    return tuple(chosen.values())
