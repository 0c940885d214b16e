"""Code that lies in a model's folder never runs, also where a "y" stands in stdin."""

import io
import json
import pickle
import shutil
import sys
from pathlib import Path

import pytest
import torch

from umbrella.models.loading import load_model, load_processor
from umbrella.models.tiny_llava import build_tiny_llava
from umbrella.planning.memory_estimate import load_config


@pytest.fixture(scope="module")
def saved(tmp_path_factory):
    folder = tmp_path_factory.mktemp("model")
    model, processor = build_tiny_llava()
    model.save_pretrained(folder)
    processor.save_pretrained(folder)
    return folder


@pytest.fixture
def trap(saved, tmp_path, monkeypatch):
    """A copy of a model's folder with a program beside it that leaves a mark, and a stdin full of yes."""
    folder, mark = tmp_path / "model", tmp_path / "mark"
    shutil.copytree(saved, folder)
    (folder / "evil.py").write_text(f"open({str(mark)!r}, 'w')\nclass Any: pass\ndef generate(*_, **__): pass\n")
    monkeypatch.setattr(sys, "stdin", io.StringIO("y\n" * 100))
    yield folder
    assert not mark.exists()


def change(path, **entries):
    path.write_text(json.dumps({**json.loads(path.read_text()), **entries}))


CLASSES = (
    "AutoConfig",
    "AutoModel",
    "AutoModelForImageTextToText",
    "AutoProcessor",
    "AutoImageProcessor",
    "AutoTokenizer",
)
AUTO_MAP = {name: ["evil.Any", "evil.Any"] if name == "AutoTokenizer" else "evil.Any" for name in CLASSES}


def load_all(folder):
    return [load(str(folder)) for load in (load_config, load_model, load_processor)]


@pytest.mark.parametrize("name", ["config.json", "processor_config.json", "tokenizer_config.json"])
def test_an_auto_map_beside_a_kind_that_transformers_has_is_not_followed(trap, name):
    change(trap / name, auto_map=AUTO_MAP)
    load_all(trap)


def test_a_kind_that_only_the_folders_code_knows_is_refused(trap):
    change(trap / "config.json", auto_map=AUTO_MAP, model_type="evil")
    for load in (load_config, load_model):
        with pytest.raises(ValueError, match=r"brings its own code along.*never run here: choose another model"):
            load(str(trap))


def test_a_processor_that_only_the_folders_code_knows_is_refused(trap):
    change(trap / "processor_config.json", auto_map=AUTO_MAP, processor_class="EvilProcessor")
    change(trap / "tokenizer_config.json", auto_map=AUTO_MAP, processor_class="EvilProcessor", tokenizer_class="Evil")
    try:
        load_processor(str(trap))
    except ValueError as error:
        assert "never run here" in str(error)


def test_a_generate_of_its_own_is_not_run(trap):
    (trap / "custom_generate").mkdir()
    (trap / "custom_generate" / "generate.py").write_text((trap / "evil.py").read_text())
    load_model(str(trap)).generate(torch.ones(1, 1, dtype=torch.long), max_new_tokens=1)


class _Trap:
    def __reduce__(self):
        return Path.touch, (Path("mark"),)


def test_weights_in_a_pickle_run_nothing(trap, monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)
    for file in trap.glob("*.safetensors"):
        file.unlink()
    torch.save({"a": _Trap()}, trap / "pytorch_model.bin", pickle_module=pickle)
    with pytest.raises((ValueError, OSError), match="no weights that load without running what stands in a pickle"):
        load_model(str(trap))
