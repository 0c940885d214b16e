"""A row that an epoch has several times, of a small cohort with a large weight, is not augmented alike each time.

How often a row came before travels within its index, through samplers that know nothing of it. It is counted along the
order of the whole epoch, so it is the same for any division into processes, and wherever the epoch is gone on with.
"""

from collections import Counter
from collections.abc import Iterable, Iterator

PLACES = 1 << 40  # more than there are rows


def count_repeats(rows: Iterable[int]) -> Iterator[int]:
    """The indices of an epoch's rows in their order, of those that came before with how often they did."""
    seen: Counter[int] = Counter()
    for row in rows:
        yield row + PLACES * seen[row]
        seen[row] += 1


def split_index(index: int) -> tuple[int, int]:
    """What `count_repeats` made of an index: how often the row came before, and the row."""
    return divmod(index, PLACES)
