import sys

from umbrella.cohort.generation import main
from umbrella.options.ending import run

if __name__ == "__main__":
    run(lambda: sys.exit(main()))
