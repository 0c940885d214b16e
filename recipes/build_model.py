"""Put a model for volumes together and write it as a folder, which every other command takes.

python recipes/build_model.py --language_model Qwen/Qwen2.5-0.5B-Instruct --vision_tower vit3d --output_dir models/mine
python recipes/build_model.py --from_model llava-hf/llava-interleave-qwen-0.5b-hf --output_dir models/inflated
"""

from umbrella.options.build_arguments import BuildArguments
from umbrella.options.ending import run
from umbrella.options.parsing import parse_arguments

if __name__ == "__main__":  # a wrong flag, or --help, is answered before the slow imports
    run(lambda: parse_arguments((BuildArguments,)))

import torch

from umbrella.models.building.towers import build_tower


def main() -> None:
    (args,) = parse_arguments((BuildArguments,))
    torch.manual_seed(args.seed)
    built = build_tower(args)
    print(built.shown, *built.notes, sep="\n")


if __name__ == "__main__":
    run(main)
