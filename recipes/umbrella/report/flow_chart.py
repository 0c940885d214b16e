"""The participants' way from those found to the rows that were evaluated, as boxes; drawn from a checklist's facts."""

import textwrap
from typing import Any

from matplotlib.patches import Rectangle

from umbrella.report.charts import BLUE, GREY, INK, WIDTH, draw, to_plain

MOST_REASONS = 8  # in a box
CHARACTERS = 36  # of a line
LINE, PADDING, GAP = 0.16, 0.14, 0.24  # inches
MAIN, SIDE = (0.03, 2.35), (2.6, 4.97)  # left and right of a box in inches


def list_steps(checklist: dict, metrics: dict) -> list[tuple[list[str], list[str]]]:
    """From top to bottom the lines of each box, and of the box at its side: what is left out after it."""
    facts = checklist["facts"]
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
        steps.append((["found: not recorded"], [f"left out: not recorded, {checklist['unknown']['exclusions']}"]))
    sizes = facts["split_sizes"]["value"]
    lines = [f"{name}: {of['subjects']} subjects, {of['rows']} rows" for name, of in sizes.items()]
    plan = facts["split_plan"]["value"] if "split_plan" in facts else {"participants": {}, "here": []}
    others = {name: n for name, n in plan["participants"].items() if name not in plan["here"]}
    elsewhere = [f"{name}: {n} participants, in another folder" for name, n in others.items()]
    steps.append((lines, elsewhere))
    rows = facts["left_out_rows"]["value"]
    out = [f"{n} rows: {reason}" for reason, n in rows["excluded"].items()]
    steps.append(([f"{rows['found']} rows of {metrics['split']} found"], out))
    steps.append(([f"{rows['used']} rows of {metrics['n_subjects']} subjects evaluated"], []))
    return steps


def draw_flow(steps: list[tuple[list[str], list[str]]]) -> str:
    """Boxes under each other with arrows between; left out is what stands at the side."""
    texts = [("\n".join(map(_wrap, main)), "\n".join(map(_wrap, side))) for main, side in steps]
    heights = [max(map(_measure, pair)) for pair in texts]
    total = sum(heights) + GAP * (len(texts) - 1)

    def paint(axes: Any) -> None:
        axes.set(xlim=(0, WIDTH), ylim=(-0.05, total + 0.05))
        axes.axis("off")
        top, below = total, None
        for (main, side), height in zip(texts, heights, strict=True):
            middle, half = top - height / 2, _measure(main) / 2
            if below is not None:
                _point(axes, (0.5, below), (0.5, middle + half))
            _write(axes, MAIN, middle, main, BLUE)
            if side:
                _point(axes, (MAIN[1], middle), (SIDE[0], middle))
                _write(axes, SIDE, middle, side, GREY)
            top, below = top - height - GAP, middle - half

    return draw(total + 0.1, paint)


def _wrap(line: str) -> str:
    return textwrap.fill(to_plain(line).replace("\n", " "), CHARACTERS)


def _measure(text: str) -> float:
    """The height of a text's box in inches; 0 of none."""
    return LINE * (text.count("\n") + 1) + PADDING if text else 0.0


def _point(axes: Any, start: tuple[float, float], end: tuple[float, float]) -> None:
    arrow = {"arrowstyle": "->", "color": INK, "shrinkA": 0, "shrinkB": 0}
    axes.annotate("", end, start, arrowprops=arrow)


def _write(axes: Any, sides: tuple[float, float], middle: float, text: str, colour: str) -> None:
    left, right = sides
    height = _measure(text)
    axes.add_patch(Rectangle((left, middle - height / 2), right - left, height, facecolor="white", edgecolor=colour))
    axes.text(left + 0.08, middle, text, va="center", ha="left", fontsize=8, linespacing=1.25)
