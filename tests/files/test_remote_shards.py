"""Claims about shards in a store: one request for the bytes of a scan alone, none for one that is here, no wrong byte.

Against a real server of S3.
"""

import os
import pickle
import time

import numpy as np
import pytest

from umbrella.files.contained_files import (
    costs_a_request,
    find_elsewhere,
    find_packed,
    find_size,
    open_file,
    set_elsewhere,
    set_packed,
)
from umbrella.files.remote.copies import allow
from umbrella.files.shards.index import SCANS, VIEWS, About, ShardError, name_view, open_index
from umbrella.files.shards.reading import fetch_ahead, find_fetch_ahead, use_shards
from umbrella.files.shards.writing import Part, ShardWriter

ADDRESS = "s3://bucket/shards"
RNG = np.random.default_rng(0)
CONTENTS = {f"/data/sub-{i}.nii": RNG.bytes(3000 + i) for i in range(12)}


@pytest.fixture(scope="module")
def packed_once(tmp_path_factory):
    folder = tmp_path_factory.mktemp("shards") / "s"
    with ShardWriter(folder, About(SCANS, [], {}, ""), 30720) as writer:
        for number, (path, content) in enumerate(CONTENTS.items()):
            writer.add(number, [Part(".nii", [os.path.basename(path)], content)])
        writer.finish()
    return folder


@pytest.fixture
def store(s3, packed_once, monkeypatch):
    for name, value in s3.environment.items():
        monkeypatch.setenv(name, value)
    for path in packed_once.iterdir():
        s3.put(f"{ADDRESS}/{path.name}", path.read_bytes())
    s3.take_log()
    yield s3
    set_packed(None)
    set_elsewhere(None)


@pytest.fixture
def use(store, tmp_path):
    def use(address=ADDRESS, patience=5.0):
        copies = allow([address], tmp_path / "copies", 1.0, patience)
        copies.store.first_wait_s = 0.02
        return use_shards([address], ["/data"])

    return use


def read(path):
    with open_file(path) as file:
        return file.read()


def read_tars(store):
    return [path for method, path in store.take_log() if method == "GET" and path.endswith(".tar")]


@pytest.mark.slow
def test_a_scan_is_one_request_and_none_when_it_is_here(use, store):
    use(ADDRESS + "/")
    assert read_tars(store) == []
    assert find_size("/data/sub-3.nii") == 3003 and costs_a_request("/data/sub-3.nii")
    for _ in range(2):
        assert all(read(path) == content for path, content in CONTENTS.items())
    assert len(read_tars(store)) == len(CONTENTS)
    assert not costs_a_request("/data/sub-3.nii")
    use(ADDRESS)  # another command on this machine
    assert all(read(path) == content for path, content in CONTENTS.items())
    assert read_tars(store) == []


@pytest.mark.slow
def test_what_is_told_ahead_is_fetched_by_threads_and_nothing_twice(use, store):
    packed = use()
    store.delay(0.05)
    assert find_fetch_ahead() is fetch_ahead
    start = time.monotonic()
    fetch_ahead([*CONTENTS, "/data/another.nii"])
    fetch_ahead(CONTENTS)
    assert all(read(path) == content for path, content in CONTENTS.items())
    assert time.monotonic() - start < 12 * 0.05 + 2
    assert len(read_tars(store)) == len(CONTENTS)
    assert packed.find_others([*CONTENTS, "/data/another.nii"]) == ["/data/another.nii"]


@pytest.mark.slow
def test_packed_views_are_fetched_ahead_too(use, store, tmp_path):
    with ShardWriter(tmp_path / "views", About(VIEWS, [], {}, ""), 30720) as writer:
        for number, (path, content) in enumerate(CONTENTS.items()):
            writer.add(number, [Part(".view", [name_view(os.path.basename(path), "fMRI")], content)])
        writer.finish()
    for path in (tmp_path / "views").iterdir():
        store.put(f"s3://bucket/views/{path.name}", path.read_bytes())
    packed = use("s3://bucket/views")
    views = [packed.find(path, None, "fMRI") for path in CONTENTS]
    assert not any(view.folder.is_here(view.member) for view in views)
    fetch_ahead(CONTENTS)
    end = time.monotonic() + 20
    while not all(view.folder.is_here(view.member) for view in views) and time.monotonic() < end:
        time.sleep(0.01)
    store.take_log()
    assert [view.folder.read(view.member) for view in views] == list(CONTENTS.values())
    assert read_tars(store) == []


@pytest.mark.slow
def test_a_forked_worker_and_one_that_is_not_read_too(use, store):
    use()
    paths = list(CONTENTS)
    assert read(paths[0]) == CONTENTS[paths[0]]  # connections that are of no use to a child
    child = os.fork()
    if not child:
        fetch_ahead(paths[1:4])
        os._exit(0 if all(read(path) == CONTENTS[path] for path in paths[:6]) else 1)
    assert os.waitpid(child, 0)[1] == 0
    sent = pickle.dumps((find_elsewhere(), find_packed()))
    set_packed(None)
    set_elsewhere(None)
    assert find_fetch_ahead() is None
    _, received = pickle.loads(sent)
    assert find_packed() is received and all(read(path) == content for path, content in CONTENTS.items())


@pytest.mark.slow
def test_a_busy_store_is_asked_again_and_wrong_bytes_are_no_scan(use, store, packed_once):
    use()
    paths = list(CONTENTS)
    store.fail("503", n=2, match=".tar")
    store.fail("cut", n=1, match=".tar")
    assert read(paths[0]) == CONTENTS[paths[0]]
    store.fail("other bytes", n=1, match=".tar")
    shard = f"{ADDRESS}/scans-00000.tar"
    with pytest.raises(ShardError, match=rf"^{shard}: expected the 3,001 bytes .* at byte [\d,]+, found others: copy"):
        read(paths[1])
    assert read(paths[1]) == CONTENTS[paths[1]]
    set_packed(None)
    size = open_index(str(packed_once)).about.shards[0][1]
    store.put(shard, b"cut short")
    with pytest.raises(
        ShardError, match=rf"{shard}: expected {size:,} bytes, as index\.arrow says, found 9: copy both"
    ):
        use()
    store.delete(shard)
    with pytest.raises(ShardError, match=rf"{shard}: expected {size:,} bytes, as index\.arrow says, found none: copy"):
        use()
    store.delete(f"{ADDRESS}/index.arrow")
    with pytest.raises(ShardError, match=rf"{ADDRESS}/index\.arrow: expected the index of --scan_shards, found none"):
        use()


@pytest.mark.slow
def test_a_folder_in_a_store_that_holds_no_index_is_said(use):
    with pytest.raises(ShardError, match=rf"^{ADDRESS}/none/index\.arrow: expected the index of --scan_shards, found"):
        use(f"{ADDRESS}/none")


def test_an_address_that_is_not_allowed_is_not_asked():
    remedy = rf"--scan_shards {ADDRESS}: expected a folder .* found an address: allow it by --remote_roots {ADDRESS}"
    with pytest.raises(ShardError, match=remedy):
        use_shards([ADDRESS], ["/data"])
