"""Scan paths are written and read by one rule, that of the system: `..` goes up from where a link leads. So what the
generator prints can be followed, wherever the table, the scans and the output are."""

import shlex
from pathlib import Path

import nibabel
import numpy as np
import pytest
import validate_json_format
from generate_conversations import main
from test_generate_conversations import TEMPLATE, make_rows, write_table

from umbrella_dataset import load_umbrella


@pytest.fixture(scope="module")
def scans(tmp_path_factory):
    """A table of 12 subjects beside their scans."""
    folder = tmp_path_factory.mktemp("linked") / "deep/er/the study's scans"
    folder.mkdir(parents=True)
    write_table(folder, make_rows(12))
    for seed, path in enumerate(sorted(folder.glob("*.nii.gz"))):
        voxels = np.random.default_rng(seed).integers(0, 1000, (5, 6, 4)).astype(np.int16)
        nibabel.Nifti1Image(voxels, np.eye(4)).to_filename(path)
    return folder


PLACES = {
    "linked output": {"output": "store link/out"},
    "an output that is a link": {"output": "out link"},
    "linked table": {"table": "scans link/table.tsv"},
    "all linked": {"output": "store link/out", "table": "scans link/table.tsv"},
    "up from a link": {"output": "store link/../out", "table": "scans link/../the study's scans/table.tsv"},
    "linked root": {"output": "store link/out", "table": "scans link/table.tsv", "root": "scans link"},
    "absolute scans in a linked root": {"root": "scans link", "template": "scans link"},
    "up from a linked root": {"root": "scans link/.."},
    "a table that is a link": {"table": "table link.tsv", "template": "{scans}"},
    "home": {"output": "~/out"},
}


@pytest.mark.slow
@pytest.mark.parametrize("place", PLACES.values(), ids=PLACES)
def test_the_printed_command_finds_all_scans(scans, tmp_path, monkeypatch, capsys, place):
    (tmp_path / "store/some/where").mkdir(parents=True)
    (tmp_path / "store link").symlink_to(tmp_path / "store/some/where")
    (tmp_path / "out link").symlink_to(tmp_path / "store/some/where")
    (tmp_path / "scans link").symlink_to(scans)
    (tmp_path / "table link.tsv").symlink_to(scans / "table.tsv")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HOME", str(tmp_path))
    template = TEMPLATE
    if "template" in place:
        template = str(tmp_path / place["template"].format(scans=scans) / TEMPLATE)
    flags = ["--participants", place.get("table", str(scans / "table.tsv")), "--target", "sex"]
    flags += ["--output_dir", place.get("output", "out"), "--split", "0.6,0.2,0.2"]
    if root := place.get("root"):
        flags += ["--image_root", root]
        if "template" not in place:
            template = f"{scans.relative_to(Path(root).resolve())}/{TEMPLATE}"
    assert main([*flags, "--image_template", template]) == 0
    command = shlex.split(capsys.readouterr().out.splitlines()[-1])
    monkeypatch.chdir("/")
    assert validate_json_format.main(command[2:]) == 0, capsys.readouterr().out
    monkeypatch.chdir(tmp_path)

    output = Path(place.get("output", "out")).expanduser()
    rows = load_umbrella(str(output), image_root=place.get("root"))
    paths = {scan["path"] for split in rows.values() for row in split for scan in row["images"]}
    assert len(paths) == 12
    assert {Path(path).resolve() for path in paths} == set(scans.glob("*.nii.gz"))
    assert {row["source"].split("/")[0] for split in rows.values() for row in split} == set(rows)


def test_old_conversations_move_through_a_link(scans, tmp_path, monkeypatch):
    """--migrate into a linked place: the relative paths count from where the folder is."""
    (tmp_path / "a/b").mkdir(parents=True)
    (tmp_path / "link").symlink_to(tmp_path / "a/b")
    old = tmp_path / "old.json"
    turns = [{"from": "human", "value": "<image>\nWhich sex?"}, {"from": "gpt", "value": "Male."}]
    (tmp_path / "scan.nii.gz").write_bytes(next(scans.glob("*.nii.gz")).read_bytes())
    old.write_text(str([{"id": "1", "image": "scan.nii.gz", "conversations": turns}]).replace("'", '"'))
    monkeypatch.chdir(tmp_path)
    assert validate_json_format.main(["old.json", "--migrate", "link/new", "--check_images"]) == 0
    (row,) = load_umbrella("link/new", "train")
    assert Path(row["images"][0]["path"]) == tmp_path / "scan.nii.gz"
