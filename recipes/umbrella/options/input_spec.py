"""What an encoder was trained on, as a YAML file states it: recipes/configs/encoders/ has those of published ones."""

from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

from umbrella.files.yaml_files import read_yaml


@dataclass(frozen=True)
class InputSpec:
    """An encoder, how it is built, and what its volumes were like. None: not stated, the defaults hold.

    name            for a reader
    vision_tower    as --vision_tower takes it; None where its architecture is not built here, as `not_built` says
    options         of the encoder, see `umbrella.models.volumes.dense.DenseTowerConfig`
    size, spacing   voxels of its volumes along X, Y, Z, as "160x192x160", and their mm, as "1" or "1x1x4"
    orientation     where its axes run to, slowest first, see `umbrella.models.volumes.axes`
    channels        of its input, all of which hold the same volume
    intensity       see `umbrella.views.intensity_steps`
    skull_stripped  true, false, or None: both
    one_volume      whether a series is refused
    key_map, ignored  of its published weights, see `umbrella.models.building.weight_loading`
    licence, source, download, checked, notes  for a reader: of the weights; the code; what to download from where;
                    what of this was read in the code; what differs here, and what is not known
    """

    name: str
    vision_tower: str | None = None
    not_built: str | None = None
    options: dict[str, Any] | None = None
    size: str | None = None
    spacing: str | None = None
    orientation: str | None = None
    channels: int | None = None
    intensity: str | None = None
    skull_stripped: bool | None = None
    one_volume: bool | None = None
    key_map: dict[str, str] | None = None
    ignored: list[str] | None = None
    licence: str | None = None
    source: str | None = None
    download: str | None = None
    checked: str | None = None
    notes: list[str] | None = None

    @property
    def expects(self) -> str:
        """In the words of `umbrella.views.expectations`."""
        words = ["one_volume"] if self.one_volume else []
        words += ["field"] if self.size and self.spacing else []
        words += {True: ["stripped"], False: ["skull"], None: []}[self.skull_stripped]
        return ",".join(words) or "none"

    def describe(self) -> list[str]:
        """What a reader should know, a line each."""
        of_weights = f"{self.name}: licence {self.licence or 'not stated'}, {self.source or 'no source stated'}"
        return [of_weights, *(f"{self.name}: {note}" for note in self.notes or ())]


KINDS: dict[str, type] = {
    "options": dict,
    "channels": int,
    "skull_stripped": bool,
    "one_volume": bool,
    "key_map": dict,
    "ignored": list,
    "notes": list,
}
TYPED = ("options", "channels", "skull_stripped", "one_volume")  # of the others all scalars are texts
WORDS = {dict: "a mapping", list: "a list", int: "a whole number", bool: "true or false", str: "a text"}


def read_input_spec(path: str | Path) -> InputSpec:
    """Raises ValueError, which names the file, for keys that a spec does not have and for values of another kind;
    FileNotFoundError where there is none."""
    path = Path(path)
    if not path.is_file():
        raise FileNotFoundError(f"--input_spec {path}: expected a file, found none")
    found = read_yaml(path)
    if not isinstance(found, dict):
        raise ValueError(f"{path}: expected a mapping with name and vision_tower, found {type(found).__name__}")
    known = [field.name for field in fields(InputSpec)]
    if unknown := [key for key in found if key not in known]:
        raise ValueError(f"{path}: expected keys out of {', '.join(known)}, found {', '.join(unknown)}")
    values = {}
    for key, text in found.items():
        kind = KINDS.get(key, str)
        values[key] = value = to_value(text) if key in TYPED or text in ("", "null") else text
        if type(value) is not kind and (value is not None or key == "name"):
            raise ValueError(f"{path}: {key}: expected {WORDS[kind]}, found {text!r}")
    spec = InputSpec(**{"name": path.stem} | values)
    if (spec.vision_tower is None) == (spec.not_built is None):
        raise ValueError(
            f"{path}: expected vision_tower, or not_built with the reason why there is none, found "
            + ("both" if spec.vision_tower else "neither")
        )
    return spec


def to_value(found: Any) -> Any:
    """A YAML value, whose scalars are texts, with numbers, true, false and null as such."""
    if isinstance(found, dict):
        return {key: to_value(value) for key, value in found.items()}
    if isinstance(found, list):
        return [to_value(value) for value in found]
    plain = {"true": True, "false": False, "null": None, "": None}
    if found in plain:
        return plain[found]
    for kind in (int, float):
        try:
            return kind(found)
        except ValueError:
            continue
    return found
