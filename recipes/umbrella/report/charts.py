"""Charts as SVG text, drawn by matplotlib without a display."""

import io
import re
import textwrap
import warnings
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from matplotlib import rc_context
from matplotlib.colors import to_rgb
from matplotlib.figure import Figure
from sklearn.metrics import roc_curve

from umbrella.answers.metrics import calibration_bins
from umbrella.evaluation.statistics.measures import Measure

INK, BLUE, ORANGE, GREY, GRID = "#1b2430", "#2563a8", "#c2571a", "#8a94a3", "#e3e7ec"
STYLE = {
    "font.family": "DejaVu Sans",
    "font.size": 9,
    "svg.hashsalt": "umbrella",  # the same numbers give the same file
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.edgecolor": GREY,
    "axes.labelcolor": INK,
    "text.color": INK,
    "xtick.color": INK,
    "ytick.color": INK,
    "axes.grid": True,
    "grid.color": GRID,
    "axes.axisbelow": True,
}
MISSING_SIGN = r"Glyph .* missing from font"
WIDTH = 5.0  # inches: on a phone the text is still readable
LABEL_CHARACTERS = 26  # of a line beside a bar


MOST_CHARACTERS = 3 * LABEL_CHARACTERS  # of a label


def to_plain(label: str) -> str:
    """A label as matplotlib draws it sign by sign: dollar signs are no formulas, and control signs, which no SVG may
    hold, show that they were there. What is long is broken into lines, what is very long is cut."""
    shown = "".join(sign if sign.isprintable() else "\N{REPLACEMENT CHARACTER}" for sign in " ".join(label.split()))
    cut = shown if len(shown) <= MOST_CHARACTERS else f"{shown[: MOST_CHARACTERS - 1]}…"
    return textwrap.fill(cut, LABEL_CHARACTERS).replace("$", r"\$")


def draw(height: float, paint: Callable[[Any], None], width: float = WIDTH) -> str:
    """A figure of one set of axes, which `paint` fills, as SVG; sizes in inches.

    Signs are drawn as outlines; where the font lacks one, as 日, all are left as text, for the browser's fonts.
    """
    with warnings.catch_warnings(record=True) as caught:
        warnings.filterwarnings("always", message=MISSING_SIGN)
        drawn = _draw(height, paint, width, "path")
    missing = [warning for warning in caught if re.match(MISSING_SIGN, str(warning.message))]
    for warning in caught:
        if warning not in missing:
            warnings.warn_explicit(warning.message, warning.category, warning.filename, warning.lineno)
    if not missing:
        return drawn
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message=MISSING_SIGN)
        return _draw(height, paint, width, "none")


def _draw(height: float, paint: Callable[[Any], None], width: float, kind: str) -> str:
    with rc_context(STYLE | {"svg.fonttype": kind}):
        figure = Figure(figsize=(width, height), layout="constrained")
        paint(figure.subplots())
        file = io.StringIO()
        figure.savefig(file, format="svg", metadata={"Date": None})
    return file.getvalue()


def draw_scores(
    names: Sequence[str],
    scores: Sequence[float],
    intervals: Sequence[tuple | None],
    measure: Measure,
    first_is_real: bool = False,
) -> str:
    """Horizontal bars of scores with their intervals, the first on top; each with the digits that tables give it."""
    wrapped = [to_plain(name) for name in names]

    def paint(axes: Any) -> None:
        places = np.arange(len(names))[::-1]
        colors = [BLUE if i == 0 or not first_is_real else ORANGE for i in range(len(names))]
        axes.barh(places, scores, height=0.62, color=colors, alpha=0.85)
        low, high = np.transpose([ends or (score, score) for ends, score in zip(intervals, scores, strict=True)])
        errors = [np.maximum(0, scores - low), np.maximum(0, high - scores)]
        axes.errorbar(scores, places, xerr=errors, fmt="none", ecolor=INK, elinewidth=1.2, capsize=3)
        longest = 1.0 if measure.better > 0 else float(max(high.max(), max(scores))) or 1.0
        for place, score, end in zip(places, scores, high, strict=True):
            axes.text(max(end, score) + 0.02 * longest, place, measure.show(score), va="center")
        axes.set(xlim=(0, 1.25 * longest), yticks=places, yticklabels=wrapped)
        if measure.better > 0:
            axes.set_xticks(np.arange(0, 1.01, 0.25), ["0 %", "25 %", "50 %", "75 %", "100 %"])
        axes.grid(axis="y", visible=False)

    return draw(0.5 + 0.18 * len(names) + 0.18 * sum(name.count("\n") + 1 for name in wrapped), paint)


def draw_confusion(labels: Sequence[str], counts: Sequence[Sequence[int]]) -> str:
    """True labels in rows, answers in columns, unparseable ones in the last. Right cells are blue, wrong ones orange,
    the darker the larger their share of the row."""
    counts = np.asarray(counts)
    labels = [to_plain(label) for label in labels]
    columns = [*labels, "none read"]

    def paint(axes: Any) -> None:
        shares = counts / np.maximum(counts.sum(axis=1, keepdims=True), 1)
        axes.imshow(_tint(shares), aspect="auto")
        for (row, column), count in np.ndenumerate(counts):
            axes.text(
                column, row, str(count), ha="center", va="center", color="white" if shares[row, column] > 0.5 else INK
            )
        turn = 30 if max(map(len, columns)) * len(columns) > 44 else 0
        axes.set_xticks(range(len(columns)), columns, rotation=turn, ha="right" if turn else "center")
        axes.set_yticks(range(len(labels)), labels)
        axes.set(xlabel="answer", ylabel="true label")
        axes.grid(visible=False)

    return draw(1.2 + 0.5 * len(labels), paint)


def _tint(shares: np.ndarray) -> np.ndarray:
    """(labels, answers) shares → (labels, answers, 3) colours between white and blue on the diagonal, else orange."""
    full = np.where(np.eye(*shares.shape, dtype=np.bool_)[..., None], to_rgb(BLUE), to_rgb(ORANGE))
    return 1 - shares[..., None] * (1 - full)


def draw_roc(true: np.ndarray, probabilities: np.ndarray, labels: Sequence[str]) -> str:
    """The ROC curve of each label against the rest; of the second one where there are two."""

    def paint(axes: Any) -> None:
        axes.plot([0, 1], [0, 1], color=GREY, linestyle="--", linewidth=1)
        drawn = []
        for index in [1] if len(labels) == 2 else range(len(labels)):
            if 0 < (true == index).sum() < len(true):
                false_positive, true_positive, _ = roc_curve(true == index, probabilities[:, index])
                axes.plot(false_positive, true_positive, linewidth=2, label=f"{index}")
                drawn.append(to_plain(labels[index]))
        axes.set(xlabel="1 − specificity", ylabel="sensitivity", xlim=(-0.02, 1.02), ylim=(-0.02, 1.02))
        legend = axes.legend(loc="lower right", frameon=False)
        for text, label in zip(legend.get_texts(), drawn, strict=True):
            text.set_text(label)  # given to plot, one that begins with _ would be left out

    return draw(3.4, paint)


def draw_calibration(true: np.ndarray, probabilities: np.ndarray) -> str:
    """How often the likeliest label is right, by its probability; a dot's area is its number of rows."""

    def paint(axes: Any) -> None:
        counts, confidence, right = calibration_bins(true, probabilities)
        filled = counts > 0
        axes.plot([0, 1], [0, 1], color=GREY, linestyle="--", linewidth=1)
        areas = 30 + 250 * counts[filled] / counts.sum()
        axes.scatter(confidence[filled], right[filled], s=areas, color=BLUE, alpha=0.8, clip_on=False, zorder=3)
        axes.set(xlabel="probability of the likeliest label", ylabel="share right", xlim=(0, 1.03), ylim=(-0.03, 1.05))

    return draw(3.4, paint)


def draw_training(history: Sequence[dict]) -> str:
    """The training loss, and the validation loss where there is one, by step; from trainer_state.json's log."""

    def paint(axes: Any) -> None:
        for key, color, title in (("loss", BLUE, "training"), ("eval_loss", ORANGE, "validation")):
            points = [(entry["step"], entry[key]) for entry in history if key in entry]
            if points:
                axes.plot(*zip(*points, strict=True), color=color, marker="o", markersize=3, label=title)
        axes.set(xlabel="step", ylabel="loss", yscale="log")
        axes.legend(frameon=False)

    return draw(3.0, paint)


def draw_scatter(expected: Sequence[float], predicted: Sequence[float]) -> str:
    """Numbers that were answered against the true ones."""

    def paint(axes: Any) -> None:
        ends = [min(*expected, *predicted), max(*expected, *predicted)]
        axes.plot(ends, ends, color=GREY, linestyle="--", linewidth=1)
        axes.scatter(expected, predicted, s=16, color=BLUE, alpha=0.6)
        axes.set(xlabel="true", ylabel="answered")

    return draw(3.6, paint)


def draw_histogram(values: np.ndarray, label: str) -> str:
    """How often a value occurs, on a logarithmic scale."""

    def paint(axes: Any) -> None:
        axes.hist(values, bins=64, color=BLUE, log=True)
        axes.set(xlabel=to_plain(label), ylabel="voxels")

    return draw(1.6, paint, width=3.4)
