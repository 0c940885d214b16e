"""Command lines without YAML: an error is one sentence, with the flags that may have been meant."""

import argparse
from collections.abc import Sequence

from umbrella.options.flag_names import suggest


class PlainParser(argparse.ArgumentParser):
    """An ArgumentParser whose errors leave the usage text, which would bury them, to --help."""

    def error(self, message: str):
        self.exit(2, f"{self.prog}: error: {message}\n(all flags: {self.prog} --help)\n")

    def parse_args(self, args: Sequence[str] | None = None, namespace: argparse.Namespace | None = None):
        found, unknown = self.parse_known_args(args, namespace)
        if unknown:
            flags = [action.option_strings[0] for action in self._actions if action.option_strings]
            close = suggest(unknown[0], flags) if unknown[0].startswith("-") else []
            self.error(f"unknown argument {unknown[0]}" + (f": did you mean {' or '.join(close)}?" if close else ""))
        return found
