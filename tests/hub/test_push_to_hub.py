"""Round trips over a Hub on loopback, with the real clients: datasets, models, the Trainer's flags, and bad input."""

import gzip
import hashlib
import io
import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import datasets
import huggingface_hub
import nibabel
import numpy as np
import predict
import push_to_hub
import pyarrow.parquet as pq
import pytest
import torch
import train
from conversation_folder import make_record, write_folder, write_scan
from hub_server import DROP, File, Repo
from phantom_heads import make_head
from planted_data import draw_items, write_planted_folder

from umbrella.hub.dataset import Publication, parse_size
from umbrella.hub.model import shorten_paths
from umbrella.models.base import describe_base
from umbrella.models.files import fingerprint_model
from umbrella.models.freezing import choose_trained
from umbrella.models.loading import load_model, load_processor
from umbrella.models.trained_weights import collect_trained, save_trained
from umbrella.options.arguments import DataArguments
from umbrella.records.recipe import resolve_recipe
from umbrella.records.small_groups import NOT_PUBLISHED
from umbrella.records.training_data import SeenRows, TrainingData, hash_subject, read_training_data, subjects_of
from umbrella.rows.loading import load_splits
from umbrella.rows.published import load_published, resolve_inside
from umbrella.rows.transform import ConversationTransform
from umbrella.training.checkpoints import find_whole_checkpoint
from umbrella.views.settings import ViewSettings
from umbrella_dataset import FormatError, load_umbrella

ROOT = Path(__file__).parents[2]
SUBJECTS = ["sub-01", "sub-02"]
DATASETS5 = os.environ.get("UMBRELLA_DATASETS5_PYTHON")


def log_in(monkeypatch, token):
    monkeypatch.setenv("HF_TOKEN", token)


@pytest.fixture
def folder(tmp_path):
    """5 conversations about 6 scans, and one about none."""
    return write_folder(tmp_path / "my_data", {"train": [1, 2, 0], "test": [1, 2]})


def push(call, folder, *flags):
    return call(push_to_hub, "dataset", "--json_dir", folder, "--repo_id", "tester/brains", *flags)


def plain(rows):
    """What rows say, without where their scans are."""
    rows = json.loads(json.dumps(rows.to_list(), default=lambda data: len(data)))
    for row in rows:
        for scan in row["images"]:
            scan.pop("bytes", None)
            scan["path"] = Path(scan["path"]).name
        for turn in row["conversations"]:
            for item in turn["content"]:
                item["image_path"] = item["image_path"] and Path(item["image_path"]).name
    return rows


def read_tables(hub, repo_id="tester/brains"):
    files = hub.files("dataset", repo_id)
    return {path: pq.read_table(io.BytesIO(data)) for path, data in files.items() if path.endswith(".parquet")}


# Datasets


@pytest.mark.slow
@pytest.mark.parametrize("scans", ["files", "embed", "none"])
def test_pushed_dataset_gives_the_same_tensors_as_the_folder(hub, call, folder, scans, tmp_path):
    push(call, folder, "--scans", scans)
    files = hub.files("dataset", "tester/brains")
    assert sum(path.startswith("scans/") for path in files) == (6 if scans == "files" else 0)
    assert str(tmp_path).encode() not in b"".join(files.values())
    for table in read_tables(hub).values():
        for row in table.to_pylist():
            for scan in row["images"]:
                assert not os.path.isabs(scan["path"])
                assert ("bytes" in scan) == (scans == "embed")

    image_root = str(folder) if scans == "none" else None
    published = load_splits(DataArguments(dataset_name="tester/brains", image_root=image_root))
    local = load_umbrella(str(folder))
    transform = ConversationTransform(load_processor("tiny"))
    assert set(published) == {"train", "test"}
    for split in local:
        assert plain(published[split]) == plain(local[split])
        for ours, theirs in zip(
            local[split].with_transform(transform), published[split].with_transform(transform), strict=True
        ):
            assert ours["input_ids"] == theirs["input_ids"]
            if "pixel_values" in ours:
                assert torch.equal(ours["pixel_values"], theirs["pixel_values"])


@pytest.mark.slow
def test_load_dataset_alone_reads_it_and_streams_it(hub, call, folder):
    push(call, folder, "--scans", "embed")
    rows = datasets.load_dataset("tester/brains", split="train")
    assert plain(rows) == plain(load_umbrella(str(folder), split="train"))
    streamed = datasets.load_dataset("tester/brains", split="train", streaming=True)
    assert [row["task_id"] for row in streamed] == rows["task_id"]
    data = next(iter(streamed))["images"][0]["bytes"]
    assert nibabel.Nifti1Image.from_bytes(data).shape == (9, 11, 7)


@pytest.mark.slow
@pytest.mark.skipif(
    DATASETS5 is None, reason="UMBRELLA_DATASETS5_PYTHON names no Python with datasets 5, nibabel and huggingface_hub"
)
@pytest.mark.parametrize("flags", [(), ("--nifti_feature",)], ids=["bytes", "nifti"])
def test_datasets_5_loads_and_streams_what_was_pushed(hub, call, folder, flags, tmp_path):
    push(call, folder, "--scans", "embed", *flags)
    push(call, folder, "--scans", "files", "--repo_id", "tester/files")
    code = """
import datasets
assert int(datasets.__version__.split(".")[0]) >= 5, datasets.__version__
rows = datasets.load_dataset("tester/brains")
streamed = datasets.load_dataset("tester/brains", split="train", streaming=True)
assert [row["task_id"] for row in streamed] == rows["train"]["task_id"][:]
row = rows["train"][1]
if "scans" in row:
    print(row["task_id"], row["scans"][0].shape, len(row["scans"]))
else:
    print(row["task_id"], len(row["images"][0]["bytes"]), row["images"][0]["path"])
from umbrella.rows.published import load_published
pulled = load_published("tester/brains")["train"]
assert [len(row["images"]) for row in pulled] == [1, 2, 0]
for scan in pulled[1]["images"]:
    assert scan["bytes"] == open("scans/" + scan["path"].split("/")[-1], "rb").read(), scan["path"]
path = load_published("tester/files")["train"][1]["images"][1]["path"]
assert open(path, "rb").read(4) == bytes([92, 1, 0, 0]), path
"""
    environment = {
        **os.environ,
        "PYTHONPATH": os.pathsep.join(map(str, (ROOT, ROOT / "recipes"))),
        "HF_ENDPOINT": hub.url,
        "HF_TOKEN": "hf_test",
        "HF_HUB_OFFLINE": "0",
        "HF_HUB_DISABLE_XET": "1",
        "HF_HOME": str(tmp_path / "home5"),
        "HF_DATASETS_CACHE": str(tmp_path / "cache5"),
    }
    (tmp_path / "scans").symlink_to(folder)
    done = subprocess.run(
        [DATASETS5, "-c", code], capture_output=True, text=True, env=environment, timeout=120, cwd=tmp_path
    )
    assert done.returncode == 0, done.stderr
    size = (folder / "train_1_0.nii").stat().st_size
    expected = "train_1 (9, 11, 7) 2" if flags else f"train_1 {size} scans/train_1_0.nii"
    assert done.stdout.strip() == expected


@pytest.mark.skipif(int(datasets.__version__.split(".")[0]) >= 5, reason="datasets 5 reads it")
def test_nifti_feature_table_says_that_it_needs_datasets_5(hub, call, folder):
    push(call, folder, "--scans", "embed", "--nifti_feature")
    with pytest.raises(ValueError, match=r"tester/brains: expected datasets 5 or later.*found 3"):
        load_published("tester/brains")


def test_shards_keep_their_size_and_all_rows(hub, call, folder):
    push(call, folder, "--scans", "embed", "--max_shard_size", "5KB")
    tables = read_tables(hub)
    assert {path for path in tables if "train" in path} == {f"data/train-{i:05d}-of-00002.parquet" for i in (0, 1)}
    assert sum(table.num_rows for table in tables.values()) == 5


def test_card_says_what_is_in_it(hub, call, folder):
    push(call, folder, "--license", "cc-by-4.0", "--dua", "Agreement 7 of the consortium.", "--gated", "manual")
    card = huggingface_hub.DatasetCard(hub.files("dataset", "tester/brains")["README.md"].decode())
    assert card.data.license == "cc-by-4.0"
    assert card.data.task_categories == ["visual-question-answering", "image-text-to-text"]
    assert card.data.size_categories == ["n<1K"]
    for text in ("| train | 3 | 3 | 3 | female (3) |", "Agreement 7 of the consortium.", "No finding is left."):
        assert text in card.text
    assert hub.repos["dataset", "tester/brains"].gated == "manual"
    assert hub.count("POST", "/api/validate-yaml") > 0


@pytest.mark.slow
def test_pushing_again_uploads_nothing(hub, call, folder):
    push(call, folder, "--scans", "files")
    repo = hub.repos["dataset", "tester/brains"]
    uploads, commits = hub.count("PUT", "^/lfs/"), len(repo.commits)
    push(call, folder, "--scans", "files")
    assert (hub.count("PUT", "^/lfs/"), len(repo.commits)) == (uploads, commits)


@pytest.mark.slow
def test_files_that_are_no_longer_in_the_data_leave_the_repo(hub, call, folder):
    push(call, folder, "--scans", "files")
    (folder / "train" / "train_1.json").unlink()
    push(call, folder, "--scans", "files")
    assert not any("train_1" in path for path in hub.files("dataset", "tester/brains"))


def test_a_published_split_that_was_deleted_on_the_hub_is_missed(hub, call, folder):
    push(call, folder)
    repo = hub.repos["dataset", "tester/brains"]
    files = dict(repo.commits[repo.branches["main"]])
    del files["data/train-00000-of-00001.parquet"]
    repo.commit("main", files)
    with pytest.raises(FormatError, match=r"^tester/brains: expected 2 files, .* 1 missing, the first 'data/train-"):
        load_published("tester/brains")


@pytest.mark.slow
def test_neither_a_dataset_nor_a_model_takes_the_place_of_others(hub, call, folder, trained):
    """A card made by hand, and another model."""
    kinds = {"dataset": ("tester/brains", ["README.md"]), "model": ("tester/model", ["README.md", "config.json"])}
    for kind, (name, names) in kinds.items():
        huggingface_hub.HfApi().create_repo(name, repo_type=kind, private=True)
        repo = hub.repos[kind, name]
        theirs = {**repo.commits[repo.branches["main"]], **{name: File(b"# Theirs") for name in names}}
        repo.commit("main", theirs)
    with pytest.raises(SystemExit, match=r"found 'README\.md', which no list of a push names"):
        push(call, folder)
    with pytest.raises(SystemExit, match=r"found 'README\.md', 'config\.json', which no list of a push names"):
        push_model(call, trained)
    for kind, (name, names) in kinds.items():
        assert all(hub.files(kind, name)[path] == b"# Theirs" for path in names)
    push(call, folder, "--delete_other_files", "true")
    push_model(call, trained, "--delete_other_files", "true")
    assert all(hub.files(kind, name)["README.md"].startswith(b"---") for kind, (name, _) in kinds.items())


def test_trainer_refuses_the_repo_of_another_model_before_it_trains(hub, call, small_data):
    huggingface_hub.HfApi().create_repo("tester/trained", private=True)
    repo = hub.repos["model", "tester/trained"]
    repo.commit("main", {"README.md": File(b"# Theirs"), "run.json": File(b"{}")})
    flags = ("--json_dir", small_data, "--output_dir", "run", "--max_steps", 2, "--batch_size", 2, "--max_length", 256)
    with pytest.raises(SystemExit, match=r"found 'README\.md', 'run\.json', which no list of a push names"):
        call(train, *flags, "--push_to_hub", "true", "--hub_model_id", "tester/trained", "--report_to", "none")


@pytest.mark.slow
def test_push_continues_after_the_server_died_in_the_middle(hub, call, folder):
    """Nothing shows before the last commit, and no scan that had arrived is sent again."""
    arrived = []

    def die_after_three(method, path):
        if method == "PUT" and path.startswith("/lfs/"):
            if len(arrived) >= 3:
                return DROP
            arrived.append(path)
        return None

    hub.fault = die_after_three
    with pytest.raises(SystemExit, match=r"connection to the Hub broke.*Run the same command again"):
        push(call, folder, "--scans", "files")
    hub.kill()
    assert set(hub.files("dataset", "tester/brains")) == {".gitattributes"}
    with pytest.raises(SystemExit, match="connection to the Hub broke"):
        push(call, folder, "--scans", "files")
    hub.fault = None
    hub.start()
    before = set(hub.lfs)
    assert len(before) >= 2
    hub.log.clear()
    push(call, folder, "--scans", "files")
    sent = {path.rpartition("/")[2] for method, path, _ in hub.log if method == "PUT"}
    assert sent == set(hub.lfs) - before
    assert len([path for path in hub.files("dataset", "tester/brains") if path.startswith("scans/")]) == 6


def test_private_by_default_and_hidden_from_others(hub, call, folder, monkeypatch):
    push(call, folder)
    assert hub.repos["dataset", "tester/brains"].is_private
    log_in(monkeypatch, "hf_other")
    with pytest.raises(FileNotFoundError, match="the Hub has no such dataset, or a private one"):
        load_published("tester/brains")


def test_table_with_the_script_for_older_datasets_loads_without_running_it(hub, call, folder):
    push(call, folder, "--with_script")
    assert "umbrella_dataset.py" in hub.files("dataset", "tester/brains")
    assert len(datasets.load_dataset("tester/brains", split="test")) == 2
    with pytest.raises(SystemExit):
        call(push_to_hub, "dataset", "--json_dir", folder, "--repo_id", "x/umbrella_dataset", "--with_script")


# Personal data


def test_finding_stops_the_push_and_allow_goes_into_the_card(hub, call, folder):
    record = make_record("train_9", [])
    record["metadata"]["visit"] = "2019-05-17"
    (folder / "train" / "train_9.json").write_text(json.dumps(record))
    with pytest.raises(SystemExit) as stopped:
        push(call, folder)
    assert "train/train_9.json: metadata.visit: date: 2***-0*-1*" in str(stopped.value)
    assert "2019-05-17" not in str(stopped.value)
    assert not hub.repos
    push(call, folder, "--allow", "date")
    assert "- date: 1" in hub.files("dataset", "tester/brains")["README.md"].decode()


def test_kind_that_does_not_exist_cannot_be_allowed(hub, call, folder):
    with pytest.raises(SystemExit, match=r"--allow: expected some of .*'date'.*, found 'dates'"):
        push(call, folder, "--allow", "dates")


def test_pair_of_header_and_image_is_refused(hub, call, folder):
    image = nibabel.load(folder / "train_0_0.nii")
    nibabel.Nifti1Pair(image.get_fdata(), image.affine).to_filename(folder / "pair.hdr")
    path = folder / "train" / "train_0.json"
    path.write_text(path.read_text().replace("train_0_0.nii", "pair.hdr"))
    with pytest.raises(SystemExit, match=r"pair.hdr: expected header and voxels in one file"):
        push(call, folder, "--scans", "files")
    push(call, folder)


def unpack(hub):
    """Every byte that the server holds, as it is and decompressed: gzip files, tables and the scans in them."""
    pieces = []
    for data in hub.stored_bytes():
        pieces.append(data)
        if data[:2] == b"\x1f\x8b":
            pieces.append(gzip.decompress(data))
        if data[:4] == b"PAR1":
            for row in pq.read_table(io.BytesIO(data)).to_pylist():
                for scan in row["images"]:
                    content = scan.pop("bytes", None) or b""
                    pieces += [content, gzip.decompress(content)] if content[:2] == b"\x1f\x8b" else [content]
                pieces.append(json.dumps(row, ensure_ascii=False).encode())
                pieces.append(json.loads(pieces[-1])["metadata"]["extra"].encode())
    return b"\n".join(pieces)


@pytest.mark.slow
@pytest.mark.parametrize("scans", ["files", "embed"])
def test_after_scrubbing_no_planted_item_is_in_any_byte(hub, call, tmp_path, scans):
    items = draw_items(seed=1)
    folder = write_planted_folder(tmp_path / "planted", items)
    before = {path: path.read_bytes() for path in folder.rglob("*") if path.is_file()}
    with pytest.raises(SystemExit, match="expected no personal data, found"):
        push(call, folder, "--scans", scans)
    push(call, folder, "--scans", scans, "--scrub")
    published = unpack(hub)
    left = [item for item in items if item.value.encode() in published]
    left += [item for item in items if json.dumps(item.value).strip('"').encode() in published]
    assert left == []
    assert b"sub-0007" not in published and b"scan_0007" not in published
    assert {path: path.read_bytes() for path in folder.rglob("*") if path.is_file()} == before
    rows = load_published("tester/brains")["train"]
    example = ConversationTransform(load_processor("tiny"))({name: [rows[0][name]] for name in rows.column_names})
    assert example["pixel_values"][0].shape == (1, 3, 64, 64)


@pytest.mark.slow
def test_scrubbing_again_gives_the_same_bytes(hub, call, folder):
    push(call, folder, "--scans", "files", "--scrub")
    first = hub.files("dataset", "tester/brains")
    push(call, folder, "--scans", "files", "--scrub")
    assert hub.files("dataset", "tester/brains") == first
    work_dir = folder.with_name("my_data.hub")
    assert (work_dir / "scrub.key").is_file()
    names = json.loads((work_dir / "scan_names.json").read_text())
    assert set(names.values()) == {path for path in first if path.startswith("scans/")}


@pytest.mark.slow
def test_face_stops_the_push_also_when_scrubbed(hub, call, folder):
    volume, spacing_mm = make_head(3, nose=True)
    image = nibabel.Nifti1Image((volume * 1000).astype(np.int16), np.diag([*spacing_mm, 1.0]))
    image.to_filename(folder / "train_0_0.nii")
    with pytest.raises(SystemExit, match=r"(?s)1 × face.*defacing tool"):
        push(call, folder, "--scans", "files", "--scrub")
    push(call, folder)  # the table alone shows no face


# Reading safely


@pytest.mark.parametrize(
    ("path", "message"),
    [
        ("../other/x.nii", "expected a path inside the dataset"),
        ("/etc/passwd", "expected a path inside the dataset"),
        ("scans/link.nii", "a link out of it"),
        ("https://example.org/x.nii", "none is fetched"),
    ],
)
def test_names_in_a_table_cannot_leave_the_dataset(path, message, tmp_path):
    (tmp_path / "data" / "scans").mkdir(parents=True)
    (tmp_path / "secret.nii").write_bytes(b"x")
    (tmp_path / "data" / "scans" / "link.nii").symlink_to(tmp_path / "secret.nii")
    with pytest.raises(ValueError, match=message):
        resolve_inside(path, tmp_path / "data", "x: train/1.json")


def test_published_row_that_names_a_file_elsewhere_is_refused(hub, call, folder, tmp_path):
    push(call, folder, "--scans", "files")
    copy = tmp_path / "copy"
    for name, data in hub.files("dataset", "tester/brains").items():
        (copy / name).parent.mkdir(parents=True, exist_ok=True)
        (copy / name).write_bytes(data)
    shard = copy / "data" / "train-00000-of-00001.parquet"
    table = pq.read_table(shard)
    rows = table.to_pylist()
    rows[0]["images"][0]["path"] = rows[0]["conversations"][0]["content"][0]["image_path"] = "../../secret.nii"
    pq.write_table(type(table).from_pylist(rows, schema=table.schema), shard)
    with pytest.raises(ValueError, match=r"train/train_0.json: images: expected a path inside the dataset"):
        load_published(str(copy))


def test_another_table_in_the_place_of_one_is_read_whatever_its_time(tmp_path):
    folder = write_folder(tmp_path / "data", {"train": [1]})
    publication = Publication(load_umbrella(str(folder)), str(folder), "none", None)
    publication.stage(tmp_path / "published", 10**9)
    (shard,) = (tmp_path / "published/data").iterdir()
    assert load_published(str(tmp_path / "published"))["train"]["task_id"][:] == ["train_0"]
    table, status = pq.read_table(shard), shard.stat()
    pq.write_table(type(table).from_pylist([{**table.to_pylist()[0], "task_id": "other_0"}], table.schema), shard)
    os.utime(shard, ns=(status.st_atime_ns, status.st_mtime_ns))
    assert load_published(str(tmp_path / "published"))["train"]["task_id"][:] == ["other_0"]


def test_weights_in_a_pickle_are_not_loaded_from_the_hub(hub, trained):
    huggingface_hub.HfApi().create_repo("tester/pickled", private=True)
    repo = hub.repos["model", "tester/pickled"]
    files = {"config.json": File((trained / "config.json").read_bytes())}
    repo.commit(
        "main", {**files, "pytorch_model.bin": File((trained / "training_args.bin").read_bytes(), is_lfs=True)}
    )
    with pytest.raises(OSError, match=r"'tester/pickled' does not load"):
        load_model("tester/pickled")


# Models


def write_volume_model(folder):
    """A model for volumes as train.py leaves it, but untrained."""
    processor = load_processor("tiny3d")
    asked = ViewSettings(volume_size="32", frames="2")
    resolve_recipe(asked, processor, "tiny3d").save(folder)
    model, draw = load_model("tiny3d"), torch.Generator().manual_seed(1)
    for parameter in model.parameters():  # larger ones than a start has: it says more than one word over and over
        parameter.data.normal_(std=0.3, generator=draw)
    model.save_pretrained(folder)
    processor.save_pretrained(folder)


@pytest.mark.slow
def test_the_card_of_a_model_for_volumes_says_what_it_takes_and_its_code_answers_about_a_scan(
    hub, call, tmp_path, capsys
):
    write_volume_model(tmp_path / "mine")
    call(push_to_hub, "model", "--model", tmp_path / "mine", "--repo_id", "tester/volumes")
    card = hub.files("model", "tester/volumes")["README.md"].decode()
    assert "Scans are shown as volume, 32x32x32 voxels of 4 mm, frames 2; normalize True, standardize True." in card
    assert "padded with the minimum or cropped, never stretched. Of a series the frames `2` are shown." in card
    assert "pixels" not in card
    write_scan(tmp_path / "scan.nii.gz", 0)  # `call` has gone to this folder
    (code,) = re.findall(r"```python\n(.*?)```", card, re.DOTALL)
    assert code.startswith("import umbrella  # pip install umbrella-vlm")
    asked = ("--image", tmp_path / "scan.nii.gz", "--question", "Male or female?")
    exec(compile(code, "README.md", "exec"), {})
    printed = capsys.readouterr().out
    assert (
        len(set(printed)) > 4
        and printed.strip() == call(predict, "--model_name_or_path", tmp_path / "mine", *asked).strip()
    )


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    """A model's folder as train.py and eval.py leave it, with the tiny model untrained."""
    folder = tmp_path_factory.mktemp("runs") / "mine"
    load_model("tiny", seed=3).save_pretrained(folder)
    processor = load_processor("tiny")
    processor.save_pretrained(folder)
    template = hashlib.sha256(str(processor.chat_template).encode()).hexdigest()
    recipe = {
        "view": "axial", "image_size": 64, "normalize": True, "standardize": True,
        "label_rule": "assistant text and end of turn, v1", "prompt_template": template,
    }  # fmt: skip
    (folder / "umbrella_recipe.json").write_text(json.dumps(recipe))
    command = f"python {folder}/train.py {folder}/recipe.yaml --json_dir {folder}/data"
    run = {"command": command, "started": "2026-01-02T03:04:05+00:00", "versions": {"torch": "2.14.1"}}
    (folder / "run.json").write_text(json.dumps([{**run, "data": {"train": {"rows": 8, "sha256": "ab"}}}]))
    seen = SeenRows(8, ("sMRI",), tuple(sorted(hash_subject("s", name) for name in SUBJECTS)), "s", "ab", 0)
    models = [
        {"name": str(folder.with_name("stage1")), "revision": None, "recorded": True},
        {"name": "llava-hf/llava-1.5-7b-hf", "revision": "c0ffee", "recorded": False},
    ]
    TrainingData((seen,), tuple(models)).save(folder)
    torch.save({"x": 1}, folder / "training_args.bin")
    torch.save({"x": 1}, folder / "optimizer.pt")
    (folder / "checkpoint-1").mkdir()
    (folder / "checkpoint-1" / "model.safetensors").write_bytes(b"x")
    (folder / "eval").mkdir()
    (folder / "eval" / "predictions.jsonl").write_text("{}")
    settings = {"split": "validation", "model": fingerprint_model(str(folder))}
    (folder / "eval" / "settings.json").write_text(json.dumps(settings))
    metrics = {
        "accuracy": 0.9, "n": 40, "n_subjects": 20, "leakage": f"Not known: what {folder} was trained on, so",
        "metrics": {"accuracy": {"value": 0.9, "interval": [0.8, 0.97]}, "auroc": {"value": None, "interval": None}},
        "controls": {"scans_shuffled": {"title": "scans shuffled", "accuracy": 0.5, "accuracy_interval": [0.4, 0.6]}},
        "verdicts": {"subject": {"verdict": "uses", "sentence": "The model uses the subject's scan."}},
    }  # fmt: skip
    (folder / "eval" / "metrics.json").write_text(json.dumps(metrics))
    report = f"""<section><h2>Accuracy</h2><img src="data:image/svg+xml;base64,AAAA"><pre>{folder}/x</pre></section>
<section>
<h2>The most confident mistakes</h2>
<p><a href="failures.html">failures.html</a> has more of them.</p>
<div class="examples"><article><h4>row_1</h4><img src="data:image/png;base64,BBBB"></article></div>
</section>"""
    (folder / "eval" / "report.html").write_text(report)
    (folder / "eval" / "report_public.html").write_text(report[: report.index("<section>\n")])
    for name in ("failures.html", "failures.json"):
        (folder / "eval" / name).write_text("row_1 at Bergen")
    return folder


def push_model(call, folder, *flags):
    work_dir = ("--work_dir", folder.with_name("work"))
    return call(push_to_hub, "model", "--model", folder, "--repo_id", "tester/model", *work_dir, *flags)


@pytest.mark.slow
def test_pushed_model_loads_and_gives_the_same_logits(hub, call, trained):
    push_model(call, trained)
    files = hub.files("model", "tester/model")
    assert set(files) >= {"model.safetensors", "umbrella_recipe.json", "run.json", "eval/metrics.json", "README.md"}
    assert not [name for name in files if name.endswith((".bin", ".pt", ".jsonl")) or "checkpoint" in name]
    assert str(trained.parent).encode() not in b"".join(files.values())
    assert hub.repos["model", "tester/model"].is_private
    seen = read_training_data("tester/model")
    assert seen.find_overlap([*SUBJECTS, "sub-03"]) == SUBJECTS
    assert [model["name"] for model in seen.models] == ["stage1", "llava-hf/llava-1.5-7b-hf"]
    assert seen.unknown == ["llava-hf/llava-1.5-7b-hf"]
    ids = torch.arange(20)[None]
    pulled, local = load_model("tester/model"), load_model(str(trained))
    assert torch.equal(pulled(input_ids=ids).logits, local(input_ids=ids).logits)
    assert load_processor("tester/model").chat_template == load_processor(str(trained)).chat_template


def test_all_chat_templates_of_a_model_are_pushed(hub, call, trained, tmp_path):
    copy = shutil.copytree(trained, tmp_path / "mine")
    (copy / "additional_chat_templates").mkdir()
    (copy / "additional_chat_templates" / "x.jinja").write_text("{{ messages }}")
    push_model(call, copy)
    assert load_processor("tester/model").chat_template == load_processor(str(copy)).chat_template


@pytest.mark.slow
def test_pushed_model_and_dataset_evaluate_to_the_same_predictions(hub, call, trained, small_data, tmp_path):
    import eval as evaluation

    push_model(call, trained)
    call(push_to_hub, "dataset", "--json_dir", small_data, "--repo_id", "tester/heads", "--scans", "files")
    flags = (
        "--split",
        "test",
        "--max_new_tokens",
        4,
        "--controls",
        "false",
        "--baselines",
        "false",
        "--report",
        "false",
    )
    local = ("--model_name_or_path", trained, "--json_dir", small_data, "--output_dir", "local")
    pulled = ("--model_name_or_path", "tester/model", "--dataset_name", "tester/heads", "--output_dir", "pulled")
    call(evaluation, *local, *flags)
    call(evaluation, *pulled, *flags)
    first, second = (read_predictions(tmp_path / name) for name in ("local", "pulled"))
    assert len(first) == 8 and first == second
    named = [
        json.loads((tmp_path / name / "metrics.json").read_text())["dataset_name"] for name in ("local", "pulled")
    ]
    assert named == [None, "tester/heads"]


def read_predictions(folder):
    return [json.loads(line) for line in (folder / "predictions.jsonl").read_text().splitlines()]


def test_model_card_has_facts_and_evaluation(hub, call, trained):
    push_model(call, trained, "--license", "apache-2.0")
    card = huggingface_hub.ModelCard(hub.files("model", "tester/model")["README.md"].decode())
    assert (card.data.base_model, card.data.license) == ("llava-hf/llava-1.5-7b-hf", "apache-2.0")
    for text in (
        "## Evaluation on validation: 40 rows of 20 subjects",
        "| accuracy | 0.900 | 0.800 to 0.970 |",
        "| accuracy, scans shuffled | 0.500 | 0.400 to 0.600 |",
        "Its evaluations found:\n\n- Not known: what mine was trained on, so\n",
        "- The model uses the subject's scan.",
        "python train.py recipe.yaml --json_dir data",
        "8 rows of 2 subjects, sMRI; what llava-hf/llava-1.5-7b-hf was trained on before is not known.",
    ):
        assert text in card.text


def test_results_are_in_the_index_of_the_published_model(hub, call, trained):
    push_model(call, trained)
    data = huggingface_hub.ModelCard.load("tester/model").data
    (result,) = data.eval_results
    assert (data.model_name, result.dataset_split, result.metric_type, result.metric_value) == (
        "model", "validation", "accuracy", 0.9
    )  # fmt: skip


@pytest.mark.parametrize(
    ("name", "is_named"),
    [("tester/open", True), ("tester/closed", False), ("tester/none", False), ("/home/me/xq_scans", False)],
)
def test_only_a_dataset_that_everybody_can_see_is_named(hub, call, trained, tmp_path, name, is_named):
    hub.repos |= {("dataset", "tester/open"): Repo(False), ("dataset", "tester/closed"): Repo(True)}
    run = shutil.copytree(trained, tmp_path / "run")
    metrics = json.loads((run / "eval" / "metrics.json").read_text())
    (run / "eval" / "metrics.json").write_text(json.dumps({**metrics, "dataset_name": name}))
    if name.startswith("/"):  # as nobody writes it: the path is shortened first
        name = "xq_scans"
    push_model(call, run)
    (result,) = huggingface_hub.ModelCard.load("tester/model").data.eval_results
    assert (result.dataset_type, result.dataset_name == name) == (name if is_named else "json", is_named)
    said = b"".join(hub.files("model", "tester/model").values())
    assert (name.encode() in said) == is_named


@pytest.mark.parametrize(
    "settings, said",
    [({"split": "test", "model": "sha256:ab"}, "of other weights, sha256:ab"), ({}, "does not tell of which weights")],
)
def test_an_evaluation_of_other_weights_is_not_published(hub, call, trained, tmp_path, settings, said):
    """As where a run was evaluated, and then went on."""
    run = shutil.copytree(trained, tmp_path / "run")
    (run / "eval" / "settings.json").write_text(json.dumps(settings))
    assert said in push_model(call, run)
    files = hub.files("model", "tester/model")
    assert not [name for name in files if name.startswith("eval")]
    assert b"## Evaluation" not in files["README.md"] and b"0.900" not in b"".join(files.values())


@pytest.mark.parametrize(("flags", "found"), [((), []), (("--checkable_subjects", "true"), SUBJECTS)])
def test_in_a_public_repo_nobody_can_guess_subjects_unless_asked_for(hub, call, trained, flags, found):
    push_model(call, trained, "--public", *flags)
    seen = read_training_data("tester/model")
    assert seen.find_overlap(SUBJECTS) == found and seen.hidden == (not found)
    (rows,) = seen.seen
    local = set(read_training_data(trained).seen[0].subject_sha256)
    assert len(rows.subject_sha256) == 2 and set(rows.subject_sha256).isdisjoint(local) == (not found)


def test_report_is_published_without_scans_and_answers_unless_asked_for(hub, call, trained):
    push_model(call, trained)
    report = hub.files("model", "tester/model")["eval/report.html"]
    assert b"row_1" not in report and b"BBBB" not in report and b"AAAA" in report
    push_model(call, trained, "--report_scans")
    report = hub.files("model", "tester/model")["eval/report.html"]
    assert b"row_1" in report and b"BBBB" in report
    assert b"<a>failures.html</a> has more of them" in report  # which is not published, and not linked to
    assert not [name for name in hub.files("model", "tester/model") if "failures" in name]
    assert str(trained).encode() not in report


def test_a_report_without_a_public_page_is_left_out_and_that_is_said(hub, call, trained, tmp_path):
    """As evaluations of earlier versions left it."""
    run = shutil.copytree(trained, tmp_path / "run")
    (run / "eval" / "report_public.html").unlink()
    out = push_model(call, run)
    assert "report.html is left out: it shows single rows" in out and "Run recipes/eval.py again" in out
    files = hub.files("model", "tester/model")
    assert "eval/metrics.json" in files and not [name for name in files if name.endswith(".html")]
    assert b"report.html" not in files["README.md"]
    assert "left out" not in push_model(call, run, "--report_scans")
    assert "eval/report.html" in hub.files("model", "tester/model")


def test_what_is_published_of_a_report_is_its_public_page(hub, call, trained):
    push_model(call, trained)
    files = hub.files("model", "tester/model")
    assert [name for name in files if name.endswith(".html")] == ["eval/report.html"]
    public = (trained / "eval" / "report_public.html").read_text()
    assert files["eval/report.html"].decode() == public.replace(f"{trained}/x", "x") != public


def test_groups_of_few_subjects_are_published_nowhere(hub, call, trained, tmp_path):
    """Nor by a page of an earlier version, which shows them."""
    run = shutil.copytree(trained, tmp_path / "run")
    metrics = json.loads((run / "eval" / "metrics.json").read_text())
    sites = {
        name: {"accuracy": 0.5, "n": n, "n_subjects": n} for name, n in (("Bergen", 3), ("Oslo", 2), ("Rome", 15))
    }
    metrics |= {"by": {"site": sites}, "by_sentences": ["By site: Bergen cannot be judged.", "By site: Rome differs."]}
    repeats = {"n": 2, "n_subjects": 2, "found_by": "metadata.session", "sentences": ["Twice 77.7."]}
    metrics["evidence"] = {"repeatability": repeats | {"limits": repeats["sentences"]}}
    metrics["metrics"]["pearson_r"] = {"value": None, "interval": None}
    metrics["undefined"] = {"pearson_r": "no answer could be read as a number"}
    (run / "eval" / "metrics.json").write_text(json.dumps(metrics))
    out = push_model(call, run)
    assert "report_public.html is left out: it shows groups of few subjects" in out
    files = hub.files("model", "tester/model")
    assert "eval/report.html" not in files
    published = files["eval/metrics.json"] + files["README.md"]
    assert b"| pearson r | not known |" in published
    assert b"Rome" in published and b"withheld: what is of fewer than 5 subjects" in published
    assert b"Bergen" not in published and b"Oslo" not in published and b"77.7" not in published
    (run / "eval" / "report_public.html").write_text("By site: " + NOT_PUBLISHED)
    push_model(call, run)
    assert "eval/report.html" in hub.files("model", "tester/model")


def test_model_with_weights_in_a_pickle_is_refused(hub, call, trained, tmp_path):
    copy = shutil.copytree(trained, tmp_path / "copy")
    (copy / "model.safetensors").rename(copy / "pytorch_model.bin")
    with pytest.raises(SystemExit, match=r"expected weights as .*safetensors, found none"):
        push_model(call, copy)


def test_personal_data_in_a_models_files_stops_the_push(hub, call, trained, tmp_path):
    copy = shutil.copytree(trained, tmp_path / "copy")
    (copy / "train_results.json").write_text(json.dumps({"note": "ask jane.roe@example.org"}))
    with pytest.raises(SystemExit, match=r"train_results.json: json.note: e-mail"):
        push_model(call, copy)


@pytest.mark.slow
def test_trainers_own_flags_pass_the_same_guard(hub, call, small_data, tmp_path):
    flags = ("--json_dir", small_data, "--output_dir", "run", "--max_steps", 2, "--save_steps", 1, "--batch_size", 2)
    push_flags = ("--push_to_hub", "true", "--hub_model_id", "tester/trained", "--hub_strategy", "every_save")
    call(train, *flags, "--max_length", 256, "--report_to", "none", *push_flags)
    repo = hub.repos["model", "tester/trained"]
    assert repo.is_private
    names = {name for files in repo.commits.values() for name in files}
    assert names >= {"model.safetensors", "processor_config.json", "umbrella_recipe.json", "run.json", "README.md"}
    assert "umbrella_questions.json" in names
    assert read_training_data("tester/trained") == read_training_data(tmp_path / "run")
    assert len(read_training_data("tester/trained").find_overlap(subjects_of(load_umbrella(small_data)["train"]))) == 4
    assert not [name for name in names if name.endswith((".bin", ".pt", ".pth", ".jsonl"))]
    assert str(tmp_path).encode() not in b"".join(hub.stored_bytes())
    pushed = load_model("tester/trained").state_dict()
    local = load_model(str(tmp_path / "run")).state_dict()
    assert all(torch.equal(pushed[name], local[name]) for name in local)


@pytest.mark.slow
def test_a_run_goes_on_from_the_checkpoint_whose_push_failed(hub, call, small_data, tmp_path):
    flags = ("--json_dir", small_data, "--output_dir", "run", "--max_steps", 2, "--save_steps", 1, "--batch_size", 2)
    flags += ("--push_to_hub", "true", "--hub_model_id", "tester/trained", "--hub_strategy", "every_save")
    flags += ("--max_length", 256, "--report_to", "none")
    hub.fault = lambda method, path: DROP if method == "PUT" else None
    with pytest.raises(SystemExit, match="connection to the Hub broke"):
        call(train, *flags)
    assert find_whole_checkpoint(tmp_path / "run") == str(tmp_path / "run/checkpoint-1")
    hub.fault = None
    call(train, *flags, "--resume_from_checkpoint", "auto")
    assert "model.safetensors" in hub.files("model", "tester/trained")


@pytest.mark.slow
@pytest.mark.parametrize("scans", ["files", "embed"])
def test_training_on_a_published_dataset_gives_the_same_weights_as_on_its_folder(
    hub, call, small_data, tmp_path, scans
):
    call(push_to_hub, "dataset", "--json_dir", small_data, "--repo_id", "tester/heads", "--scans", scans)
    flags = ("--max_steps", 2, "--batch_size", 2, "--max_length", 256, "--report_to", "none")
    call(train, "--json_dir", small_data, "--output_dir", "local", *flags)
    call(train, "--dataset_name", "tester/heads", "--output_dir", "published", *flags)
    local, published = ((tmp_path / name / "model.safetensors").read_bytes() for name in ("local", "published"))
    assert local == published


def test_trainer_refuses_to_push_optimizer_states(hub, call, small_data):
    flags = ("--json_dir", small_data, "--output_dir", "run", "--max_steps", 2, "--batch_size", 2, "--max_length", 256)
    with pytest.raises(SystemExit, match="--hub_strategy: expected end or every_save, found checkpoint"):
        call(train, *flags, "--push_to_hub", "true", "--hub_strategy", "checkpoint")


# Bad input


@pytest.mark.parametrize(
    ("token", "message"),
    [
        ("", r"found no token\. Log in"),
        ("hf_wrong", "found one that the Hub does not know"),
        ("hf_read", "found a token without it"),
        ("hf_other", "found a token without it"),
    ],
)
def test_tokens_that_will_not_do(hub, call, folder, monkeypatch, token, message):
    log_in(monkeypatch, token)
    with pytest.raises(SystemExit, match=message):
        push(call, folder)
    assert not hub.repos


def test_repo_of_the_other_type_is_refused(hub, call, folder):
    huggingface_hub.HfApi().create_repo("tester/brains", repo_type="model")
    with pytest.raises(SystemExit, match="expected a dataset, found a model of that name"):
        push(call, folder)


def test_public_repo_is_refused_unless_public_is_meant(hub, call, folder):
    push(call, folder, "--public")
    with pytest.raises(SystemExit, match="expected a private repo, found a public one"):
        push(call, folder)


def test_commit_of_somebody_else_in_between(hub, call, folder):
    def commit_in_between(method, path):
        if "/preupload/" in path:
            hub.fault = None
            repo = hub.repos["dataset", "tester/brains"]
            repo.commit("main", dict(repo.commits[repo.branches["main"]]))

    hub.fault = commit_in_between
    with pytest.raises(SystemExit, match="somebody else has committed since this push began; nothing was published"):
        push(call, folder)
    push(call, folder)
    assert "README.md" in hub.files("dataset", "tester/brains")


@pytest.mark.parametrize(
    ("status", "message"),
    [(507, "storage quota is used up"), (413, "a file is too large"), (402, "want of a paid plan or storage")],
)
def test_answers_about_quota(hub, call, folder, status, message):
    hub.fault = lambda method, path: (status, "You are over your limit") if path.endswith("/batch") else None
    with pytest.raises(SystemExit, match=message):
        push(call, folder)
    assert set(hub.files("dataset", "tester/brains")) == {".gitattributes"}


@pytest.mark.parametrize(
    ("flags", "message"),
    [
        (("--scans", "files", "--max_shard_size", "lots"), "expected a size such as 500MB"),
        (("--nifti_feature",), "expected --scans embed"),
        (("--gated", "maybe"), "expected auto or manual"),
    ],
)
def test_flags_that_do_not_fit(hub, call, folder, flags, message, capsys):
    with pytest.raises(SystemExit) as stopped:
        push(call, folder, *flags)
    assert message in str(stopped.value) + capsys.readouterr().err


def test_missing_scan_is_named_before_anything_is_written(hub, call, folder):
    (folder / "train_0_0.nii").unlink()
    with pytest.raises(SystemExit, match=r"train_0_0.nii: expected a scan, found no such file \(1 in all\)"):
        push(call, folder, "--scans", "embed")
    assert not folder.with_name("my_data.hub").exists()


def test_command_without_what_to_push(monkeypatch):
    monkeypatch.setattr(sys, "argv", ["push_to_hub.py"])
    with pytest.raises(SystemExit, match=r"expected `push_to_hub.py dataset"):
        push_to_hub.main()


def test_paths_are_cut_to_their_last_part():
    assert shorten_paths("python /opt/x/train.py --data /home/me/d") == "python train.py --data d"


def test_sizes():
    assert (parse_size("500MB"), parse_size("1.5 GB")) == (500_000_000, 1_500_000_000)


@pytest.mark.slow
def test_a_checkpoint_finds_its_base_at_the_commit_that_it_was_trained_on(hub, tmp_path):
    for name, seed in (("base", 3), ("other", 4)):
        load_model("tiny", seed=seed).save_pretrained(tmp_path / name)
    hub.repos["model", "tester/base"] = repo = Repo(is_private=False)

    def publish(name):
        suffixes = (".json", ".safetensors")
        paths = [path for path in (tmp_path / name).iterdir() if path.suffix in suffixes]
        repo.commit("main", {p.name: File(p.read_bytes(), is_lfs=p.suffix == ".safetensors") for p in paths})

    publish("base")
    model = load_model("tester/base")
    choose_trained(model, "projector")
    checkpoint = tmp_path / "checkpoint"
    save_trained(collect_trained(model), model, checkpoint)
    describe_base("tester/base").save(checkpoint)
    publish("other")  # the author goes on
    expected = model.state_dict()
    for place in (None, tmp_path / "base"):  # from the Hub, or a copy of it in a folder
        found = load_model(checkpoint, base_model=place and str(place)).state_dict()
        assert all(torch.equal(found[name], value) for name, value in expected.items())
    with pytest.raises(ValueError, match="expected the base model that it was trained on, 'tester/base' with weights"):
        load_model(checkpoint, base_model=str(tmp_path / "other"))
