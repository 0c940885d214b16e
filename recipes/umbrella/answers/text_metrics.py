"""Free text against a reference: BLEU (sacrebleu), ROUGE-L (rouge-score), exact match."""

from collections.abc import Sequence

import numpy as np
from rouge_score.rouge_scorer import RougeScorer
from sacrebleu.metrics import BLEU


class TextMetrics:
    """Scores answers once, row by row, so that a resample of rows is only a sum.

    Corpus BLEU is a function of sums over the rows (n-grams found and proposed, lengths), as sacrebleu counts them.
    """

    def __init__(self, predictions: Sequence[str], references: Sequence[str]) -> None:
        scorer, bleu = RougeScorer(["rougeL"]), BLEU(effective_order=True)
        self.exact = np.array([p.strip() == r.strip() for p, r in zip(predictions, references, strict=True)], float)
        self.rouge = np.array(
            [scorer.score(r, p)["rougeL"].fmeasure for p, r in zip(predictions, references, strict=True)]
        )
        scores = [bleu.sentence_score(p, [r]) for p, r in zip(predictions, references, strict=True)]
        self.counts = np.array([[*s.counts, *s.totals, s.sys_len, s.ref_len] for s in scores])

    def __call__(self, rows: np.ndarray | None = None) -> dict[str, float]:
        """bleu (0 to 100), rouge_l and exact_match (0 to 1) of the rows with these indices; of all where None."""
        rows = np.arange(len(self.exact)) if rows is None else rows
        *ngrams, answer_length, reference_length = self.counts[rows].sum(axis=0).tolist()
        order = len(ngrams) // 2
        bleu = BLEU.compute_bleu(
            ngrams[:order], ngrams[order:], answer_length, reference_length, smooth_method="exp"
        ).score
        return {
            "bleu": float(bleu),
            "rouge_l": float(self.rouge[rows].mean()),
            "exact_match": float(self.exact[rows].mean()),
        }
