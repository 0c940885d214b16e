"""Numbers read from answers, as a module of `evaluate`.

evaluate.load("recipes/umbrella/evaluate_modules/umbrella_regression.py")
"""

import datasets
import evaluate

from umbrella.answers.metrics import regression_metrics
from umbrella.answers.number_parsing import list_numerals, parse_number
from umbrella.answers.numbers import find_number_format


class UmbrellaRegression(evaluate.Metric):
    """Errors and correlation of the number that each answer states, by the references' signs; see
    umbrella.answers.metrics."""

    def _info(self) -> evaluate.MetricInfo:
        text = datasets.Value("string")
        return evaluate.MetricInfo(
            description=self.__doc__,
            citation="",
            inputs_description="predictions: answers of a model, as text. references: true numbers, as text.",
            features=datasets.Features({"predictions": text, "references": text}),
        )

    def _compute(self, predictions: list[str], references: list[str], unit: str | None = None) -> dict:
        signs, _ = find_number_format(numeral for text in references for numeral in list_numerals(text))
        parsed = [parse_number(text, unit, signs) for text in predictions]
        truths = []
        for text in references:
            if (truth := parse_number(text, unit, signs)) is None:
                raise ValueError(f"references: expected one number in each text, found {text!r}. Leave its row out.")
            truths.append(truth)
        metrics = regression_metrics(parsed, truths)
        return {**metrics, "unparseable": parsed.count(None)}
