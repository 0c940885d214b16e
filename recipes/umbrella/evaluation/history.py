"""evaluations.jsonl in a run's folder: every evaluation of its model.

So a report can say how often a test split was looked at: a number picked from many looks is no held-out number.
"""

from datetime import UTC, datetime
from pathlib import Path

from umbrella.evaluation.answer_file import AnswerFile
from umbrella.models.files import is_sampled

FILE_NAME = "evaluations.jsonl"


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
        + " Nothing here was chosen on it: an answer's tokens are the likeliest one by one, no threshold is fitted to "
        "it.",
    }
