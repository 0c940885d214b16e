"""How strongly each volume of a diffusion series is weighted: the .bval file beside it."""

from pathlib import Path

import numpy as np

from umbrella.files.contained_files import RemoteError, open_inside, split_root
from umbrella.scans.scan_files import ScanError, refuse_object

MOST_B0 = 50.0  # s/mm²: a volume with no more counts as not weighted, as in dipy
ENDS, GRADIENTS = (".nii", ".hdr", ".img"), ".bval"


def gradients_path(path: str) -> str | None:
    """Where a scan's b-values lie if it has any: beside it, under its own name, as BIDS and dcm2niix write them. None
    for a file that is no NIfTI one by its name."""
    stem = path.removesuffix(".gz")
    return stem[:-4] + GRADIENTS if stem.endswith(ENDS) else None


def read_b_values(source: str | Path | bytes, n_volumes: int) -> np.ndarray | None:
    """The b-values of a series in s/mm², (n_volumes,); None where no .bval file lies beside the scan.

    Raises ScanError for a file that does not hold one number from 0 up for each volume.
    """
    if isinstance(source, bytes):
        return None
    root, name = split_root(source)
    path = gradients_path(name)
    if path is None:
        return None
    try:
        with open_inside(path, root) as file:
            text = file.read(1 << 20)
    except FileNotFoundError:
        return None
    except RemoteError as error:
        refuse_object(error)
    except OSError as error:
        raise ScanError(f"{path}: expected a readable file, found: {error}") from error
    expected = f"{path}: expected a b-value in s/mm² for each of the {n_volumes} volumes of {Path(name).name}"
    remedy = "correct it, or take it away: all volumes then count alike"
    try:
        values = np.array([float(word) for word in text.decode().split()])
    except ValueError as error:
        raise ScanError(f"{expected}, found: {error}; {remedy}") from error
    if len(values) != n_volumes:
        raise ScanError(f"{expected}, found {len(values)}; {remedy}")
    if not (np.isfinite(values).all() and values.min() >= 0):
        raise ScanError(f"{expected}, found {values[~(values >= 0) | np.isinf(values)][0]:g}; {remedy}")
    return values
