"""Free text against a reference, as a module of `evaluate`.

evaluate.load("recipes/umbrella/evaluate_modules/umbrella_text.py")
"""

import datasets
import evaluate

from umbrella.answers.text_metrics import TextMetrics


class UmbrellaText(evaluate.Metric):
    """BLEU, ROUGE-L and exact match; see umbrella.answers.text_metrics."""

    def _info(self) -> evaluate.MetricInfo:
        text = datasets.Value("string")
        return evaluate.MetricInfo(
            description=self.__doc__,
            citation="",
            inputs_description="predictions: answers of a model, as text. references: the texts they should be.",
            features=datasets.Features({"predictions": text, "references": text}),
        )

    def _compute(self, predictions: list[str], references: list[str]) -> dict:
        return TextMetrics(predictions, references)()
