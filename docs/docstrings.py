"""Docstrings are plain text: what Markdown takes for marks stays as it is written (a griffe extension, mkdocs.yml).

Blocks that stand further in than their paragraph are shown as they are, examples (>>>) too.
"""

import re

from griffe import Extension, Object

SECTION = re.compile(r"(Args|Returns|Raises|Yields|Attributes):$")
ALIGNED = re.compile(r"\w[\w., ]*?(?: \(.*?\))? {2,}\S|\w+ \([^)]*\)$")  # names and shapes, each on a line of its own
MARKS = re.compile(r"[\\*\[\]<>#|]|(?<!\w)_|_(?!\w)")


def to_markdown(text: str) -> str:
    """A docstring, its indentation removed, as Markdown that looks like it."""
    lines, is_code, in_section, in_example = [], False, False, False
    for before, line in zip(["", *text.splitlines()], text.splitlines(), strict=False):
        is_indented = line.startswith("    ")
        in_section = bool(SECTION.match(line)) or (in_section and (is_indented or not line))
        starts_example = line.lstrip().startswith(">>>") and not in_example
        if in_example and not line:
            lines.append("```")
            in_example = False
        if starts_example:
            lines += ["", "```pycon"]
            in_example = True
        # A block goes on over lines of white space; a line that is indented within a paragraph only continues it.
        is_code = is_indented and not in_section and (is_code or not before) if line else is_code
        if ALIGNED.match(line) and lines and lines[-1] and not (in_example or is_code):
            lines[-1] += "  "  # Markdown's line break
        lines.append(line if in_example or is_code else escape(line))
    return "\n".join([*lines, "```"] if in_example else lines)


def escape(line: str) -> str:
    """A line with Markdown's marks escaped, but for what stands between backticks."""
    parts = re.split(r"(`[^`]*`)", line)
    return "".join(part if i % 2 else MARKS.sub(r"\\\g<0>", part) for i, part in enumerate(parts))


class PlainDocstrings(Extension):
    """Turns each docstring of the library into Markdown before it is parsed."""

    def on_object(self, *, obj: Object, **kwargs) -> None:
        """Called for each object that was found."""
        if obj.docstring:
            obj.docstring.value = to_markdown(obj.docstring.value)
