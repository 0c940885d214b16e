"""How fast scans are decoded, against the plain way, MONAI, TorchIO and inflating alone. One thread, one JSON.

    python tests/benchmarks/decoding.py --output decoding.json

Peers that are not installed are left out (`pip install monai torchio isal deflate`). Every time is the shortest
of the repeats, in milliseconds of processor time with the file in memory. Use the ratios.
"""

import argparse
import gzip
import importlib.util
import json
import platform
import tempfile
import time
import zlib
from pathlib import Path

import nibabel
import numpy as np
import torch

from umbrella.scans.inflate import GzipFile
from umbrella.scans.volumes import load_image, load_volume
from umbrella.views.loading import load_view
from umbrella.views.planes import make_cube

# Conformed by FreeSurfer: the axes run to the left, inferior, anterior.
LIA = np.array([[-1, 0, 0, 128], [0, 0, 1, -128], [0, -1, 0, 128], [0, 0, 0, 1.0]])
CUBE = 96


def make_head(size: int, background: float) -> np.ndarray:
    """A head with folded tissue, skull, bias field and noise, 30 % of its volume; float32, up to about 1000."""
    rng = np.random.default_rng(0)
    x, y, z = np.meshgrid(*[np.linspace(-1, 1, size, dtype=np.float32)] * 3, indexing="ij", sparse=True)
    radius = np.sqrt((x / 0.72) ** 2 + (y / 0.9) ** 2 + (z / 0.88) ** 2)
    folds = (
        np.sin(23 * x + 5 * np.sin(9 * y)) * np.sin(19 * y + 4 * np.sin(11 * z)) * np.sin(21 * z + 3 * np.sin(8 * x))
    )
    tissue = np.where(folds + radius - 0.5 > 0.1, 600, 450)
    head = np.select([radius < 0.78, radius < 0.86, radius < 1], [tissue, 120, 800], 0) * (1 + 0.15 * x)
    noise = rng.normal(0, 20, head.shape).astype(np.float32)
    return np.where(head > 0, head + noise, background * np.abs(noise)).clip(0).astype(np.float32)


def save_scans(folder: Path, size: int) -> dict[str, Path]:
    """Scans as scanners and pipelines write them, at gzip's usual level 6."""
    head = make_head(size, background=0)
    scans = {
        "uint8": (head / 4).clip(0, 255).astype(np.uint8),
        "int16": head.astype(np.int16),
        "float32": head,
        "int16 with a noisy background": make_head(size, background=0.5).astype(np.int16),
    }
    for name, voxels in scans.items():
        (folder / f"{name}.nii.gz").write_bytes(gzip.compress(nibabel.Nifti1Image(voxels, LIA).to_bytes(), 6))
    return {name: folder / f"{name}.nii.gz" for name in scans}


def plain_volume(path: Path) -> np.ndarray:
    """The plain way: nibabel and numpy in float64, in the stored orientation."""
    values = nibabel.load(path).get_fdata()
    low, high = np.percentile(values, [1, 99])
    values = (np.clip(values, low, high) - low) / (high - low)
    return (values - values.mean()) / values.std()


def plain_slice(path: Path) -> np.ndarray:
    volume = plain_volume(path)
    return volume[:, volume.shape[1] // 2].astype(np.float32)


def cube_of(path: Path) -> np.ndarray:
    volume, spacing_mm = load_volume(path)
    return make_cube(volume, CUBE, spacing_mm)


def monai_cube():
    from monai import transforms

    return transforms.Compose(
        [
            transforms.LoadImage(image_only=True, ensure_channel_first=True),
            transforms.Orientation("RAS", labels=None),
            transforms.ScaleIntensityRangePercentiles(1, 99, 0, 1, clip=True),
            transforms.NormalizeIntensity(),
            transforms.Resize((CUBE, CUBE, CUBE)),
        ]
    )


def torchio_cube():
    import torchio

    transform = torchio.Compose(
        [
            torchio.ToCanonical(),
            torchio.RescaleIntensity((0, 1), percentiles=(1, 99)),
            torchio.ZNormalization(),
            torchio.Resize(CUBE),
        ]
    )
    return lambda path: transform(torchio.ScalarImage(path)).data


def inflate_stream(path: Path) -> None:
    """As this project reads: in pieces, into memory taken once."""
    buffer, filled = np.empty(inflated_size(path), np.uint8), 0
    with path.open("rb") as file, GzipFile(fileobj=file) as stream:
        while n_read := stream.readinto(buffer[filled : filled + (1 << 20)]):
            filled += n_read


def inflated_size(path: Path) -> int:
    """gzip files end with it."""
    return int.from_bytes(path.read_bytes()[-4:], "little")


def find_ways() -> dict:
    """name -> a function of the path, for all that is installed."""
    ways = {
        "plain way": plain_slice,
        "load_view": load_view,
        "load_image": load_image,
        "cube": cube_of,
        "inflate: zlib": lambda path: zlib.decompress(path.read_bytes(), 31, inflated_size(path)),
        "inflate: ours": inflate_stream,
    }
    if importlib.util.find_spec("isal"):
        from isal import isal_zlib

        ways["inflate: isal"] = lambda path: isal_zlib.decompress(path.read_bytes(), 31, inflated_size(path))
    if importlib.util.find_spec("zlib_ng"):
        from zlib_ng import zlib_ng

        ways["inflate: zlib-ng"] = lambda path: zlib_ng.decompress(path.read_bytes(), 31, inflated_size(path))
    if importlib.util.find_spec("deflate"):
        import deflate

        ways["inflate: libdeflate"] = lambda path: deflate.gzip_decompress(path.read_bytes(), inflated_size(path))
    if importlib.util.find_spec("monai"):
        ways["cube: MONAI"] = monai_cube()
    if importlib.util.find_spec("torchio"):
        ways["cube: TorchIO"] = torchio_cube()
    return ways


def time_ways(ways: dict, path: Path, repeats: int) -> dict[str, float]:
    times = {}
    for name, way in ways.items():  # one after the other, as a job runs one way: peers leave the memory in pieces
        times[name] = []
        for _ in range(repeats):
            start = time.process_time()
            way(path)
            times[name].append(time.process_time() - start)
    return {name: round(1000 * min(seconds), 2) for name, seconds in times.items()}


def compare(times: dict[str, float]) -> dict[str, float]:
    """The ratios that matter; `inflate` is the fastest inflate alone."""
    inflate = min(ms for name, ms in times.items() if name.startswith("inflate"))
    ratios = {
        "plain way / load_view": times["plain way"] / times["load_view"],
        "plain way / load_image": times["plain way"] / times["load_image"],
        "load_view / inflate": times["load_view"] / inflate,
    }
    for peer in ("MONAI", "TorchIO"):
        if f"cube: {peer}" in times:
            ratios[f"{peer} / cube"] = times[f"cube: {peer}"] / times["cube"]
    return {name: round(ratio, 2) for name, ratio in ratios.items()}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--output", type=Path, help="the JSON file (default: print only)")
    parser.add_argument("--size", type=int, default=256, help="voxels along each axis")
    parser.add_argument("--repeats", type=int, default=7)
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    ways, scans = find_ways(), {}
    with tempfile.TemporaryDirectory() as folder:
        for name, path in save_scans(Path(folder), arguments.size).items():
            reference = nibabel.as_closest_canonical(nibabel.Nifti1Image(plain_volume(path), LIA)).get_fdata()
            times = time_ways(ways, path, arguments.repeats)
            scans[name] = {
                "file_mb": round(path.stat().st_size / 1e6, 2),
                "ms": times,
                "ratios": compare(times),
                "largest_difference_to_float64": float(np.abs(load_image(path) - reference).max()),
            }
    three = [scans[name]["ratios"] for name in ("uint8", "int16", "float32")]
    result = {
        "size": arguments.size,
        "repeats": arguments.repeats,
        "machine": f"{platform.processor() or platform.machine()}, Python {platform.python_version()}, 1 thread",
        "geometric_mean_of_uint8_int16_float32": {
            ratio: round(float(np.exp(np.mean([np.log(ratios[ratio]) for ratios in three]))), 2) for ratio in three[0]
        },
        "scans": scans,
    }
    text = json.dumps(result, indent=2)
    print(text)
    if arguments.output:
        arguments.output.write_text(text + "\n")


if __name__ == "__main__":
    main()
