"""Who may import whom: the way the data goes is one street, in one direction. Read from the sources."""

import ast
import configparser
import sys
from functools import cache
from pathlib import Path

import pytest
from rooms import STREET

ROOT = Path(__file__).parents[1]
LIBRARY, RECIPES, SAMPLE_DATA = ROOT / "recipes" / "umbrella", ROOT / "recipes", ROOT / "sample_data"
# A room imports only from itself and from those before it; the library's docstring lists them.
ROOMS = STREET
# Rooms within a room, and where its other modules stand among them (""): at the end where it is not said.
INNER_ROOMS = {
    "files": ["", "remote", "shards"],
    "answers": ["", "attribution", "talking", "serving"],
    "report": ["", "demo"],
    "options": ["data", "commands", ""],
    "rows": ["", "batches"],
    "training": ["batches", "watching", ""],
    "cohort": [*"shared tables bids questions splits dicom".split(), "", "many"],
    "models": ["volumes", "", "building"],
    "evaluation": ["statistics", "", "uncertainty", "evidence", "harness", "checklists", "folds", "pointing"],
}
# Modules of the library that stand in no room: the guide's API, and names that published code imports.
ENTRANCES = {"client", "collator", "dataloaders", "guide_batch", "modeling", "transform"}


def to_module(path):
    """recipes/umbrella/views/planes.py → "umbrella.views.planes"."""
    folder = RECIPES if LIBRARY in path.parents else path.parent
    return ".".join(path.relative_to(folder).with_suffix("").parts).removesuffix(".__init__")


MODULES = {to_module(path): path for path in LIBRARY.rglob("*.py") if path.parent.name != "evaluate_modules"}


@cache
def find_imports(path):
    """The modules that a file imports, anywhere in it: "umbrella.views.planes" for `from umbrella.views.planes import
    make_view` as for `from umbrella.views import planes`."""
    found = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}: a relative import; name the module in full"
            inner = {f"{node.module}.{alias.name}" for alias in node.names} & MODULES.keys()
            found |= inner or {node.module}
    return frozenset(found)


def find_path(module):
    """The file of a module of ours, None for any other."""
    paths = (ROOT / f"{module}.py", SAMPLE_DATA / f"{module}.py", RECIPES / f"{module}.py")
    return MODULES.get(module) or next((path for path in paths if path.is_file()), None)


def find_all_imports(path):
    """What a file imports, itself and through other modules of ours."""
    found, todo = set(), [path]
    while todo:
        new = find_imports(todo.pop()) - found
        found |= new
        todo += filter(None, map(find_path, new))
    return found


def packages(modules):
    return {module.split(".")[0] for module in modules}


def room_of(module):
    """("cohort", "tables") of umbrella.cohort.tables.text, ("views",) of umbrella.views.planes."""
    path = MODULES[module]
    return path.parent.relative_to(LIBRARY).parts


def find_place(module):
    """Where on the street a module stands, to be compared."""
    room = room_of(module)
    if not room:
        return len(ROOMS), 0
    within = INNER_ROOMS.get(room[0], [])
    own = room[1] if room[1:] else ""
    inner = within.index(own) if own in within else len(within)
    return ROOMS.index(room[0]), inner


def find_back_imports(module, imported):
    """Those of the imported modules of the library that come after a module's room."""
    return {other for other in imported & MODULES.keys() if find_place(other) > find_place(module)}


def test_a_room_imports_from_those_before_it_and_only_what_they_export():
    imported = {module: find_imports(path) for module, path in MODULES.items()}
    back = {module: sorted(find_back_imports(module, of_module)) for module, of_module in imported.items()}
    back = {module: found for module, found in back.items() if found}
    assert not back, f"expected imports of earlier rooms only ({' '.join(ROOMS)}), found {back}"
    for module, of_module in imported.items():
        for other in sorted(of_module & MODULES.keys()):
            if room_of(other) != room_of(module) and room_of(other):
                assert_is_exported(other, module)


def assert_is_exported(other, importer):
    package, _, name = other.rpartition(".")
    exported = sys.modules.get(package) or __import__(package, fromlist=["__all__"])
    assert name in exported.__all__, f"{importer}: expected what {package}.__all__ exports, found {name}"


def test_a_back_import_is_found():
    assert find_back_imports("umbrella.views.planes", {"umbrella.rows.transform", "umbrella.scans.volumes"}) == {
        "umbrella.rows.transform"
    }
    assert find_back_imports("umbrella.cohort.tables.text", {"umbrella.cohort.bids.names", "umbrella.options.extras"})


def test_recipes_and_scripts_import_what_rooms_export_and_never_one_another():
    recipes = {path.stem for path in RECIPES.glob("*.py")}
    for path in (*RECIPES.glob("*.py"), *SAMPLE_DATA.glob("*.py")):
        imported = find_imports(path)
        assert packages(imported) & recipes == set(), path
        for other in sorted(imported & MODULES.keys()):
            if room_of(other):
                assert_is_exported(other, path.name)
    assert {path.stem for path in SAMPLE_DATA.glob("*.py")}.isdisjoint(
        packages(set().union(*map(find_imports, RECIPES.glob("*.py"))))
    )


def test_the_library_imports_no_recipe_and_nothing_of_the_sample_data():
    outside = {
        path.stem for folder in (RECIPES, SAMPLE_DATA, ROOT / "docs", ROOT / "tests") for path in folder.glob("*.py")
    }
    found = {module: packages(find_imports(path)) & outside for module, path in MODULES.items()}
    assert {module: names for module, names in found.items() if names} == {}


def test_no_module_of_ours_is_imported_by_a_text_that_hides_it():
    for path in MODULES.values():
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if not isinstance(node, ast.Call) or not node.args:
                continue
            called = getattr(node.func, "id", None) or getattr(node.func, "attr", None)
            if called in ("import_module", "__import__"):
                name = getattr(node.args[0], "value", "umbrella")
                assert not name.startswith("umbrella"), f"{path}:{node.lineno}: import it plainly"


def test_what_a_room_exports_is_there_and_used_by_others():
    used = {
        other
        for path in (*LIBRARY.rglob("*.py"), *RECIPES.glob("*.py"), *SAMPLE_DATA.glob("*.py"))
        for other in find_imports(path) & MODULES.keys()
        if path.parent != MODULES[other].parent
    }
    for package, path in MODULES.items():
        if path.name == "__init__.py" and path.parent != LIBRARY:
            exported = __import__(package, fromlist=["__all__"]).__all__
            assert {f"{package}.{name}" for name in exported} <= used, package


def test_the_library_is_made_of_rooms_each_with_its_sentence():
    folders = {path.parent for path in MODULES.values()} - {LIBRARY}
    assert {folder.relative_to(LIBRARY).parts for folder in folders} == {(room,) for room in ROOMS} | {
        (room, inner) for room, within in INNER_ROOMS.items() for inner in within if inner
    }
    assert 10 <= len(ROOMS) <= 17
    for folder in folders:
        files = [path for path in folder.glob("*.py") if not path.name.startswith("__")]
        n_lines = sum(len(path.read_text(encoding="utf-8").splitlines()) for path in folder.glob("*.py"))
        doc = ast.get_docstring(ast.parse((folder / "__init__.py").read_text(encoding="utf-8")))
        assert len(files) > 1, folder
        assert n_lines <= 2500, folder
        assert doc and "It " in doc.splitlines()[-1], (
            f"{folder}: expected what the room is for and what it never knows"
        )
    assert {path.stem for path in LIBRARY.glob("*.py")} - {"__init__"} == ENTRANCES


def test_every_room_is_installed():
    config = configparser.ConfigParser()
    config.read(ROOT / "setup.cfg", encoding="utf-8")
    installed = config["options"]["packages"].split()
    assert sorted(installed) == sorted({".".join(("umbrella", *room_of(module))) for module in MODULES})


def test_what_is_no_code_is_installed_too():
    config = configparser.ConfigParser()
    config.read(ROOT / "setup.cfg", encoding="utf-8")
    given = {
        path
        for package, pattern in config["options.package_data"].items()
        for path in (RECIPES / package.replace(".", "/")).glob(pattern)
    }
    needed = {path for path in LIBRARY.rglob("*") if path.is_file() and path.suffix not in (".py", ".pyc")}
    assert given - needed <= set(LIBRARY.glob("evaluate_modules/*.py"))
    assert needed <= given


def test_the_loading_script_imports_the_standard_library_and_datasets_alone():
    imported = find_imports(ROOT / "umbrella_dataset.py")
    # The others come with datasets.
    allowed = {"datasets", "pyarrow", "fsspec", "numpy", "pandas", "multiprocess"} | sys.stdlib_module_names
    assert packages(imported) <= allowed


@pytest.mark.parametrize(
    "room, foreign",
    [
        ("files", {"torch", "transformers", "datasets", "nibabel"}),
        ("scans", {"transformers", "tokenizers", "torch", "datasets"}),
        ("views", {"transformers", "tokenizers", "datasets"}),
        ("conversations", {"nibabel", "datasets"}),
        ("cohort", {"transformers", "tokenizers", "torch"}),
    ],
)
def test_each_room_knows_nothing_of_the_others_field(room, foreign):
    for module, path in MODULES.items():
        if room_of(module)[:1] == (room,) and room_of(module) != ("cohort", "many"):  # where a cohort meets a model
            assert packages(find_all_imports(path)) & foreign == set(), module


@pytest.mark.parametrize(
    "module, foreign",
    [
        ("umbrella.views.planes", {"nibabel"}),
        ("umbrella.rows.collator", {"transformers", "nibabel", "datasets"}),
    ],
)
def test_each_step_knows_nothing_of_the_others_field(module, foreign):
    assert packages(find_all_imports(MODULES[module])) & foreign == set()


@pytest.mark.parametrize(
    "module",
    ["views.planes", "views.settings", "conversations.turns", "options.list_flags", "options.number_bounds",
     "options.extras", "rows.collator"],
)  # fmt: skip
def test_what_stands_alone_imports_no_sibling_but_what_states_a_constant(module):
    constants = {
        "umbrella.files.data_format",
        "umbrella.conversations.ignore_index",
        "umbrella.options.data.volume_flags",
    }
    assert find_imports(MODULES[f"umbrella.{module}"]) & MODULES.keys() <= constants
    for constant in constants:
        assert find_imports(MODULES[constant]) == set()


@cache
def find_own_first_imports(path):
    """The modules that a file itself imports as soon as it is imported, packages of ours among them."""
    names = set()
    for node in ast.parse(path.read_text(encoding="utf-8")).body:
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            names |= {f"{node.module}.{alias.name}" for alias in node.names} & MODULES.keys() | {node.module}
    return frozenset(names)


def find_first_imports(path):
    """Packages that a file imports as soon as it is imported itself, also through other modules of ours."""
    found, todo, seen = set(), [path], set()
    while todo:
        seen.add(current := todo.pop())
        names = find_own_first_imports(current)
        found |= packages(names)
        todo += [path for path in filter(None, map(find_path, names)) if path not in seen]
    return found


@pytest.mark.parametrize("recipe", ["train", "predict", "export", "cache_volumes", "inspect_labels", "build_model"])
def test_what_needs_no_extra_imports_none(recipe):
    extras = {"scipy", "sklearn", "matplotlib", "monai", "timm", "peft", "deepspeed", "psutil"}
    assert find_first_imports(RECIPES / f"{recipe}.py") & extras == set()


def test_first_imports_of_an_evaluation_are_those_of_its_extra():
    assert {"scipy", "sklearn"} <= find_first_imports(RECIPES / "eval.py")


def test_the_reader_of_imports_finds_those_that_are_known():
    transform = MODULES["umbrella.rows.transform"]
    assert "umbrella.views.planes" in find_imports(transform)
    assert "nibabel" in packages(find_all_imports(transform))
    assert "transformers" in packages(find_all_imports(RECIPES / "train.py"))
    assert "umbrella.scans.volumes" in find_all_imports(RECIPES / "train.py")


def test_the_rules_of_the_format_are_those_of_the_loading_script():
    assert "umbrella_dataset" in find_all_imports(SAMPLE_DATA / "validate_json_format.py")
    assert "umbrella.scans.volumes" in find_all_imports(SAMPLE_DATA / "validate_json_format.py")


def test_no_module_of_the_library_imports_itself_in_a_circle():
    for module, path in MODULES.items():
        assert module not in find_all_imports(path) or path.name == "__init__.py", module


# Signatures that the guide and the design fix: their parameters are what users write.
MANY_PARAMETERS = {
    "recipes/umbrella/dataloaders.py: __init__",  # UMBRELLADataLoader, the guide's
    "recipes/umbrella/dataloaders.py: create_umbrella_dataloaders",  # the guide's
    "recipes/umbrella/rows/transform.py: __init__",  # ConversationTransform, the design's
    "recipes/umbrella/models/volumes/tower.py: __init__",  # configurations of transformers: what their files hold
    "recipes/umbrella/models/volumes/inflated.py: __init__",
    "recipes/umbrella/models/volumes/processor.py: __init__",
    "recipes/umbrella/models/volumes/dense.py: __init__",
}


def count_parameters(function):
    """How many a caller may give."""
    arguments = function.args
    named = [*arguments.posonlyargs, *arguments.args, *arguments.kwonlyargs]
    named = [argument for argument in named if argument.arg not in ("self", "cls")]
    return len(named) + (arguments.vararg is not None) + (arguments.kwarg is not None)


def test_a_function_of_eight_and_more_parameters_takes_an_object_that_has_a_name():
    found = {
        f"{path.relative_to(ROOT).as_posix()}: {getattr(node, 'name', 'lambda')}"
        for path in (*RECIPES.rglob("*.py"), *SAMPLE_DATA.glob("*.py"))
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8")))
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda) and count_parameters(node) > 7
    }
    assert found == MANY_PARAMETERS
