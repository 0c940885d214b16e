"""What happens with findings of personal data: a push stops, unless each kind found is allowed."""

from collections import Counter
from collections.abc import Sequence

from umbrella.models.hub_errors import PushError
from umbrella.privacy.scrub import SHIFTED
from umbrella.privacy.search import KINDS, Finding

MOST_SHOWN = 20


def check_findings(findings: Sequence[Finding], allowed: Sequence[str], scrubbed: bool | None) -> dict[str, int]:
    """The counts of allowed findings by kind, for the card.

    scrubbed  whether these are clean copies, in which dates are shifted ones; None where there is no way to make some

    Raises PushError, which lists the findings, where a kind is not allowed.
    """
    unknown = [kind for kind in allowed if kind not in KINDS]
    if unknown:
        raise PushError(f"--allow: expected some of {', '.join(map(repr, KINDS))}, found {unknown[0]!r}")
    fine = {*allowed, *(SHIFTED if scrubbed else ())}
    refused = [finding for finding in findings if finding.kind not in fine]
    if refused:
        counts = Counter(finding.kind for finding in refused)
        listed = "\n  ".join(map(str, refused[:MOST_SHOWN]))
        more = f"\n  ... and {len(refused) - MOST_SHOWN} more" if len(refused) > MOST_SHOWN else ""
        kinds = ", ".join(f"{n} × {kind}" for kind, n in counts.most_common())
        raise PushError(
            f"expected no personal data, found {kinds}; nothing was uploaded:\n  {listed}{more}\n"
            f"{_advise(counts, scrubbed)}"
        )
    return dict(Counter(finding.kind for finding in findings if finding.kind in allowed))


def _advise(counts: Counter, scrubbed: bool | None) -> str:
    advice = []
    if "face" in counts:
        advice.append("Remove faces with a defacing tool (pydeface, mri_deface).")
    if scrubbed is False:
        advice.append("Write clean copies with --scrub true.")
    kinds = " ".join(repr(kind) for kind in counts)
    return " ".join([*advice, f"Or publish them as they are, which the card will say: --allow {kinds}"])
