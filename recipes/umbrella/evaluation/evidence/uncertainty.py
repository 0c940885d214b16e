"""How far a model's own sureness can be used: to abstain, as probabilities, as sets or intervals that hold the truth.

What is fitted is fitted on the validation split, and judged on the evaluated rows.
"""

from typing import TYPE_CHECKING

from umbrella.evaluation.evidence.abstaining import describe_abstention, describe_order
from umbrella.evaluation.evidence.holding_sets import describe_sets
from umbrella.evaluation.evidence.label_answers import LabelAnswers
from umbrella.evaluation.evidence.number_intervals import NumberAnswers, describe_intervals
from umbrella.evaluation.evidence.tempering import describe_temperature
from umbrella.evaluation.questions import Classification, FreeText
from umbrella.evaluation.results import subjects_of_rows

if TYPE_CHECKING:  # which gathers this among others
    from umbrella.evaluation.evidence.gathering import Evidence


def gather_uncertainty(evidence: "Evidence") -> dict | None:
    """The entry of --uncertainty; None where it was not asked for. Asks the model the validation rows."""
    asked, question, calibration = evidence.asked, evidence.asker.question, evidence.calibration
    if not asked.uncertainty:
        return None
    if isinstance(question, FreeText):
        return {"sentences": ["Of free text it is not known how sure the model is: no label has a probability."]}
    held, held_subjects = [], []
    for split, rows in calibration.by_split.items():
        held = evidence.asker.ask_split(rows, split, calibration.drawn_from)
        held_subjects = subjects_of_rows(rows)
    if isinstance(question, Classification):
        of_records = LabelAnswers.of_records
        answers = of_records(evidence.records, evidence.subjects, question.labels)
        fitted_on = of_records(held, held_subjects, question.labels) if held else None
        parts = {
            "order": describe_order(answers, asked.bootstrap, asked.seed),
            "abstention": describe_abstention(answers, fitted_on, asked.abstain_at),
            "temperature": describe_temperature(answers, fitted_on, asked.bootstrap, asked.seed),
            "sets": describe_sets(answers, fitted_on, asked.conformal_level),
        }
    else:
        of_records = NumberAnswers.of_records
        answers = of_records(evidence.records, evidence.subjects, question.reading.unit)
        fitted_on = of_records(held, held_subjects, question.reading.unit) if held else None
        parts = {"intervals": describe_intervals(answers, fitted_on, asked.conformal_level)}
    sentences = [sentence for part in parts.values() for sentence in part["sentences"]]
    return {
        "sentences": [*sentences, *calibration.notes],
        "validation": {"n": len(held), "n_subjects": len(set(held_subjects)), "notes": list(calibration.notes)},
        **parts,
    }
