"""Claims about commands whose scans lie in a store: each does there what it does with files."""

import cache_volumes
import eval
import explain
import inspect_labels
import pack_scans
import predict
import push_to_hub
import pytest
import validate_json_format
from conversation_folder import write_folder
from forking import Program

from umbrella.answers.attribution.regions import find_region
from umbrella.dataloaders import UMBRELLADataLoader
from umbrella.evaluation.folds.data_folder import to_record
from umbrella.files.contained_files import RemoteError, set_elsewhere
from umbrella.models.tiny_llava import build_tiny_processor
from umbrella.options.arguments import DataArguments
from umbrella.records.run import fingerprint
from umbrella.rows.loading import load_splits
from umbrella.scans.scan_files import read_file
from umbrella.training.preflight import check_scans
from umbrella_dataset import FormatError, resolve_path

pytestmark = pytest.mark.slow
ROOT = "s3://commands/study"


@pytest.fixture
def study(s3, tmp_path, monkeypatch):
    """A data folder whose scans lie in the bucket alone."""
    for name, value in s3.environment.items():
        monkeypatch.setenv(name, value)
    folder = write_folder(tmp_path / "data", {"train": [1] * 3, "validation": [1], "test": [1] * 3})
    for path in folder.glob("*.nii"):
        s3.put(f"{ROOT}/{path.name}", path.read_bytes())
        path.unlink()
    yield folder
    set_elsewhere(None)


@pytest.fixture
def remote(tmp_path):
    return ["--image_root", ROOT, "--remote_roots", ROOT, "--scan_copies", str(tmp_path / "copies")]


def test_they_are_listed_once_and_a_second_command_fetches_none(study, remote, tmp_path, s3, call):
    flags = ["--json_dir", study, "--volume_cache", tmp_path / "views", "--num_workers", 2, *remote]
    s3.take_log()
    assert "7 scans" in call(cache_volumes, *flags)
    assert len({path for method, path in s3.take_log() if method == "GET" and ".nii" in path}) == 7
    call(cache_volumes, *flags)
    assert not any(".nii" in path for method, path in s3.take_log() if method == "GET")


def test_a_folder_is_validated_and_its_scans_read(study, remote, s3, capsys):
    assert validate_json_format.main([str(study), "--check_images", *remote]) == 1
    said = capsys.readouterr().out  # the same phantoms are in all splits
    assert f"found those of {ROOT}/test_1_0.nii (test_1) in {ROOT}/train_1_0.nii (train_1) too" in said
    assert said.count("found") == said.count("found those of")
    s3.delete(f"{ROOT}/train_1_0.nii")
    assert validate_json_format.main([str(study), "--check_images", *remote]) == 1
    said = capsys.readouterr().out
    assert "train_1_0.nii: expected an object, found none (404)" in said
    assert validate_json_format.main([str(study)]) == 0  # relative paths; nobody looks for the scans
    (study / "train/more.json").write_text((study / "train/train_0.json").read_text().replace("train_0_0", "s3://a/b"))
    assert validate_json_format.main([str(study)]) == 1
    said = capsys.readouterr().out
    assert "add the root of its address to --remote_roots" in said and "found expected" not in said


def test_nothing_is_asked_of_a_store_whose_scans_lie_in_shards(study, remote, s3, call, tmp_path, capsys):
    call(pack_scans, "--json_dir", study, "--output_dir", "shards", "--num_workers", 1, *remote)
    s3.take_log()
    packed = [*remote, "--scan_shards", "shards"]
    validate_json_format.main([str(study), "--check_images", *packed])
    assert "found those of" in capsys.readouterr().out  # it has read them
    call(inspect_labels, "--json_dir", study, "--n", 1, "--model_name_or_path", "tiny", *packed)
    assert s3.take_log() == []
    other = (study / "test/test_0.json").read_text().replace("test_0_0.nii", "away.nii")
    for path in study.glob("*/*.json"):
        path.write_text(other)
    validate_json_format.main([str(study), "--check_images", *packed])
    assert "shards/index.arrow (with scans as " in capsys.readouterr().out


def test_what_is_missing_or_refused_is_said_before_training(study, remote, s3):
    flags = {"json_dir": str(study), "image_root": ROOT, "remote_roots": [ROOT], "scan_copies": remote[-1]}
    assert check_scans(load_splits(DataArguments(**flags))["train"]) == 3
    s3.delete(f"{ROOT}/train_1_0.nii")
    with pytest.raises(SystemExit, match=r"1 of 3 scans cannot be read:\n  train/train_1.json: s3://.*found none"):
        check_scans(load_splits(DataArguments(**flags))["train"])
    s3.fail("503", n=99)
    with pytest.raises(RemoteError, match=r"expected an answer within 0\.3 s"):
        load_splits(DataArguments(**flags, remote_patience=0.3))


def test_a_store_that_gives_no_answer_ends_a_command_and_no_scan_is_left_out_for_it(
    study, remote, s3, call, tmp_path, capsys
):
    flags = ["--json_dir", study, "--remote_patience", 0.3, *remote]
    s3.fail("503", n=99, match="train_1", methods="GET")  # what is there it has said
    with pytest.raises(SystemExit, match=rf"^error: {ROOT}/train_1_0\.nii: expected an answer within 0\.3 s"):
        call(pack_scans, *flags, "--output_dir", "shards", "--num_workers", 1)
    assert validate_json_format.main([str(study), "--check_privacy", *map(str, flags[2:])]) == 1
    assert "tries without (the last: 503 SlowDown)" in capsys.readouterr().out
    s3.heal()
    assert call(pack_scans, *flags, "--output_dir", "shards", "--num_workers", 0).startswith("7 scans in 1 shard")
    s3.fail("403", n=99, match="train_1")
    with pytest.raises(SystemExit) as ending:  # what a store says of one scan is that scan's alone
        call(cache_volumes, *flags, "--volume_cache", "views", "--num_workers", 0)
    assert ending.value.code == 1 and "6 decoded, 0 cached before, 1 unreadable" in capsys.readouterr().out


def test_a_run_that_goes_on_notices_another_scan_of_the_same_size(study, remote, s3):
    flags = {"json_dir": str(study), "image_root": ROOT, "remote_roots": [ROOT], "scan_copies": remote[-1]}
    before, data = fingerprint(load_splits(DataArguments(**flags))["train"]), read_file(f"{ROOT}/train_1_0.nii")
    s3.put(f"{ROOT}/train_1_0.nii", data[:-1] + bytes([data[-1] ^ 1]))
    assert fingerprint(load_splits(DataArguments(**flags))["train"]) != before
    s3.put(f"{ROOT}/train_1_0.nii", data)
    assert fingerprint(load_splits(DataArguments(**flags))["train"]) == before


def test_questions_are_asked_and_maps_drawn_about_them(study, remote, call, tmp_path):
    image = f"{ROOT}/test_0_0.nii"
    common = ["--model_name_or_path", "tiny", "--max_length", 1024]
    asked = ["--image", image, "--question", "Is it?", "--max_new_tokens", 2, *remote[2:]]
    alone = call(predict, *common, *asked)
    table = tmp_path / "scans.tsv"
    table.write_text("participant_id\timage\n" + "".join(f"p{n}\ttest_{n}_0.nii\n" for n in range(4)))
    flags = ["--table", table, "--image_column", "image", "--question", "Is it?", "--max_new_tokens", 2]
    with pytest.raises(SystemExit):  # one row has no scan
        call(predict, *common, *flags, "--output", "answers.tsv", *remote)
    rows = [line.split("\t") for line in (tmp_path / "answers.tsv").read_text().splitlines()]
    assert [row[2] for row in rows[1:]] == [f"{ROOT}/test_{n}_0.nii" for n in range(3)] + [""]
    assert alone.strip() in rows[1]
    assert "sMRI scan: axial" in call(inspect_labels, *common, "--json_dir", study, "--n", 2, *remote)
    fast = [
        "--controls",
        "false",
        "--baselines",
        "false",
        "--bootstrap",
        20,
        "--max_new_tokens",
        2,
        "--labels",
        "female,male",
    ]
    call(eval, *common, "--json_dir", study, "--output_dir", "eval", *fast, *remote)
    assert (tmp_path / "eval/report.html").is_file()
    call(explain, *common, "--json_dir", study, "--output_dir", "maps", "--n", 1, "--answer", "true", *remote)
    assert list((tmp_path / "maps/maps").glob("*.nii.gz"))


@pytest.mark.parametrize("scrub", ["false", "true"])
def test_a_push_sends_the_scans_and_names_no_bucket(study, remote, call, hub, scrub):
    flags = ["--json_dir", study, "--repo_id", "tester/brains", "--scans", "files", "--scrub", scrub, *remote]
    assert "published" in call(push_to_hub, "dataset", *flags)
    sent = hub.files("dataset", "tester/brains")
    scans = [data for path, data in sent.items() if path.startswith("scans/")]
    assert len(scans) == 7 and min(map(len, scans)) > 1000
    if scrub == "false":
        assert sent["scans/test_0_0.nii"] == read_file(f"{ROOT}/test_0_0.nii")
        published = load_splits(DataArguments(dataset_name="tester/brains", image_root=f"{ROOT}", remote_roots=[ROOT]))
        assert published["test"][0]["images"][0]["path"] == f"{ROOT}/scans/test_0_0.nii"
    assert not any(word in data for data in sent.values() for word in (b"s3://", b"commands/study", b"secret-of"))


def test_folds_and_masks_keep_addresses_as_they_are(study, remote):
    rows = load_splits(DataArguments(json_dir=str(study), image_root=ROOT, remote_roots=[ROOT]))["train"]
    record = to_record(rows[0])
    assert record["images"][0]["path"] == f"{ROOT}/train_0_0.nii"
    assert resolve_path(record["images"][0]["path"], "/elsewhere", None, [ROOT]) == f"{ROOT}/train_0_0.nii"
    row = rows[0]
    row["metadata"]["extra"] = '{"lesion_mask": "train_0_0.nii"}'
    found = find_region(row, "lesion", ROOT)
    row["metadata"]["extra"] = f'{{"lesion_mask": "{ROOT}/train_0_0.nii"}}'
    assert len(found.points_mm) == len(find_region(row, "lesion").points_mm) > 500
    row["metadata"]["extra"] = '{"lesion_mask": "../other.nii"}'
    with pytest.raises(RemoteError, match=r"the part \. or \.\."):
        find_region(row, "lesion", ROOT)


def test_without_the_flag_no_client_of_a_store_is_imported(tmp_path):
    folder = write_folder(tmp_path / "data", {"train": [1]})
    (tmp_path / "look.py").write_text(
        "import sys\n"
        "from umbrella.options.arguments import DataArguments\n"
        "from umbrella.rows.loading import load_splits\n"
        "from umbrella.training.preflight import check_scans\n"
        "if __name__ == '__main__':\n"
        f"    assert check_scans(load_splits(DataArguments(json_dir={str(folder)!r}))['train']) == 1\n"
        "    names = ('s3fs', 'gcsfs', 'aiobotocore', 'umbrella.files.remote.clients')\n"
        "    print('imported', [name for name in names if name in sys.modules])\n"
    )
    program = Program([tmp_path / "look.py"], tmp_path)
    assert "imported []" in program.communicate(timeout=120)[0]


def test_the_guides_loader_reads_them_too(study):
    rows = UMBRELLADataLoader(study, "test", None, build_tiny_processor(), ROOT, remote_roots=[ROOT], max_length=1024)
    assert rows[0]["pixel_values"].shape[0] == 1
    with pytest.raises(FormatError, match="remote_roots"):
        UMBRELLADataLoader(study, "test", None, build_tiny_processor(), ROOT)
