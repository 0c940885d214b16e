"""What only a GPU can show. On a machine without one each test says so and is over in no time."""

import pytest
import torch


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
    from gpu_runs import make_command, read_fit

    def fit(model, run="run", **flags):
        if torch.cuda.is_available():
            torch.cuda.empty_cache()
            torch.cuda.reset_peak_memory_stats()
        call(train, *make_command(model, folders[model], run, **flags))
        return read_fit(tmp_path / run)

    return fit
