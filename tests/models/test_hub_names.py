"""A name that is neither a folder nor on the Hub is said to be so at once."""

import httpx
import pytest
from huggingface_hub import HfApi, constants
from huggingface_hub.errors import HfHubHTTPError, RepositoryNotFoundError

from umbrella.models import hub_names
from umbrella.models.hub_names import find_repo, name_on_hub
from umbrella.models.loading import load_model, load_processor
from umbrella.planning.memory_estimate import load_config
from umbrella.rows.published import load_published


@pytest.fixture(autouse=True)
def forget():
    hub_names._ask_hub.cache_clear()


@pytest.fixture
def hub(monkeypatch, tmp_path):
    """Let the Hub answer with an exception, or with nothing."""
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path / "cache"))

    def answer(error=None):
        def repo_info(self, name, repo_type, timeout):
            assert timeout <= 10
            if error is not None:
                raise error

        monkeypatch.setattr(HfApi, "repo_info", repo_info)

    return answer


RESPONSE = httpx.Response(404, request=httpx.Request("GET", "https://hub"))


@pytest.mark.parametrize(
    "error, words",
    [
        (OSError("Connection refused"), "the Hub could not be reached (OSError: Connection refused)"),
        (RepositoryNotFoundError("no", response=RESPONSE), "the Hub has no such model, or a private one"),
    ],
)
def test_both_places_that_were_looked_at_are_named(hub, error, words):
    hub(error)
    with pytest.raises(FileNotFoundError) as end:
        find_repo("runs/nonexist")
    assert str(end.value).startswith("runs/nonexist: expected a folder")
    assert "found no folder 'runs/nonexist' here, and " + words in str(end.value)


@pytest.mark.parametrize(
    "load",
    [
        load_model,
        load_processor,
        load_config,
        lambda name: load_model("tiny_adapters", base_model=name),
        load_published,
    ],
    ids=["model", "processor", "config", "base", "dataset"],
)
def test_offline_nobody_is_asked_and_nothing_waited_for(load, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "tiny_adapters").mkdir()
    (tmp_path / "tiny_adapters/base_model.json").write_text('{"name": "tiny", "seed": 0}')
    monkeypatch.setattr("time.sleep", lambda seconds: pytest.fail("waits"))
    monkeypatch.setattr("socket.getaddrinfo", lambda *_, **__: pytest.fail("asks"))
    with pytest.raises(FileNotFoundError, match=r"runs/nonexist.*found no folder .* here, and the Hub is not asked"):
        load("runs/nonexist")


def test_a_path_is_no_name_of_the_hub(hub):
    hub(AssertionError("asked"))
    for name in ("./runs/a", "runs/a/b", "~/a", "/a"):
        with pytest.raises(FileNotFoundError, match=r"found no folder '[^']+' here$"):
            find_repo(name)


def test_what_the_cache_has_is_taken_from_there_where_the_hub_cannot_be_asked(hub, tmp_path):
    snapshot = tmp_path / "cache/models--lab--model/snapshots/abc"
    snapshot.mkdir(parents=True)
    (snapshot / "config.json").write_text("{}")
    hub(OSError("Connection refused"))
    assert find_repo("lab/model") == {"local_files_only": True}


def test_a_folder_and_what_the_hub_has_need_no_options(hub, tmp_path):
    hub()
    assert find_repo(tmp_path) == find_repo("lab/model") == {}


def test_an_answer_that_is_an_error_of_the_hub_is_told(hub):
    hub(HfHubHTTPError("503 Server Error", response=httpx.Response(503, request=httpx.Request("GET", "https://hub"))))
    with pytest.raises(FileNotFoundError, match=r"the Hub refuses \(503 Server Error\)"):
        find_repo("lab/model")


def test_a_folders_name_is_none_of_the_hubs(tmp_path, monkeypatch):
    (tmp_path / "me" / "heads").mkdir(parents=True)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HOME", str(tmp_path))
    assert [name_on_hub(name) for name in (None, "me/heads", "./me/heads", str(tmp_path), "~/me/heads")] == [None] * 5
    assert name_on_hub("me/other") == "me/other"
