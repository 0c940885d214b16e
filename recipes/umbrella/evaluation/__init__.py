"""Evaluation of a model on a split: answers, their scores, controls, intervals and comparisons."""
