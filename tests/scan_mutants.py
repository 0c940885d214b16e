"""Scans as no scanner writes them, seeded: all formats and number types, odd values, scaling, headers, damage."""

import gzip
import random
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import nibabel
import numpy as np

from umbrella.files.data_format import MODALITIES

NIFTI = {1: (nibabel.Nifti1Header, 348), 2: (nibabel.Nifti2Header, 540)}
TYPES = ["u1", "i1", "u2", "i2", "i4", "u4", "i8", "u8", "f4", "f8"]
MGH_TYPES = ["u1", "i2", "i4", "f4"]
ODD = [0, 1, -1, 2, 3, 255, -32768, 32767, 1e-6, 1e6, 1e-45, 1e38, -1e38, float("nan"), float("inf"), 0.5]
FIELDS = "dim pixdim datatype bitpix vox_offset scl_slope scl_inter xyzt_units intent_code magic sizeof_hdr".split()
FIELDS += "qform_code sform_code quatern_b quatern_c quatern_d qoffset_x srow_x srow_y srow_z".split()


@dataclass
class Mutant:
    """A scan on disk. `is_damaged` where its bytes were changed after they had been written by the rules."""

    path: Path
    modality: str
    is_damaged: bool
    is_compressed: bool
    story: list[str]


@cache
def packed_zeros() -> bytes:
    """A gzip member of 64 MiB."""
    return gzip.compress(bytes(1 << 26), 9)


def make_bomb(rng: random.Random, folder: Path) -> Mutant:
    """A small file that inflates to much more than its header says, or says that it does."""
    kind, dtype = rng.choice(["nifti1", "nifti2", "mgh"]), np.dtype(rng.choice(MGH_TYPES))
    shape = rng.choice([(4, 4, 4), (256, 256, 256), (1024, 1024, 1024), (32767, 1000, 30), (64, 64, 64, 999)])
    story = ["bomb", kind, f"{dtype} {shape}"]
    if kind == "mgh":
        block = make_mgh(rng, (1, 1, 1), dtype)
        block = block[:4] + np.array([*shape, 1][:4], ">i4").tobytes() + block[20:]
    else:
        header = make_nifti(rng, kind, shape, dtype, story)
        header["vox_offset"] = rng.choice([0, 0, 1 << 20, 1 << 30])
        block = header.binaryblock + bytes(4)
    path = folder / ("scan.mgz" if kind == "mgh" else "scan.nii.gz")
    path.write_bytes(gzip.compress(block) + packed_zeros() * rng.choice([1, 2]))
    return Mutant(path, rng.choice(MODALITIES), True, True, story)


def make_mutant(rng: random.Random, folder: Path) -> Mutant:
    if rng.random() < 0.01:
        return make_bomb(rng, folder)
    story, is_damaged = [], False
    kind = rng.choice(["nifti1", "nifti1", "nifti2", "pair1", "pair2", "mgh"])
    numbers = np.random.default_rng(rng.getrandbits(32))
    shape = tuple(rng.choice([1, 2, 3, 5, 8, 13]) for _ in range(3))
    if rng.random() < 0.05:
        shape = (61, 70, 65)  # more voxels than are read at a time
    if rng.random() < 0.3:
        shape += rng.choice([(1,), (2,), (3,), (5,), (1, 1), (1, 3)])[: 1 if kind == "mgh" else 2]
    dtype = np.dtype(rng.choice(MGH_TYPES if kind == "mgh" else TYPES))
    voxels = draw_voxels(rng, numbers, shape, dtype)
    story += [kind, f"{dtype} {shape}"]
    if kind == "mgh":
        block, order, gap = make_mgh(rng, shape, dtype), ">", b""
    else:
        header = make_nifti(rng, kind, shape, dtype, story)
        block, order, gap = header.binaryblock, header.endianness, b"" if kind.startswith("pair") else b"\0" * 4
        is_damaged = sum(header[f"quatern_{axis}"].astype(float) ** 2 for axis in "bcd") > 1  # nibabel refuses it
    block, content = bytearray(block), voxels.astype(dtype.newbyteorder(order)).tobytes(order="F")
    if kind == "mgh" and rng.random() < 0.5:
        content += bytes(20) + b"scanned on a Tuesday"
    if rng.random() < 0.3:
        is_damaged, content = True, damage(rng, block, content, story)
    parts = [bytes(block), content] if kind.startswith("pair") else [bytes(block) + gap + content]
    is_compressed = rng.random() < 0.4
    if is_compressed:
        parts = [gzip.compress(part, 1) for part in parts]
        if rng.random() < 0.2:
            is_damaged, parts[-1] = True, damage_file(rng, parts[-1], story)
    ends = {"mgh": [".mgz" if is_compressed else ".mgh"], "pair": [".hdr", ".img"]}.get(kind.rstrip("12"), [".nii"])
    ends = [end + ".gz" * (is_compressed and kind != "mgh") for end in ends]
    for end, part in zip(ends, parts, strict=True):
        (folder / f"scan{end}").write_bytes(part)
    return Mutant(folder / f"scan{rng.choice(ends)}", rng.choice(MODALITIES), is_damaged, is_compressed, story)


def draw_voxels(rng: random.Random, numbers: np.random.Generator, shape: tuple, dtype: np.dtype) -> np.ndarray:
    if dtype.kind in "iu":
        bounds = np.iinfo(dtype)
        low = rng.choice([0, 0, bounds.min, bounds.max // 2])
        high = rng.choice([low + 1, min(low + 100, bounds.max), bounds.max])
        voxels = numbers.integers(low, high, shape, dtype=dtype, endpoint=True)
    else:
        limit = {"f4": 38, "f8": 308}[dtype.str[1:]]
        spread = 10.0 ** rng.choice([0, 0, 2, rng.uniform(-limit, limit)])
        offset = rng.choice([0, 0, 3 * spread, min(1e6 * spread, 10.0**limit)])
        with np.errstate(over="ignore"):
            voxels = (numbers.normal(0, 0.2, shape) * spread + offset).astype(dtype)
        if rng.random() < 0.2:
            voxels[numbers.random(shape) < 0.1] = rng.choice([np.nan, np.inf, -np.inf, 0, -0.0])
    background = rng.choice([0, 0, 0.3, 0.7, 0.99, 1])
    voxels[numbers.random(shape) < background] = voxels.flat[0]
    return voxels


def make_nifti(rng: random.Random, kind: str, shape: tuple, dtype: np.dtype, story: list[str]) -> nibabel.Nifti1Header:
    header_class, size = NIFTI[int(kind[-1])]
    header = header_class(endianness=rng.choice("<>"))
    header.set_data_shape(shape)
    header.set_data_dtype(dtype)
    header["vox_offset"] = 0 if kind.startswith("pair") else size + 4
    header["magic"] = {"nifti1": b"n+1", "pair1": b"ni1"}.get(kind, header["magic"])
    if kind == "pair2":
        header["magic"] = b"ni2\0\r\n\032\n"
    header["scl_slope"], header["scl_inter"] = rng.choice(
        [(1, 0), (np.nan, np.nan), (0, 0), (0.0754, 3100.8), (-2, 10), (1e-40, 0), (1e-40, 1), (1e30, 0), (3, -1e9)]
    )
    spacing = [rng.choice([1, 0.5, 3, rng.uniform(0.1, 5)]) for _ in range(3)]
    header["pixdim"][1:4] = spacing
    order = rng.sample(range(3), 3)
    turn = np.eye(3)[order] * [rng.choice([1, -1]) for _ in range(3)]
    if rng.random() < 0.3:
        turn = nibabel.eulerangles.euler2mat(*(rng.uniform(-0.5, 0.5) for _ in range(3))) @ turn
    affine = nibabel.affines.from_matvec(turn @ np.diag(spacing), [rng.uniform(-99, 99) for _ in range(3)])
    header.set_qform(affine, rng.choice([0, 1, 1]), strip_shears=True)
    header.set_sform(affine, rng.choice([0, 0, 1, 4]))
    if rng.random() < 0.1:
        length = 1 + rng.choice([1e-7, -1e-6, 1e-5, 1e-3, 1e-2]) * rng.random()
        header["quatern_b"], header["quatern_c"], header["quatern_d"] = length * turn[0] / np.linalg.norm(turn[0])
    header["xyzt_units"] = rng.choice([0, 2, 2, 10, 1, 3, 7])
    header["intent_code"] = rng.choice([0, 0, 0, 0, 3, 1007, 1001, 2003])
    told = ("scl_slope", "scl_inter", "xyzt_units", "intent_code")
    story.append(", ".join(f"{name} {header[name]}" for name in told))
    return header


def make_mgh(rng: random.Random, shape: tuple, dtype: np.dtype) -> bytes:
    affine = np.diag([rng.choice([-1, 1.5]), rng.choice([1, -2]), 3, 1])
    header = nibabel.MGHImage(np.zeros(shape, dtype), affine).header
    return header.binaryblock[: nibabel.freesurfer.mghformat.header_dtype.itemsize].ljust(284, b"\0")


def damage(rng: random.Random, block: bytearray, content: bytes, story: list[str]) -> bytes:
    """Change the header's block in place, or the voxels' bytes."""
    way = rng.choice(["field", "field", "header byte", "header bit", "voxels"])
    story.append(way)
    if way == "voxels":
        return damage_file(rng, content, story)
    if way == "field" and len(block) in (348, 540):
        header = NIFTI[1 if len(block) == 348 else 2][0](bytes(block), check=False)
        name, value = rng.choice(FIELDS), rng.choice(ODD)
        story.append(f"{name} {value}")
        with np.errstate(all="ignore"):
            field = header.structarr[name]
            if field.dtype.kind == "S":
                header[name] = rng.choice([b"n+1", b"ni1", b"n+2\0\r\n\032\n", b"", b"\xff"])
            elif field.shape:
                field[rng.randrange(len(field))] = np.array(value).astype(field.dtype)
            else:
                header[name] = np.array(value).astype(field.dtype)
        block[:] = header.structarr.tobytes()
        return content
    for _ in range(rng.choice([1, 1, 3])):
        position = rng.randrange(len(block))
        block[position] = rng.randrange(256) if way != "header bit" else block[position] ^ 1 << rng.randrange(8)
        story.append(f"{position} = {block[position]}")
    return content


def damage_file(rng: random.Random, content: bytes, story: list[str]) -> bytes:
    way = rng.choice(["cut", "longer", "bits", "zeros"])
    position = rng.randrange(len(content))
    story.append(f"{way} at {position}")
    if way == "cut":
        return content[:position]
    if way == "longer":
        return content + content[: rng.choice([1, 16, position])]
    changed = bytearray(content)
    if way == "zeros":
        changed[position : position + 64] = bytes(len(changed[position : position + 64]))
    else:
        changed[position] ^= 1 << rng.randrange(8)
    return bytes(changed)
