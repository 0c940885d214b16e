"""Caches of a test session lie in one temporary folder, which is removed at its end. Fixtures that modules share.

Nothing of torch or of our library is imported on top: the builder's tests also run where there is neither.
"""

import atexit
import gc
import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path
from unittest.mock import patch

import pytest

# pytest keeps the folders of tests that failed; all that libraries and killed processes leave behind goes.
os.environ.setdefault("PYTEST_DEBUG_TEMPROOT", tempfile.gettempdir())
# Read at import by the libraries below, and inherited by the processes that tests launch.
CACHES = tempfile.mkdtemp(prefix="umbrella-tests-")
os.environ["TMPDIR"] = tempfile.tempdir = CACHES
atexit.register(shutil.rmtree, CACHES, ignore_errors=True)
for name in (
    "HF_HOME",
    "HF_DATASETS_CACHE",
    "HYPOTHESIS_STORAGE_DIRECTORY",
    "MPLCONFIGDIR",
    "TORCH_EXTENSIONS_DIR",
    "TRITON_CACHE_DIR",
    "WANDB_DIR",
):
    os.environ[name] = os.path.join(CACHES, name.lower())
os.environ["HF_HUB_OFFLINE"] = "1"
os.environ["WANDB_MODE"] = "offline"
os.environ.setdefault("OMP_NUM_THREADS", "1")  # tests run side by side
gc.disable()  # until all is imported


def pytest_configure(config):
    """No example of a property is too slow for a machine that does other things too; in CI all runs draw the same.
    `make test-nightly` tries many."""
    from hypothesis import settings
    from properties import MANY, SOME

    for name, count in {"many": MANY, "some": SOME}.items():
        settings.register_profile(name, max_examples=count, deadline=None, derandomize="CI" in os.environ)
    settings.load_profile(os.environ.get("UMBRELLA_EXAMPLES", "some"))


@pytest.hookimpl(tryfirst=True)
def pytest_runtestloop():
    """What all imports have made stays to the end: collections of garbage, of which each training asks for several,
    need not go through it again and again."""
    gc.freeze()
    gc.enable()


def pytest_collection_modifyitems(items):
    """The longest tests first: begun last, each would keep one of xdist's workers while the other has none left."""
    from longest_tests import LONGEST

    items.sort(key=lambda item: not item.name.startswith(LONGEST))


def pytest_make_parametrize_id(val, argname):
    """Bytes are numbered in a test's name: packed ones hold the second at which they were packed, and xdist's workers,
    which collect a moment apart, must find the same names."""
    return argname if isinstance(val, bytes) else None


@pytest.fixture(scope="session")
def shared(tmp_path_factory):
    """A folder that all of xdist's workers have."""
    folder = tmp_path_factory.getbasetemp()
    return folder.parent if "PYTEST_XDIST_WORKER" in os.environ else folder


@pytest.fixture(scope="session")
def small_data(shared):
    """8 conversations a split about 4 phantoms each, drawn once for all workers."""
    import generate_sex_comparison_conversations
    from filelock import FileLock

    folder = shared / "small_data" / "conversations"
    with FileLock(shared / "small_data.lock"):
        if not folder.exists():
            generate_sex_comparison_conversations.main(["--output_dir", str(folder), "--subjects_per_split", "4"])
    return folder


@pytest.fixture(scope="session")
def volume_data(shared):
    """Name → folder: the lesion task (8 conversations a split) and the activation task (4) of 4 subjects a split, made
    once for all workers."""
    import generate_activation_conversations
    import generate_lesion_conversations
    from filelock import FileLock

    folders = {}
    for name, generator in (
        ("lesion", generate_lesion_conversations),
        ("activation", generate_activation_conversations),
    ):
        folders[name] = folder = shared / "volume_data" / f"{name}_conversations"
        with FileLock(shared / f"{name}.lock"):
            if not folder.exists():
                few = ("--subjects_per_split", "4", "--train_subjects", "4")
                generator.main(["--output_dir", str(folder), *few])
    return folders


@pytest.fixture(scope="session")
def default_run(shared):
    """(name) → folder and output of a sample generator, started in another folder than it writes to; once for all
    of xdist's workers."""
    from filelock import FileLock

    def generate(name):
        folder, output = shared / name, shared / f"{name}.txt"
        with FileLock(shared / f"{name}.lock"):
            if not output.exists():
                script = Path(__file__).parents[1] / "sample_data" / f"generate_{name}_conversations.py"
                command = [sys.executable, script, "--output_dir", name]
                done = subprocess.run(command, cwd=shared, check=True, stdout=subprocess.PIPE, text=True)
                output.write_text(done.stdout)
        return folder, output.read_text()

    return generate


@pytest.fixture
def quick_scans(monkeypatch):
    """The heads take seconds to draw: here each is a few voxels of noise, for claims about the files alone."""
    import numpy as np
    import sample_folder

    def make_scan(anatomy, acquisition, *_):
        return np.random.default_rng(acquisition.noise_seed).integers(0, 99, (5, 6, 7)).astype(np.int16)

    monkeypatch.setattr(sample_folder, "make_scan", make_scan)


@pytest.fixture
def data(small_data, tmp_path):
    """A copy to spoil."""
    return shutil.copytree(small_data, tmp_path / "data")


@pytest.fixture
def other_data(small_data, tmp_path):
    """A data folder that trains on the subjects which `small_data` validates on."""
    folder = shutil.copytree(small_data, tmp_path / "other_data")
    shutil.rmtree(folder / "train")
    shutil.copytree(folder / "validation", folder / "train")
    (folder / "generated.json").unlink()  # its train was another
    return folder


@pytest.fixture
def call(monkeypatch, tmp_path, capsys):
    """Call a recipe's main as the command line does, in the folder tmp_path; returns what it printed. What it sets in
    the environment (TensorBoard's folder) does not reach the next test."""
    from umbrella.options.commands.ending import run

    def call(recipe, *flags):
        monkeypatch.setattr(sys, "argv", [recipe.__name__, *map(str, flags)])
        monkeypatch.chdir(tmp_path)
        run(recipe.main)
        return capsys.readouterr().out

    with patch.dict(os.environ):
        yield call


@pytest.fixture
def determinism(monkeypatch):
    """Put back what --full_determinism sets for the whole process."""
    import torch

    for name in ("CUDA_LAUNCH_BLOCKING", "CUBLAS_WORKSPACE_CONFIG", "ASCEND_LAUNCH_BLOCKING", "HCCL_DETERMINISTIC"):
        monkeypatch.setenv(name, "")
    monkeypatch.setenv("FLASH_ATTENTION_DETERMINISTIC", "")
    monkeypatch.setattr(torch.backends.cudnn, "deterministic", torch.backends.cudnn.deterministic)
    monkeypatch.setattr(torch.backends.cudnn, "benchmark", torch.backends.cudnn.benchmark)
    yield
    torch.use_deterministic_algorithms(False)


@pytest.fixture
def hub(monkeypatch, tmp_path):
    """A Hub over loopback, see `hub_server`, which libraries ask as the user "tester"."""
    import datasets
    import huggingface_hub
    import transformers
    from hub_server import Hub

    with Hub() as hub:
        for name, value in {
            "ENDPOINT": hub.url,
            "HUGGINGFACE_CO_URL_TEMPLATE": hub.url + "/{repo_id}/resolve/{revision}/{filename}",
            "HF_HUB_OFFLINE": False,
            "HF_HUB_DISABLE_XET": True,
            "HF_HUB_CACHE": str(tmp_path / "hub_cache"),
        }.items():
            monkeypatch.setattr(huggingface_hub.constants, name, value)
        monkeypatch.setattr(datasets.config, "HF_ENDPOINT", hub.url)
        monkeypatch.setattr(datasets.config, "HF_HUB_OFFLINE", False)
        monkeypatch.setattr(transformers.utils.hub, "_hf_api", None)
        monkeypatch.setattr("huggingface_hub.utils._http.time.sleep", lambda seconds: None)
        monkeypatch.setenv("HF_TOKEN", "hf_test")
        yield hub


@pytest.fixture(scope="session")
def s3_server():
    """Started for the first test that asks for it, see `s3_server`."""
    from s3_server import S3Server

    with S3Server() as server:
        yield server


@pytest.fixture
def s3(s3_server):
    """The server without a fault, a delay or an entry in its log."""
    s3_server.heal()
    s3_server.take_log()
    return s3_server
