"""`import umbrella` makes the models for volumes known to transformers, before or after transformers is imported.

It imports neither transformers nor torch for that: the flags of a command are answered in a fraction of a second.
Where transformers has its table of configs already, the models are registered at once. Else the imports of
transformers and of this library are watched, and the models are registered as soon as that table is there and no
module of either is half imported.
"""

import sys
import threading
from collections.abc import Sequence
from importlib.abc import MetaPathFinder
from importlib.machinery import ModuleSpec, PathFinder
from types import ModuleType
from typing import Any

TABLE_OF_CONFIGS = "transformers.models.auto.configuration_auto"
WATCHED = ("transformers", "umbrella")


def register_when_loaded() -> None:
    """Register the models now, or once transformers is imported. May be called again."""
    if TABLE_OF_CONFIGS in sys.modules:
        _register()
    elif not any(isinstance(finder, ImportWatch) for finder in sys.meta_path):
        sys.meta_path.insert(0, ImportWatch())


def _register() -> None:
    from umbrella.models.volumes.registration import register_volume_models

    register_volume_models()


class ImportWatch(MetaPathFinder):
    """Finds modules as they are found without it, and sees when the last of a chain of imports is done."""

    def __init__(self) -> None:
        self.thread = threading.local()  # whose `depth` counts the modules that are half imported

    def find_spec(
        self, fullname: str, path: Sequence[str] | None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        if fullname.split(".")[0] not in WATCHED:
            return None
        spec = PathFinder.find_spec(fullname, path, target)
        if spec is not None and spec.loader is not None:
            self._watch(spec.loader)
        return spec

    def _watch(self, loader: Any) -> None:
        execute = loader.exec_module

        def execute_and_count(module: ModuleType) -> None:
            loader.exec_module = execute
            self.thread.depth = getattr(self.thread, "depth", 0) + 1
            try:
                execute(module)
            finally:
                self.thread.depth -= 1
            if self.thread.depth == 0:
                self._finish()

        loader.exec_module = execute_and_count

    def _finish(self) -> None:
        if TABLE_OF_CONFIGS in sys.modules and self in sys.meta_path:
            sys.meta_path.remove(self)
            _register()
