"""Labels read from answers, as a module of `evaluate`.

evaluate.load("recipes/umbrella/evaluate_modules/umbrella_classification.py")
"""

import datasets
import evaluate

from umbrella.answers.label_parsing import find_spellings
from umbrella.answers.metrics import classification_metrics, encode
from umbrella.answers.reading import LabelReading


class UmbrellaClassification(evaluate.Metric):
    """Accuracy, sensitivity and specificity of the label that each answer names; see umbrella.answers.metrics."""

    def _info(self) -> evaluate.MetricInfo:
        text = datasets.Value("string")
        return evaluate.MetricInfo(
            description=self.__doc__,
            citation="",
            inputs_description="predictions: answers of a model, as text. references: true labels.",
            features=datasets.Features({"predictions": text, "references": text}),
        )

    def _compute(self, predictions: list[str], references: list[str], labels: list[str] | None = None) -> dict:
        labels = sorted(set(find_spellings(references).values())) if labels is None else labels
        reading = LabelReading(tuple(labels))
        parsed = [reading.read(text) for text in predictions]
        truths = [reading.read_truth(label) for label in references]
        metrics = classification_metrics(encode(truths, labels), encode(parsed, labels), labels)
        return {**metrics, "unparseable": parsed.count(None)}
