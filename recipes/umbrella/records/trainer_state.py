"""trainer_state.json: the course of a run, as the Trainer keeps it beside a model."""

from pathlib import Path

from umbrella.files.json_files import read_json

FILE_NAME = "trainer_state.json"
NAMES = ("best_model_checkpoint", "best_metric", "global_step", "log_history")
REMEDY = "Restore the file, or remove it: the report is then without the course of training"


def read_trainer_state(folder: Path) -> dict | None:
    """What the Trainer kept of the run; None of a model that it did not train. Raises ValueError, naming the file."""
    path = folder / FILE_NAME
    return read_json(path, dict, NAMES, REMEDY) if path.is_file() else None


def name_best_checkpoint(state: dict | None) -> str | None:
    """The checkpoint that was chosen by its results on the validation split; None where none was."""
    best = None if state is None else state["best_model_checkpoint"]
    return None if best is None else Path(best).name
