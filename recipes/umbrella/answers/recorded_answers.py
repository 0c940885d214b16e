"""How a model's answers are read, as it was recorded: by its training, else by an evaluation of its weights."""

from pathlib import Path
from typing import Any

from umbrella.answers.numbers import OF_DECIMAL
from umbrella.answers.reading import OTHER_SIGNS
from umbrella.records.evaluations import SETTINGS, find_evaluations, read_settings
from umbrella.records.trained_questions import FILE_NAME, TrainedQuestions


def find_recorded_answers(trained: TrainedQuestions | None, model: str) -> tuple[dict[str, Any] | None, str]:
    """(what is recorded, where), as `TrainedQuestions.answers` has it; or (None, why nothing is known).

    trained  the record beside the model, None where it has none
    """
    if trained is not None and trained.answers is not None:
        return trained.answers, f"{FILE_NAME} ({trained.answers_told})"
    why = f"{FILE_NAME}: {trained.answers_told}" if trained is not None else f"there is no {FILE_NAME} beside {model}"
    if not Path(model).is_dir():
        return None, why
    for folder in find_evaluations(Path(model), Path(model), say=lambda _: None):
        settings = read_settings(folder)
        where = f"{folder.name}/{SETTINGS}, as it was evaluated ({why})"
        if settings.get("task") == "classification" and {"labels", "forms", "answer_template"} <= settings.keys():
            return settings, where
        if settings.get("task") == "regression":
            signs = {str(signs): vars(signs) for signs in (*OTHER_SIGNS, *OF_DECIMAL.values())}
            if settings.get("signs_of_answers") in signs:
                of_number = signs[settings["signs_of_answers"]]
                return {"task": "regression", "unit": settings.get("unit"), **of_number}, where
    return None, f"how they are read is not known ({why}; no evaluation of these weights beside it says so)"
