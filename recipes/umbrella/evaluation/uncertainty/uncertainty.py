"""How far a model's own sureness can be used: to abstain, as probabilities, as sets or intervals that hold the truth.

What is fitted is fitted on the validation split, and judged on the evaluated rows.
"""

from dataclasses import dataclass

from umbrella.evaluation.asking import Asker
from umbrella.evaluation.questions import Classification, FreeText
from umbrella.evaluation.results import subjects_of_rows
from umbrella.evaluation.uncertainty.abstaining import describe_abstention, describe_order
from umbrella.evaluation.uncertainty.calibration_rows import CalibrationRows
from umbrella.evaluation.uncertainty.holding_sets import describe_sets
from umbrella.evaluation.uncertainty.label_answers import LabelAnswers
from umbrella.evaluation.uncertainty.number_intervals import NumberAnswers, describe_intervals
from umbrella.evaluation.uncertainty.tempering import describe_temperature
from umbrella.options.arguments import EvalArguments


@dataclass(frozen=True)
class Answered:
    """Lines of predictions.jsonl and whom each is about."""

    records: list[dict]
    subjects: list[str]


def gather_uncertainty(
    asker: Asker, asked: EvalArguments, records: list[dict], subjects: list[str], calibration: CalibrationRows
) -> dict | None:
    """The entry of --uncertainty; None where it was not asked for. Asks the model the validation rows."""
    question, evaluated = asker.question, Answered(records, subjects)
    if not asked.uncertainty:
        return None
    if isinstance(question, FreeText):
        return {"sentences": ["Of free text it is not known how sure the model is: no label has a probability."]}
    held = None
    for split, rows in calibration.by_split.items():
        held = Answered(asker.ask_split(rows, split, calibration.drawn_from), subjects_of_rows(rows))
    if isinstance(question, Classification):
        parts = describe_labels(question.labels, evaluated, held, asked)
    else:
        parts = describe_numbers(question.reading.unit, evaluated, held, asked)
    sentences = [sentence for part in parts.values() for sentence in part["sentences"]]
    counts = (len(held.records), len(set(held.subjects))) if held else (0, 0)
    return {
        "sentences": [*sentences, *calibration.notes],
        "limits": [*list_limits(parts), *(note for note in calibration.notes if note.startswith("WARNING"))],
        "validation": {"n": counts[0], "n_subjects": counts[1], "notes": list(calibration.notes)},
        **parts,
    }


def list_limits(parts: dict) -> list[str]:
    """The sentences that speak against the model: where its sureness does not surely tell right from wrong, where a
    threshold is not surely kept, where sets and intervals hold less than promised."""
    weak = {
        "order": {"misleads", "cannot tell"},
        "abstention": {"not kept", "cannot tell", "no threshold"},
        "sets": {"less"},
        "intervals": {"less"},
    }
    return [parts[name]["sentences"][0] for name, of in weak.items() if parts.get(name, {}).get("outcome") in of]


def describe_labels(labels: list[str], evaluated: Answered, held: Answered | None, asked: EvalArguments) -> dict:
    """Parts of the entry, each with its sentences. `held`: the validation rows; None where nothing can be fitted."""
    answers = LabelAnswers.of_records(evaluated.records, evaluated.subjects, labels)
    fitted_on = None if held is None else LabelAnswers.of_records(held.records, held.subjects, labels)
    return {
        "order": describe_order(answers, asked.bootstrap, asked.seed),
        "abstention": describe_abstention(answers, fitted_on, asked.abstain_at),
        "temperature": describe_temperature(answers, fitted_on, asked.bootstrap, asked.seed),
        "sets": describe_sets(answers, fitted_on, asked.conformal_level),
    }


def describe_numbers(unit: str | None, evaluated: Answered, held: Answered | None, asked: EvalArguments) -> dict:
    """As `describe_labels`, of answers that are numbers."""
    answers = NumberAnswers.of_records(evaluated.records, evaluated.subjects, unit)
    fitted_on = None if held is None else NumberAnswers.of_records(held.records, held.subjects, unit)
    return {"intervals": describe_intervals(answers, fitted_on, asked.conformal_level)}
