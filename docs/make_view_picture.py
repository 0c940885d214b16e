"""Draw each view of one scan into a picture, as the vision encoder sees it.

Beside it stand the subject's sides: Left and Right, Posterior and Anterior. A triplanar view has none: its three
planes are the three colours of one picture.

python docs/make_view_picture.py                             # nilearn's MNI152 brain (pip install nilearn matplotlib)
python docs/make_view_picture.py scan.nii.gz my_views.png    # your scan
"""

import argparse
import importlib.util
from pathlib import Path

import matplotlib

matplotlib.use("Agg")  # no screen needed
import matplotlib.pyplot as plt

from umbrella.views.loading import load_view
from umbrella.views.planes import PLANE_SIDES, parse_view

VIEWS = ["axial", "coronal", "sagittal", "triplanar", "montage:3", "slices:2"]
IMAGE_SIZE = 160
MNI152 = "datasets/data/mni_icbm152_t1_tal_nlin_sym_09a_converted.nii.gz"


def find_mni152() -> Path:
    nilearn = importlib.util.find_spec("nilearn")
    if nilearn is None:
        raise SystemExit("expected nilearn for its MNI152 brain, found none: pip install nilearn, or name a scan")
    return Path(nilearn.submodule_search_locations[0]) / MNI152


def write_sides(axis, left: str, right: str) -> None:
    """Beside the picture, not on what the model sees."""
    axis.text(-0.03, 0.5, left, transform=axis.transAxes, ha="right", va="center", color="white", fontsize=9)
    axis.text(1.03, 0.5, right, transform=axis.transAxes, ha="left", va="center", color="white", fontsize=9)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("scan", type=Path, nargs="?", help="a NIfTI file (default: nilearn's MNI152 brain)")
    parser.add_argument("output", type=Path, nargs="?", help="the picture (default, without a scan: docs/views.png)")
    arguments = parser.parse_args()
    if arguments.scan and not arguments.output:
        parser.error(
            "expected a picture to write beside the scan, as my_views.png, found none: docs/views.png is public"
        )
    scan, output = arguments.scan or find_mni152(), arguments.output or Path(__file__).parent / "views.png"
    images = [
        (view, number, image.transpose(1, 2, 0))  # channels last, in [0, 1]
        for view in VIEWS
        for number, image in enumerate(load_view(scan, "sMRI", view, IMAGE_SIZE, standardize=False))
    ]
    columns = 4
    figure, axes = plt.subplots(-(-len(images) // columns), columns, figsize=(8, 4.4), facecolor="black")
    for axis in axes.flat:
        axis.axis("off")
    for axis, (view, number, image) in zip(axes.flat, images, strict=False):
        axis.imshow(image.clip(0, 1))  # weights sum to one only up to rounding
        axis.set_title(f"{view}, {number + 1}" if view.startswith("slices") else view, color="white", fontsize=10)
        if view != "triplanar":
            write_sides(axis, *PLANE_SIDES.get(parse_view(view)[0], PLANE_SIDES["axial"]))
    figure.tight_layout(pad=0.5)
    figure.savefig(output, dpi=90)
    print(output)


if __name__ == "__main__":
    main()
