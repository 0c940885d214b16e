"""Cross-validate a recipe: each part of the data is held out once, and the answers about all of them are pooled.

    python recipes/cross_validate.py RECIPE.yaml --json_dir DATA --output_dir runs/folds --folds 5 --repeats 2
    python recipes/cross_validate.py RECIPE.yaml --json_dir DATA --output_dir runs/sites --by site --jobs 2

Takes every flag of train.py. Each fold is trained by train.py and evaluated by eval.py, in a folder of its own in
--output_dir; a fold that is done is not run again. Writes plan.json, predictions.jsonl, metrics.json and report.html.
`--fold K` runs one fold, for a job array; `--collect true` pools what all of them came to.
Exit codes: as train.py, 75 where a run was told to end (SIGTERM): the same command goes on.
"""

from umbrella.evaluation.folds.arguments import FoldArguments, check_fold_flags
from umbrella.options.arguments import DataArguments, ModelArguments
from umbrella.options.commands.ending import run
from umbrella.options.parsing import parse_arguments
from umbrella.options.training_flags import TrainFlags

if __name__ == "__main__":  # a wrong flag, or --help, is answered before the slow imports
    run(lambda: check_fold_flags(parse_arguments((ModelArguments, DataArguments, TrainFlags, FoldArguments))))

from pathlib import Path

from umbrella.evaluation.folds.commands import FoldRun
from umbrella.evaluation.folds.plan import keep_plan, make_plan
from umbrella.evaluation.folds.pooling import pool
from umbrella.evaluation.folds.running import FoldRunner
from umbrella.records.run import describe_process
from umbrella.report.folds_report import write_folds_report


def main() -> None:
    # ------------------------------------------------------------------------------------------------ plan
    arguments = parse_arguments((ModelArguments, DataArguments, TrainFlags, FoldArguments))
    model_args, data_args, train_flags, asked = check_fold_flags(arguments)
    plan = make_plan(model_args, data_args, train_flags, asked)
    if asked.fold is not None and asked.fold > len(plan.folds):
        raise ValueError(f"--fold: expected 1 to {len(plan.folds)}, the folds that there are, found {asked.fold}")
    process = describe_process(1)
    keep_plan(plan)
    print(*plan.task.told, *plan.notes, f"{len(plan.folds)} folds in {plan.folder}", sep="\n", flush=True)

    # ------------------------------------------------------------------------------------------------ run
    runs = [FoldRun(plan, fold, Path(__file__).parent) for fold in plan.folds]
    if asked.fold is not None:
        runs = runs[asked.fold - 1 : asked.fold]
    elsewhere = [] if asked.collect else FoldRunner(asked.jobs).run(runs)
    for one in elsewhere:
        print(f"{one.fold.says()}: another process is running it")
    if asked.fold is not None or elsewhere:
        print("pool all folds when they are done: the same command with --collect true, without --fold")
        return

    # ------------------------------------------------------------------------------------------------ pool
    metrics = pool(plan)
    write_folds_report(plan, metrics, process)
    print(*metrics["sentences"], sep="\n")
    print(f"predictions.jsonl, metrics.json and report.html are in {plan.folder}")


if __name__ == "__main__":
    run(main)
