"""README.md and the pages of docs/ are true: their Python runs, their commands, flags, files, links and proofs exist.

Python blocks run as they stand there, in a folder of their own that holds `umbrella_dataset.py` and a small
`sample_data/sex_comparison_conversations`.
"""

import ast
import configparser
import contextlib
import functools
import importlib
import io
import json
import os
import re
import runpy
import shlex
import shutil
import subprocess
import sys
from pathlib import Path
from unittest import mock

import datasets
import pytest
from conversation_folder import write_scan

from umbrella.options.parsing import GUIDE_SPELLINGS

ROOT = Path(__file__).parents[1]
README, DOCS = ROOT / "README.md", ROOT / "docs"
DATA, GUIDE, PROVEN = DOCS / "data.md", DOCS / "guide_examples.md", DOCS / "proven.md"
DOCUMENTS = [README, ROOT / "CONTRIBUTING.md", *sorted(DOCS.glob("*.md"))]
DEEPSPEED_SCRIPT = "train_deepspeed.py"  # the one block that is a program of its own
LAUNCHER_FLAGS = {
    "--nnodes",
    "--rdzv_backend",
    "--rdzv_conf",
    "--rdzv_endpoint",
    "--rdzv_id",
    "--local_addr",
    "--max_restarts",
    "--nproc_per_node",
    "--num_processes",
    "--num_gpus",
    "--logdir",
    "--quiet",
    "--config_file",
    "--index",
    "--no",
}  # the last two are pip's --index-url and --no-deps
each_document = pytest.mark.parametrize("document", DOCUMENTS, ids=lambda document: document.stem)


def read_blocks(document: Path, language: str) -> list[tuple[int, str]]:
    """(lines above, code) of each block, without the program of Example 3."""
    text = document.read_text(encoding="utf-8")
    found = re.finditer(rf"^```{language}\n(.*?)^```", text, re.DOTALL | re.MULTILINE)
    blocks = [(text[: block.start(1)].count("\n"), block[1]) for block in found]
    return [block for block in blocks if not block[1].startswith(f"# {DEEPSPEED_SCRIPT}")]


def read_deepspeed_script() -> str:
    text = GUIDE.read_text(encoding="utf-8")
    return re.search(rf"^```python\n(# {DEEPSPEED_SCRIPT}\n.*?)^```", text, re.DOTALL | re.MULTILINE)[1]


def run_python(document: Path) -> dict:
    """Run the blocks from top to bottom in one namespace, which is returned. Errors show the document's lines."""
    namespace = {"__name__": "__main__"}
    for lines_above, code in read_blocks(document, "python"):
        exec(compile("\n" * lines_above + code, str(document), "exec"), namespace)
    return namespace


@pytest.fixture(scope="module")
def workplace(small_data, tmp_path_factory):
    folder = tmp_path_factory.mktemp("workplace")
    (folder / "sample_data").mkdir()
    shutil.copytree(small_data, folder / "sample_data" / "sex_comparison_conversations")
    shutil.copy(ROOT / "umbrella_dataset.py", folder)
    (folder / "recipes").symlink_to(ROOT / "recipes")
    return folder


@pytest.mark.slow
@pytest.mark.skipif(datasets.__version__ >= "4", reason="loading scripts exist only in datasets<4")
def test_python_of_a_page_runs(workplace, monkeypatch, capsys):
    assert [document for document in DOCUMENTS if read_blocks(document, "python")] == [DATA, GUIDE]
    monkeypatch.chdir(workplace)
    namespace = run_python(DATA)
    assert len(namespace["rows"]) == 8
    assert namespace["batch"]["pixel_values"].shape == (8, 3, 64, 64)
    first, path_and_label, loss = capsys.readouterr().out.splitlines()
    assert first == "sex_comparison_train_0000"
    assert path_and_label.split()[0].startswith(str(workplace))
    assert path_and_label.split()[1] in ("male", "female")
    assert 5 < float(re.match(r"tensor\(([\d.]+)", loss)[1]) < 8  # ln 600 = 6.4, a guess among the tokens


@pytest.mark.slow
def test_examples_and_snippets_of_the_guide_run(workplace, monkeypatch, capsys):
    monkeypatch.chdir(workplace)
    monkeypatch.setenv("TENSORBOARD_LOGGING_DIR", "")  # a block sets it: put back afterwards
    namespace = run_python(GUIDE)
    printed = capsys.readouterr().out
    losses = [float(loss) for loss in re.findall(r"Average Loss: ([\d.]+)", printed)]
    assert len(losses) == 3
    assert losses[0] > losses[1] > losses[2]
    validation_losses = [float(loss) for loss in re.findall(r"^Validation Loss: ([\d.]+)", printed, re.MULTILINE)]
    assert len(validation_losses) == 2
    assert max(validation_losses) < losses[0]
    assert re.search(r"^Image loaded: shape=\(\d+, \d+, \d+\)$", printed, re.MULTILINE)
    assert re.search(r"^Prompt: <\|im_start\|>user .*<image>", printed, re.MULTILINE | re.DOTALL)
    assert re.search(r"^Token IDs shape: torch.Size\(\[1, \d+\]\)$", printed, re.MULTILINE)
    written = ("brainvlm_output/model.safetensors", "logs/events*", "runs/brainvlm/events*", "checkpoint_epoch_1.pt")
    for pattern in written:
        assert list(workplace.glob(pattern)), pattern
    assert "offline-run" in namespace["run"].dir
    namespace.clear()  # its loaders' workers end; in the garbage of a later test each is waited for


@pytest.mark.nightly  # the launcher `deepspeed` starts a run in test_resuming.py too
def test_deepspeed_example_of_the_guide_trains_two_processes_together(workplace):
    # As train.py does on a CPU: without it DeepSpeed compiles for half a minute, and leaves files in shared memory.
    prepare = "from umbrella.options.deepspeed_start import prepare_deepspeed\nprepare_deepspeed({})\n"
    (workplace / DEEPSPEED_SCRIPT).write_text(prepare + read_deepspeed_script(), encoding="utf-8")
    run_shell(f"PYTHONPATH=recipes torchrun --nproc_per_node 2 {DEEPSPEED_SCRIPT}", workplace)
    states = workplace / "brainvlm_deepspeed" / "checkpoint-5"
    assert (states / "model.safetensors").is_file()
    # An optimizer state for each rank: they shared the work, neither trained alone.
    assert len(list(states.glob("global_step5/zero_pp_rank_*_optim_states.pt"))) == 2
    history = json.loads((states / "trainer_state.json").read_text(encoding="utf-8"))["log_history"]
    losses = [entry["eval_loss"] for entry in history if "eval_loss" in entry]
    assert len(losses) == 5
    assert losses[-1] < losses[0]


def test_fp16_form_of_the_deepspeed_example_is_a_config_that_deepspeed_takes():
    (value,) = [
        node.value
        for node in ast.parse(read_deepspeed_script()).body
        if isinstance(node, ast.Assign) and ast.unparse(node.targets[0]) == "ds_config"
    ]
    config = eval(compile(ast.Expression(value), str(GUIDE), "eval"), {"has_cuda": True})
    parsed = importlib.import_module("deepspeed.runtime.config").DeepSpeedConfig(config)
    assert parsed.float16_config.enabled
    assert parsed.zero_optimization_stage == 2
    assert (parsed.train_batch_size, parsed.gradient_accumulation_steps) == (16, 4)


def test_smallest_json_is_valid(tmp_path, capsys):
    ((_, example),) = [block for document in DOCUMENTS for block in read_blocks(document, "json")]
    (tmp_path / "train").mkdir()
    (tmp_path / "train" / "sub-0001.json").write_text(example, encoding="utf-8")
    assert run_script(["sample_data/validate_json_format.py", str(tmp_path)]) == 0
    assert "✓ VALIDATION PASSED" in capsys.readouterr().out


@pytest.mark.slow
def test_five_steps_lead_from_a_bids_tree_to_an_evaluated_model(workplace, monkeypatch, capsys):
    """`accelerate launch` starts its script once, for a batch. The run itself has a tenth of its steps: all of them,
    and what they learn, are test_cohort_end_to_end.py's. The evaluation has few resamples."""
    table = "participant_id\tsex\n"
    for i in range(24):
        folder = workplace / "my_bids" / f"sub-{i:02d}" / "anat"
        folder.mkdir(parents=True)
        write_scan(folder / f"sub-{i:02d}_T1w.nii.gz", seed=i)
        table += f"sub-{i:02d}\t{'FM'[i % 2]}\n"
    (workplace / "my_bids" / "participants.tsv").write_text(table, encoding="utf-8")
    shutil.copy(workplace / "my_bids/sub-00/anat/sub-00_T1w.nii.gz", workplace / "scan.nii.gz")
    using = read_section(DOCS / "evaluation.md", "Using a model")
    blocks = re.findall(r"```bash\n(.*?)```", read_section(README, "Your own data in five steps") + using, re.DOTALL)
    steps = [command for block in blocks for command in block.splitlines()]
    programs = " ".join(shlex.split(command)[0] for command in steps)
    assert programs == "python python python python accelerate accelerate python python python"
    monkeypatch.chdir(workplace)
    for command in steps:
        if "--check_batch" in command:
            printed = run_shell(command, workplace)
        else:  # in this process, which has imported torch already
            words = shlex.split(command.removeprefix("python ").removeprefix("accelerate launch "))
            fewer = {"recipes/train.py": ["--max_steps", "30"], "recipes/eval.py": ["--bootstrap", "20"]}
            with mock.patch.dict(os.environ):  # TensorBoard's folder
                assert run_script(words + fewer.get(words[0], [])) in (None, 0), command
            printed = capsys.readouterr().out
        if "validate" in command:
            assert "✓ VALIDATION PASSED" in printed
        if "inspect" in command or "--check_batch" in command:
            assert "supervised" in printed
            assert not (workplace / "runs" / "check").exists()
        if "predict" in command:
            assert printed.count("\n") == 1
    assert all((workplace / "exported" / f"umbrella_{name}.json").is_file() for name in ("recipe", "questions"))
    quickstart = read_section(README, "Quickstart")
    table = re.findall(r"`(?:runs/quickstart/)?([\w/]+\.(?:json|jsonl|html|safetensors))`", quickstart)
    assert len(table) == 12
    for name in table:
        assert (workplace / "runs" / "mine" / name).is_file(), name
    page, public = (
        (workplace / "runs/mine/eval" / name).read_text(encoding="utf-8")
        for name in ("report.html", "report_public.html")
    )
    assert "runs/mine" in page and "my_data" in page
    assert not [place for place in ("runs/mine", "my_data", str(workplace)) if place in public]
    metrics = json.loads((workplace / "runs" / "mine" / "eval" / "metrics.json").read_text(encoding="utf-8"))
    assert metrics["n"] == len(list((workplace / "my_data" / "test").iterdir())) > 1
    assert {"accuracy", "accuracy_scans_shuffled"} <= set(metrics)


def run_shell(command: str, folder: Path) -> str:
    """Run a command line with this environment's programs first; returns what it printed."""
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    done = subprocess.run(
        command, shell=True, cwd=folder, env=os.environ | {"PATH": path}, capture_output=True, text=True
    )
    assert done.returncode == 0, f"{command}\n{done.stdout[-2000:]}\n{done.stderr[-4000:]}"
    return done.stdout


def read_section(document: Path, heading: str) -> str:
    text = document.read_text(encoding="utf-8")
    return re.search(rf"^## {heading}\n(.*?)(?=^## |\Z)", text, re.DOTALL | re.MULTILINE)[1]


def read_commands(document: Path) -> list[str]:
    """The command lines of a document's bash blocks, then those within its sentences."""
    lines = [line for _, block in read_blocks(document, "bash") for line in block.splitlines()]
    text = re.sub(r"^```.*?^```", "", document.read_text(encoding="utf-8"), flags=re.DOTALL | re.MULTILINE)
    return lines + re.findall(r"`((?:python|accelerate|torchrun|deepspeed|make|pip)\s[^`]+)`", text)


def run_script(argv: list[str]) -> int | str | None:
    """Run a script of the repository as `python SCRIPT ARGUMENTS` does; returns its exit code."""
    path = [str((ROOT / argv[0]).parent), *sys.path]
    with mock.patch.object(sys, "argv", argv), mock.patch.object(sys, "path", path):
        try:
            runpy.run_path(str(ROOT / argv[0]), run_name="__main__")
        except SystemExit as end:
            return end.code
    return 0


SUBCOMMANDS = {"recipes/push_to_hub.py": [["dataset"], ["model"], ["demo"]]}


@functools.cache
def read_flags(script: str) -> set[str]:
    """The flags that a script's --help names."""
    printed = io.StringIO()
    with contextlib.redirect_stdout(printed):
        for command in SUBCOMMANDS.get(script, [[]]):
            assert run_script([script, *command, "--help"]) == 0
    guides = {f"--{name}" for name in GUIDE_SPELLINGS} if script == "recipes/train.py" else set()
    return set(re.findall(r"^ +(?:-\w, )?(--\w+)", printed.getvalue(), re.MULTILINE)) | guides


def is_generated(path: str) -> bool:
    ignored = (ROOT / ".gitignore").read_text(encoding="utf-8").splitlines()
    return any(path.rstrip("/").startswith(line.rstrip("/")) for line in ignored)


@each_document
def test_commands_name_files_flags_targets_and_extras_that_exist(document):
    setup = configparser.ConfigParser()
    setup.read(ROOT / "setup.cfg", encoding="utf-8")
    targets = re.findall(r"^([\w-]+):", (ROOT / "Makefile").read_text(encoding="utf-8"), re.MULTILINE)
    for command in read_commands(document):
        words = shlex.split(command)
        if words[0] == "make":
            assert {word for word in words[1:] if "=" not in word} <= set(targets), command
        for extras in re.findall(r"\.\[([\w,]+)\]", command):
            assert set(extras.split(",")) <= set(setup["options.extras_require"]), command
        for word in words:
            if word.startswith(("recipes/", "sample_data/", "ds_configs/", "tests/")) and not is_generated(word):
                assert (ROOT / word).exists(), command
        scripts = [word for word in words if word.endswith(".py") and "/" in word]
        if scripts:
            flags = {word.split("=")[0] for word in words[words.index(scripts[0]) :] if word.startswith("--")}
            assert flags <= read_flags(scripts[0]), command


def test_the_installation_names_every_extra():
    setup = configparser.ConfigParser()
    setup.read(ROOT / "setup.cfg", encoding="utf-8")
    text = read_section(DOCS / "training.md", "Installation")
    named = {extra for extras in re.findall(r"\.\[([\w,]+)\]", text) for extra in extras.split(",")}
    assert named | set(re.findall(r"`(\w+)`", text)) >= set(setup["options.extras_require"])


@each_document
def test_every_flag_in_the_text_exists(document):
    files = [*ROOT.glob("recipes/*.py"), *ROOT.glob("sample_data/*.py")]
    programs = [file for file in files if "__main__" in file.read_text(encoding="utf-8")]
    known = LAUNCHER_FLAGS.union(*(read_flags(str(file.relative_to(ROOT))) for file in programs))
    text = document.read_text(encoding="utf-8")
    assert set(re.findall(r"(?<![\w-])--[a-z]\w+", text)) <= known


@each_document
def test_files_links_and_names_of_the_text_exist(document):
    text = document.read_text(encoding="utf-8")
    for link, _, heading in re.findall(r"\]\((?!https?:)([^)#]*)(#([^)]*))?\)", text):
        target = document.parent / link if link else document
        assert target.exists(), link
        assert not heading or heading in read_anchors(target), f"{link}#{heading}"
    for path in re.findall(r"`((?:recipes|sample_data|ds_configs|docs|tests)/[\w./*-]*)`", text):
        assert is_generated(path) or (ROOT / path).exists() or list(ROOT.glob(path)), path
    for name in re.findall(r"`(umbrella\.[\w.]+)", text):
        module, _, attribute = name.rpartition(".")
        importlib.import_module(name) if module == "umbrella" else getattr(importlib.import_module(module), attribute)


def read_anchors(document: Path) -> set[str]:
    """The anchors of a page's headings, as GitHub and the site name them."""
    headings = re.findall(r"^#+ (.+)$", document.read_text(encoding="utf-8"), re.MULTILINE)
    return {re.sub(r"[^\w -]", "", heading).strip().lower().replace(" ", "-") for heading in headings}


def test_each_test_that_is_named_as_a_proof_exists():
    files = [file.read_text(encoding="utf-8") for file in (ROOT / "tests").rglob("test_*.py")]
    tests = {name for text in files for name in re.findall(r"^def (test_\w+)\(", text, re.MULTILINE)}
    tables = re.findall(r"^\| .+ \| (.+) \|$", PROVEN.read_text(encoding="utf-8"), re.MULTILINE)
    proofs = [re.findall(r"`([^`]+)`", shown_by) for shown_by in tables if shown_by != "shown by"]
    assert len(proofs) > 90 and all(proofs)  # no claim without one
    named = {proof for claim in proofs for proof in claim}
    assert {proof for proof in named if proof.startswith("test_")} <= tests
    benchmarks = {proof.removeprefix("python ") for proof in named if not proof.startswith("test_")}
    assert benchmarks == {f"tests/benchmarks/{file.name}" for file in (ROOT / "tests" / "benchmarks").glob("*.py")}


def test_the_readme_is_read_in_ten_minutes():
    assert len(README.read_text(encoding="utf-8").splitlines()) <= 180


def test_each_recipe_is_in_the_table():
    section = read_section(DOCS / "training.md", "Recipes")
    names = re.findall(r"^\| `(\w+\.yaml)` \|", section, re.MULTILINE)
    assert sorted(names) == sorted(file.name for file in ROOT.glob("recipes/configs/*.yaml"))


def test_file_tree_is_the_real_one():
    """Each entry exists, and each file of the repository is an entry or lies below a folder that is not opened up."""
    tree = read_section(DOCS / "how_it_works.md", "The files").split("```")[1].removeprefix("text\n")
    entries, opened = [], ""
    for branch, name in re.findall(r"^([├└]── )?(\S+)", tree, re.MULTILINE):
        opened = opened if branch else name
        entries.append(opened + name if branch else name)
    for entry in entries:
        assert (ROOT / entry).is_dir() if entry.endswith("/") else (ROOT / entry).is_file(), entry
    if not (ROOT / ".git").exists():
        pytest.skip("no git checkout: the repository's files are not known")
    closed = [e for e in entries if e.endswith("/") and not any(o != e and o.startswith(e) for o in entries)]
    listed = subprocess.run(["git", "ls-files"], cwd=ROOT, check=True, capture_output=True, text=True).stdout.split()
    missing = [file for file in listed if file not in entries and not file.startswith(tuple(closed))]
    assert missing == []
