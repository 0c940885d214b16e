"""Compare two evaluated runs, or several seeds a side, on the same rows.

    python recipes/compare.py runs/a runs/b
    python recipes/compare.py runs/a1,runs/a2,runs/a3 runs/b1,runs/b2,runs/b3 --output comparison.json

Reads what eval.py wrote. Differences are the second minus the first, with a 95 % interval over subjects and a test.
"""

from umbrella.options.commands.ending import run
from umbrella.options.compare_flags import parse_compare_flags

if __name__ == "__main__":  # a wrong flag, or --help, is answered before the slow imports
    run(lambda: parse_compare_flags(__doc__))

from umbrella.evaluation.comparison import compare, read_evaluation
from umbrella.evaluation.statistics.notation import format_p
from umbrella.files.json_files import write_json

MOST_PRINTED = 20


def main() -> None:
    options = parse_compare_flags(__doc__)
    sides = [
        [read_evaluation(folder, options.split) for folder in names.split(",")]
        for names in (options.first, options.second)
    ]
    result = compare(sides[0], sides[1], n_resamples=options.bootstrap, seed=options.seed)
    for title in ("first", "second"):
        side = result[title]
        spread = "" if side["sd"] is None else f" (SD {side['sd']:.4f} over {len(side['values'])} seeds)"
        print(f"{title:<10} {result['measure']} {side['mean']:.4f}{spread}  {', '.join(side['folders'])}")
    ends = result["interval"]
    interval = f"95 % interval {ends[0]:+z.4f} to {ends[1]:+z.4f}" if ends else "no interval"
    print(f"difference {result['difference']:+z.4f}, {interval}, p {format_p(result['p'])} ({result['test']})")
    print(f"verdict    {result['sentence']}", *result["notes"], sep="\n           ")
    if "p_seeds" in result:
        print(f"seeds      Welch's t-test of their means: p {format_p(result['p_seeds'])}")
    print(f"changed    {len(result['changed'])} of {result['n']} rows")
    for row in result["changed"][:MOST_PRINTED]:
        print(f"  {row['task_id']}: {row['first']} -> {row['second']} (truth: {row['expected']})")
    if len(result["changed"]) > MOST_PRINTED:
        print(f"  ... and {len(result['changed']) - MOST_PRINTED} more (--output FILE.json has all)")
    if options.output:
        write_json(options.output, result, indent=2)
        print(f"wrote {options.output}")


if __name__ == "__main__":
    run(main)
