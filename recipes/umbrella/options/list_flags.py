"""How a flag takes a list: with commas or with spaces, as one value or as several. The rule of every command."""

import re
from collections.abc import Sequence

from umbrella.files.data_format import SCHEMES

_ADDRESS = re.compile(rf"(?:{'|'.join(SCHEMES)})://")
_NEXT_ADDRESS = re.compile(rf"(?<![,\s])[,\s]++(?={_ADDRESS.pattern})")


def split_list(values: str | Sequence[str]) -> list[str]:
    """The parts of a list as a command line or a YAML gives it; empty ones are dropped.

    Where several values are given, each is a part: `male female`, or `"mild cognitive impairment" control`. Within
    a value commas separate, so that a part may hold spaces: `"mild cognitive impairment,control"`. White space does
    where a value is alone and has no comma: `"male female"`. Addresses may hold both: one ends where the next begins,
    `"s3://bucket/my study,s3://other"`.
    """
    values = [values] if isinstance(values, str) else list(values)
    if values and _ADDRESS.match(values[0]):
        return [part for value in values for part in _NEXT_ADDRESS.split(value.rstrip(", ")) if part]
    if len(values) == 1 and "," not in values[0]:
        return values[0].split()
    return [part.strip() for value in values for part in value.split(",") if part.strip()]
