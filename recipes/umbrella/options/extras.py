"""Packages that serve one feature: what to say where one is missing."""

from importlib.util import find_spec
from pathlib import Path


def check_extra(package: str, flag: str, extra: str) -> None:
    """Raise ImportError, with the command that installs it, where a package that a flag needs is missing."""
    if find_spec(package) is None:
        raise ImportError(describe_missing(package, flag, extra))


def describe_missing(package: str, flag: str, extra: str) -> str:
    """The sentence about a package that a flag needs: which, and the command that installs it."""
    # Of a library that is no checkout the extra is asked for by the project's name.
    checkout = Path(__file__).parents[3]
    project = f'-e ".[{extra}]"' if (checkout / "setup.cfg").is_file() else f'"umbrella-vlm[{extra}]"'
    return f"{flag}: expected the package {package}, found none. Install it: pip install {project}"
