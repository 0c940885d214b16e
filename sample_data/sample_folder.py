"""What the sample generators share: scans made on all cores, a folder written whole or not at all."""

import argparse
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from phantoms import T1, Acquisition, Anatomy, Lesion, Protocol, make_scan, write_scan

from umbrella.cohort.generated_folder import replace_folder
from umbrella.cohort.questions.writer import write_conversations
from umbrella.files.data_format import SPLITS
from umbrella.files.written_files import writing
from umbrella.options.commands.progress import show_progress
from umbrella.validation.worker_processes import start_workers

N_SAMPLES = 10


@dataclass(frozen=True)
class ScanPlan:
    """A scan to be made; `path` is relative to the data folder."""

    path: str
    anatomy: Anatomy
    acquisition: Acquisition
    protocol: Protocol = T1
    lesion: Lesion | None = None

    def make(self) -> np.ndarray:
        """The scan, RAS+."""
        return make_scan(self.anatomy, self.acquisition, self.protocol, self.lesion)


# (split, number of its first subject, subjects, seed) → its conversations and the scans that they name
PlanSplit = Callable[[str, int, int, int], tuple[list[dict], list[ScanPlan]]]


def generate_sample_folder(plan_split: PlanSplit, options: argparse.Namespace) -> None:
    """Plan the three splits, their subjects numbered on from split to split (nobody is in two), and write them."""
    records, scans, first_number = {}, [], 1
    for split in SPLITS:
        n_subjects = options.train_subjects if split == "train" else options.subjects_per_split
        records[split], split_scans = plan_split(split, first_number, n_subjects, options.seed)
        scans += split_scans
        first_number += n_subjects
    write_sample_folder(options.output_dir, records, scans)


def write_sample_folder(output_dir: Path, records: dict[str, list[dict]], scans: list[ScanPlan]) -> None:
    """Make the scans and write `records` (split → conversations) into `output_dir`, then print what was written.

    An interrupted run leaves nothing behind, and no user's file is replaced: see `replace_folder`.
    """
    output_dir = output_dir.expanduser().resolve()
    with writing(output_dir, "choose another --output_dir"), replace_folder(output_dir) as folder:
        counts = {split: write_conversations(records[split], folder / split) for split in SPLITS}
        counts["samples"] = write_conversations(records["train"][:N_SAMPLES], folder / "samples")
        _write_scans(folder, scans)
    n_bytes = sum(path.stat().st_size for path in output_dir.rglob("*") if path.is_file())
    print(f"Wrote {output_dir}")
    for name, count in counts.items():
        print(f"  {name + '/':<12} {count:>4} conversations")
    print(f"  {'images/':<12} {len(scans):>4} scans ({n_bytes / 1e6:.0f} MB in all)")


def _write_scans(folder: Path, scans: list[ScanPlan]) -> None:
    for parent in {(folder / scan.path).parent for scan in scans}:
        parent.mkdir(parents=True, exist_ok=True)
    jobs = [(folder, scan) for scan in scans]
    with start_workers(len(jobs)) as pool:
        for _ in show_progress(pool.map(_write_one_scan, jobs, chunksize=4), total=len(jobs), desc="scans"):
            pass


def _write_one_scan(job: tuple[Path, ScanPlan]) -> None:
    folder, scan = job
    write_scan(folder / scan.path, scan.make(), scan.acquisition.orientation, scan.protocol.spacing_mm)
