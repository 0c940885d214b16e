"""The flags of compare.py."""

import argparse
from pathlib import Path

from umbrella.options.number_bounds import AT_LEAST_1, SEED, check_bounds
from umbrella.options.plain_parser import PlainParser


def parse_compare_flags(description: str) -> argparse.Namespace:
    """The flags of compare.py; `description`: what its --help says first."""
    parser = PlainParser(description=description.splitlines()[0], allow_abbrev=False)
    parser.add_argument(
        "first",
        metavar="RUN_A",
        help="a run's or evaluation's folder, or a model's name, or several with commas (seeds)",
    )
    parser.add_argument("second", metavar="RUN_B", help="the other side, in the same way")
    parser.add_argument("--split", default="test", help="which split's evaluations (default: test)")
    parser.add_argument("--bootstrap", type=int, default=2000, help="resamples, for several seeds (default: 2000)")
    parser.add_argument("--seed", type=int, default=0, help="of the resamples (default: 0)")
    parser.add_argument("--output", type=Path, help="JSON file to write, all changed rows in it")
    options = parser.parse_args()
    check_bounds(options, {"bootstrap": AT_LEAST_1, "seed": SEED})
    return options
