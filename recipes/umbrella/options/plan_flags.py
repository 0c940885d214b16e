"""The flags of plan_test_set.py."""

import argparse

from umbrella.options.number_bounds import AT_LEAST_1, POSITIVE, SHARE, Bounds, check_bounds
from umbrella.options.plain_parser import PlainParser

ICC = 0.5
BETWEEN_0_AND_1 = Bounds(0, 1, open_below=True, open_above=True)


def parse_plan_flags(description: str) -> argparse.Namespace:
    """The flags of plan_test_set.py; `description`: what its --help says first."""
    parser = PlainParser(description=description.splitlines()[0], allow_abbrev=False)
    parser.add_argument("--accuracy", type=float, help="the accuracy that is expected, as 0.85")
    parser.add_argument(
        "--mae", type=float, help="for numbers, the mean absolute error that is expected, in their unit"
    )
    parser.add_argument(
        "--error_sd",
        type=float,
        help="spread (SD) of the absolute errors of single rows (default: 0.756 of --mae, as where errors are normal "
        "about 0)",
    )
    parser.add_argument("--width", type=float, help="of the 95 %% interval, from end to end: how many subjects?")
    parser.add_argument("--subjects", type=int, help="or how many there are: how wide is the interval?")
    parser.add_argument("--rows_per_subject", type=float, default=1.0, help="on average (default: 1)")
    parser.add_argument(
        "--icc",
        type=float,
        help="intra-subject correlation: 0, each row is as good as one of another subject; 1, a subject's rows tell "
        f"no more than one of them (default: {ICC}, the middle, as long as nothing is known)",
    )
    parser.add_argument(
        "--chance", type=float, default=0.5, help="accuracy of one and the same answer, to be told from (default: 0.5)"
    )
    options = parser.parse_args()
    if (options.accuracy is None) == (options.mae is None):
        raise ValueError("expected exactly one of --accuracy SHARE and --mae ERROR")
    if (options.width is None) == (options.subjects is None):
        raise ValueError("expected exactly one of --width WIDTH and --subjects NUMBER")
    if options.error_sd is not None and options.mae is None:
        raise ValueError("--error_sd: expected --mae too, found --accuracy; leave it out")
    bounds = {"accuracy": BETWEEN_0_AND_1, "mae": POSITIVE, "error_sd": POSITIVE, "subjects": Bounds(2)}
    more = {"rows_per_subject": AT_LEAST_1, "icc": SHARE, "chance": BETWEEN_0_AND_1}
    check_bounds(options, bounds | more | {"width": POSITIVE if options.accuracy is None else BETWEEN_0_AND_1})
    return options
