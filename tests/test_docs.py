"""The site: what is to end its build does, figure and pages are the tree's, no page asks another server."""

import re
import xml.etree.ElementTree as ElementTree
from pathlib import Path

import pytest
import yaml

pytest.importorskip("mkdocs")
pytest.importorskip("griffe")

import pages
import rooms
from docstrings import to_markdown
from mkdocs.commands.build import build
from mkdocs.config import load_config
from mkdocs.exceptions import Abort, PluginError

ROOT = Path(__file__).resolve().parents[1]


@pytest.fixture
def library(tmp_path, monkeypatch):
    """A library of one room with one module, to spoil."""
    folder = tmp_path / "umbrella"
    (folder / "scans").mkdir(parents=True)
    (folder / "scans" / "__init__.py").write_text('"""Files < `volumes`. Knows no model."""\n')
    (folder / "scans" / "volumes.py").write_text(
        '"""A volume."""\n\n\ndef load():\n    """It."""\n\n\ndef _own(): ...\n'
    )
    monkeypatch.setattr(rooms, "LIBRARY", folder)
    return folder


def test_every_public_name_says_what_it_is():
    modules = [module for room in rooms.read_rooms() for module in room.modules]
    assert len(modules) > 100
    assert [name for module in [*modules, rooms.BUILDER] for name in rooms.find_undocumented(module)] == []


@pytest.mark.parametrize(
    "code, missing",
    [
        ('"""A."""\ndef load(): ...\n', ["umbrella.scans.a.load"]),
        ('"""A."""\nclass Volume:\n    x = 1\n', ["umbrella.scans.a.Volume"]),
        ("def _load(): ...\n", ["umbrella.scans.a"]),
        ("", ["umbrella.scans.a"]),
    ],
)
def test_a_public_name_that_says_nothing_ends_the_build(library, code, missing):
    assert rooms.find_undocumented(library / "scans" / "volumes.py") == []
    (library / "scans" / "a.py").write_text(code)
    with pytest.raises(PluginError) as error:
        pages.on_files([], None)
    assert str(error.value) == f"public names without a docstring, write one for each: {', '.join(missing)}"


def test_a_room_that_the_street_does_not_name_ends_the_build(library):
    (library / "strangers").mkdir()
    (library / "strangers" / "__init__.py").touch()
    with pytest.raises(
        ValueError, match=r"expected rooms that the docstring of __init__\.py lists, found \['strangers'\]"
    ):
        rooms.read_rooms()


def test_the_figure_has_each_room_with_its_sentence_and_what_it_imports(library):
    (library / "views").mkdir()
    (library / "views" / "__init__.py").write_text('"""Volumes → pictures."""\nfrom umbrella.scans import volumes\n')
    figure = ElementTree.fromstring(rooms.draw_rooms())
    texts = ["".join(text.itertext()) for text in figure.iter("{http://www.w3.org/2000/svg}text")]
    expected = ["scans/", "Files < volumes.", "uses no other room", "views/", "Volumes → pictures.", "uses scans"]
    assert texts == expected


def test_the_page_of_a_room_holds_its_modules_nested_ones_too(library):
    (library / "scans" / "deep").mkdir()
    (library / "scans" / "deep" / "__init__.py").write_text('"""Deeper."""\n')
    (library / "scans" / "__main__.py").write_text("print(1)\n")
    (room,) = rooms.read_rooms()
    named = re.findall(r"^::: (\S+)", pages.write_room(room), re.MULTILINE)
    assert named == ["umbrella.scans", "umbrella.scans.deep", "umbrella.scans.volumes"]


def test_links_between_files_are_links_between_pages_and_others_are_refused():
    for source, page, link, expected in (
        ("README.md", "index.md", "docs/views.md", "views.md"),
        ("README.md", "index.md", "sample_data/JSON_FORMAT_SPECIFICATION.md", "format.md"),
        ("docs/data.md", "data.md", "../README.md#scope", "index.md#scope"),
        ("docs/data.md", "data.md", "https://example.org/x.md", "https://example.org/x.md"),
        ("docs/data.md", "data.md", "#splits", "#splits"),
    ):
        assert pages.rewrite_links(f"a [b]({link}) c", source, page) == f"a [b]({expected}) c"
    with pytest.raises(
        PluginError, match=r"docs/data\.md: expected links to pages of the site, found \.\./setup\.cfg"
    ):
        pages.rewrite_links("[b](../setup.cfg)", "docs/data.md", "data.md")


def test_a_proof_that_is_no_test_ends_the_build():
    name = "test_a_proof_that_is_no_test_ends_the_build"
    assert str(Path(__file__).relative_to(ROOT)) in pages.name_files_of_tests(f"`{name}`")
    with pytest.raises(PluginError, match="found test_that_nobody_wrote"):
        pages.name_files_of_tests("`test_that_nobody_wrote`")


@pytest.mark.parametrize(
    "name, text, is_fetched",
    [
        ("a.html", '<script src="https://unpkg.com/x.js"></script>', True),
        ("a.html", "<img alt='x' src=//example.org/x.png>", True),
        ("a.html", '<link rel="stylesheet" href="https://fonts.googleapis.com/css">', True),
        ("a.html", "<style>@import 'https://example.org/x.css'</style>", True),
        ("a.css", "a { background: url(https://example.org/x.png) }", True),
        ("a.html", '<a href="https://example.org">x</a> <img src="views.png"> <link href="site.css">', False),
        ("a.css", "a { background: url(data:image/svg+xml;utf8,x) } /*# sourceMappingURL=x */", False),
    ],
)
def test_a_page_that_asks_another_server_ends_the_build(name, text, is_fetched, tmp_path):
    (tmp_path / name).write_text(text)
    config = load_config(str(ROOT / "mkdocs.yml"), site_dir=str(tmp_path))
    if is_fetched:
        with pytest.raises(PluginError, match=rf"expected pages that ask no other server for anything, found: {name}"):
            pages.on_post_build(config)
    else:
        pages.on_post_build(config)


def test_what_builds_the_site_is_strict_and_offline():
    config = load_config(str(ROOT / "mkdocs.yml"))
    assert config.strict and config.theme["font"] is False
    assert not any("//" in script for script in config.extra["polyfills"])


@pytest.mark.parametrize(
    "docstring, markdown",
    [
        ("A *b* of <image> in `<x>`.", r"A \*b\* of \<image\> in `<x>`."),
        ("One.\n\n    a  →  [b]\n\n    c\n\nTwo.", "One.\n\n    a  →  [b]\n\n    c\n\nTwo."),
        (
            "One.\n\nArgs:\n    json_dir: [a] and\n        b.\n\n[c]",
            "One.\n\nArgs:\n    json_dir: \\[a\\] and\n        b.\n\n\\[c\\]",
        ),
        ("One.\n\nvolume (X, Y)  dark air\nspacing_mm (3,)", "One.\n\nvolume (X, Y)  dark air  \nspacing_mm (3,)"),
        ("One.\n\n>>> f([1])\n[None]\n\nTwo.", "One.\n\n\n```pycon\n>>> f([1])\n[None]\n```\n\nTwo."),
    ],
)
def test_a_docstring_looks_as_it_is_written(docstring, markdown):
    assert to_markdown(docstring) == markdown


def test_style_before_a_commit_is_that_of_the_checks_and_the_workflow_runs_them():
    pins = (ROOT / "constraints.txt").read_text().splitlines()
    (config,) = yaml.safe_load((ROOT / ".pre-commit-config.yaml").read_text())["repos"]
    ruff = {need for hook in config["hooks"] for need in hook["additional_dependencies"] if need.startswith("ruff")}
    assert len(ruff) == 1 and ruff <= set(pins)
    (job,) = yaml.safe_load((ROOT / ".github/workflows/ci.yml").read_text())["jobs"].values()
    assert job["steps"][-1] == {"run": ".ci/run"}
    citation = yaml.safe_load((ROOT / "CITATION.cff").read_text())
    setup = (ROOT / "setup.cfg").read_text()
    assert re.search(r"^version = (.+)$", setup, re.MULTILINE)[1] == citation["version"]
    assert re.search(r"^license = (.+)$", setup, re.MULTILINE)[1] == citation["license"]


@pytest.mark.parametrize(
    "page, warning",
    [
        ("# A\n\n[a](a.md#a) [b](index.md)\n", None),
        ("# A\n\n[a](b.md)\n", "link 'b.md', but the target is not found"),
        ("# A\n\n![a](a.png)\n", "link 'a.png', but the target is not found"),
        ("# A\n\n[a](index.md#b)\n", "link 'index.md#b', but the doc 'index.md' does not contain an anchor '#b'"),
        ("# A\n\n[a](/index.md)\n", "absolute link '/index.md'"),
    ],
)
def test_a_broken_link_ends_the_build(page, warning, tmp_path, caplog):
    """By this project's mkdocs.yml, of two pages of its own."""
    (tmp_path / "docs").mkdir()
    (tmp_path / "docs" / "index.md").write_text("# Index\n")
    (tmp_path / "docs" / "a.md").write_text(page)
    places = {"docs_dir": str(tmp_path / "docs"), "site_dir": str(tmp_path / "site"), "nav": ["index.md", "a.md"]}
    config = load_config(str(ROOT / "mkdocs.yml"), **places, hooks=[], plugins=[])
    if warning is None:
        build(config)
        assert "Index" in (tmp_path / "site" / "a" / "index.html").read_text()
    else:
        with pytest.raises(Abort, match="1 warnings in strict mode"):
            build(config)
        assert warning in caplog.text
