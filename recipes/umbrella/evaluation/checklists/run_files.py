"""The files that a run and its data have left, each read once, for whoever reports on the run."""

import hashlib
from dataclasses import dataclass, field, replace
from pathlib import Path

from datasets import DatasetDict
from huggingface_hub import ModelCard
from yaml import YAMLError

from umbrella.evaluation.run_folder import Folder
from umbrella.files.json_files import RESTORE, read_json
from umbrella.models.files import find_model_file, find_model_folder
from umbrella.models.hub_names import name_on_hub
from umbrella.options.arguments import BUILT
from umbrella.records.cohort import Exclusion, find_cohort_folder, read_exclusions, read_splits
from umbrella.records.evaluations import read_metrics, read_settings
from umbrella.records.run import FILE_NAME as RUN_RECORD
from umbrella.records.run import hash_splits_file, read_run_record

STATE, CONFIG, CARD, ANSWERS = "trainer_state.json", "config.json", "README.md", "predictions.jsonl"
STATE_REMEDY = "Restore the file, or remove it: the report is then without the course of training"
CHOICE = (
    "best_model_checkpoint",
    "best_metric",
    "global_step",
)  # what trainer_state.json says of the choice of weights


@dataclass(frozen=True)
class RunFiles:
    """What is there; None of a file that is not.

    process    of this evaluation, see `umbrella.records.run.describe_process`
    starts     of run.json, the first one first
    card       the model's own, its metadata as a dict
    model      its name on the Hub and the commit
    is_held_out  whether the data are the site that was held out of the division in splits.json
    metrics, settings, answers  what the evaluation has come to; of predictions.jsonl sha256 and lines
    """

    splits: DatasetDict
    process: dict
    starts: list[dict]
    state: dict | None
    config: dict | None
    card: dict | None
    model: dict | None
    exclusions: list[Exclusion] | None
    splits_file: dict | None
    splits_sha256: str | None
    is_held_out: bool
    n_cohorts: int = 1  # data folders; of several neither exclusions nor splits are read
    metrics: dict = field(default_factory=dict)
    settings: dict = field(default_factory=dict)
    answers: dict | None = None

    def add_results(self, folder: Path) -> "RunFiles":
        """The same with what an evaluation has written into its folder."""
        answers = _describe_answers(Folder(folder).predictions)
        return replace(self, metrics=read_metrics(folder), settings=read_settings(folder), answers=answers)


def read_run_files(
    model: str, json_dir: str | None, splits: DatasetDict, process: dict, n_cohorts: int = 1
) -> RunFiles:
    """Read what lies beside an evaluation's model and beside its data, before anything is asked.

    Raises ValueError, naming the file, for one that is not what its name says.
    """
    cohort = find_cohort_folder(json_dir) if json_dir else None
    record = _find(model, RUN_RECORD)
    return RunFiles(
        splits=splits,
        process=process,
        starts=read_run_record(record.parent) if record else [],
        state=_read(model, STATE, (*CHOICE, "log_history"), STATE_REMEDY),
        config=_read(model, CONFIG),
        card=_read_card(_find(model, CARD)),
        model=_name_model(model),
        exclusions=read_exclusions(cohort) if cohort else None,
        splits_file=read_splits(cohort) if cohort else None,
        splits_sha256=hash_splits_file(str(cohort)) if cohort else None,
        is_held_out=json_dir is not None and cohort != Path(json_dir).expanduser(),
        n_cohorts=n_cohorts,
    )


def _find(model: str, name: str) -> Path | None:
    return None if model in BUILT else find_model_file(model, name)


def _read(model: str, name: str, keys: tuple[str, ...] = (), remedy: str = RESTORE) -> dict | None:
    path = _find(model, name)
    return read_json(path, dict, keys, remedy) if path else None


def _read_card(path: Path | None) -> dict | None:
    """A card's metadata; none of a card that is not what the Hub reads: nothing but the page depends on it."""
    try:
        return ModelCard.load(path, ignore_metadata_errors=True).data.to_dict() if path else None
    except (ValueError, YAMLError):
        return {}


def _name_model(model: str) -> dict | None:
    name = None if model in BUILT else name_on_hub(model)
    folder = find_model_folder(model) if name else None
    return {"name": name, "revision": folder.name if folder else None} if name else None


def _describe_answers(path: Path) -> dict | None:
    if not path.is_file():
        return None
    data = path.read_bytes()
    return {"sha256": hashlib.sha256(data).hexdigest(), "lines": len(data.splitlines())}
