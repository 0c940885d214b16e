"""All evidence that an evaluation is asked for, each under its name in metrics.json.

An entry of `metrics["evidence"]` is a dict with `sentences`, what it says in words, in the terminal and in the report.
Where a thing cannot be known, the sentences say so and why. `limits`, where there are any, are those of the sentences
that speak against the model, word for word: its card and the checklists carry them, see `umbrella.records.limits`.
"""

from collections.abc import Callable

from umbrella.evaluation.evidence.evidence import Evidence
from umbrella.evaluation.evidence.site_tell import tell_sites

GATHERERS: dict[str, Callable[[Evidence], dict | None]] = {
    "site_tell": tell_sites,
}


def gather_evidence(evidence: Evidence) -> dict[str, dict]:
    """Name → its entry, of all that were asked for. On every process, since the model may be asked more."""
    gathered = {name: gather(evidence) for name, gather in GATHERERS.items()}
    return {name: entry for name, entry in gathered.items() if entry is not None}
