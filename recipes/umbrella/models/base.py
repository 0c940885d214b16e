"""base_model.json: the model that a checkpoint of trained weights or adapters stands on.

A checkpoint in which most weights are the base's holds only the others: `trained_weights.safetensors`, or PEFT's
`adapter_model.safetensors`. The base's name, its revision or the fingerprint of its files say what they belong to.
"""

import hashlib
from dataclasses import asdict, dataclass
from pathlib import Path

from umbrella.files.json_files import build_record, read_json, show_json, write_json
from umbrella.models.files import find_model_file, find_model_folder, fingerprint_weights
from umbrella.options.arguments import BUILT

FILE_NAME = "base_model.json"
SAMPLED_BYTES = 1024**2
SIGNS = ("weights_sha256", "sampled_sha256", "seed")


@dataclass(frozen=True)
class BaseModel:
    """Which model the frozen weights are.

    name            what was given as --model_name_or_path: a folder, a name of the Hub or "tiny"
    revision        the commit of a model of the Hub
    weights_sha256  of the weight files where they are on this machine, see `fingerprint_weights`
    seed            of the weights of "tiny"
    sampled_sha256  what older records have under "sha256", see `_sample_weights`; never saved: it can tell that two
                    models differ, not that they are one
    """

    name: str
    revision: str | None = None
    weights_sha256: str | None = None
    seed: int | None = None
    sampled_sha256: str | None = None

    def to_dict(self) -> dict:
        """What is recorded."""
        return {name: value for name, value in asdict(self).items() if name != "sampled_sha256"}

    def save(self, folder: str | Path) -> None:
        """Write the record beside a checkpoint's weights."""
        write_json(Path(folder) / FILE_NAME, self.to_dict(), indent=2)

    def check(self, other: "BaseModel", checkpoint: str) -> None:
        """Raise ValueError where `other`, the base at hand, is not this one, which `checkpoint` was trained on.

        One commit of the Hub is one model; a copy in another place has the same weights. Of a record that has no
        fingerprint of whole files, the parts that it has are compared.
        """
        if self.revision is not None and self.revision == other.revision:
            return
        both = [name for name in SIGNS if None not in (getattr(self, name), getattr(other, name))]
        for name in both[:1] or ("revision", *SIGNS):
            expected, found = getattr(self, name), getattr(other, name)
            if expected != found:
                raise ValueError(
                    f"{checkpoint}: expected the base model that it was trained on, {self.name!r} with {name} "
                    f"{expected}; found {other.name!r} with {name} {found}. Its weights mean nothing on another base: "
                    "restore the base, or export the whole model where it still is (recipes/export.py)."
                )


def describe_base(name: str, seed: int | None = None, revision: str | None = None) -> BaseModel:
    """The record of a model by its name, which is loaded or about to be; of the Hub's at `revision` or the newest."""
    if name in BUILT:
        return BaseModel(name, seed=seed)
    folder = find_model_folder(name, revision)
    if folder is None:
        return BaseModel(name)
    commit = None if Path(name).expanduser().is_dir() else folder.name  # .../snapshots/COMMIT
    return BaseModel(name, commit, fingerprint_weights(folder), sampled_sha256=_sample_weights(folder))


def read_base(model_name_or_path: str | Path) -> BaseModel | None:
    """The record beside a checkpoint, in a folder or on the Hub; None for a whole model. Raises ValueError for a file
    that is no such record."""
    path = find_model_file(model_name_or_path, FILE_NAME)
    if path is None:
        return None
    remedy = "Copy it from another checkpoint of the run, which has the same"
    record = read_json(path, dict, ("name",), remedy)
    if "sha256" in record:
        record["sampled_sha256"] = record.pop("sha256")
    base = build_record(path, lambda: BaseModel(**record), remedy)
    if not all(
        isinstance(value, int if name == "seed" else str) for name, value in record.items() if value is not None
    ):
        raise ValueError(f"{path}: expected texts, and seed as a number, found {show_json(record)}. {remedy}")
    return base


def _sample_weights(folder: Path) -> str | None:
    """The fingerprint that records had before they had one of whole files: sha256 of names, sizes and first and last
    megabyte."""
    files = sorted(folder.glob("*.safetensors"))
    digest = hashlib.sha256()
    for path in files:
        size = path.stat().st_size
        digest.update(f"{path.name} {size}".encode())
        with open(path, "rb") as file:
            digest.update(file.read(SAMPLED_BYTES))
            file.seek(max(0, size - SAMPLED_BYTES))
            digest.update(file.read())
    return digest.hexdigest() if files else None
