"""A data folder of series, small ones, for models that take volumes."""

import json

import nibabel
import numpy as np
from conversation_folder import make_record

SHAPE = (12, 14, 10)  # voxels of 8 mm
LABELS = ("active", "quiet")


def write_series(path, seed, n_volumes=6):
    """A ball in noise; brighter on its left in every other volume."""
    rng = np.random.default_rng(seed)
    places = np.stack(np.meshgrid(*(np.linspace(-1, 1, n) for n in SHAPE), indexing="ij"))
    series = 800 * ((places**2).sum(axis=0) < 0.7)[..., None] + rng.normal(0, 20, (*SHAPE, n_volumes))
    series[3:5, 6:9, 4:7, ::2] += 400
    nibabel.Nifti1Image(series.clip(0).astype(np.int16), np.diag([8.0, 8.0, 8.0, 1.0])).to_filename(path)


def write_series_folder(folder, splits, n_volumes=6, **metadata):
    """Split → how many rows of one series each."""
    for split, n_rows in splits.items():
        (folder / split).mkdir(parents=True)
        for number in range(n_rows):
            name = f"{split}_{number}"
            write_series(folder / f"{name}.nii", number, n_volumes)
            text = json.dumps(make_record(name, [f"{name}.nii"])).replace("sMRI", "fMRI")
            record = json.loads(text.replace("The subject is female.", f"It is {LABELS[number % 2]}."))
            record["metadata"] = {"subject_id": name, "subject_label": LABELS[number % 2], **metadata}
            (folder / split / f"{name}.json").write_text(json.dumps(record))
    return folder
