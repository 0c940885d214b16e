"""What `mkdocs build` does for this project beside rendering docs/*.md (`hooks` in mkdocs.yml).

Pages that lie elsewhere in the repository are pages of the site too, the library has a page for each room, and links
between files are links between pages. What a reader would trip over ends the build: a public name that says nothing of
itself, a proof that is no test, a page that asks another server for anything.
"""

import posixpath
import re
from pathlib import Path

from mkdocs.config.defaults import MkDocsConfig
from mkdocs.exceptions import PluginError
from mkdocs.structure.files import File, Files
from mkdocs.structure.pages import Page
from notebooks import write_notebook
from rooms import BUILDER, ROOT, Room, draw_rooms, find_undocumented, name_module, read_rooms

# File of the repository → page of the site.
ELSEWHERE = {
    "README.md": "index.md",
    "sample_data/JSON_FORMAT_SPECIFICATION.md": "format.md",
    "ds_configs/README.md": "launch.md",
    "CONTRIBUTING.md": "contributing.md",
    "CHANGELOG.md": "changelog.md",
    "docs/tour.ipynb": "tour.md",
}
FIGURE = "<!-- figure of the rooms -->"
LINK = re.compile(r"(\]\()(?!\w+:|#)([^)\s#]+)((?:#[^)\s]*)?\))")
CODE_BLOCK = re.compile(r"^```.*?^```", re.DOTALL | re.MULTILINE)
# What a browser fetches by itself: pictures, scripts, styles, frames. A link is followed by a reader alone.
FETCHED = (
    re.compile(
        r"<(?:img|script|iframe|source|video|audio|embed)\b[^>]*?\b(?:src|srcset|data)=[\"']?((?:https?:)?//[^\"'\s>]+)"
    ),
    re.compile(r"<link\b(?![^>]*rel=[\"']?canonical)[^>]*?\bhref=[\"']?((?:https?:)?//[^\"'\s>]+)"),
    re.compile(r"(?:url\(|@import\s+)[\"']?((?:https?:)?//[^\"')\s;]+)"),
)


def on_config(config: MkDocsConfig) -> MkDocsConfig:
    """The library's pages stand in the navigation."""
    rooms = read_rooms()
    entries = [{name_module(room.modules[0]): f"api/{room.name}.md"} for room in rooms]
    config.nav.append({"Library": [*entries, {BUILDER.stem: f"api/{BUILDER.stem}.md"}]})
    return config


def on_files(files: Files, config: MkDocsConfig) -> Files:
    """Pages from elsewhere and a page for each room are files of the site."""
    rooms = [*read_rooms(), Room(BUILDER.stem, (BUILDER,))]
    missing = [name for room in rooms for module in room.modules for name in find_undocumented(module)]
    if missing:
        raise PluginError(f"public names without a docstring, write one for each: {', '.join(missing)}")
    for source, page in ELSEWHERE.items():
        path = ROOT / source
        content = write_notebook(path) if path.suffix == ".ipynb" else path.read_text(encoding="utf-8")
        alone = "---\nhide: [navigation]\n---\n" if page == "index.md" else ""
        files.append(File.generated(config, page, content=alone + content))
    for room in rooms:
        files.append(File.generated(config, f"api/{room.name}.md", content=write_room(room)))
    return files


def write_room(room: Room) -> str:
    """The page of a room: what it says of itself, then all public names of its modules."""
    lines = [f"# {name_module(room.modules[0])}", ""]
    for i, module in enumerate(room.modules):
        is_whole = i == 0
        lines += [f"::: {name_module(module)}", "    options:"]
        lines += ["      show_root_heading: false", "      show_root_toc_entry: false"] if is_whole else []
        lines += ["      show_submodules: false", ""]
    return "\n".join(lines)


def on_page_markdown(markdown: str, page: Page, config: MkDocsConfig, files: Files) -> str:
    """Links between files of the repository lead to pages; a test that is named stands with its file."""
    uri = page.file.src_uri
    if uri.startswith("api/"):
        return markdown
    source = next((file for file, name in ELSEWHERE.items() if name == uri), f"docs/{uri}")
    pieces, end = [], 0
    for block in CODE_BLOCK.finditer(markdown):
        pieces += [rewrite_links(markdown[end : block.start()], source, uri), block[0]]
        end = block.end()
    markdown = "".join([*pieces, rewrite_links(markdown[end:], source, uri)])
    return name_files_of_tests(markdown) if uri == "proven.md" else markdown


def on_page_content(html: str, page: Page, config: MkDocsConfig, files: Files) -> str:
    """The figure stands in its place; Markdown would read marks in its words."""
    return html.replace(FIGURE, draw_rooms()) if FIGURE in html else html


def rewrite_links(text: str, source: str, uri: str) -> str:
    """Relative links of the file `source`, as links of the page `uri`. Raises for one that leads to no page."""

    def rewrite(link: re.Match) -> str:
        target = posixpath.normpath(posixpath.join(posixpath.dirname(source), link[2]))
        place = ELSEWHERE.get(target) or (target[len("docs/") :] if target.startswith("docs/") else None)
        if place is None:
            raise PluginError(f"{source}: expected links to pages of the site, found {link[2]}: name the file instead")
        return link[1] + posixpath.relpath(place, posixpath.dirname(uri) or ".") + link[3]

    return LINK.sub(rewrite, text)


def read_tests() -> dict[str, list[str]]:
    """{name of a test: the files that have one of this name}, of the whole repository."""
    tests: dict[str, list[str]] = {}
    for file in sorted((ROOT / "tests").rglob("test_*.py")):
        for name in re.findall(r"^def (test_\w+)\(", file.read_text(encoding="utf-8"), re.MULTILINE):
            tests.setdefault(name, []).append(str(file.relative_to(ROOT)))
    return tests


def name_files_of_tests(markdown: str) -> str:
    """`test_x` → `test_x` with the file that has it. Raises for a test that is not there."""
    tests = read_tests()

    def name_file(found: re.Match) -> str:
        if found[1] not in tests:
            raise PluginError(f"docs/proven.md: expected tests that exist, found {found[1]}")
        return f"`{found[1]}` <small>{', '.join(tests[found[1]])}</small><br>"

    return re.sub(r"`(test_\w+)`(?:, )?", name_file, markdown)


def on_post_build(config: MkDocsConfig) -> None:
    """Nothing of the site is fetched from another server: it is read where there is no network."""
    found = []
    for file in sorted(Path(config.site_dir).rglob("*")):
        if file.suffix in (".html", ".css"):
            text = file.read_text(encoding="utf-8")
            found += [f"{file.relative_to(config.site_dir)}: {url}" for rule in FETCHED for url in rule.findall(text)]
    if found:
        raise PluginError(f"expected pages that ask no other server for anything, found: {'; '.join(found[:10])}")
