"""A small valid data folder for tests: a .json file a conversation, random anisotropic scans beside them."""

import json

import nibabel
import numpy as np


def write_scan(path, seed):
    voxels = np.random.default_rng(seed).integers(0, 1000, (9, 11, 7)).astype(np.int16)
    nibabel.Nifti1Image(voxels, np.diag([-2.0, 1.5, 3.0, 1.0])).to_filename(path)


def make_record(task_id, paths):
    images = [{"path": path, "token": "<image>", "modality": "sMRI"} for path in paths]
    turns = []
    for path in paths or [None]:
        scan = [] if path is None else [{"type": "image", "modality": "sMRI", "image_path": path}]
        turns += [
            {"role": "user", "content": [*scan, {"type": "text", "text": "Is this scan of a male or a female?"}]},
            {"role": "assistant", "content": [{"type": "text", "text": "The subject is female."}]},
        ]
    return {
        "task_id": task_id,
        "task_type": "T3",
        "subject_ids": [task_id],
        "modalities": ["sMRI"] * len(paths),
        "images": images,
        "conversations": turns,
        "metadata": {"subject_id": task_id, "subject_label": "female", "age": 45},
    }


def write_folder(folder, scans):
    """Write a data folder: split → the number of scans of each of its conversations. Returns `folder`."""
    for split, counts in scans.items():
        (folder / split).mkdir(parents=True)
        for number, count in enumerate(counts):
            task_id = f"{split}_{number}"
            names = [f"{task_id}_{scan}.nii" for scan in range(count)]
            for seed, name in enumerate(names):
                write_scan(folder / name, seed + 10 * number)
            (folder / split / f"{task_id}.json").write_text(json.dumps(make_record(task_id, names)))
    return folder


def write_rows(folder, n_rows):
    """Rows of one scan each, the answers of very different length."""
    (folder / "train").mkdir(parents=True)
    write_scan(folder / "scan.nii", 0)
    for number in range(n_rows):
        record = make_record(f"row_{number}", ["scan.nii"])
        record["conversations"][-1]["content"][0]["text"] = "Yes, it is. " * (1 + 2 * (7 * number % n_rows))
        (folder / "train" / f"row_{number:02d}.json").write_text(json.dumps(record))
    return folder
