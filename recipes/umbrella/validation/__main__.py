import sys

from umbrella.options.commands.ending import run
from umbrella.validation.flags import parse_options

if __name__ == "__main__":  # a wrong flag, or --help, is answered before the slow imports
    run(lambda: parse_options(needs_path=True))

from umbrella.validation.validator import main

if __name__ == "__main__":
    run(lambda: sys.exit(main()))
