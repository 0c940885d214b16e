"""The report's sections on what an evaluation gathered as evidence, in their order; each has its template."""

from collections.abc import Callable

from umbrella.evaluation.statistics.measures import Measure
from umbrella.report.group_gaps_section import describe_group_gaps
from umbrella.report.net_benefit_section import describe_net_benefit
from umbrella.report.precision_section import describe_precision
from umbrella.report.repeatability_section import describe_repeatability
from umbrella.report.robustness_section import describe_robustness, describe_wording
from umbrella.report.section import Section
from umbrella.report.uncertainty_section import describe_uncertainty

# Name of the evidence → what makes its section of the entry in metrics.json, and of the measure (None for free text).
DESCRIBERS: dict[str, Callable[[dict, Measure | None], Section]] = {
    "precision": describe_precision,
    "robustness": describe_robustness,
    "wording": describe_wording,
    "repeatability": describe_repeatability,
    "uncertainty": describe_uncertainty,
    "group_gaps": describe_group_gaps,
    "net_benefit": describe_net_benefit,
    "site_tell": lambda entry, measure: Section(
        "site_tell", f"Can {entry['name']} be told from the scans?", entry, template="site_tell.html.j2"
    ),
    "failures": lambda entry, measure: Section("failures", "Where it fails", entry),
}


def list_sections(metrics: dict, measure: Measure | None) -> list[Section]:
    """A section for each kind of evidence that was gathered."""
    gathered = metrics["evidence"]
    return [describe(gathered[name], measure) for name, describe in DESCRIBERS.items() if name in gathered]
