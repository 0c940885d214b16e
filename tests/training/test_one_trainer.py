"""There is one Trainer, what transformers calls back for stands beside it, and publishing is handed to it."""

import ast
import gc
import importlib
from pathlib import Path

import pytest
from test_layout import LIBRARY, MODULES, RECIPES, find_all_imports, room_of
from tiny_trainer import trainer_parts
from transformers import Trainer

from umbrella.models.loading import load_model
from umbrella.options.training_arguments import TrainArguments
from umbrella.training.trainer import ConversationTrainer

MOST_LINES = 100


def find_subclasses(kind):
    return [found for child in kind.__subclasses__() for found in (child, *find_subclasses(child))]


def is_of_library(kind):
    return kind.__module__.split(".")[0] == "umbrella"


def test_there_is_one_trainer_in_the_library():
    for module, path in MODULES.items():
        if "Trainer" in path.read_text(encoding="utf-8"):
            importlib.import_module(module)
    assert list(filter(is_of_library, find_subclasses(Trainer))) == [ConversationTrainer]
    assert ConversationTrainer.__bases__ == (Trainer,)


@pytest.mark.slow
def test_a_second_trainer_would_be_found():
    second = type("Second", (ConversationTrainer,), {"__module__": "umbrella.training.second"})
    assert list(filter(is_of_library, find_subclasses(Trainer))) == [ConversationTrainer, second]
    del second
    gc.collect()  # classes are known to their base as long as they live


def test_what_trains_knows_nothing_of_the_hub():
    for module, path in MODULES.items():
        if room_of(module)[:1] == ("training",):
            assert not [other for other in find_all_imports(path) if other.startswith("umbrella.hub")], module
    assert "umbrella.hub.guarded_push" in find_all_imports(RECIPES / "train.py")


def test_nothing_is_pushed_without_a_guard(tmp_path):
    args = TrainArguments(output_dir=str(tmp_path / "run"), report_to="none", push_to_hub=True)
    with pytest.raises(ValueError, match=r"push_to_hub: expected a publisher, which looks for personal data, found"):
        ConversationTrainer(load_model("tiny"), args, **trainer_parts())
    assert not (tmp_path / "run").exists()


def find_functions(path):
    return [
        node for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))) if isinstance(node, ast.FunctionDef)
    ]


def list_long(path: Path) -> list[str]:
    """The functions of a file that have more than `MOST_LINES` lines."""
    return [node.name for node in find_functions(path) if node.end_lineno - node.lineno >= MOST_LINES]


@pytest.mark.parametrize("recipe", sorted(path.name for path in RECIPES.glob("*.py")))
def test_a_recipe_is_read_from_top_to_bottom(recipe):
    assert not (found := list_long(RECIPES / recipe)), f"{recipe}: expected at most {MOST_LINES} lines, found {found}"


@pytest.mark.parametrize("room", ["training", "evaluation"])
def test_what_many_values_describe_has_a_name(room):
    for path in (*(LIBRARY / room).glob("*.py"), RECIPES / "train.py", RECIPES / "eval.py"):
        for node in find_functions(path):
            taken = {arg.arg for arg in (*node.args.posonlyargs, *node.args.args, *node.args.kwonlyargs)}
            assert len(taken - {"self", "cls"}) < 8, f"{path}: {node.name}"


def test_a_long_function_is_found(tmp_path):
    path = tmp_path / "long.py"
    path.write_text("def short():\n    pass\n\n\ndef long():\n" + "    pass\n" * MOST_LINES)
    assert list_long(path) == ["long"]
