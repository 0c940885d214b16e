"""Models whose truth is known: the answer's likelihood is a sum over what the view shows at one place of the scan."""

from types import SimpleNamespace

import nibabel
import numpy as np
import torch
from conversation_folder import make_record

from umbrella_dataset import FEATURES, METADATA_FIELDS

SHAPE, SPACING_MM = (40, 36, 30), (4.0, 5.0, 6.0)  # along X, Y, Z
ANSWER = "The subject is female."


def tilt(degrees):
    """(3, 3): about X, then about Z."""
    from scipy.spatial.transform import Rotation

    return Rotation.from_euler("xz", [degrees, degrees / 2], degrees=True).as_matrix()


def write_head(path, blob=None, degrees=20, n_volumes=1, bright=900):
    """A grey ellipsoid in dark noise, stored LAS, oblique, anisotropic; a bright ball of 12 mm where `blob` says, a
    voxel in RAS+. Returns the affine of the RAS+ voxels."""
    rng = np.random.default_rng(0)
    mm = np.stack(
        np.meshgrid(*((np.arange(n) - n // 2) * s for n, s in zip(SHAPE, SPACING_MM, strict=True)), indexing="ij")
    )
    head = ((mm / np.array([62.0, 72.0, 72.0]).reshape(3, 1, 1, 1)) ** 2).sum(axis=0) < 1
    shell = head & (((mm / np.array([54.0, 64.0, 64.0]).reshape(3, 1, 1, 1)) ** 2).sum(axis=0) > 1)
    volume = 20 + 10 * rng.random(SHAPE) + 300 * head + 900 * shell
    if blob is not None:
        centre = (np.array(blob) - np.array(SHAPE) // 2) * SPACING_MM
        volume[((mm - centre.reshape(3, 1, 1, 1)) ** 2).sum(axis=0) < 12**2] = bright
    affine = np.eye(4)
    affine[:3, :3] = tilt(degrees) * SPACING_MM
    affine[:3, 3] = affine[:3, :3] @ -(np.array(SHAPE) // 2) + [5.0, -7.0, 11.0]
    stored = volume[::-1] if n_volumes == 1 else np.repeat(volume[::-1, ..., None], n_volumes, axis=-1)
    flip = np.diag([-1.0, 1, 1, 1])
    flip[0, 3] = SHAPE[0] - 1
    nibabel.Nifti1Image(stored.astype(np.float32), affine @ flip).to_filename(path)
    return affine


def make_row(path, modality="sMRI", **extra):
    """A row of one scan, as a dataset gives it."""
    import json

    from datasets import Dataset

    record = make_record("one", [str(path)])
    metadata = dict.fromkeys((*METADATA_FIELDS, "extra")) | {"subject_id": "one", "extra": json.dumps(extra)}
    for image in record["images"]:
        image["modality"] = modality
    record |= {"metadata": metadata, "source": "test/one.json", "length": 0}
    for turn in record["conversations"]:
        for item in turn["content"]:
            for key in ("text", "modality", "image_path"):
                item.setdefault(key, None)
    return Dataset.from_list([record], features=FEATURES)[0]


class Looker:
    """The log-likelihood of any answer is, up to a constant, `strength` times the mean of `pixel_values` under
    `weights`."""

    device = torch.device("cpu")

    def __init__(self, weights, vocabulary, strength=1.0):
        self.weights, self.vocabulary, self.strength = weights.flatten(), vocabulary, strength

    def eval(self):
        return self

    def __call__(self, input_ids, pixel_values, **_):
        n_rows, n_tokens = input_ids.shape
        found = self.strength * pixel_values.reshape(n_rows, -1) @ self.weights
        # Of the tokens that a row holds each is as likely as e to the power of a small number: the sum of all is the
        # number of the others.
        logits = torch.zeros(n_rows, n_tokens, self.vocabulary)
        held = torch.nn.functional.one_hot(input_ids, self.vocabulary).amax(dim=1)
        return SimpleNamespace(logits=logits + held[:, None] * (found[:, None, None] - 30))
