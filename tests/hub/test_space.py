"""The page as a Space: what is published, what is not, and that it starts from what was published alone."""

import os
import re
import shutil
import socket
import subprocess
import sys
import threading
import urllib.request
from configparser import ConfigParser
from pathlib import Path

import huggingface_hub
import psutil
import push_to_hub
import pytest
import yaml
from hub_server import File, Repo
from packaging.requirements import Requirement

from umbrella.hub.space import DATA_FILES, find_version, pin_packages
from umbrella.models.tiny_llava import build_tiny_llava
from umbrella.rows.push_manifest import MANIFEST

ROOT = Path(__file__).parents[2]
SETUP = ConfigParser()
SETUP.read(ROOT / "setup.cfg")


@pytest.fixture(scope="module")
def model_files(tmp_path_factory):
    """The files of a model that was never trained."""
    folder = tmp_path_factory.mktemp("model")
    for part in build_tiny_llava():
        part.save_pretrained(folder)
    return {path.name: path.read_bytes() for path in folder.iterdir()}


@pytest.fixture
def served(hub, model_files):
    """A Hub with a private model."""
    repo = hub.repos["model", "tester/tiny"] = Repo(is_private=True)
    repo.commit("main", {name: File(data, name.endswith(".safetensors")) for name, data in model_files.items()})
    return hub


def push(call, *flags):
    return call(push_to_hub, "demo", "--model", "tester/tiny", "--repo_id", "tester/page", *flags)


def test_a_private_space_is_published_with_pinned_versions_and_no_rows(served, call):
    push(call)
    files = served.files("space", "tester/page")
    assert served.repos["space", "tester/page"].is_private
    head, text = re.match(r"---\n(.*?)\n---\n(.*)", files["README.md"].decode(), re.DOTALL).groups()
    stated = yaml.safe_load(head)
    assert {name: stated[name] for name in ("sdk", "app_file", "models")} == {
        "sdk": "gradio",
        "app_file": "app.py",
        "models": ["tester/tiny"],
    }
    assert stated["sdk_version"] == find_version("gradio", "demo")
    assert served.repos["model", "tester/tiny"].branches["main"] in text
    assert "The model is private" in text and "HF_TOKEN" in text
    kinds = {re.sub(r"^umbrella/.*\.", "umbrella/*.", name) for name in files}
    library = {f"umbrella/*.{suffix}" for suffix in ("py", "j2", "yaml", "txt", "md", "css", "js", "html")}
    ours = {"app.py", "demo.py", "requirements.txt", "umbrella_dataset.py", "README.md", ".gitattributes"}
    assert kinds - library - ours == {MANIFEST}
    for name, data in files.items():
        if name.endswith(".py"):
            compile(data, name, "exec")
    assert str(ROOT).encode() not in b"".join(files.values())
    n_commits = len(served.repos["space", "tester/page"].commits)
    assert push(call).count("published") == 1
    assert len(served.repos["space", "tester/page"].commits) == n_commits


def test_the_versions_are_those_of_setup_cfg():
    lines = [Requirement(line) for line in pin_packages(("demo",))]
    needed = SETUP["options"]["install_requires"] + SETUP["options.extras_require"]["demo"]
    named = {Requirement(line).name for line in needed.strip().splitlines()} - {"gradio"}
    assert {line.name.replace("_", "-") for line in lines} == {name.replace("_", "-") for name in named}
    assert all(re.fullmatch(r"==[\w.]+", str(line.specifier)) for line in lines)
    assert {line.name for line in map(Requirement, pin_packages(("demo", "peft")))} == {
        *(i.name for i in lines),
        "peft",
    }


def test_a_space_takes_the_files_that_the_package_takes():
    stated = SETUP["options.package_data"].items()
    asked = {f"{room.replace('.', '/')}/{pattern}" for room, patterns in stated for pattern in patterns.split()}
    assert {*DATA_FILES} == asked - {"umbrella/evaluate_modules/*.py"}


def test_personal_data_in_a_title_stops_the_push(served, call):
    with pytest.raises(SystemExit, match="nothing was uploaded"):
        push(call, "--title", "Ask Dr. Erika Mustermann, erika.mustermann@example.org")
    assert ("space", "tester/page") not in served.repos


@pytest.mark.parametrize(
    ("flags", "said"),
    [
        (["--model", "tester/none"], "expected a repo that this token may see"),
        (["--model", "."], "Publish the model first"),
        (["--model", "tester/empty"], "found a repository without config.json"),
    ],
)
def test_a_model_that_is_not_there_is_said(served, call, flags, said):
    served.repos["model", "tester/empty"] = Repo(is_private=True)
    with pytest.raises(SystemExit, match=said):
        push(call, *flags)
    assert not [kind for kind, _ in served.repos if kind == "space"]


def test_a_gated_space_is_refused(call, capsys):
    with pytest.raises(SystemExit):
        push(call, "--gated", "auto")
    assert "a Space cannot be gated" in "".join(capsys.readouterr())


@pytest.mark.nightly
def test_the_space_starts_from_its_snapshot_alone(served, call, tmp_path, monkeypatch):
    push(call)
    snapshot = huggingface_hub.snapshot_download("tester/page", repo_type="space", local_dir=tmp_path / "space")
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    environment = {name: value for name, value in os.environ.items() if name not in ("PYTHONPATH", "HF_HUB_OFFLINE")}
    environment |= {
        "HF_ENDPOINT": served.url,
        "HF_TOKEN": "hf_test",
        "HF_HUB_DISABLE_XET": "1",
        "SPACE_ID": "tester/page",
    }
    environment |= {"HF_HOME": str(tmp_path / "home"), "GRADIO_SERVER_PORT": str(port), "PYTHONDONTWRITEBYTECODE": "1"}
    with (tmp_path / "said").open("w") as said:
        app = subprocess.Popen([sys.executable, "app.py"], cwd=snapshot, env=environment, stdout=said, stderr=said)
    try:
        page = wait_for_page(app, port, tmp_path / "said")
        listening = psutil.Process(app.pid).net_connections("tcp4")
        assert ("0.0.0.0", port) in [one.laddr for one in listening]  # the Hub's proxy is another machine
    finally:
        app.terminate()
        app.wait()
        shutil.rmtree(snapshot)
    assert "tiny" in page and "Umbrella" in page


def wait_for_page(app, port, said):
    for _ in range(600):
        assert app.poll() is None, said.read_text()
        try:
            with urllib.request.urlopen(f"http://127.0.0.1:{port}/config", timeout=5) as answer:
                return answer.read().decode()
        except OSError:
            threading.Event().wait(0.2)  # time.sleep is not itself beside the Hub of the tests
    raise AssertionError(said.read_text())
