"""Files of transformers that are read alone: to import the package, and torch with it, takes seconds.

A command looks at its flags first: a wrong one, or --help, is answered before all else is imported.
"""

import ast
from importlib.util import find_spec, module_from_spec, spec_from_file_location
from pathlib import Path


def find_file(name: str) -> Path:
    """Where a file of the installed transformers lies: "utils/logging.py"."""
    package = find_spec("transformers")
    if package is None or not package.submodule_search_locations:
        raise ImportError("transformers is not installed: pip install transformers")
    return Path(package.submodule_search_locations[0], name)


def load_argument_parser() -> type:
    """The class HfArgumentParser, whose file needs no other of transformers; of a release where it does, by import."""
    spec = spec_from_file_location("umbrella_hf_argparser", find_file("hf_argparser.py"))
    try:
        if spec is None or spec.loader is None:
            raise ImportError(find_file("hf_argparser.py"))
        module = module_from_spec(spec)
        spec.loader.exec_module(module)
        return module.HfArgumentParser
    except (ImportError, OSError, AttributeError):
        from transformers import HfArgumentParser

        return HfArgumentParser


def read_definitions(name: str, wanted: set[str]) -> dict[str, ast.stmt]:
    """The classes and constants of a file that are called so, as they are written there."""
    path = find_file(name)
    found: dict[str, ast.stmt] = {}
    for node in ast.parse(path.read_text(encoding="utf-8"), filename=str(path)).body:
        if isinstance(node, ast.ClassDef) and node.name in wanted:
            found[node.name] = node
        elif isinstance(node, ast.Assign) and isinstance(node.targets[0], ast.Name) and node.targets[0].id in wanted:
            found[node.targets[0].id] = node
    if missing := wanted - found.keys():
        raise LookupError(f"{path}: expected {', '.join(sorted(missing))} in it, found none")
    return found
