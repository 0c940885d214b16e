"""Seeded fuzzing for a stated time: 4 s a fuzzer among the tests, an hour by `make test-nightly`.

A case that fails is named with what repeats it alone: the seed and its number.
"""

import os
import random
import time
from collections.abc import Callable

SECONDS = float(os.environ.get("UMBRELLA_FUZZ_SECONDS", "4"))
SEED = os.environ.get("UMBRELLA_FUZZ_SEED", "0")
CASE = os.environ.get("UMBRELLA_FUZZ_CASE")


def assert_quick(seconds: float, most_loops: float) -> None:
    """That processor time is at most so many times that of a plain loop on this machine, now."""
    if seconds > 1:  # else there is nothing to look into
        start = time.process_time()
        for _ in range(10**6):
            pass
        loop = time.process_time() - start
        assert seconds < most_loops * loop, f"took {seconds:.1f} s, {seconds / loop:.0f} times a loop of a million"


def fuzz(check: Callable[[random.Random], None], share: float = 1) -> int:
    """Call `check` with the source of randomness of case 0, 1, 2 ... until the time is up; returns how many cases.

    `share`: of the time, for a fuzzer that is made of several tests. `UMBRELLA_FUZZ_SECONDS`, `UMBRELLA_FUZZ_SEED` set
    the time and the seed; `UMBRELLA_FUZZ_CASE` runs one case alone.
    """
    end, number = time.monotonic() + SECONDS * share, int(CASE or 0)
    while True:
        try:
            check(random.Random(f"{SEED}/{number}"))
        except BaseException as error:
            error.add_note(f"repeat this case: UMBRELLA_FUZZ_SEED={SEED} UMBRELLA_FUZZ_CASE={number}")
            raise
        number += 1
        if CASE is not None or time.monotonic() > end:
            print(f"{number} cases")
            return number
