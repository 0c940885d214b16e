"""base_model.json: the model that a checkpoint of trained weights or adapters stands on.

A checkpoint in which most weights are the base's holds only the others: `trained_weights.safetensors`, or PEFT's
`adapter_model.safetensors`. The base's name, its revision or the fingerprint of its files say what they belong to.
"""

import json
from dataclasses import asdict, dataclass
from pathlib import Path

from umbrella.model_files import find_model_file, fingerprint_model

FILE_NAME = "base_model.json"


@dataclass(frozen=True)
class BaseModel:
    """Which model the frozen weights are.

    name      what was given as --model_name_or_path: a folder, a name of the Hub or "tiny"
    revision  the commit of a model of the Hub
    sha256    of the weight files where they are on this machine, see `fingerprint_model`
    seed      of the weights of "tiny"
    """

    name: str
    revision: str | None = None
    sha256: str | None = None
    seed: int | None = None

    def save(self, folder: str | Path) -> None:
        """Write the record beside a checkpoint's weights."""
        (Path(folder) / FILE_NAME).write_text(json.dumps(asdict(self), indent=2) + "\n", encoding="utf-8")

    def check(self, other: "BaseModel", checkpoint: str) -> None:
        """Raise ValueError where `other`, the base at hand, is not this one, which `checkpoint` was trained on.

        One commit of the Hub is one model; a copy in another place has the same weights.
        """
        if self.revision is not None and self.revision == other.revision:
            return
        both = [name for name in ("sha256", "seed") if None not in (getattr(self, name), getattr(other, name))]
        for name in both or ("revision", "sha256", "seed"):
            expected, found = getattr(self, name), getattr(other, name)
            if expected != found:
                raise ValueError(
                    f"{checkpoint}: expected the base model that it was trained on, {self.name!r} with {name} "
                    f"{expected}; found {other.name!r} with {name} {found}. Its weights mean nothing on another base: "
                    "restore the base, or export the whole model where it still is (recipes/export.py)."
                )


def describe_base(name: str, seed: int | None = None, revision: str | None = None) -> BaseModel:
    """The record of a model by its name, which is loaded or about to be; of the Hub's at `revision` or the newest."""
    if name == "tiny":
        return BaseModel(name, seed=seed)
    if Path(name).expanduser().is_dir():
        return BaseModel(name, sha256=fingerprint_model(str(Path(name).expanduser())))
    config = find_model_file(name, "config.json", revision)
    if config is None:
        return BaseModel(name)
    snapshot = config.parent  # .../snapshots/COMMIT
    sha256 = fingerprint_model(str(snapshot)) if list(snapshot.glob("*.safetensors")) else None
    return BaseModel(name, revision=snapshot.name, sha256=sha256)


def read_base(model_name_or_path: str | Path) -> BaseModel | None:
    """The record beside a checkpoint, in a folder or on the Hub; None for a whole model."""
    path = find_model_file(model_name_or_path, FILE_NAME)
    return BaseModel(**json.loads(path.read_text(encoding="utf-8"))) if path else None
