"""A section of the report on one kind of evidence."""

from dataclasses import dataclass, field
from typing import Any


@dataclass(frozen=True)
class Section:
    """What stands under a heading. `shown`: what its template needs, as tables in words and charts as SVG.

    A section of sentences alone needs no template of its own.
    """

    name: str
    title: str
    entry: dict
    shown: dict[str, Any] = field(default_factory=dict)
    template: str = "sentences.html.j2"
