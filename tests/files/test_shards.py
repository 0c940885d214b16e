"""Claims about shards: others' readers stream what we packed, the index finds it, and what does not fit is said."""

import json
import os
import pickle
import shutil
import signal
import tarfile
from concurrent.futures import ThreadPoolExecutor
from tarfile import RECORDSIZE

import numpy as np
import pytest
import webdataset

import umbrella.files.shards.index as shard_index
from umbrella.files.contained_files import find_packed, open_file, set_packed
from umbrella.files.shards.fitting import check_fits
from umbrella.files.shards.index import FILE_NAME, SCANS, About, Member, ShardError, mark_root, open_index, write_index
from umbrella.files.shards.reading import PackedScans, use_shards
from umbrella.files.shards.shard_folder import ShardFolder
from umbrella.files.shards.writing import EXCLUSIONS, PARTIAL, Excluded, Part, ShardWriter
from umbrella.views.volume_cache import identify_scan

ABOUT = About(SCANS, [], {}, "these scans")
RNG = np.random.default_rng(0)
# Names with dots, of which WebDataset would take all from the first one on for the kind; sizes about a tar's blocks.
CONTENTS = {
    f"sub-{i}/anat/sub-{i}.v{i % 2}_T1w.nii.gz": RNG.bytes(size)
    for i, size in enumerate([1, 511, 512, 513, 1024, 5000, 20000, 0, 3000, 3001, 9000])
}


def list_parts(number):
    name, content = list(CONTENTS.items())[number]
    if number == 4:
        return Excluded("train/a.json:4", name, "it is cut short")
    gradients = [Part(".bval", [name.replace(".nii.gz", ".bval")], b"0 1000")] if number == 3 else []
    return [Part(".nii.gz", [name], content), *gradients, Part(".json", [], json.dumps({"path": name}).encode())]


def pack(folder, about=ABOUT, most_bytes=3 * RECORDSIZE):
    with ShardWriter(folder, about, most_bytes) as writer:
        for number in range(writer.n_done, len(CONTENTS)):
            writer.add(number, list_parts(number))
        return writer.finish()


def pack_one(folder, scan):
    with ShardWriter(folder, ABOUT, 10**6) as writer:
        writer.add(0, scan)
        writer.finish()


@pytest.fixture(scope="module")
def packed_once(tmp_path_factory):
    folder = tmp_path_factory.mktemp("shards") / "of scans, packed"
    pack(folder)
    return folder


@pytest.fixture
def shards(packed_once, tmp_path):
    return shutil.copytree(packed_once, tmp_path / "shards")


@pytest.fixture(autouse=True)
def _no_shards():
    yield
    set_packed(None)


def use(folder, root="/data/study"):
    return use_shards([str(folder)], [root])


def read(path):
    with open_file(path) as file:
        return file.read()


def read_all(folder):
    return {path.name: path.read_bytes() for path in folder.iterdir()}


def test_any_reader_of_webdataset_streams_what_was_packed(packed_once):
    paths = sorted(map(str, packed_once.glob("*.tar")))
    assert len(paths) > 2 and all(os.path.getsize(path) <= 3 * RECORDSIZE for path in paths)
    samples = list(webdataset.WebDataset(paths, shardshuffle=False))
    streamed = {json.loads(sample["json"])["path"]: sample["nii.gz"] for sample in samples}
    assert list(streamed.items()) == [item for i, item in enumerate(CONTENTS.items()) if i != 4]
    assert [sample["__key__"] for sample in samples] == [f"{i:09d}" for i in range(len(CONTENTS)) if i != 4]
    assert [sample["bval"] for sample in samples if "bval" in sample] == [b"0 1000"]


def test_the_index_is_what_tar_itself_lists(packed_once):
    index = open_index(str(packed_once))
    listed = {}
    for number, (name, size) in enumerate(index.about.shards):
        assert (packed_once / name).stat().st_size == size
        with tarfile.open(packed_once / name) as tar:
            for member in tar:
                assert (member.mtime, member.uid, member.uname) == (0, 0, "")
                if not member.name.endswith(".json"):
                    listed[number, member.offset_data, member.size] = tar.extractfile(member).read()
    found = {tuple(index.find(name))[:3]: content for name, content in CONTENTS.items() if index.find(name)}
    assert found.items() <= listed.items() and len(listed) == len(index) == len(CONTENTS)  # one out, one .bval in
    assert index.find("sub-4/anat/sub-4.v0_T1w.nii.gz") is None


def test_scans_are_read_by_the_rows_paths_in_any_order_and_others_from_their_files(packed_once, tmp_path):
    use(packed_once)
    names = [name for name in CONTENTS if not name.startswith("sub-4/")]
    for name in RNG.permutation(names):
        for path in (f"/data/study/{name}", f"/data/study/././{name}", f"/another/place/././{name}"):
            assert read(path) == CONTENTS[name]
    (tmp_path / "x.nii").write_bytes(b"its own file")
    assert read(tmp_path / "x.nii") == b"its own file"
    with pytest.raises(FileNotFoundError):
        read("/data/study/sub-4/anat/sub-4.v0_T1w.nii.gz")


def test_a_scan_outside_of_the_root_is_found_by_its_way_from_there_and_by_its_whole_path(tmp_path):
    assert shard_index.name_scan("/data/scans/x.nii", "/data/json") == ["../scans/x.nii", "/data/scans/x.nii"]
    with ShardWriter(tmp_path / "s", ABOUT, 10**6) as writer:
        names = shard_index.name_scan("/data/scans/x.nii", "/data/json")
        writer.add(0, [Part(".nii", names, b"scan")])
        writer.finish()
    for root in ("/data/json", "/moved/json"):
        packed = use(tmp_path / "s", root)
        assert read("/data/scans/x.nii") == b"scan" and list(packed.find_sizes(["/data/scans/x.nii"])) == [4]
    use(tmp_path / "s", "/moved/json")
    assert read("/moved/scans/x.nii") == b"scan"


def test_the_same_scans_give_the_same_bytes_and_nothing_is_packed_twice(packed_once, tmp_path):
    pack(tmp_path / "again")
    whole = read_all(packed_once)
    assert read_all(tmp_path / "again") == whole and PARTIAL not in whole
    with ShardWriter(tmp_path / "again", ABOUT, 3 * RECORDSIZE) as writer:
        assert writer.is_done
    assert read_all(tmp_path / "again") == whole
    assert whole[EXCLUSIONS].decode().split("\n")[1] == (
        "train/a.json:4\tsub-4/anat/sub-4.v0_T1w.nii.gz\tit is cut short"
    )


@pytest.mark.parametrize("n_packed", [0, 3, 6, 9, 11])
def test_packing_that_was_killed_goes_on_to_the_same_bytes(packed_once, tmp_path, n_packed):
    folder, child = tmp_path / "s", os.fork()
    if not child:
        try:
            with ShardWriter(folder, ABOUT, 3 * RECORDSIZE) as writer:
                for number in range(n_packed):
                    writer.add(number, list_parts(number))
                os.kill(os.getpid(), signal.SIGKILL)
        finally:
            os._exit(0)
    assert os.WTERMSIG(os.waitpid(child, 0)[1]) == signal.SIGKILL
    done = [path.name for path in folder.glob("scans-*.tar")]
    with (folder / PARTIAL).open("a") as file:
        file.write('["scans-00009.tar", 12')  # a line that was being written
    with pytest.raises(
        ShardError, match=r"index\.arrow: expected the index .* is complete: pack_scans\.py was stopped"
    ):
        open_index(str(folder))
    with ShardWriter(folder, ABOUT, 3 * RECORDSIZE) as writer:
        assert len(writer.shards) == len(done) and bool(writer.n_done) == bool(done)
    pack(folder)
    assert read_all(folder) == read_all(packed_once)


def test_a_shard_that_is_not_whole_is_packed_again_when_it_goes_on(packed_once, tmp_path):
    folder = tmp_path / "s"
    with pytest.raises(KeyboardInterrupt), ShardWriter(folder, ABOUT, 3 * RECORDSIZE) as writer:
        for number in range(10):
            writer.add(number, list_parts(number))
        raise KeyboardInterrupt
    assert not list(folder.glob(".*")) and len(list(folder.glob("*.tar"))) == 2
    os.truncate(folder / "scans-00001.tar", 100)
    pack(folder)
    assert read_all(folder) == read_all(packed_once)


def test_a_folder_of_other_scans_or_flags_is_left_alone(shards, tmp_path):
    with pytest.raises(ShardError, match=r"expected a new folder, found shards of other scans or flags"):
        pack(shards, about=ABOUT._replace(made_of="others"))
    with pytest.raises(KeyboardInterrupt), ShardWriter(tmp_path / "begun", ABOUT, 3 * RECORDSIZE):
        raise KeyboardInterrupt
    with pytest.raises(ShardError, match=r"index\.partial: expected what was begun here to go on, found other scans"):
        pack(tmp_path / "begun", most_bytes=4 * RECORDSIZE)
    (tmp_path / "data").mkdir()
    (tmp_path / "data" / "exclusions.tsv").write_text("a cohort's")
    with pytest.raises(ShardError, match=r"expected a new or empty folder, found exclusions\.tsv there"):
        pack(tmp_path / "data")
    assert (tmp_path / "data" / "exclusions.tsv").read_text() == "a cohort's"
    unreadable = Excluded("train/a.json:1", "x.nii", "no such file")
    with pytest.raises(ShardError, match="expected at least one scan that can be read, found none of 1, as no"):
        pack_one(tmp_path / "none", unreadable)
    assert not list((tmp_path / "none").iterdir())
    two = [Part(".nii", ["x.nii"], b"a"), Part(".nii", ["x.nii"], b"b")]
    with pytest.raises(ShardError, match=r"expected each scan once, found two of the name x\.nii"):
        pack_one(tmp_path / "twice", two)


def test_what_was_copied_in_part_or_damaged_is_said_and_copying_anew_is_the_remedy(packed_once, shards):
    path = "/data/study/sub-6/anat/sub-6.v0_T1w.nii.gz"
    member = open_index(str(shards)).find(path.removeprefix("/data/study/"))
    shard = shards / open_index(str(shards)).about.shards[member.shard][0]
    size = shard.stat().st_size
    os.truncate(shard, size - 512)
    expected = rf"{shard}: expected {size:,} bytes, as index\.arrow says, found {size - 512:,}: copy both anew"
    with pytest.raises(ShardError, match=expected):
        use(shards)
    shard.unlink()
    with pytest.raises(ShardError, match=rf"{shard}: expected {size:,} bytes, .* found none: copy"):
        use(shards)
    damaged = bytearray((packed_once / shard.name).read_bytes())
    damaged[member.offset + 7] ^= 1
    shard.write_bytes(damaged)
    use(shards)
    with pytest.raises(ShardError, match=rf"{shard}: expected the {member.size:,} bytes .* at byte {member.offset:,}"):
        read(path)
    shutil.copy(packed_once / shard.name, shard)
    assert read(path) == CONTENTS[path.removeprefix("/data/study/")]


def test_an_index_that_is_none_is_said(shards):
    whole = (shards / FILE_NAME).read_bytes()
    for broken in (whole[:-20], whole[: len(whole) // 2], b"", b"no index", whole[:-200] + bytes(200)):
        (shards / FILE_NAME).write_bytes(broken)
        with pytest.raises(ShardError, match=r"index\.arrow: expected an index of shards, found a file cut short or"):
            use(shards)
    (shards / FILE_NAME).unlink()
    for place in (shards, shards / "scans-00000.tar"):
        with pytest.raises(
            ShardError, match=r"index\.arrow: expected the index of --scan_shards, found none\. Name the folder"
        ):
            use(place)
    import pyarrow as pa

    table = pa.table({"a": [1]})
    with pa.ipc.new_file(str(shards / FILE_NAME), table.schema) as file:
        file.write_table(table)
    with pytest.raises(
        ShardError, match=r"expected an index that pack_scans\.py has written, found another Arrow file"
    ):
        use(shards)
    assert find_packed() is None


def test_no_bit_of_an_index_turns_unseen(shards):
    """A damaged name would not be found, and its scan taken from elsewhere."""
    path, whole = shards / FILE_NAME, (shards / FILE_NAME).read_bytes()
    letters = sum(map(len, open_index(str(shards)).names.to_pylist()))
    start, n_said = whole.index(b"sub-"), 0
    for place in range(start, start + letters + len(CONTENTS) * 28, 5):
        path.write_bytes(whole[:place] + bytes([whole[place] ^ 1 << place % 8]) + whole[place + 1 :])
        try:
            open_index(str(shards))
        except ShardError as error:
            assert "index.arrow: expected an index of shards, found a file cut short or damaged" in str(error)
            n_said += 1
    assert n_said >= letters // 5 + len(CONTENTS) * 28 // 5 - 30  # between the columns some are of none
    path.write_bytes(whole)
    assert len(open_index(str(shards))) == len(CONTENTS)


def test_shards_of_other_data_are_said(packed_once, tmp_path):
    packed = use(packed_once, str(tmp_path))
    names = list(CONTENTS)
    own = [(str(tmp_path / name), None) for name in names]
    check_fits(packed, own)
    check_fits(packed, [])
    with pytest.raises(ShardError, match=r"expected the rows' scans, as .*/a\.nii, found none of 1: give --json_dir"):
        check_fits(packed, [(str(tmp_path / "a.nii"), None)])
    changed = tmp_path / names[5]
    changed.parent.mkdir(parents=True)
    changed.write_bytes(CONTENTS[names[5]] + b"more")
    with pytest.raises(ShardError, match=r"expected the 5,004 bytes of .* found a scan of 5,000 bytes by its name"):
        check_fits(packed, own)
    changed.write_bytes(CONTENTS[names[5]])
    check_fits(packed, own)
    of_two = [(f"/{folder}/{names[0]}", f"/{folder}") for folder in ("a", "b")]
    with pytest.raises(ShardError, match="a folder of shards for each of 2 folders that scans lie in, as /a and /b"):
        check_fits(packed, of_two)


def test_shards_of_another_root_are_said_as_scans_of_two_studies_have_the_same_names(tmp_path, capsys):
    roots = [str(tmp_path / "a"), "s3://bucket/b/", "s3://bucket/c"]
    (tmp_path / "a").mkdir()
    folders = [tmp_path / f"shards {number}" for number in range(3)]
    for folder, root in zip(folders, roots, strict=True):
        pack(folder, ABOUT._replace(root=mark_root(root)))
    rows = [(f"{root.rstrip('/')}/{name}", None) for root in roots for name in CONTENTS]
    check_fits(use_shards(folders, [roots[0] + "/", "s3://bucket/b", roots[2]]), rows)
    assert not capsys.readouterr().err
    for order in ((1, 0, 2), (0, 2, 1)):
        with pytest.raises(
            ShardError, match=r"expected shards of the scans in .*/[abc]/?, found those of .*/[abc]/?:"
        ):
            check_fits(use_shards([folders[i] for i in order], roots), rows)
    check_fits(
        use_shards([folders[0]], ["s3://bucket/moved"]), [(f"s3://bucket/moved/{name}", None) for name in CONTENTS]
    )
    assert "whether they are the same is not known" in capsys.readouterr().err
    with pytest.raises(ShardError, match="found none of 1"):
        check_fits(use_shards([folders[0]], ["s3://bucket/moved"]), [("s3://bucket/moved/of_others.nii", None)])
    check_fits(
        use_shards([folders[0]], [str(tmp_path / "gone")]), [(str(tmp_path / "gone" / n), None) for n in CONTENTS]
    )
    with pytest.raises(ShardError, match="found shards of other scans"):
        pack(folders[0], ABOUT._replace(root=mark_root(roots[1])))
    assert not capsys.readouterr().err


def test_scans_of_one_name_in_two_data_folders_stay_apart(tmp_path):
    roots = [str(tmp_path / name) for name in ("a", "a/inner", "b")]
    for root in roots:
        pack_one(tmp_path / f"shards of {root[-1]}", [Part(".nii", ["sub-1/x.nii"], root.encode())])
    folders = [str(tmp_path / f"shards of {root[-1]}") for root in roots]
    use_shards(folders, roots)
    assert [read(f"{root}/sub-1/x.nii") for root in roots] == [root.encode() for root in roots]
    assert [read(f"{root}/././sub-1/x.nii") for root in roots] == [root.encode() for root in roots]
    with pytest.raises(FileNotFoundError):
        read(tmp_path / "c" / "sub-1" / "x.nii")
    with pytest.raises(ShardError, match="--scan_shards: expected a folder of shards for each of 3 data folders"):
        use_shards(folders[:2], roots)


def test_scans_beside_two_data_folders_are_read_from_the_shards_of_either(tmp_path):
    roots = [str(tmp_path / name) for name in ("a", "b")]
    for root in roots:
        pack_one(tmp_path / f"shards of {root[-1]}", [Part(".nii", [f"../{root[-1]}_bids/x.nii"], root.encode())])
    folders = [str(tmp_path / f"shards of {root[-1]}") for root in roots]
    packed = use_shards(folders, roots)
    paths = [f"{root}_bids/x.nii" for root in roots]
    assert [read(path) for path in paths] == [root.encode() for root in roots]
    assert list(packed.find_sizes([*paths, f"{tmp_path}/c_bids/x.nii"])) == [len(roots[0]), len(roots[1]), -1]
    pack_one(tmp_path / "others", [Part(".nii", ["../b_bids/x.nii"], b"another")])
    use_shards([str(tmp_path / "others"), folders[1]], roots)
    with pytest.raises(OSError, match=r"expected one scan by the path .*b_bids/x\.nii, found one in each, which"):
        read(paths[1])


def test_files_stay_few_and_are_each_process_own(packed_once, monkeypatch):
    monkeypatch.setattr("umbrella.files.shards.shard_folder.MOST_OPEN", 2)
    folder = use(packed_once).folders[0]
    names = [name for name in CONTENTS if folder.index.find(name)] * 20
    with ThreadPoolExecutor(8) as pool:  # of which some read a shard that goes out meanwhile
        contents = list(pool.map(lambda name: read(f"/data/study/{name}"), names))
    assert contents == [CONTENTS[name] for name in names]
    assert len(folder._files) == 2 and len(folder.index.about.shards) > 2
    before = {file.fileno() for file in folder._files.values()}
    child = os.fork()
    if not child:
        right = all(read(f"/data/study/{name}") == CONTENTS[name] for name in names[:10])
        own = folder._pid == os.getpid() and len(folder._files) == 2
        os._exit(0 if right and own else 1)
    assert os.waitpid(child, 0)[1] == 0
    assert {file.fileno() for file in folder._files.values()} == before


def test_a_worker_that_is_not_forked_reads_shards_too(packed_once):
    sent = pickle.dumps(use(packed_once))
    set_packed(None)
    received = pickle.loads(sent)
    assert isinstance(received, PackedScans) and find_packed() is received
    assert read("/data/study/sub-0/anat/sub-0.v0_T1w.nii.gz") == CONTENTS["sub-0/anat/sub-0.v0_T1w.nii.gz"]


def test_a_scan_is_told_by_its_bytes_wherever_the_shards_lie(packed_once, shards, tmp_path):
    path = "/data/study/sub-3/anat/sub-3.v1_T1w.nii.gz"
    assert identify_scan(path) is None
    use(packed_once)
    identity = identify_scan(path)
    assert identity is not None and identity != identify_scan(path.replace("3", "2").replace("v1", "v0"))
    use(shards)
    assert identify_scan(path) == identity
    other = [Part(".nii.gz", ["sub-3/anat/sub-3.v1_T1w.nii.gz"], CONTENTS[path.removeprefix("/data/study/")])]
    pack_one(tmp_path / "other", [*other, Part(".bval", ["sub-3/anat/sub-3.v1_T1w.bval"], b"0 2000")])
    use(tmp_path / "other")
    assert identify_scan(path) != identity  # its b-values choose its frames


def test_names_of_one_hash_are_told_apart(tmp_path, monkeypatch):
    monkeypatch.setattr(shard_index, "_hash", lambda name: len(name) % 3)
    names = ["a" * n for n in range(1, 30)]
    write_index(tmp_path, names, [Member(0, n, n, n) for n in range(29)], ABOUT)
    index = open_index(str(tmp_path))
    assert [index.find(name) for name in names] == [Member(0, n, n, n) for n in range(29)]
    assert index.find("b") is None and index.find("b" * 100) is None


def test_folders_of_shards_are_given_back_as_they_were(packed_once):
    folder = ShardFolder(str(packed_once), "/data/study")
    assert pickle.loads(pickle.dumps(folder)).index.about == folder.index.about
