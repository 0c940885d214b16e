"""The library's rooms, read from its tree: their order, what each says of itself, what it imports, and their figure.

A room is a package of `recipes/umbrella/`, or a module that lies there beside the packages.
"""

import ast
import html
import re
import textwrap
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
LIBRARY = ROOT / "recipes" / "umbrella"
BUILDER = ROOT / "umbrella_dataset.py"
# In the order in which they may import: each from those before it alone.
# The order of the rooms stands in the library's own docstring.
_LIST = ast.get_docstring(ast.parse((LIBRARY / "__init__.py").read_text(encoding="utf-8")), clean=False)
STREET = [line.split()[0] for line in _LIST.splitlines() if line.startswith("    ")]

ROW_HEIGHT, NAME_X, SENTENCE_X, WIDTH = 58, 56, 200, 800  # of the figure, in pixels
CHARACTERS = 92  # of a sentence on one line of the figure


@dataclass(frozen=True)
class Room:
    """A package of the library with its modules, or a module that is none's."""

    name: str
    modules: tuple[Path, ...]  # of a package: its `__init__.py` first

    @property
    def is_package(self) -> bool:
        """Whether it is a folder."""
        return self.modules[0].name == "__init__.py"

    @property
    def sentence(self) -> str:
        """The first sentence of its docstring, or nothing."""
        docstring = ast.get_docstring(ast.parse(self.modules[0].read_text(encoding="utf-8"))) or ""
        return " ".join(re.split(r"(?<=\.)\s|\n\n", docstring)[0].replace("`", "").split())


def read_rooms() -> list[Room]:
    """Packages in the street's order, then the modules beside them by their names.

    Raises ValueError for a package that STREET does not name.
    """
    packages = {file.parent.name: file.parent for file in LIBRARY.glob("*/__init__.py")}
    if strangers := sorted(packages.keys() - set(STREET)):
        raise ValueError(
            f"{LIBRARY}: expected rooms that the docstring of __init__.py lists, found {strangers}: add them"
        )
    rooms = []
    for name in STREET:
        if name in packages:
            folder = packages[name]
            first = folder / "__init__.py"
            others = [file for file in sorted(folder.rglob("*.py")) if file != first and is_public(file)]
            rooms.append(Room(name, (first, *others)))
    alone = sorted(file for file in LIBRARY.glob("*.py") if not file.stem.startswith("_"))
    return [*rooms, *(Room(file.stem, (file,)) for file in alone)]


def is_public(file: Path) -> bool:
    """Whether a module may be imported by others: its name has no underscore in front (as `__main__`)."""
    return not file.stem.startswith("_") or file.name == "__init__.py"


def name_module(file: Path) -> str:
    """recipes/umbrella/scans/volumes.py → umbrella.scans.volumes"""
    if file == BUILDER:
        return BUILDER.stem
    parts = file.relative_to(LIBRARY.parent).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


def find_undocumented(file: Path) -> list[str]:
    """The public names of a module that say nothing of themselves: its own, and those of its functions and classes.

    A name with an underscore in front is not public. Methods are their class's to explain.
    """
    tree, module = ast.parse(file.read_text(encoding="utf-8")), name_module(file)
    defined = [node for node in tree.body if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef)]
    public = [node for node in defined if not node.name.startswith("_")]
    missing = [f"{module}.{node.name}" for node in public if not ast.get_docstring(node)]
    return missing if ast.get_docstring(tree) else [module, *missing]


def read_imports(room: Room) -> set[str]:
    """The names of the other rooms that a room imports."""
    imported = set()
    for file in room.modules:
        for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
            if isinstance(node, ast.ImportFrom) and node.module and node.level == 0:
                imported |= {f"{node.module}.{name.name}" for name in node.names}
            elif isinstance(node, ast.Import):
                imported |= {name.name for name in node.names}
    return {name.split(".")[1] for name in imported if name.startswith("umbrella.")} - {room.name}


def draw_rooms() -> str:
    """The packages as an SVG: one below the other in their order, each with its sentence and what it imports."""
    rooms = [room for room in read_rooms() if room.is_package]
    height = ROW_HEIGHT * len(rooms) + 8
    parts = [
        f'<svg class="rooms" viewBox="0 0 {WIDTH} {height}" role="img" xmlns="http://www.w3.org/2000/svg">',
        f"<title>The {len(rooms)} rooms of the library, in the order in which they may import</title>",
        f'<line class="street" x1="28" y1="12" x2="28" y2="{height - 18}"/>',
        f'<path class="arrow" d="M 22 {height - 18} L 34 {height - 18} L 28 {height - 6} Z"/>',
    ]
    box = f'x="{NAME_X - 10}" width="{WIDTH - NAME_X}" height="{ROW_HEIGHT - 8}" rx="4"'
    for i, room in enumerate(rooms):
        top = i * ROW_HEIGHT + 4
        sentence = textwrap.wrap(room.sentence, CHARACTERS, max_lines=2, placeholder=" …") or [""]
        first_y = top + (20 if len(sentence) == 1 else 14)
        found = read_imports(room)
        imported = [other.name for other in rooms if other.name in found]
        parts += [
            f'<circle class="door" cx="28" cy="{top + 22}" r="5"/>',
            f'<rect class="room" y="{top}" {box}/>',
            f'<text class="name" x="{NAME_X}" y="{top + 21}">{room.name}/</text>',
            *(
                f'<text class="sentence" x="{SENTENCE_X}" y="{y}">{html.escape(line)}</text>'
                for y, line in zip((first_y, first_y + 13), sentence, strict=False)
            ),
            f'<text class="imports" x="{SENTENCE_X}" y="{top + 42}">'
            + (f"uses {', '.join(imported)}" if imported else "uses no other room")
            + "</text>",
        ]
    return "\n".join([*parts, "</svg>"])
