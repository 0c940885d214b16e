import sys

from umbrella.options.ending import run
from umbrella.validation.validator import main

if __name__ == "__main__":
    run(lambda: sys.exit(main()))
