"""YAML as this project reads it: every scalar as the text it is written, each key once, no collection by its alias."""

import re
from pathlib import Path
from typing import Any

import yaml

MOST_BYTES = 256 * 1024  # the parser takes seconds for more, and no recipe is a hundredth of it
MOST_LEVELS = 20
LONG_QUOTE = re.compile(r"'[^'\s<>,]{4,}'")


class _Loader(yaml.BaseLoader):
    """BaseLoader, which makes texts, lists and mappings alone, and runs nothing."""

    level = 0

    def compose_node(self, parent: yaml.Node | None, index: Any) -> yaml.Node | None:
        mark = self.peek_event().start_mark
        if self.check_event(yaml.AliasEvent):
            node = super().compose_node(parent, index)
            # A few lines of lists of lists of aliases can mean billions of values.
            if not isinstance(node, yaml.ScalarNode):
                raise yaml.composer.ComposerError(None, None, "an alias of a list or a mapping: write it out", mark)
            return node
        if self.level == MOST_LEVELS:
            raise yaml.composer.ComposerError(None, None, f"more than {MOST_LEVELS} levels of values in values", mark)
        self.level += 1
        node = super().compose_node(parent, index)
        self.level -= 1
        return node

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict:
        seen = {}
        for key, _ in node.value:
            if not isinstance(key, yaml.ScalarNode):
                raise yaml.constructor.ConstructorError(None, None, "a key that is no word", key.start_mark)
            if key.value in seen:
                first = f"a key that line {seen[key.value] + 1} has already"
                raise yaml.constructor.ConstructorError(None, None, first, key.start_mark)
            seen[key.value] = key.start_mark.line
        return super().construct_mapping(node, deep)


def read_yaml(path: Path) -> str | list | dict | None:
    """The value of a YAML file, all scalars as text; None of an empty one.

    Raises ValueError that names file, line and column; it quotes nothing of the file, where a token may stand. Refused
    beside what is no YAML: a key twice, an alias of a list or a mapping, more than 20 levels, more than 256 kB.
    """
    size = path.stat().st_size
    if size > MOST_BYTES:
        raise ValueError(f"{path}: expected YAML of at most {MOST_BYTES:,} bytes, found {size:,}. Is it another file?")
    try:
        return yaml.load(path.read_text(encoding="utf-8"), Loader=_Loader)
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        problem = LONG_QUOTE.sub("'…'", error.problem or error.context)
        raise ValueError(
            f"{path}: expected YAML, found at line {mark.line + 1}, column {mark.column + 1}: {problem}. Correct it"
        ) from None
    except yaml.reader.ReaderError as error:
        raise ValueError(f"{path}: expected YAML, found the sign U+{error.character:04X}. Take it out") from None
    except UnicodeDecodeError as error:
        raise ValueError(f"{path}: expected YAML in UTF-8, found {error.reason}. Save it in UTF-8") from None
