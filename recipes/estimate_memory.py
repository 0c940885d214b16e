"""Estimate the memory that a recipe needs on each GPU, before there is one. Needs the model's config.json alone.

    python recipes/estimate_memory.py recipes/configs/llava_1_5_7b_lora.yaml --num_gpus 4
    python recipes/estimate_memory.py --model_name_or_path tests/model_configs/qwen2_5_vl_3b --train lora --bf16 true

Takes train.py's YAML and flags. Weights, gradients, optimizer and what a step keeps for its backward pass are counted;
CUDA's own share (1.5 GiB) is assumed, and temporaries and fragmentation are not in it: leave a tenth free.
"""

import warnings

from umbrella.options.arguments import ModelArguments
from umbrella.options.commands.ending import run
from umbrella.options.parsing import parse_arguments
from umbrella.options.tool_arguments import EstimateArguments, PlannedDataArguments
from umbrella.options.training_flags import PlannedTrainFlags

if __name__ == "__main__":  # a wrong flag, or --help, is answered before the slow imports
    run(lambda: parse_arguments((ModelArguments, PlannedDataArguments, PlannedTrainFlags, EstimateArguments)))

from transformers.utils import logging

from umbrella.options.training_arguments import PlannedTrainArguments
from umbrella.planning.memory_estimate import build_without_memory, count_weights, estimate, load_config, to_table
from umbrella.planning.planned_batch import count_rows, describe_shortest, plan_batch
from umbrella.records.recipe import find_settings
from umbrella.views.settings import ViewSettings


def main() -> None:
    # ------------------------------------------------------------------------------------------------ arguments
    model_args, data_args, training_args, estimate_args = parse_arguments(
        (ModelArguments, PlannedDataArguments, PlannedTrainArguments, EstimateArguments)
    )
    if "adamw" not in training_args.optim or "bit" in training_args.optim:
        raise ValueError(f"--optim: expected AdamW in 32 bits, which is estimated, found {training_args.optim}")
    logging.set_verbosity_error()
    warnings.simplefilter("ignore", FutureWarning)  # PEFT's, about transformers' old names

    # ------------------------------------------------------------------------------------------------ model, batch
    config = load_config(model_args.model_name_or_path, model_args.base_model)
    model = build_without_memory(config, training_args, sharded_by_deepspeed=False)
    tokens = estimate_args.tokens or data_args.max_length
    plan = plan_batch(
        model,
        rows=count_rows(training_args, tokens),
        tokens=tokens,
        scans=estimate_args.scans,
        settings=find_settings(ViewSettings.of(data_args), model_args.model_name_or_path),
        supervised=estimate_args.supervised_tokens,
    )

    # ------------------------------------------------------------------------------------------------ table
    total, trained = count_weights(model)
    precision = "mixed precision" if training_args.bf16 else "float32"
    recomputed, otherwise = ("with", "without") if training_args.activation_checkpointing else ("without", "with")
    print(f"{model_args.model_name_or_path}: {total:,} weights, {trained:,} trained ({trained / total:.2%})")
    print(f"{plan.describe()}; {precision}, {recomputed} activation checkpointing; GPUs: {estimate_args.num_gpus}")
    print(describe_shortest(training_args, plan))
    print(to_table(estimate(config, training_args, plan, estimate_args.num_gpus)))
    print(
        f"\notherwise: activations {otherwise} checkpointing, not in the total. total: with 1.5 GiB for CUDA; leave a"
    )
    print("tenth of a GPU free. cpu: memory of the machine, for all its GPUs.")


if __name__ == "__main__":
    run(main)
