"""evaluations.jsonl in a run's folder: every evaluation of its model.

So a report can say how often a test split was looked at: a number picked from many looks is no held-out number.
"""

from datetime import UTC, datetime
from pathlib import Path

from umbrella.evaluation.answer_file import AnswerFile
from umbrella.files.json_files import read_json
from umbrella.models.files import is_sampled

FILE_NAME = "evaluations.jsonl"
STATE = "trainer_state.json"  # of the Trainer, beside a model
NOTHING_CHOSEN = (
    " Nothing here was chosen on it: an answer's tokens are the likeliest one by one, no threshold is fitted to it."
)
REMEDY = "Restore the file, or remove it: it is then not known whether the checkpoint was chosen on the split"


def record_evaluation(folder: Path, settings: dict, answered: int, metrics: dict[str, dict]) -> dict:
    """Add this evaluation to the log in `folder`, unless it only repeated answers (answered is 0) that are in it.

    Returns {"count", "sentence"} for this split of these data.
    """
    file = AnswerFile(folder / FILE_NAME, frozenset(("split", "data", "model")))
    file.repair()
    key = {name: settings[name] for name in ("split", "data")}
    looked = {**key, "model": settings["model"]}
    if answered or not any({name: entry[name] for name in looked} == looked for entry in file.read()):
        results = {name: entry["value"] for name, entry in metrics.items()}
        now = datetime.now(UTC).isoformat(timespec="seconds")
        file.append([{"date": now, **key, "model": settings["model"], "answered": answered, "results": results}])
    same = [entry for entry in file.read() if {name: entry[name] for name in key} == key]
    older, newer = ({e["model"] for e in same if is_sampled(e["model"]) is old} for old in (True, False))
    models = max(len(older), len(newer))
    at_least = "at least " if older and newer else ""  # the two kinds cannot be compared
    times = "once" if len(same) == 1 else f"{len(same)} times"
    return {
        "count": len(same),
        "sentence": f"The {settings['split']} split was evaluated {times} by this run folder"
        + (f", with {at_least}{models} different checkpoints." if models > 1 else ".")
        + _say_choice(folder / STATE, settings["split"]),
    }


def _say_choice(state: Path, split: str) -> str:
    """What was chosen on the split. The Trainer chooses a checkpoint on the validation split."""
    if split == "validation":
        if not state.is_file():
            return " Whether the weights were chosen by their results on it is not known."
        if best := name_best_checkpoint(state):
            return f" {best} was chosen by its results on it: they are a little better than on new subjects."
    return NOTHING_CHOSEN


def name_best_checkpoint(state: Path) -> str | None:
    """The checkpoint that was chosen by its results on the validation split; None where none was, or nothing tells."""
    if not state.is_file():
        return None
    best = read_json(state, dict, ("best_model_checkpoint",), REMEDY)["best_model_checkpoint"]
    return None if best is None else Path(best).name
