"""Two runs over the same rows: by how much one is better, how sure that is, and what may be said of it."""

import math
from collections.abc import Hashable, Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any

import numpy as np
from scipy.stats import t

from umbrella.evaluation.statistics.holm import ALPHA, correct_by_holm, z_of_strictest
from umbrella.evaluation.statistics.intervals import LEVEL, ROUNDING, Z_POWER, least_number, number_subjects
from umbrella.evaluation.statistics.lent_scans import measure_dependence
from umbrella.evaluation.statistics.measures import Measure
from umbrella.evaluation.statistics.precision import PairedDesign, least_discordant
from umbrella.evaluation.statistics.sign_flips import NAME, flip_signs

MOST_P = round(ALPHA, 10)  # after correction over the tests of a family


@dataclass(frozen=True)
class Paired:
    """How much better the first run is than the second, on the same rows.

    difference  of the mean scores, positive where the first is better
    interval    95 %, by subjects; None for a single subject, and where nothing varies, not even the true numbers
    p           see `sign_flips.flip_signs`
    n_tests     how many tests the family has that this one belongs to
    p_holm      p corrected over them: by Bonferroni's bound until `correct_entries` has seen them all
    outcome     "better", "worse" (p_holm < 0.05, and the interval says so too), "equal" (the interval lies within
                ± margin), else "unclear"
    needed      where unclear: about how many subjects would tell, with 80 % power and past the strictest step of the
                correction; None where no number can be named
    detectable  the smallest difference that as many subjects show likewise, at the observed spread; None where there
                is none, however large
    """

    difference: float
    interval: tuple[float, float] | None
    p: float
    test: str
    n: int
    n_subjects: int
    margin: float
    outcome: str
    needed: int | None
    n_tests: int
    p_holm: float
    detectable: float | None

    def to_dict(self) -> dict:
        return asdict(self)

    def widen(self, low: float, high: float) -> "Paired":
        """The same with an interval that reaches to these ends at least, and the outcome that it leaves.

        A wider one rests on more than subjects, so no number of them would tell.
        """
        interval = (min(low, self.interval[0]), max(high, self.interval[1]))
        outcome = decide(self.difference, interval, self.p_holm, self.margin)
        needed = self.needed if interval == self.interval else None
        return replace(self, interval=interval, outcome=outcome, needed=needed)


@dataclass(frozen=True)
class _Spread:
    """A mean difference and how subjects spread about it, from which the interval for any number of them follows."""

    difference: float
    about_mean: float
    about_zero: float
    share_discordant: float
    dependence: float
    scale: float
    is_binary: bool

    def ends(self, n: int, extra: float = 0.0) -> tuple[float, float]:
        """The interval for n subjects by Student's t, `extra` standard errors wider on both sides.

        Two made-up subjects that differ by `scale`, one each way, keep it from claiming certainty where no subject
        differs. Of rights and wrongs, one a subject, they are counted among the others (Bonett and Price 2012, Journal
        of Educational and Behavioral Statistics 37:479); of all else they bound the variance from below.
        """
        made_up = 2 * self.scale**2
        if self.is_binary:
            middle = self.difference * n / (n + 2)
            squares = n * (self.about_mean + (self.difference - middle) ** 2) + made_up + 2 * middle**2
            variance = squares / ((n + 2) * (n + 1))
        else:
            middle = self.difference
            variance = max(self.about_mean / (n - 1), made_up / ((n + 2) * (n + 1)))
        half = (float(t.ppf((1 + LEVEL) / 2, n - 1)) + extra) * math.sqrt(self.dependence * variance)
        return middle - half, middle + half

    def subjects_to_differ(self, n: int, n_tests: int) -> int | None:
        """How many subjects, more than n, would show a difference as large as this one."""
        if not self.share_discordant or abs(self.difference) < 1e-12:
            return None
        z = z_of_strictest(n_tests)
        part = (z * math.sqrt(self.about_zero) + Z_POWER * math.sqrt(self.about_mean)) / abs(self.difference)
        by_discordant = math.ceil(least_discordant(n_tests) / self.share_discordant)
        return max(n + 1, math.ceil(self.dependence * part**2), by_discordant)

    def subjects_to_agree(self, n: int, margin: float) -> int | None:
        """How many subjects, more than n, would show that the runs differ by less than the margin."""
        if abs(self.difference) >= margin:
            return None
        return least_number(lambda more: lies_within(self.ends(more, Z_POWER), margin), n + 1)

    def detectable(self, n: int, measure: Measure, one_row: bool, n_tests: int) -> float | None:
        """The smallest difference that n subjects show; of errors they spread at least as in the made-up subjects."""
        is_share = measure.better > 0
        least = 0.0 if is_share else 2 * self.scale**2 * (n - 1) / ((n + 2) * (n + 1))
        design = PairedDesign(max(self.about_mean, least), is_share, one_row, self.dependence, n_tests)
        return design.detectable(n)


def compare_paired(
    measure: Measure,
    first: Sequence[float] | np.ndarray,
    second: Sequence[float] | np.ndarray,
    subjects: Sequence[Hashable],
    donors: Sequence[Hashable] | None = None,
    seed: int = 0,
    n_tests: int = 1,
) -> Paired:
    """Compare two runs' scores, one a row. `donors`: see `sign_flips.flip_signs`.

    n_tests  of how many tests this is one: see `correct_entries`
    """
    by_row = measure.better * (np.asarray(first, float) - np.asarray(second, float))
    codes = number_subjects(subjects)
    n_subjects = int(codes.max()) + 1
    p = flip_signs(by_row, subjects, donors, seed)
    spread = _measure_spread(measure, by_row, codes, measure_dependence(by_row, subjects, donors))
    interval = None
    if n_subjects > 1:
        most = 1.0 if measure.better > 0 else math.inf
        low, high = spread.ends(n_subjects)
        if not math.isclose(low, high, rel_tol=1e-9, abs_tol=ROUNDING):
            interval = min(most, max(-most, low)), min(most, max(-most, high))
    p_bound = min(1.0, n_tests * p)
    outcome = decide(spread.difference, interval, p_bound, measure.margin)
    needed = None
    if outcome == "unclear" and interval is not None:
        ways = (spread.subjects_to_differ(n_subjects, n_tests), spread.subjects_to_agree(n_subjects, measure.margin))
        needed = min((way for way in ways if way is not None), default=None)
    detectable = spread.detectable(n_subjects, measure, len(by_row) == n_subjects, n_tests)
    verdict = (measure.margin, outcome, needed, n_tests, p_bound, detectable)
    return Paired(spread.difference, interval, p, NAME, len(by_row), n_subjects, *verdict)


def correct_entries(entries: dict[str, dict[str, Any]]) -> dict[str, dict[str, Any]]:
    """Entries whose `paired`, a `Paired` as a dict, are the tests of one family: p_holm and outcome by Holm.

    Each was made with `n_tests` of their number. The interval of a difference stays that of a single comparison.
    """
    corrected = {}
    p_values = correct_by_holm([entry["paired"]["p"] for entry in entries.values()])
    for (name, entry), p_holm in zip(entries.items(), p_values, strict=True):
        paired = entry["paired"]
        if paired["n_tests"] != len(entries):
            raise ValueError(f"{name}: expected one of {len(entries)} tests, found one of {paired['n_tests']}")
        outcome = decide(paired["difference"], paired["interval"], p_holm, paired["margin"])
        needed = paired["needed"] if outcome == "unclear" else None
        corrected[name] = entry | {"paired": paired | {"p_holm": p_holm, "outcome": outcome, "needed": needed}}
    return corrected


def _measure_spread(measure: Measure, by_row: np.ndarray, codes: np.ndarray, of_donors: float) -> _Spread:
    sums, rows = np.bincount(codes, by_row), np.bincount(codes)
    difference, mean_rows = float(by_row.mean()), rows.mean()
    return _Spread(
        difference,
        about_mean=float((((sums - difference * rows) / mean_rows) ** 2).mean()),
        about_zero=float(((sums / mean_rows) ** 2).mean()),
        share_discordant=float((np.abs(sums) > 1e-12).mean()),
        dependence=of_donors,
        scale=measure.scale,
        is_binary=measure.better > 0 and len(by_row) == len(sums),
    )


def decide(difference: float, interval: tuple[float, float] | None, p: float, margin: float) -> str:
    """Which of the four outcomes of `Paired` holds. Without an interval nothing is decided."""
    if interval is None:
        return "unclear"
    low, high = interval
    if p < MOST_P and (low > 0 or high < 0):
        return "better" if difference > 0 else "worse"
    return "equal" if lies_within(interval, margin) else "unclear"


def is_shown(test: dict) -> bool:
    """Whether a `Paired` as a dict found a difference, after correction."""
    return test["p_holm"] < MOST_P


def lies_within(interval: tuple[float, float], margin: float) -> bool:
    """Whether an interval of a difference lies within ± margin; a margin of 0 shows nothing."""
    return margin > 0 and -margin <= interval[0] and interval[1] <= margin
