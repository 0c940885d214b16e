"""Whether a model's maps point at a known region: more often than chance, and than those of random weights.

Maps of a model with random weights that look the same say nothing of what was learned (Adebayo et al. 2018, "Sanity
checks for saliency maps", NeurIPS).
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from scipy.stats import spearmanr

from umbrella.answers.attribution.maps import AttributionMap
from umbrella.answers.attribution.regions import Pointing
from umbrella.evaluation.statistics.differences import estimate, subtract
from umbrella.evaluation.statistics.intervals import bootstrap, number_subjects, share_interval
from umbrella.evaluation.statistics.measures import ACCURACY
from umbrella.evaluation.statistics.notation import percent

ALIKE = 0.5  # from this mean rank correlation on, maps are called alike


@dataclass(frozen=True)
class Pointed:
    """A scan whose view shows its row's region: what the trained model's map points at, and, where it was asked, that
    of the random one."""

    subject: str
    trained: Pointing
    random: Pointing | None


def correlate_maps(one: AttributionMap, other: AttributionMap) -> float | None:
    """Spearman's rank correlation of two maps of a scan over the cells of its head; None where one is flat."""
    in_head = one.boxed.in_head > 0
    values = one.by_cell[in_head], other.by_cell[in_head]
    if not in_head.any() or any(np.ptp(of_map) == 0 for of_map in values):
        return None
    return float(spearmanr(*values).statistic)


def summarize_pointing(region: str, rows: Sequence[Pointed], n_not_shown: int) -> dict:
    """The entry of metrics.json: the share of maps whose highest box overlaps the region, with 95 % intervals over
    subjects, chance, and the random model's."""
    subjects = [row.subject for row in rows]
    chance = float(np.mean([row.trained.chance for row in rows]))
    hits = np.array([row.trained.hit for row in rows], float)
    share = float(hits.mean())
    low, high = share_interval(hits, subjects)
    entry: dict = {
        "region": region,
        "rows": len(rows),
        "subjects": len(set(subjects)),
        "rows_whose_view_does_not_show_it": n_not_shown,
        "chance": chance,
        "trained": {"share": share, "interval": [low, high]},
    }
    is_above = low > chance
    verdict = "more often than chance" if is_above else "not shown to be more often than chance"
    said = [
        f"The highest box overlaps the {region} in {percent(share)} of {len(rows)} maps of {len(set(subjects))} "
        f"subjects (95 % interval {percent(low)} to {percent(high)}); a box drawn at random within the head does in "
        f"{percent(chance)}: {verdict}."
    ]
    warnings = [] if is_above else [f"The maps do not point at the {region} more often than chance does."]
    random = [row.random for row in rows if row.random is not None]
    if len(random) == len(rows):
        of_random = np.array([pointing.hit for pointing in random], float)
        random_low, random_high = share_interval(of_random, subjects)
        entry["random_model"] = {"share": float(of_random.mean()), "interval": [random_low, random_high]}
        gap = _subtract(hits, of_random, subjects)
        entry["difference"] = {"share": share - float(of_random.mean()), "interval": gap and list(gap)}
        where = "above chance" if random_low > chance else "below chance" if random_high < chance else "at chance"
        said.append(
            f"With random weights it does in {percent(float(of_random.mean()))} ({percent(random_low)} to "
            f"{percent(random_high)}): {where}."
        )
        if gap is None or gap[0] <= 0:
            warnings.append(
                f"The maps are not shown to point at the {region} more often than those of random weights."
            )
    return entry | {"sentences": said, "warnings": warnings}


def summarize_likeness(correlations: Sequence[float | None], subjects: Sequence[str]) -> dict:
    """The entry on how alike the trained model's maps and those of random weights are."""
    kept = [(value, subject) for value, subject in zip(correlations, subjects, strict=True) if value is not None]
    n_flat = len(correlations) - len(kept)
    if not kept:
        sentence = "No map could be compared with that of random weights: one of each two is the same everywhere."
        return {"rank_correlation": None, "flat": n_flat, "sentences": [sentence], "warnings": [sentence]}
    values = np.array([value for value, _ in kept])
    mean = float(values.mean())
    ends = bootstrap(lambda rows: {"mean": float(values[rows].mean())}, [subject for _, subject in kept]).get("mean")
    told = f", 95 % interval {_round(ends[0])} to {_round(ends[1])}" if ends else ""
    sentence = f"Rank correlation of the maps with those of random weights: {_round(mean)} on average{told}."
    warning = (
        f"The maps are much like those of random weights (rank correlation {mean:.2f}, {ALIKE:g} or more): they show "
        "the scan and the architecture, not what was learned."
    )
    return {
        "rank_correlation": mean,
        "interval": list(ends) if ends else None,
        "flat": n_flat,
        "sentences": [sentence],
        "warnings": [warning] if mean >= ALIKE else [],
    }


def _round(value: float) -> str:
    return f"{round(value, 2) + 0.0:.2f}"  # no -0.00


def _subtract(first: np.ndarray, second: np.ndarray, subjects: Sequence[str]) -> tuple[float, float] | None:
    codes, everyone = number_subjects(subjects), np.ones(len(first), bool)
    if codes.max() == 0:
        return None
    one, other = (estimate(ACCURACY, scores, everyone, codes) for scores in (first, second))
    return None if one is None or other is None else subtract(one, other)
