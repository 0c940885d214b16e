"""The flags of the sample generators."""

import argparse
from pathlib import Path

from umbrella.options.plain_parser import PlainParser


def parse_options(
    description: str, script: str, argv: list[str] | None = None, train_subjects: int | None = None
) -> argparse.Namespace:
    """`--output_dir`, by default beside the generator's `script`, `--subjects_per_split`, `--train_subjects`,
    `--seed`. Abbreviated flags and unusable values end the program.

    train_subjects  default of that flag; None: as many as in the other splits
    """
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
    parser.add_argument(
        "--train_subjects",
        type=int,
        default=train_subjects,
        help="of the training split, likewise"
        + (" (None: as many as the other splits)" if not train_subjects else ""),
    )
    parser.add_argument("--seed", type=int, default=0, help="the same seed gives the same files, byte for byte")
    options = parser.parse_args(argv)
    for name in ("subjects_per_split", "train_subjects"):
        number = getattr(options, name)
        if number is not None and (number < 4 or number % 2):
            parser.error(
                f"--{name}: expected an even number of at least 4 (half of the subjects have each label), "
                f"found {number}"
            )
    if options.seed < 0:
        parser.error(f"--seed: expected a number of at least 0, found {options.seed}")
    if options.train_subjects is None:
        options.train_subjects = options.subjects_per_split
    return options
