"""training_data.json: what a model has seen, so that evaluation can refuse to test it on the same subjects.

It lies beside every model and in every checkpoint, and names all subjects that these weights were ever trained on: in
the run itself, in those that it was resumed from and in those of the model that it started from. Where one of these
models has no such record, that is recorded too: what it has seen is not known.

Subjects are stored as salted hashes, never by their ids. The salt stands in the same file (evaluation needs it), so a
hash keeps an id from being read, not from being tried: who can guess an id can check it.
"""

import hashlib
import hmac
import json
import secrets
from collections.abc import Iterable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pyarrow.compute as pc
from datasets import Dataset

from umbrella.files.arrow_tables import read_column, read_field, read_tables
from umbrella.files.file_hashes import hash_file
from umbrella.files.json_files import build_record, read_json, write_json
from umbrella.models.base import BaseModel, describe_base, read_base
from umbrella.models.files import find_model_file
from umbrella.options.arguments import BUILT
from umbrella.records.run import fingerprint

FILE_NAME = "training_data.json"
VERSION = 2
REMEDY = "Restore the file, or remove it: nothing is then known of what the model has seen"
OLDER_KEYS = {"rows", "modalities", "salt", "subject_sha256"}


@dataclass(frozen=True)
class SeenRows:
    """The rows of one start of training.

    rows_sha256     see `umbrella.records.run.fingerprint`; None in records that older versions wrote
    salt            of the hashes; None where they can be compared by nobody but the publisher of the model
    subject_sha256  of all subjects of the rows, references included
    without_subject  how many of the rows name no subject; None in records that older versions wrote
    own_id_sha256    where ids were made a cohort's own, NAME/id: of the ids themselves, and of each NAME/
    """

    rows: int
    modalities: tuple[str, ...]
    subject_sha256: tuple[str, ...]
    salt: str | None
    rows_sha256: str | None = None
    without_subject: int | None = None
    own_id_sha256: tuple[str, ...] = ()


@dataclass(frozen=True)
class TrainingData:
    """What a model has seen.

    seen    the rows of each start, the first one first
    models  those that it came from, the nearest first: what `BaseModel.to_dict` gives, and "recorded": whether it is
            known what that model itself was trained on
    """

    seen: tuple[SeenRows, ...] = ()
    models: tuple[dict, ...] = ()

    @property
    def unknown(self) -> list[str]:
        """The names of the models of which it is not known what they were trained on."""
        return list(dict.fromkeys(model["name"] for model in self.models if not model["recorded"]))

    @property
    def hidden(self) -> bool:
        """Whether some subjects are recorded so that nobody can compare them here."""
        return any(rows.salt is None for rows in self.seen)

    @property
    def modalities(self) -> set[str]:
        return {modality for rows in self.seen for modality in rows.modalities}

    def count_comparable(self) -> int:
        """How many subjects are recorded so that they can be found. Starts of one lineage share a salt; who was
        recorded under two counts twice."""
        return len({(rows.salt, text) for rows in self.seen for text in rows.subject_sha256 if rows.salt})

    def find_overlap(self, subjects: Iterable[str]) -> list[str]:
        """Those of the subjects that are recorded. NAME/id of a cohort whose name is not recorded is looked for as
        the id, too: the same cohort may have been called otherwise."""
        salted = [
            (rows.salt, {*rows.subject_sha256, *rows.own_id_sha256}) for rows in self.seen if rows.salt is not None
        ]
        return sorted(one for one in set(subjects) if any(_is_among(one, salt, known) for salt, known in salted))

    def find_hub_model(self) -> str | None:
        """The nearest model of the Hub that it came from; None where it came from none."""
        return next((model["name"] for model in self.models if model.get("revision")), None)

    def add_rows(self, rows: Dataset, sha256: str | None = None) -> "TrainingData":
        """What it will have seen after training on these rows; the same where it ended with just these.

        sha256  the fingerprint of the rows, where it is known already
        """
        subjects, sha256 = subjects_of(rows), sha256 or fingerprint(rows)
        last = self.seen[-1] if self.seen else None
        if last and last.rows_sha256 == sha256 and set(TrainingData((last,)).find_overlap(subjects)) == subjects:
            return self
        salt = next((before.salt for before in self.seen if before.salt), None) or secrets.token_hex(16)
        modalities = tuple(sorted(modalities_of(rows)))
        hashes = tuple(sorted(hash_subject(salt, subject) for subject in subjects))
        own_ids = tuple(sorted(hash_subject(salt, one) for one in _find_own_ids(rows)))
        started = SeenRows(len(rows), modalities, hashes, salt, sha256, count_without_subject(rows), own_ids)
        return replace(self, seen=(*self.seen, started))

    def join(self, other: "TrainingData") -> "TrainingData":
        """What either has seen."""
        seen, models = dict.fromkeys((*self.seen, *other.seen)), []
        for model in (*self.models, *other.models):
            models += [model] if model not in models else []
        return TrainingData(tuple(seen), tuple(models))

    def hide(self, key: bytes) -> "TrainingData":
        """The same with hashes that only who has the key, and this record, can compare."""
        return replace(self, seen=tuple(_seal(rows, key) for rows in self.seen))

    def save(self, folder: str | Path) -> None:
        """Write it beside a model."""
        write_json(Path(folder) / FILE_NAME, self.to_dict())

    def to_dict(self) -> dict:
        return {"version": VERSION, "models": list(self.models), "seen": [vars(rows) for rows in self.seen]}


def subjects_of(rows: Dataset) -> set[str]:
    """All subjects of the rows, references included."""
    named: set[str] = set()
    for table in read_tables(rows, ["subject_ids", "metadata"]):
        metadata = read_column(table, "metadata")
        named.update(read_column(table, "subject_ids").flatten().to_pylist())
        named.update(*(read_field(metadata, name).to_pylist() for name in ("subject_id", "reference_id")))
    return named - {None}


def _find_own_ids(rows: Dataset) -> set[str]:
    """Of ids that were made a cohort's own (`umbrella.rows.cohort_subjects`), the ids themselves and NAME/."""
    plain = rows.with_format(None)
    found: set[str] = set()
    if not len(rows) or not (plain[0]["metadata"].get("extra") or "").startswith('{"cohort": '):
        return found  # of one folder
    for task_id, ids, entry in zip(plain["task_id"], plain["subject_ids"], plain["metadata"], strict=True):
        start = f"{task_id.partition('/')[0]}/"
        own = {one for one in (*ids, entry["subject_id"], entry["reference_id"]) if one and one.startswith(start)}
        found |= {one.removeprefix(start) for one in own} | ({start} if own else set())
    return found


def _is_among(subject: str, salt: str, known: set[str]) -> bool:
    if hash_subject(salt, subject) in known:
        return True
    name, _, own = subject.partition("/")
    return bool(own) and hash_subject(salt, f"{name}/") not in known and hash_subject(salt, own) in known


def count_without_subject(rows: Dataset) -> int:
    """How many of the rows do not say whom they are about."""
    count = 0
    for table in read_tables(rows, ["subject_ids", "metadata"]):
        has_none = pc.equal(pc.fill_null(pc.list_value_length(read_column(table, "subject_ids")), 0), 0)
        nameless = read_field(read_column(table, "metadata"), "subject_id").is_null()
        count += pc.sum(pc.and_(has_none, nameless)).as_py()
    return count


def modalities_of(rows: Dataset) -> set[str]:
    """The modalities of all scans of the rows."""
    found: set[str] = set()
    for table in read_tables(rows, ["modalities"]):
        found.update(read_column(table, "modalities").flatten().unique().to_pylist())
    return found


def read_training_data(model_name_or_path: str | Path) -> TrainingData:
    """What a model has seen: by the record in its own folder, or on the Hub. "tiny" has seen nothing.

    Of a model without a record, what its base has seen is known at most; the folder above a checkpoint is not looked
    at, since it may be of another run. Records of older versions name the last start alone.
    Raises ValueError for a file that is no such record.
    """
    name = str(model_name_or_path)
    if name in BUILT:
        return TrainingData()
    path = find_model_file(name, FILE_NAME)
    record = {} if path is None else read_json(path, remedy=REMEDY)
    if path is not None and not _is_record(record):
        raise ValueError(
            f"{path}: expected a record of version {VERSION} or older, found {json.dumps(record)[:80]}. Use the "
            f"version of Umbrella that wrote it. {REMEDY}"
        )
    if "version" in record:
        return build_record(
            path, lambda: TrainingData(tuple(map(_to_rows, record["seen"])), tuple(record["models"])), REMEDY
        )
    rows = build_record(path, lambda: (_to_rows(record),), REMEDY) if record else ()
    own = TrainingData(rows, ({"name": name, "recorded": False},))
    base = read_base(name)
    return own.join(_start_from_base(base)) if base else own


def start_from(model_name_or_path: str, seed: int | None = None) -> TrainingData:
    """What weights have seen that start as those of this model: what it has, and that they came from it."""
    before = read_training_data(model_name_or_path)
    model = describe_base(model_name_or_path, seed).to_dict()
    recorded = model_name_or_path not in before.unknown
    others = tuple(one for one in before.models if one["name"] != model_name_or_path)
    return replace(before, models=({**model, "recorded": recorded}, *others))


def start_from_file(path: str | Path) -> TrainingData:
    """What weights have seen that start as those of a file of another program: it is not known."""
    model = {"name": Path(path).name, "weights_sha256": hash_file(path), "recorded": False}
    return TrainingData((), (model,))


def _start_from_base(base: BaseModel) -> TrainingData:
    """`start_from`, and "not known" of a folder that is no longer where it lay in training."""
    if base.name in BUILT or base.revision is not None or Path(base.name).expanduser().is_dir():
        return start_from(base.name, base.seed)
    return TrainingData((), ({**base.to_dict(), "recorded": False},))


def describe_copy(model_name_or_path: str) -> TrainingData:
    """What the same weights have seen in another place: an export, a publication."""
    seen = read_training_data(model_name_or_path)
    return start_from(model_name_or_path) if model_name_or_path in seen.unknown else seen


def _is_record(value: Any) -> bool:
    """Whether a JSON value is what `TrainingData.save` writes, or what older versions did."""
    if not isinstance(value, dict) or "version" not in value:
        return _is_of_rows(value)
    seen, models = value.get("seen"), value.get("models")
    return (
        value["version"] == VERSION
        and isinstance(seen, list)
        and isinstance(models, list)
        and all(map(_is_of_rows, seen))
        and all(isinstance(model, dict) and model.keys() >= {"name", "recorded"} for model in models)
    )


def _is_of_rows(value: Any) -> bool:
    lists = ("modalities", "subject_sha256")
    return (
        isinstance(value, dict)
        and value.keys() >= OLDER_KEYS
        and all(isinstance(value[name], list) and all(isinstance(one, str) for one in value[name]) for name in lists)
        and isinstance(value["salt"], str | None)
    )


def _to_rows(record: dict) -> SeenRows:
    names = ("rows", "modalities", "subject_sha256", "salt", "rows_sha256", "without_subject")
    lists = {name: tuple(record[name]) for name in ("modalities", "subject_sha256")}
    lists["own_id_sha256"] = tuple(record.get("own_id_sha256", ()))
    return SeenRows(**{name: record.get(name) for name in names} | lists)


def _seal(rows: SeenRows, key: bytes) -> SeenRows:
    def seal(hashes: tuple[str, ...]) -> tuple[str, ...]:
        return tuple(sorted(hmac.new(key, text.encode(), hashlib.sha256).hexdigest() for text in hashes))

    sealed, own = seal(rows.subject_sha256), seal(rows.own_id_sha256)
    return replace(rows, salt=None, subject_sha256=sealed, own_id_sha256=own)


def hash_subject(salt: str, subject: str) -> str:
    """How a subject is recorded."""
    return hashlib.sha256(f"{salt}{subject}".encode()).hexdigest()
