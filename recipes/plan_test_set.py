"""Plan a test set before data are collected: how many subjects an interval takes, or how sure so many subjects are.

    python recipes/plan_test_set.py --accuracy 0.85 --width 0.05 --rows_per_subject 4
    python recipes/plan_test_set.py --accuracy 0.85 --subjects 120 --rows_per_subject 4 --icc 0.3
    python recipes/plan_test_set.py --mae 5 --width 1

Intervals are those of eval.py, over subjects. With the numbers, what they rest on is printed, and which differences so
many subjects show.
"""

from umbrella.options.commands.ending import run
from umbrella.options.plan_flags import parse_plan_flags

if __name__ == "__main__":  # a wrong flag, or --help, is answered before the slow imports
    run(lambda: parse_plan_flags(__doc__))

from umbrella.planning.test_set_plan import plan_test_set


def main() -> None:
    print("\n".join(plan_test_set(parse_plan_flags(__doc__))))


if __name__ == "__main__":
    run(main)
