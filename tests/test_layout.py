"""Who may import whom: the way the data goes is one street, in one direction. Read from the sources."""

import ast
import sys
from functools import lru_cache
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
LIBRARY, RECIPES, SAMPLE_DATA = ROOT / "recipes" / "umbrella", ROOT / "recipes", ROOT / "sample_data"
# What `volumes` is made of: its own parts, which nothing else of the library enters.
PARTS_OF_VOLUMES = {
    "umbrella.files.contained_files",
    "umbrella.scans.scan_files",
    "umbrella.scans.inflate",
    "umbrella.scans.intensity",
    "umbrella.scans.not_a_scan",
    "umbrella.scans.voxel_statistics",
}
# How answers are read, which the validator shares with the evaluation: light modules, without a model or `datasets`.
ANSWERS = {
    f"umbrella.evaluation.{name}"
    for name in (
        "answer_template",
        "label_parsing",
        "labelled_answer",
        "number_parsing",
        "numbers",
        "own_answers",
        "reading",
        "text_folding",
    )
}
# What a flag may be, and what to install for it.
FLAGS = {
    "umbrella.options.plain_parser",
    "umbrella.options.list_flags",
    "umbrella.options.number_bounds",
    "umbrella.options.extras",
}

# How a command ends, also where it cannot write.
ENDS = {"umbrella.options.ending", "umbrella.files.written_files", "umbrella.files.claimed_folder"}
# JSON and YAML, each key once.
TEXTS = {"umbrella.files.json_files", "umbrella.files.yaml_files"}


@lru_cache
def find_imports(path):
    """The modules that a file imports, anywhere in it: "umbrella.views.planes" for `from umbrella.views.planes import make_view`."""
    found = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}: a relative import; name the module in full"
            # `from umbrella import views` imports the module umbrella.views.planes.
            from_package = [f"umbrella.{alias.name}" for alias in node.names] if node.module == "umbrella" else []
            found |= {node.module, *from_package}
    return frozenset(found)


def find_path(module):
    """The file of a module of ours, None for any other."""
    paths = (RECIPES / f"{module.replace('.', '/')}.py", ROOT / f"{module}.py", SAMPLE_DATA / f"{module}.py")
    return next((path for path in paths if path.is_file()), None)


def find_all_imports(path):
    """What a file imports, itself and through other modules of ours."""
    found, todo = set(), [path]
    while todo:
        new = find_imports(todo.pop()) - found
        found |= new
        todo += filter(None, map(find_path, new))
    return found


def ours(modules):
    return {module for module in modules if module.split(".")[0] == "umbrella" or find_path(module)} - {"umbrella"}


def packages(modules):
    return {module.split(".")[0] for module in modules}


def test_the_reader_of_imports_finds_those_that_are_known():
    assert "umbrella.views.planes" in find_imports(LIBRARY / "transform.py")
    assert "nibabel" in packages(find_all_imports(LIBRARY / "transform.py"))
    assert "transformers" in packages(find_all_imports(RECIPES / "train.py"))
    assert "umbrella.scans.volumes" in ours(find_all_imports(RECIPES / "train.py"))


def test_the_loading_script_imports_the_standard_library_and_datasets_alone():
    imported = find_imports(ROOT / "umbrella_dataset.py")
    assert ours(imported) == set()
    # The others come with datasets.
    allowed = {"datasets", "pyarrow", "fsspec", "numpy", "pandas", "multiprocess"} | sys.stdlib_module_names
    assert packages(imported) <= allowed


@pytest.mark.parametrize("name", ["views", "turns", "list_flags", "number_bounds", "extras", "collator"])
def test_what_stands_alone_imports_no_sibling(name):
    assert ours(find_imports(LIBRARY / f"{name}.py")) == set()


def test_volumes_and_conversations_import_only_their_own_parts():
    assert ours(find_all_imports(LIBRARY / "volumes.py")) <= PARTS_OF_VOLUMES
    assert ours(find_all_imports(LIBRARY / "conversations.py")) == {
        "umbrella.conversations.control_tokens",
        "umbrella.conversations.turns",
    }


@pytest.mark.parametrize(
    "name, foreign",
    [
        ("volumes", {"transformers", "tokenizers", "torch", "datasets"}),
        ("views", {"transformers", "tokenizers", "nibabel", "datasets"}),
        ("conversations", {"nibabel", "datasets"}),
        ("collator", {"transformers", "nibabel", "datasets"}),
    ],
)
def test_each_step_knows_nothing_of_the_others_field(name, foreign):
    assert packages(find_all_imports(LIBRARY / f"{name}.py")) & foreign == set()


def test_transform_joins_the_three_and_may_keep_what_they_made():
    imported = ours(find_imports(LIBRARY / "transform.py"))
    assert imported - {"umbrella.views.volume_cache"} == {
        "umbrella.conversations.encoder",
        "umbrella.views.planes",
        "umbrella.scans.volumes",
    }


def test_recipes_import_the_library_and_never_one_another():
    recipes = {path.stem for path in RECIPES.glob("*.py")}
    for path in RECIPES.glob("*.py"):
        assert packages(find_imports(path)) & recipes == set(), path
        assert packages(find_imports(path)) & {file.stem for file in SAMPLE_DATA.glob("*.py")} == set(), path


def test_the_library_imports_no_recipe_and_nothing_of_the_sample_data():
    outside = {path.stem for folder in (RECIPES, SAMPLE_DATA) for path in folder.glob("*.py")}
    for path in LIBRARY.rglob("*.py"):
        assert packages(find_imports(path)) & outside == set(), path


def test_sample_data_takes_the_rules_and_the_scans_from_where_they_are_written():
    # Of the library only the readers of scans, of answers, of JSON and of YAML, what a flag takes (lists, numbers,
    # packages), the search for personal data, and how a command writes and ends; the rules are umbrella_dataset's.
    for path in SAMPLE_DATA.glob("*.py"):
        library = {module for module in ours(find_imports(path)) if module.startswith("umbrella.")}
        scans = {"umbrella.scans.volumes", "umbrella.scans.not_a_scan"}
        assert library <= {*scans, "umbrella.privacy.search", *TEXTS, *FLAGS, *ANSWERS, *ENDS}, path
    for module in FLAGS | ANSWERS:
        assert packages(find_all_imports(find_path(module))) <= {"umbrella"} | sys.stdlib_module_names
    assert "umbrella_dataset" in find_all_imports(SAMPLE_DATA / "validate_json_format.py")
    assert "umbrella.scans.volumes" in find_all_imports(SAMPLE_DATA / "validate_json_format.py")


def test_no_module_of_the_library_imports_itself_in_a_circle():
    for path in LIBRARY.glob("*.py"):
        assert f"umbrella.{path.stem}" not in find_all_imports(path), path
