"""Evaluate a model on a split: greedy answers, accuracy, and the same with exchanged scans.

    python recipes/eval.py --model_name_or_path runs/quickstart --json_dir sample_data/sex_comparison_conversations

Writes predictions.jsonl and metrics.json into --output_dir (default: the model's folder, eval/).
"""

import json
from pathlib import Path

from umbrella.arguments import DataArguments, EvalArguments, ModelArguments, parse_arguments
from umbrella.command import run
from umbrella.controls import permute_scans, reverse_references
from umbrella.generation import generate_answers
from umbrella.metrics import accuracy, parse_label
from umbrella.modeling import check_fits, load_model, load_processor
from umbrella.preflight import check_scans
from umbrella.recipe import asked_for, resolve_recipe
from umbrella.splits import find_labels, load_splits, pick_split
from umbrella.transform import ConversationTransform


def main():
    # ------------------------------------------------------------------------------------------------ arguments
    model_args, data_args, eval_args = parse_arguments((ModelArguments, DataArguments, EvalArguments))
    output_dir = Path(eval_args.output_dir or Path(model_args.model_name_or_path) / "eval")

    # ------------------------------------------------------------------------------------------------ data
    rows = pick_split(load_splits(data_args), eval_args.split)
    labels = eval_args.labels.split(",") if eval_args.labels else find_labels(rows)
    expected = [metadata["subject_label"] for metadata in rows["metadata"]]
    check_scans(rows)

    # ------------------------------------------------------------------------------------------------ model
    processor = load_processor(model_args.model_name_or_path)
    recipe = resolve_recipe(asked_for(data_args), processor, model_args.model_name_or_path)
    transform = ConversationTransform(
        processor,
        **recipe.transform_options(),
        max_length=data_args.max_length,
        on_overflow=data_args.on_overflow,
        add_generation_prompt=True,
    )
    model = load_model(model_args.model_name_or_path).to("cpu" if eval_args.use_cpu else "cuda")
    check_fits(model, processor, recipe.image_size)

    # ------------------------------------------------------------------------------------------------ answers
    def answer(some_rows):
        options = (eval_args.batch_size, eval_args.max_new_tokens, eval_args.num_workers)
        return list(generate_answers(model, transform, some_rows, *options))

    answers = answer(rows)
    parsed = [parse_label(text, labels) for text in answers]
    metrics = {"accuracy": accuracy(parsed, expected), "n": len(rows), "unparseable": parsed.count(None)}
    if eval_args.controls:
        permuted = answer(permute_scans(rows, eval_args.seed))
        metrics["accuracy_scans_shuffled"] = accuracy([parse_label(text, labels) for text in permuted], expected)
        reversing = reverse_references(rows, eval_args.seed)
        if reversing is not None:
            old_truth = [metadata["subject_label"] for metadata in reversing["metadata"]]
            reversed_ = [parse_label(text, labels) for text in answer(reversing)]
            metrics |= {"accuracy_reference_reversed": accuracy(reversed_, old_truth), "n_reversed": len(reversing)}

    # ------------------------------------------------------------------------------------------------ save
    output_dir.mkdir(parents=True, exist_ok=True)
    with open(output_dir / "predictions.jsonl", "w", encoding="utf-8") as file:
        for row, prediction, label in zip(rows, answers, parsed, strict=True):
            line = {
                "task_id": row["task_id"],
                "prompt": transform.encoder.render_prompt(row["conversations"]),
                "answer": row["conversations"][-1]["content"][-1]["text"],
                "prediction": prediction,
                "parsed_label": label,
                "expected_label": row["metadata"]["subject_label"],
            }
            file.write(json.dumps(line, ensure_ascii=False) + "\n")
    (output_dir / "metrics.json").write_text(json.dumps(metrics, indent=2) + "\n", encoding="utf-8")
    for name, value in metrics.items():
        print(f"{name:<28} {value:.3f}" if isinstance(value, float) else f"{name:<28} {value}")
    print(f"predictions.jsonl and metrics.json are in {output_dir}")


if __name__ == "__main__":
    run(main)
