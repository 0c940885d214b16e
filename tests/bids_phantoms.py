"""A BIDS tree of synthetic heads: sex, age and change between sessions are visible in it."""

import json
from concurrent.futures import ProcessPoolExecutor
from dataclasses import replace

import numpy as np
from phantoms import draw_acquisition, draw_anatomy, make_scan, write_scan

SITES = ("north", "south")


def write_bids(folder, n_subjects=60, seed=0, processes=2):
    """Two sessions each. Skull and size tell the sex, the space between skull and brain the age (20 to 80 years, in
    steps of 5); until the second session the ventricles grow or shrink by much. sub-001 and sub-002 are one family,
    and so on."""
    draw = np.random.default_rng(seed)
    rows, jobs = ["participant_id\tsex\tage\tsite\tfamily_id"], []
    for number in range(1, n_subjects + 1):
        name, sex, age = f"sub-{number:03d}", "FM"[number // 2 % 2], int(draw.integers(4, 17)) * 5
        rows.append(f"{name}\t{sex}\t{age}\t{SITES[number % 2]}\tfam{(number + 1) // 2}")
        first = draw.uniform(0.04, 0.24)
        sizes = (first, 0.02 if first > 0.14 else 0.30)
        anatomy = replace(draw_anatomy(draw, {"F": "female", "M": "male"}[sex]), csf_mm=2 + (age - 20) / 60 * 14)
        table = ["session_id\tventricle_size"]
        for session, size in enumerate(sizes, 1):
            path = folder / name / f"ses-{session}" / "anat" / f"{name}_ses-{session}_T1w.nii.gz"
            path.parent.mkdir(parents=True)
            jobs.append((path, replace(anatomy, ventricle_size=size), draw_acquisition(draw)))
            table.append(f"ses-{session}\t{size:.4f}")
        (folder / name / f"{name}_sessions.tsv").write_text("\n".join(table) + "\n")
    (folder / "participants.tsv").write_text("\n".join(rows) + "\n")
    description = {"Name": "Synthetic heads", "BIDSVersion": "1.10.0", "DatasetType": "raw", "License": "CC0"}
    (folder / "dataset_description.json").write_text(json.dumps(description))
    (folder / "README").write_text("Synthetic heads for tests; nobody was scanned.\n")
    with ProcessPoolExecutor(processes) as pool:
        list(pool.map(_write, jobs, chunksize=8))
    return folder


def _write(job):
    path, anatomy, acquisition = job
    write_scan(path, make_scan(anatomy, acquisition), acquisition.orientation)
