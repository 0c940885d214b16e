"""The code of a model for volumes, published beside it by choice: it loads where this library is not installed, with
`trust_remote_code=True`.

transformers copies the files that a repo's `auto_map` names, and those that they import from beside them, into one
folder of its own. So the modules that the classes need are written flat: `umbrella.scans.volumes` becomes
`umbrella_scans_volumes.py`, and imports its like by these names.
"""

import ast
import importlib.util
import re
import sys
from pathlib import Path
from typing import Any

from transformers import AutoConfig
from transformers.dynamic_module_utils import get_imports

from umbrella.files.json_files import read_json, write_json
from umbrella.models.foreign_code import NO_FOREIGN_CODE
from umbrella.models.hub_errors import PushError
from umbrella.models.loading import load_processor
from umbrella.models.volumes.registration import TOWERS

ENTRY = "umbrella_model"
CODE_FILES = "umbrella_*.py"
OF_LIBRARY = re.compile(r"^([ \t]*)from umbrella\.([\w.]+) import", re.MULTILINE)
HEAD = "# {module} of umbrella-vlm (Apache-2.0), copied beside a model by push_to_hub.py --with_code.\n"
# The stock classes are derived from, since to name a class in `auto_map` marks it.
ENTRY_TEXT = '''"""What `auto_map` names. Where umbrella-vlm is imported too, its own classes stand."""

from transformers import AutoConfig, AutoImageProcessor, AutoModel, {config}, {model}

from .{tower_file} import {tower}
from .{tower_config_file} import {tower_config}
from .{processor_file} import {processor}
from .{image_processor_file} import {image_processor}

try:
    AutoConfig.register({tower_config}.model_type, {tower_config})
except ValueError:
    pass
else:
    AutoModel.register({tower_config}, {tower})
    read_by = dict.fromkeys(("pil", "torchvision"), {image_processor})
    AutoImageProcessor.register({tower_config}, image_processor_classes=read_by)


class Pushed{config}({config}):
    """As its base."""


class Pushed{model}({model}):
    """As its base."""

    config_class = Pushed{config}


__all__ = ["Pushed{config}", "Pushed{model}", "{processor}", "{image_processor}"]
'''


def add_code(folder: Path) -> None:
    """Put the code beside a staged model, and `auto_map` into its configs.

    Raises PushError for a model whose code transformers has itself, and for one that is not whole.
    """
    is_model = (folder / "config.json").is_file()  # and no adapters alone
    config: Any = AutoConfig.from_pretrained(folder, **NO_FOREIGN_CODE) if is_model else None
    of_tower = {config_class.model_type: (config_class, tower) for config_class, tower in TOWERS}
    model_type = getattr(getattr(config, "vision_config", None), "model_type", None)
    if model_type not in of_tower or not list(folder.glob("model*.safetensors")):
        raise PushError(
            "--with_code: expected a whole model for volumes, found one that needs no code beside it or has its "
            "weights in another place. Leave the flag out, or export the model first (recipes/export.py)"
        )
    processor = load_processor(str(folder))
    needed = dict(zip(("tower_config", "tower"), of_tower[model_type], strict=True)) | {
        "processor": type(processor),
        "image_processor": type(processor.image_processor),
    }
    names = {name: kind.__name__ for name, kind in needed.items()}
    names |= {f"{name}_file": name_file(kind.__module__) for name, kind in needed.items()}
    names |= {"config": type(config).__name__, "model": config.architectures[0]}
    (folder / f"{ENTRY}.py").write_text(HEAD.format(module="A part") + ENTRY_TEXT.format(**names), encoding="utf-8")
    for module, source in collect_modules({kind.__module__ for kind in needed.values()}).items():
        (folder / f"{name_file(module)}.py").write_text(HEAD.format(module=module) + source, encoding="utf-8")
    of_model = {"AutoConfig": f"Pushed{names['config']}", "AutoModelForImageTextToText": f"Pushed{names['model']}"}
    _set_auto_map(folder / "config.json", of_model)
    _set_auto_map(folder / "processor_config.json", {"AutoProcessor": names["processor"]}, names["image_processor"])


def list_packages(folder: Path) -> list[str]:
    """What transformers asks for before it runs the code beside a staged model, but for what it needs itself."""
    imported = {name for path in folder.glob(CODE_FILES) for name in get_imports(path)}
    return sorted(imported - sys.stdlib_module_names - {"numpy", "torch", "transformers"})


def name_file(module: str) -> str:
    """umbrella.scans.volumes → umbrella_scans_volumes"""
    return module.replace(".", "_")


def collect_modules(modules: set[str]) -> dict[str, str]:
    """The sources of these modules of the library and of all that they import of it, with flat imports."""
    collected: dict[str, str] = {}
    todo = sorted(modules)
    while todo:
        module = todo.pop()
        if module in collected:
            continue
        spec = importlib.util.find_spec(module)
        if spec is None or spec.origin is None:
            raise PushError(f"--with_code: expected the source of {module} in this installation, found none")
        source = Path(spec.origin).read_text(encoding="utf-8")
        todo += [f"umbrella.{match[2]}" for match in OF_LIBRARY.finditer(source)]
        collected[module] = OF_LIBRARY.sub(
            lambda found: f"{found[1]}from .{name_file('umbrella.' + found[2])} import", source
        )
        ast.parse(collected[module])
    return collected


def _set_auto_map(path: Path, classes: dict[str, str], image_processor: str | None = None) -> None:
    """Replace a staged file, a link to the model's own, by one that says where its classes are."""
    stated: dict[str, Any] = read_json(path, dict)
    stated["auto_map"] = {auto: f"{ENTRY}.{name}" for auto, name in classes.items()}
    if image_processor is not None:
        stated["image_processor"]["auto_map"] = {"AutoImageProcessor": f"{ENTRY}.{image_processor}"}
    path.unlink()
    write_json(path, stated, indent=2)
