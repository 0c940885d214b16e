"""Claims about packing the scans of rows, and about training on them: the same as from files, which may be gone."""

import json
import shutil
from unittest.mock import patch

import nibabel
import numpy as np
import pack_scans
import pytest
import train
import validate_json_format
import webdataset
from conversation_folder import make_record, write_folder, write_scan
from volume_rows import write_series_folder

from umbrella.files.contained_files import find_packed, set_elsewhere, set_packed
from umbrella.models.loading import load_processor
from umbrella.options.arguments import DataArguments
from umbrella.rows.loading import load_splits
from umbrella.rows.transform import ConversationTransform
from umbrella.scans.volumes import ScanError
from umbrella.training.preflight import check_scans
from umbrella.views.augmentation import Augmentation
from umbrella.views.volume_cache import unpack_views

PACK = ("--output_dir", "shards", "--num_workers", 0)


@pytest.fixture(autouse=True)
def _no_shards():
    yield
    set_packed(None)
    set_elsewhere(None)


def encode_all(splits, **options):
    transform = ConversationTransform(load_processor("tiny"), max_length=256, **options)
    return [transform.encode_row(row)["pixel_values"] for rows in splits.values() for row in rows]


def move_scans_away(folder, target):
    """Let the rows name files that are gone."""
    target.mkdir()
    for path in [*folder.glob("*.nii*"), *folder.glob("images")]:
        path.rename(target / path.name)


def test_rows_from_shards_are_rows_from_files_to_the_bit_also_where_the_files_are_gone(call, tmp_path, capsys):
    data = write_folder(tmp_path / "my data, old", {"train": [1, 2], "test": [1]})
    shutil.copy(data / "train_0_0.nii", tmp_path / "beside.nii")
    (data / "test" / "beside.json").write_text(json.dumps(make_record("beside", ["../beside.nii"])))
    from_files = encode_all(load_splits(DataArguments(json_dir=str(data))))
    said = call(pack_scans, "--json_dir", data, *PACK, "--shard_gb", 2e-5)
    assert said.startswith("5 scans in 3 shards, ")
    assert (
        call(pack_scans, "--json_dir", data, *PACK, "--shard_gb", 2e-5) == "shards: these scans are packed already\n"
    )
    assert not (tmp_path / "shards" / ".packing").exists()
    move_scans_away(data, tmp_path / "away")
    (tmp_path / "beside.nii").unlink()
    from_shards = encode_all(load_splits(DataArguments(json_dir=str(data), scan_shards="shards")))
    assert all(np.array_equal(one, other) for one, other in zip(from_files, from_shards, strict=True))
    assert validate_json_format.main([str(data), "--check_images", "--scan_shards", "shards"]) == 1
    said = capsys.readouterr().out  # the same phantoms are in both splits
    kinds = [line.split(maxsplit=1)[1] for line in said.splitlines() if line[:8].strip().isdigit()]
    assert kinds == ["equal scans"]
    assert validate_json_format.main([str(data), "--check_images", "--scan_shards", "absent"]) == 1
    said = "absent/index.arrow: expected the index of --scan_shards, found none. Name the folder that pack_scans.py"
    assert said in capsys.readouterr().out
    cached = load_splits(DataArguments(json_dir=str(data), scan_shards=["shards"]))
    for _ in range(2):
        assert all(map(np.array_equal, encode_all(cached, volume_cache=tmp_path / "cache"), from_files))
    shutil.rmtree(tmp_path / "shards")  # of views that are kept no scan is read again
    assert all(map(np.array_equal, encode_all(cached, volume_cache=tmp_path / "cache"), from_files))


def test_paths_count_from_the_image_root_wherever_it_lies(call, tmp_path):
    data = write_folder(tmp_path / "data", {"train": [1, 1]})
    scans, elsewhere = tmp_path / "scans", tmp_path / "elsewhere"
    elsewhere.mkdir()
    move_scans_away(data, scans)
    from_files = encode_all(load_splits(DataArguments(json_dir=str(data), image_root=str(scans))))
    call(pack_scans, "--json_dir", data, "--image_root", scans, *PACK)
    for root in (str(scans), str(elsewhere), None):
        rows = load_splits(DataArguments(json_dir=str(data), image_root=root, scan_shards="shards"))
        assert all(map(np.array_equal, encode_all(rows), from_files))
    with pytest.raises(ValueError, match=r"found none at .*/gone\. Correct it; .* an empty folder will do$"):
        load_splits(DataArguments(json_dir=str(data), image_root=str(tmp_path / "gone"), scan_shards="shards"))
    other = write_folder(tmp_path / "other", {"test": [1]})
    with pytest.raises(
        OSError, match=r"expected the rows' scans, as .*/test_0_0\.nii, found none of 1: give --json_dir"
    ):
        load_splits(DataArguments(json_dir=str(other), scan_shards="shards"))
    write_scan(other / "test_0_0.nii", 5)
    assert len(load_splits(DataArguments(json_dir=str(other)))["test"]) == 1  # without the flag: from files again


def test_scans_that_cannot_be_read_are_left_out_and_counted(call, tmp_path, capsys):
    data = write_folder(tmp_path / "data", {"train": [1, 1, 1, 1]})
    scan = nibabel.load(data / "train_3_0.nii")
    nibabel.Nifti1Pair(scan.get_fdata(), scan.affine).to_filename(data / "train_3_0.img")
    record = data / "train" / "train_3.json"
    record.write_text(record.read_text().replace("train_3_0.nii", "train_3_0.hdr"))
    whole = (data / "train_1_0.nii").read_bytes()
    (data / "train_1_0.nii").write_bytes(whole[:-10])
    (data / "train_2_0.nii").unlink()
    with pytest.raises(SystemExit) as ending:
        call(pack_scans, "--json_dir", data, *PACK)
    printed = capsys.readouterr()
    assert ending.value.code == 1 and printed.out.startswith("1 scans in 1 shard, ")
    assert "3 scans were left out, see shards/exclusions.tsv; the first:\n" in printed.err
    lines = (tmp_path / "shards" / "exclusions.tsv").read_text().splitlines()
    assert lines[0] == "source\tpath\treason" and len(lines) == 4
    source, path, reason = lines[1].split("\t")
    assert (source, path) == ("train/train_1.json", str(data / "train_1_0.nii"))
    assert reason.startswith("expected 1386 bytes of voxels") and "cut short" in reason and "scan of" not in reason
    assert lines[2].endswith("train_2_0.nii\texpected a scan, found no such file: check the path and image_root")
    assert lines[3].endswith("found one of a .hdr/.img pair: convert it to .nii.gz")


def test_a_series_is_packed_with_its_b_values(call, tmp_path):
    data = write_series_folder(tmp_path / "data", {"train": 2})
    (data / "train_1.bval").write_text("0 0 1000 1000 1000 1000")
    call(pack_scans, "--json_dir", data, *PACK)
    samples = list(webdataset.WebDataset(str(tmp_path / "shards" / "scans-00000.tar"), shardshuffle=False))
    assert [sample.get("bval") for sample in samples] == [None, b"0 0 1000 1000 1000 1000"]
    assert [json.loads(sample["json"])["modality"] for sample in samples] == ["fMRI", "fMRI"]
    assert samples[1]["nii"] == (data / "train_1.nii").read_bytes()


def test_views_are_packed_in_place_of_scans_for_the_settings_that_made_them(call, tmp_path):
    data = write_folder(tmp_path / "data", {"train": [1, 2], "test": [1]})
    from_files = encode_all(load_splits(DataArguments(json_dir=str(data))), view="triplanar")
    said = call(pack_scans, "--json_dir", data, *PACK, "--what", "views", "--view", "triplanar")
    assert said.startswith("4 views in 1 shard, ")
    move_scans_away(data, tmp_path / "away")
    splits = load_splits(DataArguments(json_dir=str(data), scan_shards="shards"))
    assert all(map(np.array_equal, encode_all(splits, view="triplanar"), from_files))
    assert check_scans(splits["train"]) == 3
    packed, paths = find_packed(), [scan["path"] for row in splits["train"] for scan in row["images"]]
    assert packed.find_others([*paths, "/another.nii"]) == ["/another.nii"]
    assert list(packed.find_sizes(paths)) == [-1, -1, -1]  # of scans, which views are none of
    fetched = []
    transform = ConversationTransform(load_processor("tiny"), view="triplanar", fetch_ahead=fetched.extend)
    transform.prefetch(list(splits["train"].with_format(None)))
    assert fetched == []
    asked = r"asked for, by --view axial, found those by --view triplanar: pack them anew, or ask for these"
    with pytest.raises(ValueError, match=asked):
        encode_all(splits)
    with pytest.raises(ValueError, match=r"--scan_shards: expected shards of scans, .* Set --augment false, or pack"):
        encode_all(splits, view="triplanar", augment=Augmentation(0))
    shard = tmp_path / "shards" / "views-00000.tar"
    whole = shard.read_bytes()
    shard.write_bytes(whole[:600] + b"damage" + whole[606:])
    damaged = (
        r"^train/train_0\.json: .*train_0_0\.nii: expected a readable file, found: .*views-00000\.tar: expected the"
    )
    with pytest.raises(ScanError, match=damaged):
        encode_all(splits, view="triplanar")
    shard.write_bytes(whole)
    other = pytest.raises(ValueError, match="expected views that this version of Umbrella has made")
    with patch("umbrella.views.packed_views.hash_code", lambda: "another"), other:
        encode_all(splits, view="triplanar")
    streamed = webdataset.WebDataset(str(shard), shardshuffle=False)
    shown = np.concatenate([unpack_views(sample["view"]) for sample in streamed])
    assert np.array_equal(shown, np.concatenate(from_files))


@pytest.mark.slow
def test_training_on_shards_in_a_store_is_training_on_files(call, small_data, tmp_path, s3, monkeypatch):
    data = shutil.copytree(small_data, tmp_path / "data")
    steps = ("--max_steps", 2, "--eval_strategy", "steps", "--eval_steps", 2, "--eval_answers", 0)
    flags = ("--json_dir", data, "--report_to", "none", *steps)
    call(train, *flags, "--output_dir", "files")
    call(pack_scans, "--json_dir", data, "--output_dir", "shards", "--num_workers", 2)
    move_scans_away(data, tmp_path / "away")
    for name, value in s3.environment.items():
        monkeypatch.setenv(name, value)
    for path in (tmp_path / "shards").iterdir():
        s3.put(f"s3://bucket/packed/{path.name}", path.read_bytes())
    s3.take_log()
    remote = ("--scan_shards", "s3://bucket/packed", "--remote_roots", "s3://bucket/packed", "--scan_copies", "copies")
    call(train, *flags, "--output_dir", "packed", *remote, "--dataloader_num_workers", 1)
    files, packed = (tmp_path / name for name in ("files", "packed"))
    assert (files / "model.safetensors").read_bytes() == (packed / "model.safetensors").read_bytes()
    losses = [
        [log.get("eval_loss") for log in json.loads((run / "trainer_state.json").read_text())["log_history"]]
        for run in (files, packed)
    ]
    assert losses[0] == losses[1] and any(losses[0])
    n_read = sum(method == "GET" and path.endswith(".tar") for method, path in s3.take_log())
    assert 4 < n_read <= 8  # of 8 scans that training and evaluation show, none twice
