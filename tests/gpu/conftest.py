"""What only a GPU can show. On a machine without one each test says so and is over in no time."""

import sys

import pytest
import torch
from gpu_runs import make_command, read_fit
from launching import ROOT, launch


@pytest.fixture(scope="session", autouse=True)
def device():
    """Before the data of any test is drawn."""
    if not torch.cuda.is_available():
        pytest.skip("needs a GPU: torch finds no CUDA device on this machine")
    return torch.device("cuda")


@pytest.fixture
def folders(small_data, volume_data):
    """Model → the data that it is shown."""
    return {"tiny": small_data, "tiny3d": volume_data["lesion"]}


@pytest.fixture
def fit(call, folders, tmp_path):
    """(model, run=name of its folder, flag=value, ...) → `Fit` of train.py."""
    import train

    def fit(model, run="run", **flags):
        if torch.cuda.is_available():
            torch.cuda.empty_cache()
            torch.cuda.reset_peak_memory_stats()
        call(train, *make_command(model, folders[model], run, **flags))
        return read_fit(tmp_path / run)

    return fit


@pytest.fixture
def fit_apart(folders, tmp_path):
    """The same in a process of its own, started by `starter` (a part of a command line)."""

    def fit_apart(model, run="run", starter=(), **flags):
        command = [
            sys.executable,
            *starter,
            ROOT / "recipes/train.py",
            *make_command(model, folders[model], run, **flags),
        ]
        launch(command, tmp_path)
        return read_fit(tmp_path / run)

    return fit_apart
