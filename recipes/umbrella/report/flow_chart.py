"""The participants' way from those found to the rows that were evaluated, as boxes; drawn from a checklist's facts."""

import textwrap
from typing import Any

from umbrella.report.charts import BLUE, GREY, INK, WIDTH, draw, to_plain

MOST_REASONS = 8  # in a box
CHARACTERS = 36  # of a line in a box at the side
LINE, GAP = 0.17, 0.28  # inches


def list_steps(facts: dict, metrics: dict) -> list[tuple[list[str], list[str]]]:
    """From top to bottom the lines of each box, and of the box at its side: what is left out after it."""
    steps: list[tuple[list[str], list[str]]] = []
    if "exclusions" in facts:
        found = facts["exclusions"]["value"]
        reasons = list(found["reasons"].items())
        lines = [f"{n} {reason}" for reason, n in reasons[:MOST_REASONS]]
        more = sum(n for _, n in reasons[MOST_REASONS:])
        lines += [f"{more} for other reasons"] if more else []
        if found["found"] is None:
            steps.append((["found: not recorded"], ["left out, entries by reason:", *lines]))
        else:
            out = [f"{found['excluded']} participants left out wholly"]
            steps.append(([f"{found['found']} participants found"], [*out, "entries by reason:", *lines]))
            steps.append(([f"{found['used']} participants used"], []))
    else:
        steps.append((["found: not recorded"], ["left out: not recorded, there is no exclusions.tsv"]))
    sizes = facts["split_sizes"]["value"].items()
    steps.append(([f"{name}: {of['subjects']} subjects, {of['rows']} rows" for name, of in sizes], []))
    rows = facts["left_out_rows"]["value"]
    out = [f"{n} rows: {reason}" for reason, n in rows["excluded"].items()]
    steps.append(([f"{rows['found']} rows of {metrics['split']} found"], out))
    steps.append(([f"{rows['used']} rows of {metrics['n_subjects']} subjects evaluated"], []))
    return steps


def draw_flow(steps: list[tuple[list[str], list[str]]]) -> str:
    """Boxes under each other with arrows between; left out is what stands at the side."""
    texts = [("\n".join(map(_wrap, main)), "\n".join(map(_wrap, side))) for main, side in steps]
    heights = [LINE * (1 + max(text.count("\n") + 1 for text in pair)) for pair in texts]
    total = sum(heights) + GAP * (len(texts) - 1)

    def paint(axes: Any) -> None:
        axes.set(xlim=(0, WIDTH), ylim=(0, total))
        axes.axis("off")
        top = total
        for i, ((main, side), height) in enumerate(zip(texts, heights, strict=True)):
            middle = top - height / 2
            _write(axes, 0.05, middle, main, BLUE)
            if side:
                axes.annotate("", (2.4, middle), (2.1, middle), arrowprops={"arrowstyle": "->", "color": INK})
                _write(axes, 2.5, middle, side, GREY)
            if i < len(texts) - 1:
                half = LINE * (main.count("\n") + 2) / 2
                next_half = LINE * (texts[i + 1][0].count("\n") + 2) / 2
                end = top - height - GAP - heights[i + 1] / 2 + next_half
                axes.annotate("", (0.4, end), (0.4, middle - half), arrowprops={"arrowstyle": "->", "color": INK})
            top -= height + GAP

    return draw(total + 0.1, paint)


def _wrap(line: str) -> str:
    return textwrap.fill(to_plain(line).replace("\n", " "), CHARACTERS)


def _write(axes: Any, left: float, middle: float, text: str, colour: str) -> None:
    box = {"boxstyle": "round,pad=0.35", "facecolor": "white", "edgecolor": colour}
    axes.text(left + 0.08, middle, text, va="center", ha="left", fontsize=8, linespacing=1.25, bbox=box)
