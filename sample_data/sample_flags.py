"""The flags of the sample generators."""

import argparse
from pathlib import Path

from umbrella.options.plain_parser import PlainParser


def parse_options(description: str, script: str, argv: list[str] | None = None) -> argparse.Namespace:
    """`--output_dir`, by default beside the generator's `script`, `--subjects_per_split`, `--seed`. Abbreviated flags
    and unusable values end the program."""
    path = Path(script).resolve()
    parser = PlainParser(
        description=description.splitlines()[0],
        allow_abbrev=False,
        formatter_class=argparse.ArgumentDefaultsHelpFormatter,
    )
    default = path.with_name(path.stem.removeprefix("generate_"))
    parser.add_argument("--output_dir", type=Path, default=default, help="folder to write")
    parser.add_argument(
        "--subjects_per_split", type=int, default=100, help="an even number, at least 4; two conversations for each"
    )
    parser.add_argument("--seed", type=int, default=0, help="the same seed gives the same files, byte for byte")
    options = parser.parse_args(argv)
    if options.subjects_per_split < 4 or options.subjects_per_split % 2:
        parser.error(
            f"--subjects_per_split: expected an even number of at least 4 (half of the subjects have each label), "
            f"found {options.subjects_per_split}"
        )
    if options.seed < 0:
        parser.error(f"--seed: expected a number of at least 0, found {options.seed}")
    return options
