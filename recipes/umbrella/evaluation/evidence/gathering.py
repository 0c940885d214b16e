"""All evidence that an evaluation is asked for, each under its name in metrics.json.

An entry of `metrics["evidence"]` is a dict with `sentences`, what it says in words, in the terminal and in the report.
Where a thing cannot be known, the sentences say so and why. `limits`, where there are any, are those of the sentences
that speak against the model, word for word: its card and the checklists carry them, see `umbrella.records.limits`.
"""

from collections.abc import Callable

from umbrella.evaluation.evidence.evidence import Evidence
from umbrella.evaluation.evidence.failures import gather_failures
from umbrella.evaluation.evidence.group_gaps import gather_group_gaps
from umbrella.evaluation.evidence.net_benefit import gather_net_benefit
from umbrella.evaluation.evidence.precision import measure_precision
from umbrella.evaluation.evidence.repeatability import gather_repeatability
from umbrella.evaluation.evidence.robustness import gather_robustness
from umbrella.evaluation.evidence.site_tell import tell_sites
from umbrella.evaluation.evidence.wording import gather_wording
from umbrella.evaluation.uncertainty.uncertainty import gather_uncertainty

GATHERERS: dict[str, Callable[[Evidence], dict | None]] = {
    "precision": lambda have: measure_precision(have.records, have.subjects, have.metrics["controls"]),
    "robustness": lambda have: gather_robustness(have.asker, have.asked, have.rows, have.records),
    "wording": lambda have: gather_wording(have.asker, have.asked, have.rows, have.records, have.splits),
    "repeatability": lambda have: gather_repeatability(have.asker.question, have.asked, have.rows, have.records),
    "uncertainty": lambda have: gather_uncertainty(
        have.asker, have.asked, have.records, have.subjects, have.calibration
    ),
    "group_gaps": lambda have: gather_group_gaps(have.asked.by, have.rows, have.records),
    "net_benefit": lambda have: gather_net_benefit(have.asker.question, have.asked, have.records, have.subjects),
    "site_tell": tell_sites,
    "failures": lambda have: gather_failures(
        have.asker.folder.path, have.rows, have.records, have.asked.seed, have.asked.report
    ),
}


def gather_evidence(evidence: Evidence) -> dict[str, dict]:
    """Name → its entry, of all that were asked for. On every process, since the model may be asked more."""
    gathered = {name: gather(evidence) for name, gather in GATHERERS.items()}
    return {name: entry for name, entry in gathered.items() if entry is not None}
