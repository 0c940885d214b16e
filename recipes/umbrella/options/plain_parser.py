"""Command lines without YAML: an error is one sentence, with the flags that may have been meant."""

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NoReturn

from umbrella.options.address_flags import check_addresses
from umbrella.options.flag_names import suggest
from umbrella.options.repeated_flags import note_repeated


def name_program() -> str:
    """What the user started: "validate_json_format.py", or "python -m umbrella.validation"."""
    started = sys.modules["__main__"].__spec__
    name = Path(sys.argv[0]).name
    return f"python -m {started.parent}" if name == "__main__.py" and started is not None else name


class PlainParser(argparse.ArgumentParser):
    """An ArgumentParser whose errors leave the usage text, which would bury them, to --help."""

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(prog=name_program(), **kwargs)

    def error(self, message: str) -> NoReturn:
        self.exit(2, f"{self.prog}: error: {message}\n(all flags: {self.prog} --help)\n")

    def parse_args(  # type: ignore[override]  # a namespace of another class is not asked for
        self, args: Sequence[str] | None = None, namespace: argparse.Namespace | None = None
    ) -> argparse.Namespace:
        try:
            given = sys.argv[1:] if args is None else args
            check_addresses(given)
            # Private: argparse lists its flags nowhere else.
            note_repeated(given, self._option_string_actions.get)
        except ValueError as error:
            self.error(str(error))
        found, unknown = self.parse_known_args(args, namespace)
        if unknown:
            flags = [action.option_strings[0] for action in self._actions if action.option_strings]
            close = suggest(unknown[0], flags) if unknown[0].startswith("-") else []
            self.error(f"unknown argument {unknown[0]}" + (f": did you mean {' or '.join(close)}?" if close else ""))
        return found
