"""The rules by which answers are read, as files that need nothing of Umbrella: its own modules, copied."""

import ast
import re
from importlib import import_module
from pathlib import Path

from umbrella.evaluation.questions import FreeText, Question, Regression

FIRST = "umbrella.answers.reading"
OWN_IMPORT = re.compile(r"^from umbrella\.answers\.(\w+) import", re.MULTILINE)


def copy_rules(folder: Path) -> None:
    """Write `umbrella.answers.reading` and what it imports into a new folder, a package of relative imports."""
    folder.mkdir()
    (folder / "__init__.py").write_text('"""How answers are read: a copy of Umbrella\'s rules."""\n', encoding="utf-8")
    for module in sorted(_find_modules()):
        source = _read_source(module)
        name = module.rpartition(".")[2]
        (folder / f"{name}.py").write_text(OWN_IMPORT.sub(r"from .\1 import", source), encoding="utf-8")


def _find_modules() -> set[str]:
    found, todo = set(), [FIRST]
    while todo:
        module = todo.pop()
        found.add(module)
        tree = ast.parse(_read_source(module))
        imports = [node.module or "" for node in ast.walk(tree) if isinstance(node, ast.ImportFrom)]
        todo += [name for name in imports if name.startswith("umbrella.") and name not in found]
    return found


def _read_source(module: str) -> str:
    return Path(str(import_module(module).__file__)).read_text(encoding="utf-8")


def describe_reading(question: Question) -> dict:
    """How answers to the question are read, as `task_functions` takes it."""
    if isinstance(question, FreeText):
        return {"task": "text"}
    if isinstance(question, Regression):
        signs = question.reading.answers
        return {"task": "regression", "unit": question.reading.unit, "signs": [signs.decimal, signs.thousands]}
    reading = question.reading
    return {"task": "classification", "labels": list(reading.labels), "forms": list(reading.forms)}
