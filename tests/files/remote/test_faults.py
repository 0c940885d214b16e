"""Claims about what stores do wrong: each kind is one sentence, and its remedy works; what passes is not noticed."""

import pickle

import botocore.exceptions
import pytest

from umbrella.files.contained_files import UNANSWERED, AbsentError, RemoteError, open_file
from umbrella.files.remote.clients import to_s3_identity
from umbrella.files.remote.faults import BUSY, KEYS, STALLED, UNREACHABLE, find_kind
from umbrella.files.remote.identity import Identity
from umbrella.scans.scan_files import ScanError, open_scan, read_file

pytestmark = pytest.mark.slow
ROOT = "s3://bucket/study"
URL = f"{ROOT}/faults/x.nii"
DATA = bytes(range(256)) * 40


def read():
    with open_file(URL) as file:
        return file.read()


@pytest.fixture
def stored(bucket, let):
    bucket.put(URL, DATA)
    let(ROOT)
    return bucket


def refused():
    """(kind, sentence) of the error, which names the object and no key."""
    with pytest.raises(RemoteError) as raised:
        read()
    assert str(raised.value).startswith(f"{URL}: expected ")
    assert "secret" not in str(raised.value)
    return raised.value.kind, str(raised.value)


@pytest.mark.parametrize("kind", ["503", "500", "reset", "cut", "other bytes"])
def test_a_fault_that_passes_costs_tries_alone(stored, let, kind):
    let(ROOT, patience=5)  # the first request of all imports the client
    stored.fail(kind, n=2)
    assert read() == DATA
    assert read() == DATA
    assert len([method for method, _ in stored.take_log() if method == "GET"]) <= 3  # the copy is read again


@pytest.mark.parametrize(
    ("fault", "kind", "said"),
    [
        ("503", "busy", "expected an answer within 0.5 s, found"),
        ("reset", "unreachable", "Is the address right, and does this machine reach it"),
        ("cut", "cut", "expected the object whole, found in"),
        ("other bytes", "cut", "with the md5"),
        ("403", "forbidden", "403 AccessDenied). Set AWS_PROFILE, or AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, or"),
    ],
)
def test_a_fault_that_stays_is_a_sentence_and_when_it_is_mended_the_scan_is_read(stored, fault, kind, said):
    stored.fail(fault, n=99, methods="GET")
    assert refused()[0] == kind
    assert said in refused()[1]
    stored.heal()
    assert read() == DATA


def test_a_store_that_falls_silent_is_asked_again_and_given_up_in_time(bucket, let):
    bucket.put(URL, DATA)
    let(ROOT, patience=2.4)
    bucket.fail("stall", n=1, methods="GET")
    assert read() == DATA
    let(ROOT, patience=1.2, folder="others")
    bucket.fail("stall", n=9, methods="GET")
    kind, said = refused()
    assert kind == "stalled"
    assert "expected an answer within 1.2 s" in said and "set --remote_patience higher" in said


def test_an_object_that_is_not_there_is_one_that_was_not_found(stored):
    stored.delete(URL)
    kind, said = refused()
    assert kind == "absent" and "found none (404): check the name" in said
    with pytest.raises(FileNotFoundError):
        read()
    stored.put(URL, DATA)


def test_after_the_object_is_back_a_new_command_reads_it(bucket, let):
    bucket.delete(URL)
    let(ROOT)
    assert refused()[0] == "absent"
    bucket.put(URL, DATA)
    let(ROOT)
    assert read() == DATA


def test_half_of_the_keys_is_said_and_none_is_a_request_without(bucket, let, monkeypatch):
    bucket.put(URL, DATA, public=True)
    monkeypatch.delenv("AWS_SECRET_ACCESS_KEY")
    let(ROOT, anew=True)
    kind, said = refused()
    assert kind == "keys" and "no flag takes them" in said
    monkeypatch.delenv("AWS_ACCESS_KEY_ID")  # an object that all may read
    let(ROOT, anew=True)
    assert read() == DATA


def test_another_object_under_the_name_is_refused_and_never_shown(stored, let):
    copies = let(ROOT)
    copies.learn([URL])
    stored.put(URL, DATA[::-1])
    kind, said = refused()
    assert kind == "changed" and "another under its name" in said
    stored.put(URL, DATA)  # restored, as the sentence says
    assert read() == DATA
    stored.put(URL, DATA[::-1])
    assert read() == DATA  # the copy of what the command began with
    let(ROOT)  # started anew, as it says too
    assert read() == DATA[::-1]


def test_readers_of_scans_say_the_same_sentence(stored):
    stored.delete(URL)
    for reader in (read_file, lambda url: open_scan(url).__enter__()):
        with pytest.raises(ScanError, match=f"^{URL}: expected an object, found none") as raised:
            reader(URL)
        assert isinstance(raised.value.__cause__, AbsentError)


def test_an_error_goes_from_a_worker_to_its_parent():
    error = pickle.loads(pickle.dumps(AbsentError("x: gone", "absent", "s3://b/x")))
    assert (str(error), error.kind, error.url, type(error)) == ("x: gone", "absent", "s3://b/x", AbsentError)


def test_a_digest_is_compared_where_the_store_states_one():
    def identity(**answer):
        return to_s3_identity({"ContentLength": 3, "ETag": '"900150983cd24fb0d6963f7d28e17f72"', **answer})

    assert identity().find_difference(b"abc") is None
    assert "md5" in identity().find_difference(b"abd")
    assert identity().find_difference(b"ab") == "2 of 3 bytes came"
    assert identity(ServerSideEncryption="aws:kms").find_difference(b"abd") is None  # its ETag is no md5
    assert identity(ETag='"900150983cd24fb0d6963f7d28e17f72-2"').find_difference(b"abd") is None  # of two parts
    git = Identity(3, "", "git f2ba8f84ab5c1bce84a7b441cb1959cfc7093b7f")  # git hash-object
    assert git.find_difference(b"abc") is None and git.find_difference(b"abd")


def test_kinds_are_told_from_what_libraries_raise():
    assert set(UNANSWERED) == {BUSY, STALLED, UNREACHABLE, KEYS}

    def client_error(status, code):
        response = {"ResponseMetadata": {"HTTPStatusCode": status}, "Error": {"Code": code}}
        return botocore.exceptions.ClientError(response, "GetObject")

    assert find_kind(client_error(429, "TooMany"))[0] == "busy"
    assert find_kind(botocore.exceptions.ReadTimeoutError(endpoint_url="http://x/y?sig=k3y")) == (
        "stalled",
        'Read timeout on endpoint URL: "http://x/y',
    )
    assert find_kind(RuntimeError("what?"))[0] == "other"


def test_a_part_that_is_shorter_than_was_asked_for_is_not_taken(stored, let):
    copies = let(ROOT, patience=0.1)
    with pytest.raises(RemoteError, match=r"x\.nii: expected the object whole, found .* 4 of 9 bytes came"):
        copies.store.read_range(URL, len(DATA) - 4, len(DATA) + 5)
