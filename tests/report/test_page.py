"""Claims about the pages as files: what they hold and what not."""

import html

import pytest
from jinja2 import DictLoader

from umbrella.report import page


@pytest.mark.parametrize("folder", ["/home/o'neil & sons/runs/mine", "runs/mine", "./mine", "mine"])
def test_a_hidden_folder_is_its_name_in_whatever_sentence_it_stands(folder, tmp_path, monkeypatch):
    """As in what is said of a model whose training nobody recorded, which names it as it was given."""
    monkeypatch.setattr(page._ENVIRONMENT, "loader", DictLoader({"x": "<p>{{ sentence }}</p> mined"}))
    path = tmp_path / "page.html"
    page.write_page(path, "x", hidden_folder=folder, sentence=f"what {folder} was trained on is not known")
    assert path.read_text() == "<p>what mine was trained on is not known</p> mined"
    page.write_page(path, "x", sentence=folder)
    assert html.unescape(path.read_text()) == f"<p>{folder}</p> mined"
