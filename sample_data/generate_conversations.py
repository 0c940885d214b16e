"""Generate conversations about your own cohort, from a BIDS tree, a table or DICOM, with honest splits.

    python sample_data/generate_conversations.py --bids_dir /data/bids --target sex --output_dir my_conversations

All that it does is in `umbrella.cohort`; where this file is not at hand: `python -m umbrella.cohort`.
"""

import sys
from pathlib import Path

from umbrella.cohort.flags import make_parser, read_flags
from umbrella.options.commands.ending import run

if __name__ == "__main__":  # a wrong flag, or --help, is answered before the slow imports
    run(lambda: read_flags(make_parser()))

from umbrella.cohort import generation


def main(argv: list[str] | None = None) -> int:
    return generation.main(argv, validator=[str(Path(__file__).with_name("validate_json_format.py"))])


if __name__ == "__main__":
    run(lambda: sys.exit(main()))
