"""The flags of train.py as its parser needs them, known without torch: their names, kinds, defaults and words.

Those of transformers' TrainingArguments are read from its source, where they are written as a dataclass' fields. What
reads the flags for training itself is `umbrella.options.training_arguments.TrainArguments`.
"""

import ast
import logging
from dataclasses import dataclass, field
from enum import Enum
from importlib.metadata import version
from typing import Any, Literal

from umbrella.options.single_files import find_file, read_definitions
from umbrella.options.training_fields import PlannedTrainFields, TrainFields

# What the fields of TrainingArguments name, and where it is written.
CHOICES = {
    "utils/logging.py": {"log_levels"},
    "trainer_utils.py": {"IntervalStrategy", "SaveStrategy", "HubStrategy", "SchedulerType"},
    "debug_utils.py": {"DebugOption"},
    "training_args.py": {"OptimizerNames", "TrainingArguments"},
}


def read_training_fields() -> type:
    """A dataclass with the fields of TrainingArguments and nothing else of it; of a release where they are written in
    another way, the class itself, by import."""
    try:
        return _build()
    except (LookupError, NameError, AttributeError, TypeError, OSError):
        from transformers import TrainingArguments

        return TrainingArguments


def _build() -> type:
    names: dict[str, Any] = {"__name__": __name__, "dataclass": dataclass, "field": field}
    names |= {"Any": Any, "Literal": Literal, "logging": logging}
    names |= {"ExplicitEnum": Enum, "ParallelismConfig": str}  # a flag that is refused
    is_2_8 = tuple(map(int, version("torch").split(".")[:2])) >= (2, 8)  # as transformers asks torch itself
    names["default_optim"] = "adamw_torch_fused" if is_2_8 else "adamw_torch"
    for name, wanted in CHOICES.items():
        for definition in read_definitions(name, wanted).values():
            if isinstance(definition, ast.ClassDef) and definition.name == "TrainingArguments":
                definition.body = [node for node in definition.body if isinstance(node, ast.AnnAssign)]
            exec(compile(ast.Module([definition], []), find_file(name), "exec"), names)
            if "log_levels" in names:
                names["trainer_log_levels"] = dict(**names["log_levels"], passive=-1)
    return names["TrainingArguments"]


@dataclass
class TrainFlags(TrainFields, read_training_fields()):  # type: ignore[misc]  # its fields are known when it runs
    """All flags of train.py."""


@dataclass
class PlannedTrainFlags(PlannedTrainFields, TrainFlags):
    """All flags of train.py, for a recipe that is not run."""
