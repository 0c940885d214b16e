"""How fast a scan becomes the view "volume", against MONAI, TorchIO and inflating alone; frames of a series against
nibabel and scipy. One thread, one JSON.

    python tests/benchmarks/volumes.py --output volumes.json

The peers come twice: with the same intensities, which are those of the scan's own voxels, and with intensities of the
resampled ones, an eighth as many. TorchIO is left out where it is not installed. Every time is the shortest of the
repeats, in milliseconds of processor time with the file in memory. Use the ratios. `inflate` is the reader's own:
zlib-ng where it is installed.
"""

import argparse
import importlib.util
import json
import platform
import tempfile
import tracemalloc
from pathlib import Path

import nibabel
import numpy as np
import torch
from decoding import inflate_stream, make_head, save_scans, time_ways
from scipy import ndimage

from umbrella.views.loading import load_view

SIZE, SPACING_MM = (96, 112, 96), 2.0
FRAMES = 16
SERIES_SHAPE, SERIES_SPACING_MM = (64, 64, 40, 200), (3.0, 3.0, 3.5)


def load_ours(path: Path) -> np.ndarray:
    return load_view(path, view="volume", volume_size="x".join(map(str, SIZE)), volume_spacing=SPACING_MM)


def load_frames(path: Path) -> np.ndarray:
    return load_view(path, modality="fMRI", view="volume", frames=str(FRAMES))


def monai_grid(is_resampled_first: bool):
    from monai import transforms

    spacing = transforms.Spacing((SPACING_MM,) * 3, mode="bilinear")
    intensities = [transforms.ScaleIntensityRangePercentiles(1, 99, 0, 1, clip=True), transforms.NormalizeIntensity()]
    return transforms.Compose(
        [
            transforms.LoadImage(image_only=True, ensure_channel_first=True),
            transforms.Orientation("RAS", labels=None),
            *([spacing, *intensities] if is_resampled_first else [*intensities, spacing]),
            transforms.ResizeWithPadOrCrop(SIZE),
        ]
    )


def torchio_grid(is_resampled_first: bool):
    import torchio

    spacing = torchio.Resample(SPACING_MM)
    intensities = [torchio.RescaleIntensity((0, 1), percentiles=(1, 99)), torchio.ZNormalization()]
    steps = [spacing, *intensities] if is_resampled_first else [*intensities, spacing]
    transform = torchio.Compose([torchio.ToCanonical(), *steps, torchio.CropOrPad(SIZE)])
    return lambda path: transform(torchio.ScalarImage(path)).data


def plain_frames(path: Path) -> np.ndarray:
    """The same steps by nibabel, numpy and scipy: evenly spaced frames, one intensity map, linear interpolation."""
    image = nibabel.as_closest_canonical(nibabel.load(path))
    values = image.get_fdata()
    chosen = [(2 * part + 1) * values.shape[3] // (2 * FRAMES) for part in range(FRAMES)]
    frames = values[..., chosen]
    low, high = np.percentile(frames, [1, 99])
    frames = (frames.clip(low, high) - low) / (high - low)
    frames = (frames - frames.mean()) / frames.std()
    step = SPACING_MM / nibabel.affines.voxel_sizes(image.affine)
    offset = (np.array(frames.shape[:3]) - 1) / 2 - step * (np.array(SIZE) - 1) / 2
    least = frames.min()
    return np.stack(
        [
            ndimage.affine_transform(frames[..., t], step, offset, SIZE, np.float32, order=1, cval=least)
            for t in range(FRAMES)
        ]
    )


def save_series(folder: Path) -> dict[str, Path]:
    """A head that is noisy over time, by a percent of its brightest tissue, in air of a third of that noise."""
    head, rng = make_head(64, background=0)[:, :, 12:52], np.random.default_rng(0)
    series = np.empty(SERIES_SHAPE, np.int16)
    for t in range(SERIES_SHAPE[3]):
        noise = rng.normal(0, 10, head.shape)
        series[..., t] = np.where(head > 0, head + noise, np.abs(noise) / 3)
    image = nibabel.Nifti1Image(series, np.diag([*SERIES_SPACING_MM, 1]))
    for end in (".nii.gz", ".nii"):
        nibabel.save(image, folder / f"series{end}")
    return {"compressed": folder / "series.nii.gz", "uncompressed": folder / "series.nii"}


def measure_memory(path: Path) -> float:
    """The most memory that is held for frames beside the view itself, in bytes of the whole series as it is stored."""
    tracemalloc.start()
    view = load_frames(path)
    _, most = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    return (most - view.nbytes) / (np.prod(SERIES_SHAPE) * 2)


def count_read(path: Path) -> float:
    """The share of an uncompressed file that is read (Linux)."""

    def n_read() -> int:
        return int(Path("/proc/self/io").read_text().split()[1])

    before = n_read()
    load_frames(path)
    return (n_read() - before) / path.stat().st_size


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--output", type=Path, help="the JSON file (default: print only)")
    parser.add_argument("--size", type=int, default=256, help="voxels along each axis")
    parser.add_argument("--repeats", type=int, default=7)
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    ways = {"ours": load_ours, "inflate": inflate_stream}
    makers = {"MONAI": monai_grid}
    if importlib.util.find_spec("torchio"):
        makers["TorchIO"] = torchio_grid
    for name, make in makers.items():
        ways |= {name: make(False), f"{name}, resampled first": make(True)}
    of_series = {"ours": load_frames, "get_fdata and scipy": plain_frames}
    result = {
        "size": arguments.size,
        "repeats": arguments.repeats,
        "machine": f"{platform.processor() or platform.machine()}, Python {platform.python_version()}, 1 thread",
        "scans": {},
        "series": {},
    }
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        for scan, path in save_scans(folder, arguments.size).items():
            times = time_ways(ways, path, arguments.repeats)
            ratios = {
                f"{peer} / ours": times[peer] / times["ours"] for peer in times if peer not in ("ours", "inflate")
            }
            ratios["ours / inflate"] = times["ours"] / times["inflate"]
            result["scans"][scan] = {"ms": times, "ratios": {key: round(ratio, 2) for key, ratio in ratios.items()}}
        for kind, path in save_series(folder).items():
            times = time_ways(of_series, path, min(3, arguments.repeats))
            result["series"][kind] = {
                "ms": times,
                "ratio": round(times["get_fdata and scipy"] / times["ours"], 2),
                "memory_in_series": round(measure_memory(path), 3),
                "share_of_the_file_read": round(count_read(path), 3),
            }
    text = json.dumps(result, indent=2)
    print(text)
    if arguments.output:
        arguments.output.write_text(text + "\n")


if __name__ == "__main__":
    main()
