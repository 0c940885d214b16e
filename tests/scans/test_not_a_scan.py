"""What lies in a scan's place and is none is named for what it is: fetched or unpacked, never converted."""

import bz2
import gzip
import io
import lzma
import re
import tarfile
import zipfile

import nibabel
import numpy as np
import pytest
from conversation_folder import write_folder

from umbrella.scans.volumes import ScanError, load_image
from umbrella.validation.validator import main as validate

KEY = "MD5E-s9338493--5a5e7d1f0e6b1b2d0d8c7f4f8f7f1a2b.nii.gz"
LFS = b"version https://git-lfs.github.com/spec/v1\noid sha256:4d7a214614ab2935c943f9e0ff69d22e\nsize 12345\n"


def pack_zip(content):
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w") as archive:
        archive.writestr("scan.nii", content)
    return file.getvalue()


def pack_tar(content):
    file = io.BytesIO()
    with tarfile.open(fileobj=file, mode="w") as archive:
        entry = tarfile.TarInfo("scan.nii")
        entry.size = len(content)
        archive.addfile(entry, io.BytesIO(content))
    return file.getvalue()


SCAN = b"\x5c\x01\0\0" + bytes(900)
FOREIGN = {
    f"/annex/objects/{KEY}\n".encode(): r"a git-annex pointer.*datalad get {path}",
    f"../../.git/annex/objects/7k/Z2/{KEY}/{KEY}".encode(): r"a git-annex pointer.*datalad get {path}",
    rf"..\.git\annex\objects\7k\Z2\{KEY}".encode(): r"a git-annex pointer.*datalad get {path}",
    LFS: r"a Git LFS pointer.*git -C {folder} lfs pull --include 'a scan\.nii\.gz'",
    b"<!DOCTYPE html><html><body>Sign in</body></html>": "a web page.*download the scan again",
    b"\xef\xbb\xbf\r\n <HTML>": "a web page.*download the scan again",
    b"<?xml version='1.0'?><Error><Code>AccessDenied</Code></Error>": "a web page or XML.*download the scan again",
    b'{"message": "Not Found"}': "a JSON text.*download the scan again",
    pack_zip(SCAN): "a zip archive.*unzip {path}",
    bz2.compress(SCAN): "compressed by bzip2.*bunzip2 {path}",
    lzma.compress(SCAN): "compressed by xz.*unxz {path}",
    pack_tar(SCAN): "a tar archive.*tar -xf {path}",
    gzip.compress(pack_tar(SCAN)): "a tar archive.*tar -xf {path}",
    gzip.compress(gzip.compress(SCAN)): "a gzip file within a gzip file.*gunzip {path}",
    gzip.compress(LFS): "a Git LFS pointer",
    b"\xff\xfe\r\0\n\0": "starts with .*, a text: fetch or download the scan again",
    b"\n\n": "starts with .*, a text: fetch or download the scan again",
    "Zugriff verweigert: Datei fehlt für Sie".encode(): "starts with b'Zugr', a text: fetch",
    b"NRRD0004\n# Complete NRRD": "starts with b'NRRD': convert it with dcm2niix",
    bytes(128) + b"DICM": "a DICOM file: convert its folder by generate_conversations.py --dicom_dir",
}


@pytest.mark.parametrize("content", FOREIGN)
def test_what_is_no_scan_is_named_with_the_remedy_that_fits(tmp_path, content):
    path = tmp_path / "a scan.nii.gz"
    path.write_bytes(content)
    with pytest.raises(ScanError) as error:
        load_image(path)
    expected = FOREIGN[content].format(path=rf"'{path}'", folder=tmp_path)
    assert str(error.value).startswith(f"{path}: expected a NIfTI or FreeSurfer scan, found ")
    assert re.search(expected, str(error.value)), error.value
    assert ("convert" in str(error.value)) == ("convert" in expected)


def test_a_link_that_leads_nowhere_is_fetched_or_mounted(tmp_path):
    annexed, other, image = (tmp_path / name for name in ("annexed.nii.gz", "other.nii.gz", "pair.img"))
    annexed.symlink_to(f"../.git/annex/objects/7k/Z2/{KEY}/{KEY}")
    other.symlink_to("/mnt/archive/other.nii.gz")
    with pytest.raises(ScanError, match=rf"a git-annex link, whose data was not fetched: datalad get {annexed} \("):
        load_image(annexed)
    with pytest.raises(ScanError, match=r"a link to /mnt/archive/other.nii.gz, which is not there: mount or copy"):
        load_image(other)
    nibabel.Nifti1Pair(np.ones((4, 5, 6), np.int16), np.eye(4)).to_filename(image)
    image.unlink()
    image.symlink_to(f"../.git/annex/objects/{KEY}")
    with pytest.raises(ScanError, match=rf"voxels in pair.img beside it, found a git-annex link.*get {image}"):
        load_image(tmp_path / "pair.hdr")


def test_the_validator_names_the_remedy_too(tmp_path, capsys):
    folder = write_folder(tmp_path / "data", {"train": [1], "test": [1]})
    scan = folder / "train_0_0.nii"
    scan.write_bytes(LFS)
    assert validate([str(folder), "--check_images"]) == 1
    assert f"git -C {folder} lfs pull --include train_0_0.nii" in "".join(capsys.readouterr())
