"""Check conversation files against JSON_FORMAT_SPECIFICATION.md: all problems of all files in one pass.

    python sample_data/validate_json_format.py my_data --check_images

All that it does is in `umbrella.validation`; where this file is not at hand: `python -m umbrella.validation`.
"""

import sys
from pathlib import Path

from umbrella.options.commands.ending import run
from umbrella.validation.flags import parse_options

if __name__ == "__main__":  # a wrong flag, or --help, is answered before the slow imports
    run(parse_options)

from umbrella.validation import validator

SAMPLES = Path(__file__).resolve().parent / "sex_comparison_conversations"


def main(argv: list[str] | None = None) -> int:
    return validator.main(argv, samples=SAMPLES)


if __name__ == "__main__":
    run(lambda: sys.exit(main()))
