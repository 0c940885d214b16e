"""A cohort of several sites for tests: small heads with a cyst in front or behind, as T1 or as T2 shows it."""

import json

import nibabel
import numpy as np

SHAPE, SPACING_MM = (20, 24, 16), (2.0, 1.5, 2.5)


def write_head(path, is_front, is_t2, seed):
    """A head of 34 mm in a rim of 2 mm, with two balls of 14 mm, one in front and one behind: rim and cyst are dark on
    T1 and bright on T2, fat is bright and then dark."""
    draw = np.random.default_rng(seed)
    grid = np.stack(np.meshgrid(*(np.arange(n) for n in SHAPE), indexing="ij"), axis=-1)
    place = (grid - (np.array(SHAPE) - 1) / 2) * SPACING_MM  # mm from the middle, (X, Y, Z, 3)
    dark, bright = (180.0, 20.0) if is_t2 else (20.0, 180.0)
    distance = np.linalg.norm(place, axis=-1)
    voxels = np.where(distance < 17, 100.0, np.where(distance < 19, dark, 0.0))
    for is_cyst, side in ((True, 1), (False, -1)):
        middle = np.array([draw.normal(0, 1), (side if is_front else -side) * 8, draw.normal(0, 1)])
        voxels[np.linalg.norm(place - middle, axis=-1) < 7] = dark if is_cyst else bright
    voxels = (voxels + draw.normal(0, 4, SHAPE)).clip(0) * draw.uniform(0.8, 1.2)
    flipped = voxels[::-1].astype(np.int16)  # stored from right to left
    affine = np.diag([-SPACING_MM[0], *SPACING_MM[1:], 1.0])
    nibabel.Nifti1Image(flipped, affine).to_filename(path)


def make_record(subject, site, label, path):
    """One question about one scan."""
    return {
        "task_id": f"{subject}_cyst",
        "task_type": "T1",
        "subject_ids": [subject],
        "modalities": ["sMRI"],
        "images": [{"path": path, "token": "<image>", "modality": "sMRI"}],
        "conversations": [
            {
                "role": "user",
                "content": [
                    {"type": "image", "modality": "sMRI", "image_path": path},
                    {"type": "text", "text": "Is the cyst in front or behind?"},
                ],
            },
            {"role": "assistant", "content": [{"type": "text", "text": f"The cyst is {label}."}]},
        ],
        "metadata": {"subject_id": subject, "subject_label": label, "site": site, "task": "cyst"},
    }


def write_sites(folder, n_subjects, t2=(), split=lambda number: "train"):
    """Write a data folder: site → its number of subjects, half of each label; those of `t2` have T2.
    Returns `folder`."""
    (folder / "scans").mkdir(parents=True)
    number = 0
    for site, n in n_subjects.items():
        for i in range(n):
            subject, label = f"sub-{number:03d}", ("front", "behind")[i % 2]
            write_head(folder / f"scans/{subject}.nii", label == "front", site in t2, number)
            place = folder / split(number)
            place.mkdir(exist_ok=True)
            record = make_record(subject, site, label, f"scans/{subject}.nii")
            (place / f"{subject}.json").write_text(json.dumps(record))
            number += 1
    return folder
