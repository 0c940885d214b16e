"""People → parts of given shares: groups together, strata in equal shares, the same by the seed."""

import random
from collections import Counter, defaultdict
from collections.abc import Sequence


def divide(
    names: Sequence[str], strata: Sequence[str], groups: Sequence[str], shares: dict[str, float], seed: int
) -> dict[str, str]:
    """Name → part. `strata` and `groups` hold one value a name; a group stays together. `shares`: part → its share.

    Systematic sampling: the names stand in a row, groups of several first and stratum by stratum, in an order drawn by
    the seed within each, and the next one goes to the part that lacks most of its share of those so far. So the parts
    have their shares to the name, and each stratum nearly so, whatever its size: strata of fewer members than parts
    are one, which comes first among the singles. Depends on nothing but the arguments, not on their order.
    """
    order = sorted(range(len(names)), key=lambda i: names[i])
    random.Random(seed).shuffle(order)
    members = defaultdict(list)
    for i in order:
        members[groups[i]].append(i)
    families = [some for some in members.values() if len(some) > 1]
    singles = [some for some in members.values() if len(some) == 1]
    targets = {part: share * len(names) for part, share in shares.items() if share}
    counts = dict.fromkeys(targets, 0)
    part_of = {}
    for units in (families, singles):
        for unit in _put_in_a_row(units, strata, len(targets)):
            part = _pick_part(len(unit), counts, targets)
            counts[part] += len(unit)
            part_of |= {names[i]: part for i in unit}
    return {names[i]: part_of[names[i]] for i in sorted(order, key=lambda i: names[i])}


def _put_in_a_row(units: list[list[int]], strata: Sequence[str], n_parts: int) -> list[list[int]]:
    """The units by stratum: those too small to be divided first, as one, then the larger the earlier. A family's is
    the one that most of its members are in."""
    stratum_of = [
        min(Counter(strata[i] for i in unit).items(), key=lambda item: (-item[1], item[0]))[0] for unit in units
    ]
    sizes = Counter(stratum_of)

    def place(number: int) -> tuple:
        stratum = stratum_of[number]
        return (0,) if sizes[stratum] < n_parts else (1, -sizes[stratum], stratum)

    return [units[number] for number in sorted(range(len(units)), key=place)]


def _pick_part(size: int, counts: dict[str, int], targets: dict[str, float]) -> str:
    """The part that lacks most of its share of those placed so far and of the unit to place. One that it would
    overfill by more than half of the unit is not asked, unless all would be."""
    n_placed, n = sum(counts.values()) + size, sum(targets.values())
    roomy = [name for name in targets if counts[name] + size - targets[name] <= size / 2]
    if not roomy:
        roomy = [max(targets, key=lambda name: targets[name] - counts[name])]
    return max(roomy, key=lambda name: round(n_placed * targets[name] / n - counts[name], 6))
