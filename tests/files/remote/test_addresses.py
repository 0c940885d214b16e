"""Claims about addresses of scans: which are read, which are refused and how, and that no key is ever shown."""

import pytest
import yarl
from conversation_folder import make_record
from hypothesis import given, settings
from hypothesis import strategies as st

from umbrella.files.contained_files import ADDRESS, RemoteError, is_remote, open_file, show_address
from umbrella.files.data_format import SCHEMES
from umbrella.files.remote.addresses import find_fault, find_host, is_within
from umbrella.files.shards.members import find_copies
from umbrella.options.arguments import DataArguments, ModelArguments
from umbrella.options.parsing import parse_arguments
from umbrella.options.plain_parser import PlainParser
from umbrella.options.tool_arguments import PackArguments
from umbrella_dataset import FormatError, UmbrellaConfig, find_address_fault, resolve_path, to_row

ROOTS = ["s3://bucket/study"]
TAKEN = (
    "s3://bucket/a b#é.nii.gz",
    "s3://bucket/a//b..nii",
    "s3://bucket/what?.nii",
    "gs://bucket/a.nii",
    "https://host:8443/a/b.nii.gz",
    "https://[::1]:8443/a@b:c.nii",
    "s3://arn:aws:s3:eu-west-1:123456789012:accesspoint:mine/a@b.nii",
    "hf://datasets/owner/name@main/scans/a.nii.gz",
)
REFUSED = (
    "s3:///a.nii",
    "http://host/a.nii",
    "file:///etc/passwd",
    "S3://bucket/a.nii",
    "s3://bucket/../other/a.nii",
    "s3://bucket/./a.nii",
    "https://host/a/%2e%2e/b.nii",
    "https://host/a/..%2fb.nii",
    "https://host/a\\..\\b.nii",
    "https://host/a.nii?token=k3y",
    "https://host/a.nii#part",
    "gs://bucket/a.nii#17",
    "https://me:k3y@host/a.nii",
    "s3://me:k3y/k3y@bucket/a.nii",
    "https://me:k3y/k3y@host/a.nii",
    "https://host/a/.\t./b.nii",
    "https://host/a/%2\ne%2e/b.nii",
    "s3://bucket/a.nii?X-Amz-Signature=k3y",
    "s3://bucket/a.nii?a=b&AWSAccessKeyId=k3y",
)


@pytest.mark.parametrize("address", [*TAKEN, *REFUSED])
def test_the_builder_and_the_readers_have_the_same_rules(address):
    fault = find_fault(address)
    assert fault == find_address_fault(address)
    assert (fault is None) == (address in TAKEN)
    assert "k3y" not in show_address(address)
    with pytest.raises(FormatError) as raised:  # no root allows it
        resolve_path(address, "/data")
    assert "k3y" not in str(raised.value)


@given(st.lists(st.sampled_from([".", "..", "/", "%2e", "%", "2e", "2f", "\\", "\t", "\n", "\0", "a", ";", "@", ":"])))
@settings(max_examples=300)
def test_what_the_client_makes_of_an_address_lies_where_it_says(parts):
    address = "https://host/data/" + "".join(parts)
    assert find_fault(address) == find_address_fault(address)
    if find_fault(address) is None:
        assert str(yarl.URL(address)).startswith("https://host/data/")


@pytest.mark.parametrize("bad", ["s3://me:k3y@bucket/study", "gs://me:k3y/k3y@bucket/study"])
def test_no_command_takes_a_key_in_an_address_or_shows_it(bad, capsys):
    for flag in ("--image_root", "--remote_roots", "--scan_shards", "--json_dir", "--scan_copies"):
        for argv in ([flag, bad], [f"{flag}={bad}"]):
            with pytest.raises(SystemExit):
                parse_arguments((DataArguments,), argv)
    with pytest.raises(SystemExit):
        PlainParser().parse_args(["--image_root", bad])
    said = capsys.readouterr().err
    assert said.count("bucket/study") == 11 and "k3y" not in said
    for call in (open_file, find_copies):
        with pytest.raises(OSError, match="remote_roots") as raised:
            call(bad)
        assert "k3y" not in str(raised.value)


def test_a_folder_is_not_made_of_an_address(capsys, tmp_path, monkeypatch):
    """The folder "s3:" would hold what its owner looks for in the bucket."""
    monkeypatch.chdir(tmp_path)
    kinds = (ModelArguments, DataArguments, PackArguments)
    for flag in ("--output_dir", "--volume_cache", "--scan_copies", "--json_dir", "--cohorts"):
        with pytest.raises(SystemExit):
            parse_arguments(kinds, ["--output_dir", "here", flag, "s3://bucket/run"])
        assert f"error: {flag}: expected a path on this machine, found the add" in capsys.readouterr().err
    assert parse_arguments(kinds, ["--json_dir", "d", "--output_dir", "here"])[2].output_dir == "here"
    assert not list(tmp_path.iterdir())


def test_an_address_is_a_string_that_begins_with_a_scheme():
    assert {ADDRESS.match(f"{scheme}://x")[0] for scheme in SCHEMES} == {f"{scheme}://" for scheme in SCHEMES}
    assert not any(map(is_remote, ("/data/s3://x", "s3:/bucket/x", "data.nii", "", b"s3://bucket")))


def test_a_root_ends_at_a_slash():
    assert is_within("s3://bucket/study", ROOTS) and is_within("s3://bucket/study/a/b.nii", ROOTS)
    assert is_within("s3://bucket/a", ["s3://bucket/"])
    assert not is_within("s3://bucket/study2/a.nii", ROOTS)
    assert find_host("s3://bucket/a/b") == "s3://bucket"


def test_rows_keep_addresses_under_a_root_as_they_are():
    assert resolve_path("s3://bucket/study/a//b.nii", "/data", None, ROOTS) == "s3://bucket/study/a//b.nii"
    assert resolve_path("sub-01/x.nii", "/data", "s3://bucket/study/", ROOTS) == "s3://bucket/study/sub-01/x.nii"
    assert resolve_path("sub-01/x.nii", "/data", None, ROOTS) == "/data/sub-01/x.nii"
    row = to_row(make_record("a", ["s3://bucket/study/a.nii"]), "train/a.json", "/data", None, ROOTS)
    assert row["images"][0]["path"] == "s3://bucket/study/a.nii"
    assert row["conversations"][0]["content"][0]["image_path"] == "s3://bucket/study/a.nii"


@pytest.mark.parametrize("path", ["../x.nii", "a/../../x.nii", "/x.nii", "s3://other/x.nii", "./x.nii"])
def test_nothing_leads_out_of_a_remote_image_root(path):
    with pytest.raises(FormatError, match="expected a path"):
        resolve_path(path, "/data", "s3://bucket/study", ROOTS)


def test_paths_that_count_from_elsewhere_are_refused_with_the_flag_that_writes_others():
    with pytest.raises(
        FormatError, match=r'found "\.\./bids/x\.nii", which leads out of it\. With --image_root FOLDER'
    ):
        resolve_path("../bids/x.nii", "/data", "s3://bucket/study", ROOTS)


def test_a_row_says_which_root_is_missing_and_with_it_it_is_read():
    record = make_record("a", ["s3://other/x.nii"])
    with pytest.raises(FormatError) as raised:
        to_row(record, "train/a.json", "/data", None, ROOTS)
    assert str(raised.value) == (
        'train/a.json: images: expected a path under --remote_roots s3://bucket/study, found "s3://other/x.nii": add '
        "the root of its address to --remote_roots (remote_roots in Python) if it is meant"
    )
    assert to_row(record, "train/a.json", "/data", None, [*ROOTS, "s3://other"])
    with pytest.raises(FormatError, match="expected a path on this machine"):
        to_row(record, "train/a.json", "/data")


def test_without_a_root_nothing_is_asked_and_the_flag_is_named():
    with pytest.raises(RemoteError, match=r"s3://bucket/x.nii: expected a scan on this machine.*--remote_roots"):
        open_file("s3://bucket/x.nii")


@pytest.mark.parametrize(
    ("flags", "said"),
    [
        ({"remote_roots": ["bucket/study"]}, "--remote_roots: .*found bucket/study: no address by s3://"),
        ({"remote_roots": ["https://me:k3y@host/a"]}, "found https://host/a: a user or password in it"),
        ({"image_root": "s3://bucket/study"}, "Add it: --remote_roots s3://bucket/study$"),
        ({"image_root": "s3://bucket/my study"}, "Add it: --remote_roots 's3://bucket/my study'$"),
        ({"image_root": "s3://bucket/st", "remote_roots": ROOTS}, "--image_root s3://bucket/st: expected"),
        ({"scan_copies_gb": 0}, "--scan_copies_gb: expected more than 0"),
        ({"remote_patience": float("nan")}, "--remote_patience: expected more than 0"),
    ],
)
def test_flags_are_answered_before_anything_is_loaded(flags, said):
    with pytest.raises(ValueError, match=said) as raised:
        DataArguments(json_dir="data", **flags)
    assert "k3y" not in str(raised.value)


def test_an_image_root_elsewhere_must_be_allowed():
    assert UmbrellaConfig(image_root="s3://bucket/study", remote_roots=ROOTS).image_root == "s3://bucket/study"
    with pytest.raises(FormatError, match="image_root: a folder on this machine"):
        UmbrellaConfig(image_root="s3://bucket/study")
