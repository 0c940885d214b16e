import sys

from umbrella.cohort.flags import make_parser, read_flags
from umbrella.options.commands.ending import run

if __name__ == "__main__":  # a wrong flag, or --help, is answered before the slow imports
    run(lambda: read_flags(make_parser()))

from umbrella.cohort.generation import main

if __name__ == "__main__":
    run(lambda: sys.exit(main()))
