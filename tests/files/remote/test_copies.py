"""Claims about the copies of scans on this machine: few requests, a bound in size, any number of processes."""

import os
import pickle
import time

import pytest
from killing import run_whole

from umbrella.files.contained_files import RemoteError, find_elsewhere, find_size, open_file, set_elsewhere
from umbrella.files.remote import listing
from umbrella.files.remote.copies import fetch_ahead

pytestmark = pytest.mark.slow
ROOT = "s3://bucket/copies"
SIZE = 50_000


@pytest.fixture(scope="module")
def objects(s3_server):
    """60 objects of 50 kB, each of other bytes."""
    urls = [f"{ROOT}/{number:02d}.nii" for number in range(60)]
    for number, url in enumerate(urls):
        s3_server.put(url, bytes([number]) * SIZE)
    return urls


def read(url):
    with open_file(url) as file:
        return file.read()


def wait_until(is_so):
    deadline = time.monotonic() + 10
    while not is_so():
        assert time.monotonic() < deadline
        time.sleep(0.005)


def count_bytes(folder):
    return sum(path.stat().st_size for path in folder.rglob("*.scan"))


def test_what_many_addresses_hold_is_asked_in_one_request(bucket, let, objects):
    copies = let(ROOT)
    copies.learn([*objects, f"{ROOT}/absent.nii"])
    assert copies.table.find(objects[7])[1].size == find_size(objects[7]) == SIZE
    assert find_size(f"{ROOT}/absent.nii") is None
    with pytest.raises(FileNotFoundError):
        read(f"{ROOT}/absent.nii")
    assert len(bucket.take_log()) == 1


def test_without_the_right_to_list_each_is_asked_for(bucket, let, objects):
    copies = let(ROOT)
    bucket.fail("403", n=1)
    copies.learn(objects)
    log = bucket.take_log()
    assert len(log) == 1 + len(objects)
    assert copies.identify(objects[0])[1] == SIZE


def test_what_a_listing_without_its_end_does_not_show_is_asked_for(bucket, let, objects, monkeypatch):
    """Of a folder that is mostly of others the listing is given up."""
    monkeypatch.setattr(listing, "MOST_LISTED", 1)
    monkeypatch.setattr(listing, "LEAST_BOUND", 0)
    copies = let(ROOT)
    copies.learn([*objects[:55], f"{ROOT}/absent.nii"])
    assert [entry for entry in bucket.take_log() if entry[0] == "HEAD"] == [("HEAD", "/bucket/copies/absent.nii")]
    assert find_size(objects[54]) == SIZE and find_size(f"{ROOT}/absent.nii") is None


def test_what_a_store_refuses_is_known_too(bucket, let, objects):
    copies = let(ROOT)
    bucket.fail("403", n=1, match="00.nii", methods="HEAD")
    copies.learn(objects[:2])
    bucket.take_log()
    with pytest.raises(RemoteError, match="refuses it"):
        read(objects[0])
    assert read(objects[1])[:1] == b"\1"
    assert bucket.take_log() == [("GET", "/bucket/copies/01.nii")]


def test_a_scan_is_fetched_once_by_this_command_and_never_by_the_next(bucket, let, objects):
    let(ROOT)
    assert read(objects[3]) == read(objects[3]) == bytes([3]) * SIZE
    assert bucket.take_log() == [("HEAD", "/bucket/copies/03.nii"), ("GET", "/bucket/copies/03.nii")]
    let(ROOT).learn(objects)
    assert read(objects[3]) == bytes([3]) * SIZE
    assert [method for method, path in bucket.take_log() if ".nii" in path] == []


def test_a_damaged_copy_counts_as_absent(let, objects, bucket, tmp_path):
    let(ROOT)
    read(objects[4])
    (copy,) = (tmp_path / "copies").rglob("*.scan")
    data = bytearray(copy.read_bytes())
    data[-1] ^= 1
    copy.write_bytes(data)
    assert read(objects[4]) == bytes([4]) * SIZE
    assert len(bucket.take_log()) == 3


def test_what_is_fetched_ahead_is_waited_for_and_asked_for_once(let, objects, bucket):
    copies = let(ROOT, patience=5)
    copies.learn(objects)
    bucket.take_log()
    bucket.delay(0.5)
    start = time.monotonic()
    fetch_ahead([*objects[10:14], "/here/x.nii", objects[10]])
    assert time.monotonic() - start < 0.5
    wait_until(lambda: any(flight.running() for flight in copies._in_flight.values()))
    assert [read(url)[:1] for url in objects[10:14]] == [bytes([number]) for number in range(10, 14)]
    wait_until(lambda: not copies._in_flight)
    fetch_ahead(objects[10:14])
    wait_until(lambda: not copies._in_flight)
    assert sorted(path for _, path in bucket.take_log()) == [f"/bucket/copies/{n}.nii" for n in range(10, 14)]


def test_what_goes_wrong_ahead_is_the_readers(let, objects, bucket):
    copies = let(ROOT, patience=0.3)
    copies.learn(objects)
    bucket.fail("503", n=99, match="20.nii")
    fetch_ahead(objects[20:21])
    with pytest.raises(RemoteError, match="expected an answer within"):
        read(objects[20])
    bucket.heal()
    assert read(objects[20])[:1] == bytes([20])


def test_nothing_is_fetched_ahead_without_leave(objects):
    set_elsewhere(None)
    fetch_ahead(objects)
    assert find_elsewhere() is None


def test_a_forked_worker_reads_after_its_parent_has_and_fetches_ahead(bucket, let, objects):
    copies = let(ROOT, patience=5)
    copies.learn(objects[30:40])
    read(objects[30])
    fetch_ahead(objects[31:33])

    def work():
        assert read(objects[33])[:1] == bytes([33])
        fetch_ahead(objects[34:36])
        assert [read(url)[:1] for url in objects[30:36]] == [bytes([number]) for number in range(30, 36)]

    run_whole(work)
    assert read(objects[36])[:1] == bytes([36])


def test_a_worker_that_is_not_forked_may_read_too(bucket, let, objects):
    copies = let(ROOT)
    copies.learn(objects[:3])
    state = pickle.dumps(copies)
    set_elsewhere(None)
    assert pickle.loads(state).table.find(objects[1])[0]
    assert read(objects[1])[:1] == b"\1"
    assert os.environ["AWS_SECRET_ACCESS_KEY"].encode() not in state


def test_two_processes_keep_the_bound_and_lose_nothing(bucket, let, objects, tmp_path):
    let(ROOT, patience=5, most_gb=10 * SIZE / 1e9).learn(objects)

    def work(number):
        for url in objects[number::2] * 2:
            assert read(url) == bytes([objects.index(url)]) * SIZE
            assert count_bytes(tmp_path / "copies") < 14 * SIZE

    other = os.fork()
    if other == 0:
        code = 1
        try:
            work(0)
            code = 0
        finally:
            os._exit(code)
    work(1)
    assert os.waitpid(other, 0)[1] == 0
    assert 0 < count_bytes(tmp_path / "copies") <= 11 * SIZE


def test_a_folder_that_cannot_be_written_costs_a_line(bucket, let, objects, tmp_path, capsys):
    (tmp_path / "taken").mkdir()
    (tmp_path / "taken/notes.txt").write_text("mine")
    let(ROOT, folder="taken")
    assert read(objects[5]) == read(objects[5]) == bytes([5]) * SIZE
    assert "warning: copies of scans" in capsys.readouterr().err
    assert [path.name for path in (tmp_path / "taken").iterdir()] == ["notes.txt"]
