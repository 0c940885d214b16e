"""What a push says of itself is so: whether it was published, and what it does with files that are there already."""

import pytest
from hub_server import DROP, DROP_ANSWER, LATE, File
from huggingface_hub import HfApi
from transformers.utils import hub as hub_files

from umbrella.hub import model, space
from umbrella.hub.cards import TEMPLATES
from umbrella.hub.client import check_other_files, open_repo, upload
from umbrella.hub.other_files import CARD_LINES
from umbrella.hub.repo import HubRepo
from umbrella.models.hub_errors import PushError
from umbrella.models.loading import load_model, load_processor
from umbrella.rows import published as published_data
from umbrella.rows.push_manifest import MANIFEST

REPO = "tester/brains"


@pytest.fixture
def push(hub, tmp_path):
    def push(files, rules=published_data, **options):
        folder = tmp_path / "upload"
        for path in folder.rglob("*") if folder.exists() else ():
            path.is_file() and path.unlink()
        for name, text in files.items():
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            (folder / name).write_text(text)
        api = HfApi(endpoint=hub.url)
        open_repo(api, REPO, "dataset", public=False)
        repo = HubRepo(api, REPO, "dataset")
        return upload(repo, folder, "Publish", rules.is_read, rules.is_written, **options)

    return push


def add_files(hub, *names, content=b"theirs"):
    """A commit of somebody else."""
    repo = hub.repos["dataset", REPO]
    files = repo.commits[repo.branches["main"]]
    return repo.commit("main", {**files, **{name: File(content) for name in names}})


def is_commit(method, path):
    return method == "POST" and "/commit/" in path


OURS = "---\nlicense: mit\n---\nours"  # of a README.md, the Hub checks the head
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
    ("stale", "rules"),
    [
        ("data/train-extra.parquet", published_data),
        ("data/other-00000-of-00001.parquet", published_data),
        ("adapter_config.json", model),
        ("model-00001-of-00002.safetensors", model),
        ("chat_template.jinja", model),
        ("additional_chat_templates/x.jinja", model),
        ("custom_generate/generate.py", model),
    ],
)
def test_a_file_of_others_that_would_be_read_with_ours_is_refused(hub, push, stale, rules):
    push({"notes.txt": "card"}, rules)
    add_files(hub, stale, "notes.md")
    with pytest.raises(PushError, match=rf"found '{stale}', which no list .* which replaces or deletes all 2 others"):
        push({"notes.txt": "new"}, rules)
    with pytest.raises(PushError, match=f"found '{stale}'"):
        check_other_files(HfApi(endpoint=hub.url), REPO, "dataset", rules.is_read, rules.is_written)
    push({"notes.txt": "new"}, rules, delete_other_files=True)
    assert set(hub.files("dataset", REPO)) == {".gitattributes", MANIFEST, "notes.txt"}


OF_DATASET = ("README.md", "data/train-00000-of-00001.parquet", "scans/a.nii", "umbrella_dataset.py")
OF_MODEL = ("README.md", "config.json", "model.safetensors", "run.json", "training_data.json", "eval/metrics.json")
OF_SPACE = ("README.md", "app.py", "requirements.txt", "umbrella/options/commands/ending.py")


@pytest.mark.parametrize(
    ("names", "rules"), [(OF_DATASET, published_data), (OF_MODEL, model)], ids=["dataset", "model"]
)
@pytest.mark.parametrize("has_pushed", [False, True])
def test_a_file_of_others_is_replaced_only_when_that_is_asked_for(hub, push, capsys, names, rules, has_pushed):
    """Each alone, all at once, in a repo without and with a push of ours; equal bytes are no other file."""
    open_repo(HfApi(endpoint=hub.url), REPO, "dataset", public=False)
    if has_pushed:
        push({"notes.txt": "ours"}, rules)
    before = hub.repos["dataset", REPO].branches["main"]
    files = {"notes.txt": "ours", **dict.fromkeys(names, OURS)}
    for theirs in [*zip(names), names]:
        hub.repos["dataset", REPO].branches["main"] = before
        there = add_files(hub, *theirs)
        with pytest.raises(PushError, match="would replace") as error:
            push(files, rules)
        assert all(repr(name) in str(error.value) for name in theirs)
        assert hub.repos["dataset", REPO].branches["main"] == there
        add_files(hub, *theirs, content=OURS.encode())
        push(files, rules)
    hub.repos["dataset", REPO].branches["main"] = there
    capsys.readouterr()
    push(files, rules, delete_other_files=True)
    said = capsys.readouterr().out
    assert "replaced by this push" in said and all(repr(name) in said for name in names)
    assert {hub.files("dataset", REPO)[name] for name in names} == {OURS.encode()}


@pytest.mark.parametrize(
    ("names", "rules"), [(OF_DATASET, published_data), (OF_MODEL, model)], ids=["dataset", "model"]
)
def test_before_training_all_is_refused_that_a_push_might_replace(hub, push, names, rules):
    api = HfApi(endpoint=hub.url)
    open_repo(api, REPO, "dataset", public=False)
    add_files(hub, *names, "notes.md")
    with pytest.raises(PushError) as error:
        check_other_files(api, REPO, "dataset", rules.is_read, rules.is_written)
    named = {name for name in names if repr(name) in str(error.value)}
    assert named == set(names) - {"scans/a.nii"}


@pytest.mark.parametrize("line", CARD_LINES)
def test_what_an_older_version_published_without_a_list_is_replaced_and_what_it_has_no_more_goes(
    hub, push, capsys, line
):
    rules, names = [(published_data, OF_DATASET), (model, OF_MODEL), (space, OF_SPACE)][CARD_LINES.index(line)]
    open_repo(HfApi(endpoint=hub.url), REPO, "dataset", public=False)
    stale = ["data/test-00000-of-00001.parquet", "adapter_config.json", "umbrella/gone.py"][CARD_LINES.index(line)]
    add_files(hub, *names, stale, "notes.md")
    add_files(hub, "README.md", content=f"---\nlicense: mit\n---\n# x\n\n{line} from x.\n".encode())
    check_other_files(HfApi(endpoint=hub.url), REPO, "dataset", rules.is_read, rules.is_written)
    push(dict.fromkeys(names, OURS), rules)
    assert set(hub.files("dataset", REPO)) == {".gitattributes", MANIFEST, *names, "notes.md"}
    assert "since README.md is a card of this program: 'README.md'" in capsys.readouterr().out


def test_each_card_of_ours_is_known_by_its_line():
    templates = sorted(TEMPLATES.glob("*.md"))
    assert len(templates) == len(CARD_LINES)
    for template, line in zip(templates, CARD_LINES, strict=True):
        assert any(found.startswith(line) for found in template.read_text().splitlines())


@pytest.mark.parametrize(
    ("card", "is_asked"),
    [
        ("", False),
        ("---\nlicense: mit\n---\n", False),
        ("---\r\nlicense: mit\r\n---\r\n\r\n", False),
        ("---\n---", False),
        ("---", True),
        ("---\nlicense: mit\n---\n# Mine\n", True),
        ("---\nlicense: mit\n---\n# Mine\n---\n", True),
        ("---\nlicense: mit\nconfigs: []\n---\n", True),
        ("# Mine\n", True),
    ],
)
def test_the_card_that_the_hub_makes_of_a_new_repo_may_go(hub, push, card, is_asked):
    open_repo(HfApi(endpoint=hub.url), REPO, "dataset", public=False)
    add_files(hub, "README.md", content=card.encode())
    if is_asked:
        with pytest.raises(PushError, match=r"found 'README\.md'"):
            push({"README.md": OURS})
    else:
        push({"README.md": OURS})


@pytest.mark.parametrize("manifest", [b"[1]", b'{"files": "a"}', b"{", b"", b"\xff", b"{}", b"[" * 10**5])
def test_a_manifest_that_no_push_wrote_is_named_with_a_remedy_that_works(hub, push, manifest):
    files = {**TABLE, "README.md": f"{OURS}\n{CARD_LINES[0]}\n"}
    push(files)
    del files["notes.txt"]
    add_files(hub, MANIFEST, content=manifest)
    with pytest.raises(PushError, match=rf"^{REPO}: expected {MANIFEST} .*Delete it there, and run again") as error:
        push(files)
    assert "/hub/" not in str(error.value) and "snapshots" not in str(error.value)
    repo = hub.repos["dataset", REPO]
    there = dict(repo.commits[repo.branches["main"]])
    del there[MANIFEST]
    repo.commit("main", there)
    push({**files, "README.md": OURS})
    assert hub.files("dataset", REPO)["README.md"] == OURS.encode()


def test_a_model_reads_no_file_of_which_that_is_not_known(tmp_path, monkeypatch):
    """What transformers itself asks for, of a folder with a template in its subfolder."""
    asked, find = set(), hub_files.cached_files

    def note(path_or_repo_id, filenames, **options):
        asked.update(filenames)
        return find(path_or_repo_id, filenames, **options)

    load_model("tiny").save_pretrained(tmp_path)
    load_processor("tiny").save_pretrained(tmp_path)
    (tmp_path / "additional_chat_templates").mkdir()
    (tmp_path / "additional_chat_templates" / "x.jinja").write_text("x")
    monkeypatch.setattr(hub_files, "cached_files", note)
    load_model(str(tmp_path))
    load_processor(str(tmp_path))
    assert {"config.json", "chat_template.jinja", "additional_chat_templates/x.jinja"} <= asked
    assert [name for name in asked if not model.is_read(name)] == []


def test_what_loads_a_published_table_reads_none_of_the_files_that_stay():
    assert published_data.is_read("data/train-00000-of-00001.parquet")
    assert not any(
        map(published_data.is_read, ["scans/data/x.parquet", "data/x/y.parquet", "data/x.csv", "x.parquet"])
    )
