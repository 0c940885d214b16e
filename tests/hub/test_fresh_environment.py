"""Claims about a published model for volumes: a stranger's environment loads it, and it answers as predict.py does."""

import ast
import json
import os
import shutil
import subprocess
import sys
import venv
from pathlib import Path

import huggingface_hub
import predict
import push_to_hub
import pytest
import torch
import train
from conversation_folder import write_folder

from umbrella.hub.model_code import collect_modules, name_file
from umbrella.models.loading import load_model, load_processor
from umbrella.models.volumes.processor import VolumeProcessor
from umbrella.models.volumes.registration import TOWERS

ROOT = Path(__file__).parents[2]
QUESTION = "Is this scan of a male or a female?"


@pytest.fixture
def run(call, tmp_path):
    """A short run on small volumes of wide voxels."""
    data = write_folder(tmp_path / "data", {"train": [1, 2, 1, 1]})
    flags = ("--max_steps", 12, "--batch_size", 2, "--learning_rate", "1e-2", "--report_to", "none")
    shown = ("--model_name_or_path", "tiny3d", "--volume_size", "32x32x16", "--volume_spacing", "2.5")
    call(train, "--json_dir", data, "--output_dir", "run", *shown, *flags)
    return tmp_path / "run"


def install(folder):
    """An environment with this library alone, as pip installs it, and a path to what it depends on beside that."""
    source, site = folder / "source", folder / "site"
    shutil.copytree(ROOT / "recipes" / "umbrella", source / "recipes" / "umbrella")
    for name in ("setup.cfg", "pyproject.toml", "README.md", "LICENSE", "umbrella_dataset.py"):
        shutil.copy(ROOT / name, source)
    quiet = ("-q", "--no-deps", "--no-build-isolation", "--no-index", "--disable-pip-version-check")
    subprocess.run([sys.executable, "-m", "pip", "install", *quiet, "--target", site, source], check=True)
    venv.create(folder / "venv", symlinks=True)
    (packages,) = (folder / "venv").glob("lib/python*/site-packages")
    (packages / "others.pth").write_text(f"{Path(torch.__file__).parents[1]}\n")
    return folder / "venv" / "bin" / "python", site


@pytest.mark.slow
def test_a_stranger_loads_it_with_the_library_or_with_the_code_beside_it(hub, call, run, tmp_path):
    scan = tmp_path / "data" / "train_0_0.nii"
    expected = call(
        predict, "--model_name_or_path", run, "--image", scan, "--question", QUESTION, "--max_new_tokens", 16
    )
    assert expected.strip()
    for repo, more in (("tester/plain", ()), ("tester/coded", ("--with_code",))):
        work_dir = ("--work_dir", tmp_path / repo.replace("/", "_"))
        call(push_to_hub, "model", "--model", run, "--repo_id", repo, *work_dir, *more)
    assert not [name for name in hub.files("model", "tester/plain") if name.endswith(".py")]
    python, site = install(tmp_path)
    names = {
        "HF_ENDPOINT": hub.url,
        "HF_HOME": str(tmp_path / "home"),
        "HF_HUB_OFFLINE": "0",
        "HF_HUB_DISABLE_XET": "1",
    }
    environment = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"} | names
    command = [python, ROOT / "tests" / "fresh_program.py", site, "tester/plain", "tester/coded", scan, QUESTION]
    done = subprocess.run(command, env=environment, cwd=tmp_path, capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stderr[-4000:]
    assert json.loads(done.stdout.splitlines()[-1]) == [expected.strip()] * 2, done.stderr[-4000:]

    # The code that lies beside it is not run here, whoever pushed it.
    for name in [name for name in hub.files("model", "tester/coded") if name.endswith(".py")]:
        assert hub.files("model", "tester/coded")[name].startswith(b"# ")
    assert type(load_model("tester/coded").model.vision_tower).__module__ == "umbrella.models.volumes.tower"
    assert type(load_processor("tester/coded")).__module__ == "umbrella.models.volumes.processor"
    for repo, says in (("tester/plain", False), ("tester/coded", True)):
        card = huggingface_hub.ModelCard.load(repo).text
        assert "import umbrella  # pip install umbrella-vlm" in card
        assert "Scans are shown as volume, 32x32x16 voxels of 2.5 mm; normalize True" in card
        assert ("trust_remote_code=True" in card) == ("It needs nibabel, scipy." in card) == says


@pytest.mark.parametrize("config, tower", TOWERS)
def test_the_code_beside_a_model_is_whole_and_imports_nothing_of_the_library(config, tower):
    modules = collect_modules({VolumeProcessor.__module__, config.__module__, tower.__module__})
    files = {name_file(module) for module in modules}
    assert "umbrella_views_loading" in files and "umbrella_scans_volumes" in files
    for source in modules.values():
        for node in ast.walk(ast.parse(source)):
            if isinstance(node, ast.ImportFrom) and node.level:
                assert node.level == 1 and node.module in files
            elif isinstance(node, ast.Import | ast.ImportFrom):
                names = [node.module] if isinstance(node, ast.ImportFrom) else [alias.name for alias in node.names]
                assert not [name for name in names if name.split(".")[0] in ("umbrella", "umbrella_dataset")]


def test_a_model_that_needs_no_code_is_refused_with_it(hub, call, tmp_path):
    load_model("tiny").save_pretrained(tmp_path / "pictures")
    load_processor("tiny").save_pretrained(tmp_path / "pictures")
    with pytest.raises(SystemExit, match=r"--with_code: expected a whole model for volumes, .*Leave the flag out"):
        call(push_to_hub, "model", "--model", "pictures", "--repo_id", "tester/pictures", "--with_code")
