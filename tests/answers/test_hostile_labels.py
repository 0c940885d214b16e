"""A label or an id is text wherever it is shown: no formula, no mark, no order to a terminal."""

import re
import warnings
from xml.etree import ElementTree

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from umbrella.evaluation.statistics.measures import ACCURACY
from umbrella.hub.cards import to_markdown
from umbrella.options.commands.ending import run
from umbrella.report import charts

HOSTILE = [
    *(r"$\frac$", r"a $\undefined{$ b", "$", r"\$x$", "_hidden", "a\nb\r\n", "\x1b[31mred\x00"),
    *("<script>alert(1)</script>", "--><b>", "[x](http://a.b)", "a|b|c", "`code`", "*bold* __b__ ~~s~~", "x" * 4000),
    *("مرحبا", "🧠", "\ud800", "&lt;", "---", " "),
]
LABELS = st.sampled_from(HOSTILE) | st.text(max_size=30) | st.text(r"$\{}_^<>&|*`[]()-~ ab", max_size=20)


DRAW = {
    "scores": lambda labels, n: charts.draw_scores(labels, [0.5] * n, [None] * n, ACCURACY),
    "confusion": lambda labels, n: charts.draw_confusion(labels, np.ones((n, n + 1), int)),
    "roc": lambda labels, n: charts.draw_roc(np.arange(3 * n) % n, np.full((3 * n, n), 1 / n), labels),
}


@pytest.mark.slow
@pytest.mark.parametrize("chart", DRAW)
def test_charts_draw_any_label(chart):
    @settings(max_examples=2)
    @given(st.lists(LABELS, min_size=3, max_size=3))
    def check(labels):
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", "Glyph .* missing")
            ElementTree.fromstring(DRAW[chart](labels, len(labels)).encode())

    check()
    for labels in (HOSTILE[:7], HOSTILE[7:]):
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", "Glyph .* missing")
            ElementTree.fromstring(DRAW[chart](labels, len(labels)).encode())


def test_each_label_stands_in_the_chart_sign_by_sign(monkeypatch):
    labels, drawn = [r"$\frac$", "_hidden", "<b> & |"], []
    monkeypatch.setattr(charts.Figure, "savefig", lambda figure, *_, **__: drawn.append(figure))
    charts.draw_roc(np.arange(9) % 3, np.full((9, 3), 1 / 3), labels)
    texts = [text.get_text().replace(r"\$", "$") for text in drawn[0].axes[0].get_legend().get_texts()]
    assert texts == labels


@given(LABELS)
@example("a | b")
def test_markdown_shows_any_label_sign_by_sign_in_its_cell(label):
    markdown_it = pytest.importorskip("markdown_it")
    card = f"| a | b |\n|---|---|\n| {to_markdown(label)} | 1 |\n"
    html = markdown_it.MarkdownIt("commonmark").enable("table").enable("strikethrough").render(card)
    cells = re.findall(r"<td>(.*?)</td>", html, re.DOTALL)
    assert len(cells) == 2 and cells[1] == "1"
    assert not re.search(r"<(?!/?td)", cells[0])


def test_an_errors_control_signs_reach_no_terminal():
    def main():
        raise ValueError("sub-\x1b[2J01\n  second\tline \x9b5m café")

    with pytest.raises(SystemExit) as stop:
        run(main)
    assert stop.value.code == "error: sub-\\x1b[2J01\n  second\tline \\x9b5m café"
