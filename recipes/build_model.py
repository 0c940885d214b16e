"""Put a model for whole volumes together and write it as a folder, which every other command takes.

    python recipes/build_model.py --language_model Qwen/Qwen2.5-0.5B-Instruct --vision_tower vit3d --output_dir new
    python recipes/build_model.py --language_model HuggingFaceTB/SmolLM2-360M-Instruct
    --vision_tower inflate:facebook/dinov2-base --output_dir dino
    python recipes/build_model.py --from_model llava-hf/llava-interleave-qwen-0.5b-hf --output_dir inflated

build.json in the folder says what it was made of, and what was settled without being asked for. The folder is written
whole or not at all.
"""

from umbrella.options.build_arguments import BuildArguments
from umbrella.options.commands.ending import run
from umbrella.options.parsing import parse_arguments

if __name__ == "__main__":  # a wrong flag, or --help, is answered before the slow imports
    run(lambda: parse_arguments((BuildArguments,)))

from functools import reduce

from umbrella.hub.exporting import export_model
from umbrella.models.building.assembly import build_model
from umbrella.models.building.folders import check_output_dir, write_model
from umbrella.models.loading import check_fits
from umbrella.records.training_data import TrainingData, start_from, start_from_file


def main() -> None:
    # ------------------------------------------------------------------------------------------------ arguments
    (args,) = parse_arguments((BuildArguments,))
    output_dir = check_output_dir(args.output_dir, args.overwrite)

    # ------------------------------------------------------------------------------------------------ model
    built = build_model(args)
    check_fits(built.model, built.processor)
    tokens, context = built.count_tokens(), built.find_context()

    # ------------------------------------------------------------------------------------------------ save
    with write_model(output_dir, args, built) as folder:
        seen = reduce(TrainingData.join, map(start_from, built.sources), TrainingData())
        (seen.join(start_from_file(args.vision_weights)) if args.vision_weights else seen).save(folder)
        export_model(built.model, built.processor, None, folder, args.dtype)

    # ------------------------------------------------------------------------------------------------ report
    settings = built.processor.image_processor.settings
    print(*built.parts, *built.notes, sep="\n")
    of_context = "" if context is None else f"; context: {context}, {context // tokens} scans and no text"
    print(f"tokens: {tokens} a scan ({settings.describe()}){of_context}")
    print(f"{built.model.num_parameters():,} parameters, {built.model.dtype}: model and processor are in {output_dir}")


if __name__ == "__main__":
    run(main)
