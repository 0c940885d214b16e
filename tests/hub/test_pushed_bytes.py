"""An address that is planted in any place of what a push uploads is found, or what it stands in is refused."""

import base64
import copy
import gzip
import json
import struct
import zlib
from types import SimpleNamespace

import nibabel
import numpy as np
import pytest
import torch
from conversation_folder import make_record
from safetensors.torch import save_file

from umbrella.hub.cards import find_in_flags
from umbrella.hub.model import find_in_model
from umbrella.privacy.scan_parts import MOST_BESIDE_VOXELS
from umbrella.privacy.scan_text import read_scan_text
from umbrella.privacy.scrub import check_single_file, clean_scan
from umbrella.privacy.search import find_in_row, find_in_scan
from umbrella.scans.scan_files import ScanError
from umbrella_dataset import to_row

WHO = "jane.roe@example.org"
CHART = base64.b64encode(f"<!-- {WHO} -->".encode()).decode()
# What the format allows is a fixed word; a turn's image_path is the path of one of the images.
FIXED = ("token", "type", "role", "modality", "modalities", "image_path")


# ------------------------------------------------------------------------------------------------------------- scans
def to_bytes(image_class=nibabel.Nifti1Image, offset=0, order="<"):
    header = image_class.header_class(endianness=order)
    image = image_class(np.arange(60, dtype=np.int16).reshape(3, 4, 5), np.eye(4), header)
    if offset:
        image.header.set_data_offset(offset)
    return image.to_bytes()


def to_mgh():
    return nibabel.MGHImage(np.arange(60, dtype=np.int16).reshape(3, 4, 5), np.eye(4)).to_bytes()


def put(data, position, text=WHO):
    return data[:position] + text.encode() + data[position + len(text) :]


def member(data, name=b"", comment=b"", extra=b""):
    """A gzip member with the fields of RFC 1952."""
    flags = 8 * bool(name) + 16 * bool(comment) + 4 * bool(extra)
    header = b"\x1f\x8b\x08" + bytes([flags]) + bytes(6)
    header += len(extra).to_bytes(2, "little") + extra if extra else b""
    header += b"".join(text + b"\0" for text in (name, comment) if text)
    deflate = zlib.compressobj(wbits=-zlib.MAX_WBITS)
    return header + deflate.compress(data) + deflate.flush() + struct.pack("<II", zlib.crc32(data), len(data))


def extended(code, content=WHO, n=1):
    """A NIfTI-1 with header extensions."""
    content = content.encode().ljust(40, b"\0")
    extensions = n * (struct.pack("<ii", 8 + len(content), code) + content)
    offset = 352 + len(extensions)
    data = to_bytes(offset=offset)
    return data[:348] + b"\1\0\0\0" + extensions + data[offset:]


def every_place():
    """(place, scan) with the address in it."""
    nifti2 = to_bytes(nibabel.Nifti2Image)
    for name, size, data in (("1", 348, to_bytes()), ("2", 540, nifti2), ("mgh", 284, to_mgh())):
        for position in range(0, size - len(WHO), 8):
            yield f"{name}, byte {position}", put(data, position)
        yield f"{name}, behind the voxels", data + WHO.encode()
        yield f"{name}, far behind", data + bytes(1000) + WHO.encode() + b"\0"
        yield f"{name}, packed, behind the voxels", gzip.compress(data + WHO.encode())
    gap = to_bytes(offset=512)
    for position in (348, 352, 360, 512 - len(WHO)):
        yield f"gap, byte {position}", put(gap, position)
    big = to_bytes(order=">", offset=512)
    yield "big endian, gap", put(big, 400)
    for code in (0, 2, 4, 6, 44, 0x65656565):
        yield f"extension {code}", extended(code)
    yield "extension that ends too late", put(extended(6, "x" * 30), 352, WHO)
    plain, who = to_bytes(), WHO.encode()
    yield "name", member(plain, name=who)
    yield "comment", member(plain, name=b"x.nii", comment=who)
    yield "extra", member(plain, extra=who)
    yield "name of the second", member(plain[:400]) + member(plain[400:], name=who)
    yield "comment of an empty one", member(plain) + member(b"", comment=who)
    yield "behind gzip's end", member(plain) + who
    yield "behind zeros", member(plain) + bytes(600) + who


@pytest.mark.parametrize("as_file", [False, True], ids=["bytes", "file"])
def test_address_anywhere_in_a_scan_is_found_or_the_scan_is_refused(as_file, tmp_path):
    missed, n_refused, places = [], 0, list(every_place())
    for place, data in places:
        path = tmp_path / "x.nii"
        path.write_bytes(data)
        try:
            kinds = {finding.kind for finding in find_in_scan(path if as_file else data, "x")}
        except ScanError:
            n_refused += 1
            continue
        missed += [] if "e-mail" in kinds else [place]
    assert missed == []
    assert len(places) - n_refused > 140  # in the others the address stands for a shape, a type or a size


def test_scan_without_an_address_has_no_finding():
    nifti2, big_endian = to_bytes(nibabel.Nifti2Image), to_bytes(order=">", offset=512)
    for data in (to_bytes(), nifti2, to_mgh(), big_endian, member(to_bytes())):
        assert find_in_scan(data, "x") == []


def test_nothing_of_it_is_left_in_a_clean_copy_of_what_is_no_number():
    n_cleaned, refused = 0, []
    for place, data in every_place():
        if (", byte" not in place and "," in place) or place.startswith(("name", "comment", "extra", "extension")):
            try:
                cleaned = clean_scan(data)
            except ScanError:
                refused.append(place)
                continue
            n_cleaned += 1
            content = gzip.decompress(cleaned) if cleaned[:2] == b"\x1f\x8b" else cleaned
            assert WHO.encode() not in cleaned + content, place
    assert refused == [] and n_cleaned > 20


@pytest.mark.parametrize("encoding", ["utf-16-le", "utf-16-be", "utf-32-le", "utf-32-be"])
def test_wide_text_anywhere_in_a_scan_is_found(encoding):
    who = "Seen by Dr. Łucja Roe on 2019-05-17,\nMRN 4471882".encode(encoding)
    for shift in (b"", b"\0", b"x"):
        content = (shift + who).ljust(240, b"\0")
        comment = to_bytes(offset=360 + len(content))
        comment = comment[:348] + b"\1\0\0\0" + struct.pack("<ii", 248, 6) + content + comment[600:]
        for data in (comment, to_bytes() + shift + who, member(to_bytes(), extra=shift + who), put_bytes(who[:80])):
            kinds = {finding.kind for finding in find_in_scan(data, "x")}
            assert {"name", "date"} <= kinds or (data == put_bytes(who[:80]) and kinds), shift
            assert "record number" in kinds or data == put_bytes(who[:80])


def put_bytes(data):
    """A NIfTI-1 whose description is this."""
    scan = to_bytes()
    return scan[:148] + data + scan[148 + len(data) :]


@pytest.mark.parametrize("end", ["hdr", "img", "hdr.gz", "img.gz"])
def test_both_files_of_a_pair_are_searched_by_either_name_and_none_is_published(end, tmp_path):
    image = nibabel.Nifti1Pair(np.arange(60, dtype=np.int16).reshape(3, 4, 5), np.eye(4))
    image.header["descrip"] = WHO.encode()
    names = ("x.hdr", "x.img") if end in ("hdr", "img") else ("x.hdr.gz", "x.img.gz")
    plain = tmp_path / "plain.hdr"
    image.to_filename(plain)
    for source, name in zip((plain, plain.with_suffix(".img")), names, strict=True):
        data = source.read_bytes()
        data += b"\1\0\0\0" + b"Dr. Xoltan Quiggle" if source == plain else b"+49 228 287-15109"
        (tmp_path / name).write_bytes(gzip.compress(data) if name.endswith(".gz") else data)
    path = tmp_path / f"x.{end}"
    assert {finding.kind for finding in find_in_scan(path, "x")} >= {"e-mail", "name", "phone number"}
    for refuse in (check_single_file, clean_scan):
        with pytest.raises(ScanError, match=r"expected header and voxels in one file, found a \.hdr/\.img pair"):
            refuse(path)


# ------------------------------------------------------------------------------------------- bounds of time and memory
def zeros(n_bytes):
    """A gzip stream of many zeros, as a few members."""
    piece = gzip.compress(bytes(1 << 26), 1)
    return piece * (n_bytes // (1 << 26))


def with_shape(*shape):
    header = nibabel.Nifti1Header()
    header.set_data_dtype(np.int16)
    header.set_data_shape(shape)
    header["magic"], header["vox_offset"] = b"n+1", 352
    return header.binaryblock + bytes(4)


@pytest.mark.parametrize("read", [lambda data: find_in_scan(data, "x"), clean_scan], ids=["search", "clean"])
@pytest.mark.parametrize(
    ("data", "message"),
    [
        (lambda: gzip.compress(with_shape(3, 4, 5) + bytes(120)) + zeros(1 << 30), "before and behind the voxels"),
        (lambda: with_shape(10000, 10000, 10000) + bytes(5000), "holds no more than"),
        (lambda: gzip.compress(with_shape(10000, 10000, 10000) + bytes(5000)), "holds no more than"),
        (lambda: gzip.compress(with_shape(300, 4, 5)), "cut short"),
        (lambda: gzip.compress(with_shape(3, 4, 5) + bytes(120))[:-4], "cut short or corrupt"),
    ],
    ids=["bomb", "10^12 voxels", "10^12 voxels packed", "too few", "no end"],
)
def test_scan_that_is_not_what_its_header_says_is_refused_at_once(read, data, message):
    with pytest.raises(ScanError, match=message):
        read(data())


def test_gap_larger_than_any_extension_is_refused():
    data = bytearray(with_shape(3, 4, 5) + bytes(MOST_BESIDE_VOXELS + 200))
    struct.pack_into("<f", data, 108, MOST_BESIDE_VOXELS + 1000)
    with pytest.raises(ScanError, match="before and behind the voxels"):
        find_in_scan(gzip.compress(bytes(data) + bytes(2000), 1), "x")


@pytest.mark.slow
def test_many_extensions_and_many_members_are_read_in_linear_time():
    from test_linear_time import WORST_RATIO, measure

    for make in (lambda n: extended(6, "", n), lambda n: n * member(b"", b"x") + member(to_bytes())):
        short, long = (measure(lambda data: list(read_scan_text(data)), make(n), times=3) for n in (10_000, 20_000))
        assert long / max(short, 0.1) < WORST_RATIO  # of what was quadratic the short one took longer


# -------------------------------------------------------------------------------------------------------------- rows
def places_of(value, path=()):
    """The paths of all texts in a JSON value, and of all keys of `extra`."""
    if isinstance(value, dict):
        for key, inner in value.items():
            if key not in FIXED:
                yield from places_of(inner, (*path, key))
    elif isinstance(value, list):
        for i, inner in enumerate(value):
            yield from places_of(inner, (*path, i))
    elif value is None or isinstance(value, str):
        yield path


def replace_at(value, path):
    value = copy.deepcopy(value)
    inner = value
    for key in path[:-1]:
        inner = inner[key]
    inner[path[-1]] = f"see {WHO} about it"
    return value


def test_address_in_any_text_of_a_row_is_found():
    record = make_record("sub-0001", ["sub-0001_T1w.nii"])
    row = to_row(record, "train/x.json", "/nowhere")
    row["images"][0]["path"] = "sub-0001_T1w.nii"
    paths = [path for path in places_of(row) if path != ("metadata", "extra")]
    assert {path[0] for path in paths} == {*row} - {"modalities", "length"}
    assert [path for path in paths if not find_in_row(replace_at(row, path))] == []


@pytest.mark.parametrize(
    "extra",
    [
        {"note": WHO}, {WHO: 1}, {WHO: None}, {WHO: {}}, {WHO: []}, {WHO: {"x": 1}}, {"a": {WHO: [1, 2]}}, [WHO],
        {"a": [[None, {"b": WHO}]]}, {"a.b": {f"c.{WHO}": True}},
    ],
    ids=json.dumps,
)  # fmt: skip
def test_address_in_any_key_or_value_of_the_metadata_is_found(extra):
    record = make_record("sub-0001", ["sub-0001_T1w.nii"])
    row = to_row(record, "train/x.json", "/nowhere")
    row["images"][0]["path"] = "sub-0001_T1w.nii"
    row["metadata"]["extra"] = json.dumps({"other": extra})
    assert {finding.kind for finding in find_in_row(row)} == {"e-mail"}


# ------------------------------------------------------------------------------------------------------------ models
def write_model(folder, **files):
    folder.mkdir(exist_ok=True)
    save_file({"layer.weight": torch.zeros(3)}, folder / "model.safetensors", {"format": "pt"})
    (folder / "config.json").write_text(json.dumps({"model_type": "llava"}))
    for name, content in files.items():
        (folder / name).write_text(content)


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("config.json", json.dumps({"a": {"b": [WHO]}})),
        ("config.json", json.dumps({WHO: 3})),
        ("config.json", json.dumps({WHO: {}})),
        ("config.json", f'{{"a": "{WHO}", "a": "x"}}'),
        ("tokenizer.json", json.dumps({"added_tokens": [{"content": WHO}], "model": {"vocab": {"a": 1}}})),
        ("tokenizer.json", json.dumps({"model": {"vocab": {"a": 1}, WHO: 1}})),
        ("added_tokens.json", json.dumps({WHO: 32000})),
        ("chat_template.jinja", f"{{# {WHO} #}}"),
        (f"{WHO}.safetensors.index.json", "{}"),
        ("jane_roe.safetensors.index.json", "{}"),
        ("report.html", f"<p>{WHO}</p>"),
        ("report.html", f"<p>{WHO.replace('@', '&#64;')}</p>"),
        ("report.html", f'<img alt="{WHO}">'),
        ("report.html", f"<!-- {WHO} -->"),
        ("report.html", f"<p>x</p><{WHO}"),
        ("report.html", f'<img src="data:image/svg+xml;base64,{CHART}">'),
    ],
)  # fmt: skip
def test_address_anywhere_in_a_models_files_is_found_or_refused(name, content, tmp_path):
    write_model(tmp_path / "m")
    assert find_in_model(tmp_path / "m") == []
    write_model(tmp_path / "m", **{name: content})
    try:
        assert {finding.kind for finding in find_in_model(tmp_path / "m")} & {"e-mail", "name"}
    except ValueError as error:
        assert "twice in one object" in str(error)


@pytest.mark.parametrize("place", ["metadata", "key", "tensor", "behind"])
def test_address_in_the_weights_file_is_found_or_refused(place, tmp_path):
    write_model(tmp_path / "m")
    path = tmp_path / "m" / "model.safetensors"
    tensors = {WHO if place == "tensor" else "layer.weight": torch.zeros(3)}
    save_file(tensors, path, {"metadata": {"format": WHO}, "key": {WHO: "pt"}}.get(place, {"format": "pt"}))
    if place == "behind":
        path.write_bytes(path.read_bytes() + WHO.encode())
        with pytest.raises(ValueError, match="as its header says"):
            find_in_model(tmp_path / "m")
    else:
        assert [finding.kind for finding in find_in_model(tmp_path / "m")] == ["e-mail"]


SECRET = "Seen by Dr. Jane Roe, MRN 4471882"
IN_TEXT = base64.b64encode(SECRET.encode()).decode()


def to_drawing(inner):
    text = f'<svg xmlns="http://www.w3.org/2000/svg"><g id="text_1">{inner}</g></svg>'
    return f'<img src="data:image/svg+xml;base64,{base64.b64encode(text.encode()).decode()}">'


def to_png(kind, content):
    chunks = [(b"IHDR", bytes(13)), (kind, content), (b"IEND", b"")]
    data = b"\x89PNG\r\n\x1a\n" + b"".join(len(inner).to_bytes(4) + name + inner + bytes(4) for name, inner in chunks)
    return f'<img src="data:image/png;base64,{base64.b64encode(data).decode()}">'


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("vocab.json", json.dumps({SECRET: 1})),
        ("vocab.json", json.dumps({SECRET.replace(" ", "Ġ"): 1})),
        ("vocab.json", json.dumps({"a": SECRET})),
        ("vocab.json", json.dumps({"MRN": 4471882})),
        ("vocab.json", json.dumps({WHO: 1})),
        ("vocab.txt", f"a\n{SECRET}\nb"),
        ("merges.txt", f"#version: 0.2\nt h\n{SECRET}"),
        ("merges.txt", "t h\nMRN: 4471882"),
        ("tokenizer.model", f"\n\x29\n\x22{SECRET.replace(' ', '▁')}\x15\x01\x02"),
        ("tokenizer.model", f"YQ== 0\n{IN_TEXT} 1\n"),
        ("tokenizer.model", "\0".join(SECRET)),
        ("tokenizer.json", json.dumps({"model": {"vocab": {SECRET: 1}}})),
        ("tokenizer.json", json.dumps({"model": {"vocab": [[SECRET, -3.2]], "merges": []}})),
        ("tokenizer.json", json.dumps({"model": {"vocab": {}, "merges": ["t h", SECRET]}})),
        ("tokenizer.json", json.dumps({"model": {"vocab": {}, "merges": [["t", SECRET]]}})),
        ("config.json", json.dumps({"mrn": 4471882})),
        ("config.json", json.dumps({"a": [{"mrn": [4471882.0]}]})),
        ("config.json", json.dumps({"phone": 4471882993122})),
        ("all_results.json", json.dumps({"x": 4471882993122})),
        ("training_data.json", json.dumps({"seen": [{"subject_sha256": ["ab" * 32], "salt": SECRET}], "models": []})),
        ("run.json", json.dumps([{"started": f"2026-01-02T03:04:05+00:00,{SECRET.replace(' ', '_')},{WHO}"}])),
        ("chat_template.jinja", "{# seen by our\n Xaver\n Quandt before #}"),
        ("chat_template.jinja", "\0".join(SECRET)),
        ("report.html", f"<style>/* {SECRET} */</style>"),
        ("report.html", f"<script>{SECRET}</script>"),
        ("report.html", f'<img src="data:text/plain,{SECRET}">'),
        ("report.html", f'<img src="data:text/plain,{SECRET.replace(" ", "%20")}">'),
        ("report.html", f'<img src="data:text/plain;base64,{IN_TEXT}">'),
        ("report.html", f'<img src="data:image/png;base64,{IN_TEXT}">'),
        ("report.html", f"<p>x</p {SECRET}>"),
        ("report.html", f"<p {SECRET}>x</p>"),
        ("report.html", "<i>MRN</i> <b>4471882</b>"),
        ("report.html", "<p><i>M</i>RN 4<b>471882</b></p>"),
        ("report.html", "<td>MRN</td><td>4471882</td>"),
        ("report.html", to_drawing(f'<text style="{SECRET}">x</text>')),
        ("report.html", to_drawing(f'<path d="M 0 1 {SECRET}"/>')),
        ("report.html", to_drawing('<path d="M 4471882993122 0 z"/>')),
        ("report.html", to_drawing(f"<!-- {SECRET} matplotlib.org -->")),
        ("report.html", to_drawing(f"<text>http://www.w3.org/2000/svg?{SECRET}</text>")),
        ("report.html", to_png(b"tEXt", SECRET.encode())),
        ("report.html", to_png(b"tEXt", SECRET.encode("utf-16-le"))),
    ],
)  # fmt: skip
def test_person_anywhere_in_a_models_files_is_found(name, content, tmp_path):
    write_model(tmp_path / "m", **{name: content})
    kinds = {finding.kind for finding in find_in_model(tmp_path / "m")}
    assert kinds & {"e-mail", "name", "record number", "phone number"}


def test_ordinary_files_of_a_model_have_no_finding(tmp_path):
    outline = "M 1925 3584 \nL 2291 3584 -0.5 \nQ 2594 3103 2138 1275 \nz\nM 828 903 \nL 1448 1 \nz\n"
    write_model(
        tmp_path / "m",
        **{
            "vocab.json": json.dumps({"ĠHospital": 1, "Mayo": 2, "UCLA": 3, "0000000000000000": 4, "Ġ/../": 5}),
            "merges.txt": "#version: 0.2\nDonald ĠTrump\nMc Donald\n00 200000\nÐĶ Ð¾Ð¼\n(Test Eric",
            "generation_config.json": json.dumps({"vocab_size": 152064, "seed": 1234567890, "eos_token_id": [151645]}),
            "tokenizer_config.json": json.dumps({"model_max_length": 10**30}),
            "model.safetensors.index.json": json.dumps({"metadata": {"total_size": 14483464192}}),
            "all_results.json": json.dumps({"total_flos": 1.5e15, "n": 40, "train_runtime": 20190517, "mae": 92.0}),
            "run.json": json.dumps([{"started": "2026-01-02T03:04:05+00:00"}]),
            "report.html": to_drawing(f'<path d="{outline}"/>')
            + "<p>accuracy<b>100.0 %</b></p><p>better than always answering 72.8</p>",
        },
    )
    assert find_in_model(tmp_path / "m") == []


def entry(start, end, **more):
    return {"dtype": "U8", "shape": [4], "data_offsets": [start, end], **more}


@pytest.mark.parametrize(
    "header",
    [
        {"a": entry(0, 4, note=SECRET), "b": entry(4, 8)},
        {"a": entry(0, 4), "b": entry(40, 44)},
        {"a": entry(40, 44)},
        {"a": entry(0, 44)},
        {"a": {**entry(0, 4), "dtype": SECRET}},
    ],
    ids=["key", "between", "before", "longer", "type"],
)  # fmt: skip
def test_weights_with_anything_but_tensors_are_refused(header, tmp_path):
    write_model(tmp_path / "m")
    text = json.dumps(header).encode()
    size = max(tensor["data_offsets"][1] for tensor in header.values())
    data = len(text).to_bytes(8, "little") + text + (bytes(4) + SECRET.encode()).ljust(size, b"\0")[:size]
    (tmp_path / "m" / "model.safetensors").write_bytes(data)
    with pytest.raises(ValueError, match=r"model\.safetensors: expected .* Save or fetch the model again"):
        find_in_model(tmp_path / "m")


def test_whom_to_turn_to_may_stand_in_the_flags_but_no_person_or_number():
    contact = f"Ask {WHO}, https://example.org/dua, Mayo Clinic, +49 228 287-15109, 12 Main Street"
    assert find_in_flags(SimpleNamespace(dua=contact, license="other")) == []
    assert find_in_flags(SimpleNamespace(dua=None, license="mit")) == []
    for flags in ({"dua": f"{contact}. {SECRET}", "license": "mit"}, {"dua": contact, "license": SECRET}):
        found = find_in_flags(SimpleNamespace(**flags))
        assert {finding.kind for finding in found} == {"name", "record number"}
