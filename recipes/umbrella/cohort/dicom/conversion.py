"""One series of DICOM files → NIfTI and a sidecar by dcm2niix, which is believed only where its result is what the
headers promise: its exit code is 0 for wrong scans too."""

import errno
import io
import json
import os
import re
import shutil
import subprocess
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np

from umbrella.cohort.dicom.decompressing import NoDecoderError, write_uncompressed
from umbrella.cohort.dicom.instances import Series
from umbrella.cohort.dicom.sidecar import make_sidecar
from umbrella.cohort.dicom.slice_check import find_misplaced
from umbrella.cohort.dicom.stack_faults import Fault
from umbrella.files.json_files import write_json
from umbrella.privacy.mask import Mask
from umbrella.privacy.scrub import clean_scan, compress_into
from umbrella.scans.scan_files import ScanError, ScanHeader, open_scan

LONGEST_S = 3600
SCAN, SIDECAR, BVAL, BVEC = SUFFIXES = (".nii.gz", ".json", ".bval", ".bvec")
# Of its files: masks that it makes of overlay planes, which are not the scan.
_OVERLAY = re.compile(r"scan_ROI\d+\.nii")
_LEAST_FREE = 1 << 20  # bytes


def convert(series: Series, datatype: str, task: str, folder: Path, mask: Mask) -> Fault | None:
    """Write scan.nii.gz and scan.json, of diffusion scan.bval and scan.bvec too, into `folder`/done.

    Nothing of a header's text is in them. Where a Fault is returned nothing is there that may be used. `folder` is
    empty, on the disk where the scan will lie. Raises OSError where the disk is full.
    """
    plain, raw, done = (folder / name for name in ("plain", "raw", "done"))
    for place in (plain, raw, done):
        place.mkdir(parents=True)
    # Links to the files say where those lie, which may name the patient: a killed run leaves none in the tree.
    with TemporaryDirectory() as links:
        found = Path(links).resolve()
        try:
            write_uncompressed(series, found, plain)
        except NoDecoderError as error:
            return Fault("compressed", str(error))
        fault = _run(found, raw, mask) or _finish(found, raw, done, series, datatype, task)
    if fault is not None and shutil.disk_usage(folder).free < _LEAST_FREE:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), str(folder))
    return fault


def _run(found: Path, raw: Path, mask: Mask) -> Fault | None:
    import dcm2niix

    # -g i: without it a file in the user's home changes what comes out. -c '': no comment in the scan.
    command = [dcm2niix.bin, *"-g i -b y -ba y -z n -f scan -c".split(), "", "-o", str(raw), str(found)]
    try:
        ended = subprocess.run(command, capture_output=True, timeout=LONGEST_S)
    except subprocess.TimeoutExpired:
        return Fault(
            "not converted", f"expected dcm2niix to end within {LONGEST_S // 60} minutes, found that it goes on"
        )
    if ended.returncode == 0:
        return None
    lines = (ended.stdout + b"\n" + ended.stderr).decode(errors="replace").splitlines()
    said = _pick_line(lines, str(found), mask)
    return Fault("not converted", f"expected that dcm2niix reads it, found its exit code {ended.returncode}: {said}")


def _pick_line(lines: list[str], folder: str, mask: Mask) -> str:
    """The line that says why, without paths and names."""
    lines = [line.strip() for line in lines if line.strip()]
    wrong = [line for line in lines if re.search(r"error|unsupported|unable|not large enough", line, re.IGNORECASE)]
    line = ([*wrong, *lines[-1:], "nothing said"])[0].replace(f"{folder}/", "file ")
    return mask.hide(" ".join("a file" if "/" in word else word for word in line.split()))[:200]


def _finish(found: Path, raw: Path, done: Path, series: Series, datatype: str, task: str) -> Fault | None:
    """dcm2niix's files → ours, or why they are not used."""
    written = {path.name for path in raw.iterdir() if not _OVERLAY.fullmatch(path.name)}
    scans = {name for name in written if name.endswith(".nii")}
    if any("Tilt" in name for name in scans):
        said = "expected slices that lie straight above one another, found a tilted gantry, whose scan dcm2niix "
        return Fault("tilted slices", f"{said}interpolates. Convert it by hand where it is wanted")
    if scans != {"scan.nii"} or "scan.json" not in written:
        return Fault("not converted", f"expected one scan of dcm2niix, found {len(scans)}: {', '.join(sorted(scans))}")
    scan = raw / "scan.nii"
    try:
        with open_scan(scan) as (header, _):
            fault = _find_fault(header, series, datatype, sorted(found.iterdir()))
        if fault is not None:
            return fault
        buffer = io.BytesIO()
        with compress_into(buffer) as stream:
            stream.write(clean_scan(scan))
        (done / f"scan{SCAN}").write_bytes(buffer.getvalue())
    except ScanError as error:
        what = str(error).replace(str(scan), "the scan that dcm2niix made")
        return Fault("not converted", what)
    try:  # texts of headers stand in it as they are, with the escapes and bytes of their character sets
        sidecar = json.loads((raw / "scan.json").read_bytes().decode(errors="replace"), strict=False)
    except ValueError:
        return Fault("not converted", "expected a JSON beside the scan of dcm2niix, found one that cannot be read")
    write_json(done / f"scan{SIDECAR}", make_sidecar(sidecar, task))
    return _keep_gradients(raw, done, header) if datatype == "dwi" else None


def _find_fault(header: ScanHeader, series: Series, datatype: str, files: list[Path]) -> Fault | None:
    """What of the scan is not as the headers say."""
    if header.affine is None or not np.isfinite(header.affine).all() or np.linalg.det(header.affine[:3, :3]) == 0:
        return Fault("no positions", "expected where the scan lies, found that dcm2niix could not tell")
    misplaced = find_misplaced(header, series, files)
    if misplaced:
        return Fault("not converted", misplaced)
    if datatype == "anat" and header.n_volumes > 1:
        return Fault("several volumes", f"expected one volume of an anatomical series, found {header.n_volumes}")
    return None


def _keep_gradients(raw: Path, done: Path, header: ScanHeader) -> Fault | None:
    """b-values and directions, one for each volume."""
    shapes = {BVAL: (1, header.n_volumes), BVEC: (3, header.n_volumes)}
    for suffix, shape in shapes.items():
        path = raw / f"scan{suffix}"
        if not path.is_file():
            said = "expected b-values and directions of a diffusion series, found none in its headers. Export it with "
            return Fault("no gradients", f"{said}the scanner's private fields")
        try:
            numbers = np.loadtxt(path, ndmin=2)
        except ValueError:
            numbers = np.empty((0, 0))
        if numbers.shape != shape or not np.isfinite(numbers).all():
            return Fault("no gradients", f"expected {shape[1]} in {suffix}, found an array {numbers.shape}")
        shutil.copyfile(path, done / path.name)
    return None
