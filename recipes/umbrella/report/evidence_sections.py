"""The report's sections on what an evaluation gathered as evidence, in their order; each has its template."""

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from umbrella.evaluation.statistics.measures import Measure


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


# Name of the evidence → what makes its section of the entry in metrics.json, and of the measure (None for free text).
DESCRIBERS: dict[str, Callable[[dict, Measure | None], Section]] = {
    "site_tell": lambda entry, measure: Section(
        "site_tell", f"Can {entry['name']} be told from the scans?", entry, template="site_tell.html.j2"
    ),
}


def list_sections(metrics: dict, measure: Measure | None) -> list[Section]:
    """A section for each kind of evidence that was gathered."""
    gathered = metrics["evidence"]
    return [describe(gathered[name], measure) for name, describe in DESCRIBERS.items() if name in gathered]
