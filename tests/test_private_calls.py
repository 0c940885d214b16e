"""Private names of libraries, all of them: an installed release that no longer has one is noticed here, by name."""

import ast
import importlib
import inspect
import re
from functools import cache
from pathlib import Path

import pytest
import torch

from umbrella.options.deepspeed_start import prepare_deepspeed

ROOT = Path(__file__).parents[1]
PRIVATE = re.compile(r"_(?!_)\w+")

# By whose they are: name → why, and why no public one serves.
USES = {
    "transformers.Trainer": {
        "_evaluate": "what Trainer does at a step that is to be evaluated, the scheduler's step with it",
        "_determine_best_metric": "whether an evaluation that was made up for is the best so far",
        "_internal_call": "an argument of the public save_model",
        "_issue_warnings_after_load": "a checkpoint of another model is an error, not a warning",
        "_load_best_model": "a checkpoint of trained weights alone",
        "_load_from_checkpoint": "a checkpoint of trained weights alone",
        "_loss_shifts_labels": "tells Trainer that the loss is ours, so that it counts the tokens of a step",
        "_prepare_inputs": "moves and casts a batch as training does",
        "_push_from_checkpoint": "each push passes the guard",
        "_run_epoch": "an epoch that has no step left is none",
        "_save_checkpoint": "a checkpoint is declared whole, and the ones before it go only then",
        "_save_optimizer_and_scheduler": "under DeepSpeed without the frozen weights",
    },
    "transformers.PretrainedConfig": {"_attn_implementation": "which implementation a model was loaded with"},
    "transformers.PreTrainedModel": {
        "_no_split_modules": "where a model may be cut over devices",
        "_supports_attention_backend": "a tower that takes any attention with the stock call",
        "_supports_flash_attn": "a tower that takes any attention with the stock call",
        "_supports_sdpa": "a tower that takes any attention with the stock call",
    },
    "transformers.ProcessorMixin": {"_process_images": "the stock one flattens lists of pictures; volumes are none"},
    "transformers.integrations.WandbCallback": {
        "_initialized": "setup, which is public, sets it",
        "_log_model": "no weights are sent",
        "_wandb": "the module, which is imported by the callback",
    },
    "transformers.TrainingArguments": {"_VALID_DICT_FIELDS": "which flags are read as JSON"},
    "transformers.utils.hub.cached_files": {
        "_raise_exceptions_for_gated_repo": "a file that is not there is no error",
        "_raise_exceptions_for_missing_entries": "a file that is not there is no error",
        "_raise_exceptions_for_connection_errors": "a file that is not there is no error",
    },
    "torch": {"_subclasses": "the module of FakeTensorMode, from where PyTorch's documentation imports it"},
    "torch.utils.data.DataLoader": {"_iterator": "persistent workers, which have no public end"},
    "torch.utils.data.dataloader._MultiProcessingDataLoaderIter": {
        "_shutdown_workers": "persistent workers, which have no public end"
    },
    "argparse.ArgumentParser": {
        "_actions": "all flags, for what may have been meant",
        "_option_string_actions": "the flag that an argument is",
    },
    "gzip.GzipFile": {"_buffer": "inflates into the caller's memory, without a copy"},
    "datasets.ArrowBasedBuilder": {
        "_cache_dir": "named in the error of a full disk",
        "_create_builder_config": "the script's own folder, where no other is given, before the cache's key is made",
        "_download_and_prepare": "under the lock, before the first split: clears what a killed build has left",
        "_fs": "the cache's file system, which need not be this machine's",
        "_output_dir": "the unfinished tables of this build",
        "_prepare_split": "when all of a split is written: its task_ids are compared",
        "_prepare_split_single": "in a worker, where the cause of an error is still known",
    },
}
# Not private but by their first letter: documented for whoever uses them or derives from their class.
DOCUMENTED = {
    "os": ("_exit",),
    "inspect.FullArgSpec": ("_asdict", "_fields"),  # as every named tuple
    "datasets.ArrowBasedBuilder": ("_generate_tables", "_info", "_split_generators"),
    "evaluate.Metric": ("_compute", "_info"),
}


def list_product():
    return [ROOT / "umbrella_dataset.py", *(ROOT / "recipes").rglob("*.py"), *(ROOT / "sample_data").rglob("*.py")]


@cache
def parse(path):
    return ast.parse(path.read_text(encoding="utf-8"))


def find_named(tree):
    """(name, line) of attributes, also by getattr, of keyword arguments, of modules and what is imported from them."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Attribute):
            yield node.attr, node.lineno
        elif isinstance(node, ast.keyword):
            yield node.arg or "", node.value.lineno
        elif isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id.endswith("attr"):
            yield from ((item.value, node.lineno) for item in node.args if isinstance(item, ast.Constant))
        elif isinstance(node, ast.Import | ast.ImportFrom):
            names = [alias.name for alias in node.names] + [getattr(node, "module", None) or ""]
            yield from ((part, node.lineno) for name in names for part in name.split("."))


def find_given(tree):
    """(name, line) of what code names itself: functions, classes, arguments, variables and attributes."""
    for node in ast.walk(tree):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
            yield node.name, node.lineno
        elif isinstance(node, ast.arg):
            yield node.arg, node.lineno
        elif isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store):
            yield node.id, node.lineno
        elif isinstance(node, ast.Attribute) and isinstance(node.ctx, ast.Store) and _is_self(node.value):
            yield node.attr, node.lineno


def _is_self(node):
    return isinstance(node, ast.Name) and node.id in ("self", "cls")


def import_file(path):
    folder = ROOT / "sample_data" if ROOT / "sample_data" in path.parents else ROOT / "recipes"
    parts = path.relative_to(folder if folder in path.parents else ROOT).with_suffix("").parts
    return importlib.import_module(".".join(part for part in parts if part != "__init__"))


def list_foreign_bases(path, class_name):
    """The classes that a class of the product derives from and that are not the product's."""
    found = getattr(import_file(path), class_name)
    product = {str(path) for path in list_product()}
    return [base for base in found.__mro__[1:-1] if getattr(inspect.getmodule(base), "__file__", None) not in product]


@cache
def read_source(owner):
    parts = owner.__mro__[:-1] if isinstance(owner, type) else (owner,)
    sources = []
    for part in parts:
        try:
            sources.append(inspect.getsource(part))
        except (OSError, TypeError):  # not written in Python
            sources.append(" ".join(vars(part)) if isinstance(part, type) else "")
    return "\n".join(sources)


def has(owner, name):
    """Whether a module, class or function has a name: a member, an argument, an attribute that it sets on itself."""
    if hasattr(owner, name):
        return True
    set_or_taken = rf"\bself\.{name}\b|\b{name}\s*[:=]"
    return not inspect.ismodule(owner) and re.search(set_or_taken, read_source(owner)) is not None


def find_private(path):
    """{name: its first line} of the private names of libraries in a file: those that the product does not give itself,
    and those that a class of its own has from its base too."""
    tree, found = parse(path), {}
    for name, line in find_named(tree):
        if PRIVATE.fullmatch(str(name)) and name not in list_own():
            found.setdefault(name, line)
    for node in tree.body:
        if not isinstance(node, ast.ClassDef) or not node.bases:
            continue
        own = [
            (item.attr, item.lineno)
            for item in ast.walk(node)
            if isinstance(item, ast.Attribute) and _is_self(item.value)
        ]
        own = [(name, line) for name, line in (*find_given(node), *own) if PRIVATE.fullmatch(name)]
        bases = list_foreign_bases(path, node.name) if own else []
        for name, line in own:
            if any(has(base, name) for base in bases):
                found.setdefault(name, line)
    return found


@cache
def list_own():
    return {name for path in list_product() for name, _ in find_given(parse(path))}


@cache
def find_all():
    """{name: places} in the product."""
    found = {}
    for path in list_product():
        for name, line in find_private(path).items():
            found.setdefault(name, []).append(f"{path.relative_to(ROOT)}:{line}")
    return found


def resolve(place):
    """The object of a dotted name, a module or what is in one."""
    try:
        return importlib.import_module(place)
    except ModuleNotFoundError:
        module, _, name = place.rpartition(".")
        return getattr(resolve(module), name)


@pytest.mark.slow
def test_no_private_name_of_a_library_is_used_without_its_reason():
    listed = {name for names in (*USES.values(), *DOCUMENTED.values()) for name in names}
    unlisted = {name: places for name, places in find_all().items() if name not in listed}
    lines = "\n".join(f"{name}: {', '.join(places)}" for name, places in sorted(unlisted.items()))
    assert not lines, f"expected public names of libraries, or a reason in {Path(__file__).name}, found:\n{lines}"
    assert not (unused := listed - find_all().keys()), (
        f"{Path(__file__).name}: expected no name without a use: {unused}"
    )


@pytest.mark.parametrize(
    ("place", "name"),
    [(place, name) for table in (USES, DOCUMENTED) for place, names in table.items() for name in names],
)
def test_the_installed_release_still_has(place, name):
    package = place.partition(".")[0]
    try:
        owner = resolve(place)
    except (AttributeError, ModuleNotFoundError):
        owner = None
    places, why = ", ".join(find_all().get(name, [])), USES.get(place, {}).get(name, "as documented")
    assert owner is not None and has(owner, name), (
        f"{place}: expected {name} in the installed {package}, found none; the product uses it in {places} ({why}). "
        f"Find what serves in its place, or install {package} as constraints.txt has it"
    )


CODE = """
import json._made_up
from transformers import Trainer, _hidden
class Mine(Trainer):
    _save = None
    def save_model(self, output_dir=None, _internal_call=False):
        self._own = self._get_output_dir()
        self._own.write(_odd=1)
json.loads._inner
getattr(json, "_by_name", 0)
"""


def test_each_kind_of_private_name_is_found(tmp_path, monkeypatch):
    path = tmp_path / "mine.py"
    path.write_text(CODE)
    module = type(ast)("mine")
    module.Mine = type("Mine", (resolve("transformers.Trainer"),), {})
    monkeypatch.setattr("test_private_calls.import_file", lambda _: module)
    monkeypatch.setattr("test_private_calls.list_own", lambda: {"_own", "_save", "_internal_call"})
    assert find_private(path) == {
        "_made_up": 2, "_hidden": 3, "_save": 5, "_internal_call": 6, "_get_output_dir": 7, "_odd": 8, "_inner": 9,
        "_by_name": 10,
    }  # fmt: skip


def test_a_name_that_is_gone_is_noticed():
    trainer = resolve("transformers.Trainer")
    assert has(trainer, "_save") and has(trainer, "_train_batch_size") and has(trainer, "_internal_call")
    assert not has(trainer, "_save_all_checkpoints") and not has(ast, "_parse")


def test_without_deepspeeds_list_of_ops_it_starts_all_the_same(monkeypatch):
    ops = pytest.importorskip("deepspeed.ops")
    if torch.cuda.is_available():
        pytest.skip("on a GPU the op is left alone")
    prepare_deepspeed({})
    assert ops.__compatible_ops__["deepspeed_shm_comm"] is False

    def has_no(name):
        raise AttributeError(name)

    monkeypatch.delitem(vars(ops), "__compatible_ops__")
    monkeypatch.setitem(vars(ops), "__getattr__", has_no)
    prepare_deepspeed({})
    assert not hasattr(ops, "__compatible_ops__")
