"""What a push says of itself is so: whether it was published, and what it does with files that are there already."""

import pytest
from hub_server import DROP, DROP_ANSWER, LATE, File
from huggingface_hub import HfApi

from umbrella.hub import model, published_data
from umbrella.hub.client import PushError, check_other_files, open_repo, upload
from umbrella.hub.other_files import MANIFEST

REPO = "tester/brains"


@pytest.fixture
def push(hub, tmp_path):
    def push(files, is_read=published_data.is_read, **options):
        folder = tmp_path / "upload"
        for path in folder.rglob("*") if folder.exists() else ():
            path.is_file() and path.unlink()
        for name, text in files.items():
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            (folder / name).write_text(text)
        api = HfApi(endpoint=hub.url)
        open_repo(api, REPO, "dataset", public=False)
        return upload(api, folder, REPO, "dataset", "Publish", is_read, **options)

    return push


def add_files(hub, *names):
    """A commit of somebody else."""
    repo = hub.repos["dataset", REPO]
    files = repo.commits[repo.branches["main"]]
    return repo.commit("main", {**files, **{name: File(b"theirs") for name in names}})


def is_commit(method, path):
    return method == "POST" and "/commit/" in path


TABLE = {"data/train-00000-of-00001.parquet": "rows", "notes.txt": "card"}


@pytest.mark.parametrize("fault", [DROP_ANSWER, LATE])
def test_a_commit_whose_answer_was_lost_is_found(hub, push, capsys, fault):
    hub.fault = lambda method, path: fault if is_commit(method, path) else None
    url = push(TABLE)
    assert url.endswith(f"/datasets/{REPO}/commit/{hub.repos['dataset', REPO].branches['main']}")
    assert set(hub.files("dataset", REPO)) == {".gitattributes", MANIFEST, *TABLE}
    assert "asked afterwards, the Hub has the commit" in capsys.readouterr().out


@pytest.mark.parametrize("fault", [DROP, (504, "gateway timeout"), (500, "oh")])
def test_a_commit_that_did_not_arrive_is_said_to_be_unpublished(hub, push, fault):
    hub.fault = lambda method, path: fault if is_commit(method, path) else None
    with pytest.raises(PushError, match="nothing was published"):
        push(TABLE)
    assert set(hub.files("dataset", REPO)) == {".gitattributes"}
    hub.fault = None
    push(TABLE)


@pytest.mark.parametrize("fault", [DROP, DROP_ANSWER], ids=["not published", "published"])
def test_where_the_hub_cannot_be_asked_either_nothing_is_claimed(hub, push, fault):
    def break_down(method, path):
        if is_commit(method, path):
            hub.fault = lambda method, path: DROP
            return fault
        return None

    hub.fault = break_down
    with pytest.raises(PushError, match=r"it cannot be known\. See http.*, or run the same command again") as error:
        push(TABLE)
    assert "nothing was published" not in str(error.value)
    hub.fault, commits = None, len(hub.repos["dataset", REPO].commits)
    push(TABLE)  # what the message says
    assert len(hub.repos["dataset", REPO].commits) == (commits if fault == DROP_ANSWER else commits + 1)


@pytest.mark.parametrize("step", ["/repos/create", "/preupload/", "/batch"])
def test_a_step_before_the_commit_whose_answer_is_lost_publishes_nothing_and_can_be_done_again(hub, push, step):
    hub.fault = lambda method, path: DROP_ANSWER if method == "POST" and step in path else None
    with pytest.raises(PushError, match="nothing was published"):
        push(TABLE)
    assert set(hub.files("dataset", REPO)) == {".gitattributes"} and hub.repos["dataset", REPO].is_private
    hub.fault = None
    push(TABLE)
    assert set(hub.files("dataset", REPO)) == {".gitattributes", MANIFEST, *TABLE}


def test_a_commit_of_somebody_else_after_ours_or_in_its_place_is_told_apart(hub, push):
    def theirs_after_ours(method, path):
        if path.endswith("/commits/main"):
            hub.fault = None
            theirs.append(add_files(hub, "notes.md"))
        return DROP_ANSWER if is_commit(method, path) else None

    theirs, hub.fault = [], theirs_after_ours
    url = push(TABLE)
    assert theirs and not url.endswith(theirs[0])

    def theirs_instead(method, path):
        if is_commit(method, path):
            hub.fault = None
            add_files(hub, "more.md")
            return DROP
        return None

    hub.fault = theirs_instead
    with pytest.raises(PushError, match="nothing was published"):
        push({**TABLE, "notes.txt": "another card"})


def test_a_smaller_push_leaves_nothing_of_the_one_before_and_touches_no_other_file(hub, push, capsys):
    push({**TABLE, "scans/a.nii": "a", "data/test-00000-of-00001.parquet": "rows"})
    add_files(hub, "notes.md", "scans/theirs.nii", "tool.py")
    push({**TABLE, "scans/b.nii": "b"})
    others = {"notes.md", "scans/theirs.nii", "tool.py"}
    assert set(hub.files("dataset", REPO)) == {".gitattributes", MANIFEST, *TABLE, "scans/b.nii", *others}
    assert "left in the repo" in (said := capsys.readouterr().out)
    assert all(repr(name) in said for name in others)
    push(TABLE, delete_other_files=True)
    assert set(hub.files("dataset", REPO)) == {".gitattributes", MANIFEST, *TABLE}
    assert all(repr(name) in capsys.readouterr().out for name in ["notes.md"])


@pytest.mark.parametrize(
    ("stale", "is_read"),
    [
        ("data/train-extra.parquet", published_data.is_read),
        ("data/other-00000-of-00001.parquet", published_data.is_read),
        ("adapter_config.json", model.is_read),
        ("model-00001-of-00002.safetensors", model.is_read),
        ("chat_template.jinja", model.is_read),
    ],
)
def test_a_file_of_others_that_would_be_read_with_ours_is_refused(hub, push, stale, is_read):
    push({"notes.txt": "card"}, is_read)
    add_files(hub, stale, "notes.md")
    with pytest.raises(PushError, match=rf"found '{stale}', which no push .* which deletes all 2 others"):
        push({"notes.txt": "new"}, is_read)
    with pytest.raises(PushError, match=f"found '{stale}'"):
        check_other_files(HfApi(endpoint=hub.url), REPO, "dataset", is_read)
    push({"notes.txt": "new"}, is_read, delete_other_files=True)
    assert set(hub.files("dataset", REPO)) == {".gitattributes", MANIFEST, "notes.txt"}


@pytest.mark.parametrize("manifest", [b"[1]", b'{"files": "a"}', b"{"])
def test_a_manifest_that_no_push_wrote_is_named(hub, push, manifest):
    push(TABLE)
    repo = hub.repos["dataset", REPO]
    repo.commit("main", {**repo.commits[repo.branches["main"]], MANIFEST: File(manifest)})
    with pytest.raises(ValueError, match=rf"{MANIFEST}"):
        push(TABLE)


def test_what_loads_a_published_table_reads_none_of_the_files_that_stay():
    assert published_data.is_read("data/train-00000-of-00001.parquet")
    assert not any(
        map(published_data.is_read, ["scans/data/x.parquet", "data/x/y.parquet", "data/x.csv", "x.parquet"])
    )
