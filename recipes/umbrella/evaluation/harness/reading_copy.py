"""The rules by which answers are read, as files that need nothing of Umbrella: its own modules, copied."""

import re
from pathlib import Path

from umbrella.answers import reading
from umbrella.evaluation.questions import FreeText, Question, Regression

OWN_IMPORT = re.compile(r"^from umbrella\.answers\.(\w+) import", re.MULTILINE)
ENTRANCE = '''"""How answers are read: a copy of Umbrella's rules."""

from .numbers import NumberFormat
from .reading import LabelReading, NumberReading

__all__ = ["LabelReading", "NumberFormat", "NumberReading"]
'''


def copy_rules(folder: Path) -> None:
    """Write `umbrella.answers.reading` and what it imports into a new folder, a package of relative imports."""
    folder.mkdir()
    (folder / "__init__.py").write_text(ENTRANCE, encoding="utf-8")
    room, copied, todo = Path(str(reading.__file__)).parent, set(), ["reading"]
    while todo:
        name = todo.pop()
        source = (room / f"{name}.py").read_text(encoding="utf-8")
        (folder / f"{name}.py").write_text(OWN_IMPORT.sub(r"from .\1 import", source), encoding="utf-8")
        copied.add(name)
        todo += [imported for imported in OWN_IMPORT.findall(source) if imported not in copied]


def describe_reading(question: Question) -> dict:
    """How answers to the question are read, as `task_functions` takes it."""
    if isinstance(question, FreeText):
        return {"task": "text"}
    if isinstance(question, Regression):
        signs = question.reading.answers
        return {"task": "regression", "unit": question.reading.unit, "signs": [signs.decimal, signs.thousands]}
    reading = question.reading
    return {"task": "classification", "labels": list(reading.labels), "forms": list(reading.forms)}
