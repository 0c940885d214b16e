"""Where the scan of a row is: a path with `{column}` fields, parsed once and used for all that is done with it.

    {participant_id}/anat/{participant_id}_T1w.nii.gz
    {eid:07d}_{f.20252.2.0}.nii.gz       a whole number in seven digits; any column name, as the table writes it
    {{v1}}/{site:_>4}.nii                braces of the path are doubled; text in at least four characters

A field is the longest column name that fits behind the brace, so a name may hold dots, dashes, spaces and brackets.
"""

import glob
import os
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from umbrella.cohort.shared.visits import CohortError, suggest

_NUMBER_FORMAT = re.compile(r"0\d{1,2}d?|\d{0,2}d")
_TEXT_FORMAT = re.compile(r"([^{}]?[<>^]\d{1,2})?s?")
_FORMATS = "{column:03d} (a whole number in three digits) or {column:_>8} (text in eight characters, filled up by _)"

IMAGES = (".nii", ".nii.gz", ".hdr", ".img", ".hdr.gz", ".img.gz", ".mgh", ".mgz")  # what the loader reads


@dataclass(frozen=True)
class Field:
    """A column and how its value is written."""

    column: str
    format: str = ""

    def write(self, value: str) -> str | None:
        """The value in the field's format, None where the format is of whole numbers and the value is none."""
        if not _NUMBER_FORMAT.fullmatch(self.format):
            return format(value, self.format)
        number = re.fullmatch(r"([+-]?[0-9]+)(?:\.0*)?", value)  # pandas writes 7.0 where the column has gaps
        return format(int(number[1]), self.format.removesuffix("d") + "d") if number else None


@dataclass(frozen=True)
class ImageTemplate:
    """Texts and fields in their order."""

    text: str
    parts: tuple[str | Field, ...]

    @property
    def columns(self) -> list[str]:
        return list(dict.fromkeys(part.column for part in self.parts if isinstance(part, Field)))

    def write(self, values: Mapping[str, str]) -> str | None:
        """The path of a row, None where a value does not have the form of its field."""
        written = [part.write(values[part.column]) if isinstance(part, Field) else part for part in self.parts]
        return None if None in written else "".join(written)

    def find_all(self, root: str) -> set[str]:
        """All files whose paths fit, whatever stands in the fields; equal fields hold equal text. Empty for a template
        that is nothing but fields."""
        if not any(isinstance(part, str) and part.strip("/.") for part in self.parts):
            return set()
        pattern, groups = [re.escape(os.path.join(root, ""))], {}
        for part in self.parts:
            if isinstance(part, str):
                pattern.append(re.escape(part))
            elif part in groups:
                pattern.append(f"(?P={groups[part]})")
            else:
                groups[part] = f"f{len(groups)}"
                pattern.append(f"(?P<{groups[part]}>[^/]*)")
        wildcards = "".join("*" if isinstance(part, Field) else glob.escape(part) for part in self.parts)
        if os.path.isabs(wildcards):
            pattern = pattern[1:]
        fits = re.compile("".join(pattern)).fullmatch
        paths = glob.iglob(os.path.join(glob.escape(root), wildcards))
        return {os.path.normpath(path) for path in paths if fits(path)}


def parse_template(text: str, columns: Iterable[str], option: str) -> ImageTemplate:
    """Raises CohortError that names the template, the place in it and the nearest columns."""
    names = sorted(columns, key=len, reverse=True)
    parts: list[str | Field] = []
    place = 0
    while place < len(text):
        if text.startswith(("{{", "}}"), place):
            parts.append(text[place])
            place += 2
        elif text[place] == "{":
            field, place = _parse_field(text, place, names, option)
            parts.append(field)
        elif text[place] == "}":
            raise _error(text, place, option, "a { before it, or }} for a brace of the path", "a single }")
        else:
            end = re.compile(r"[^{}]+").match(text, place).end()
            parts.append(text[place:end])
            place = end
    if not any(isinstance(part, Field) for part in parts):
        raise CohortError(
            f"{option} {text!r}: expected at least one {{column}}, found none: all rows would have the same scan. The "
            f"table has {', '.join(names[:10])}"
        )
    return ImageTemplate(text, tuple(parts))


def _parse_field(text: str, place: int, names: list[str], option: str) -> tuple[Field, int]:
    """(the field whose brace stands at `place`, where the text goes on)."""
    start = place + 1
    for name in names:  # the longest first
        end = start + len(name)
        if text.startswith(name, start) and text.startswith("}", end):
            return Field(name), end + 1
        if text.startswith(name, start) and text.startswith(":", end):
            format_, closed, _ = text[end + 1 :].partition("}")
            if not closed:
                break
            if not _NUMBER_FORMAT.fullmatch(format_) and not _TEXT_FORMAT.fullmatch(format_):
                raise _error(text, end + 1, option, f"a format as in {_FORMATS}", repr(format_))
            return Field(name, format_), end + 1 + len(format_) + 1
    content, closed, _ = text[start:].partition("}")
    if not closed:
        raise _error(text, place, option, "a } behind the column's name, or {{ for a brace of the path", "none")
    found = f"{{{content}}}{suggest(content.partition(':')[0], names)}"
    raise _error(text, place, option, "a column of the table in the braces", found)


def _error(text: str, place: int, option: str, expected: str, found: str) -> CohortError:
    return CohortError(f"{option} {text!r}, character {place + 1}: expected {expected}, found {found}")
