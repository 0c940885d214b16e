"""Phantoms' heads with a face, without one, defaced, and skull-stripped."""

import dataclasses

import numpy as np
import phantoms


def draw_head(seed, spacing_mm):
    """A phantom's head on a grid that leaves room in front, and its points in mm from its middle."""
    rng = np.random.default_rng(seed)
    anatomy = phantoms.draw_anatomy(rng, ("female", "male")[seed % 2])
    acquisition = dataclasses.replace(phantoms.draw_acquisition(rng), offset_mm=(0.0, 0.0, 0.0))
    shape = [round(200 / spacing_mm[0]), round(270 / spacing_mm[1]), round(210 / spacing_mm[2])]
    axes = [(np.arange(n) - (n - 1) / 2) * mm for n, mm in zip(shape, spacing_mm, strict=True)]
    points = np.stack(np.meshgrid(*axes, indexing="ij"))
    radius = np.sqrt(sum((p / a) ** 2 for p, a in zip(points, anatomy.semi_axes_mm, strict=True)))
    return anatomy, acquisition, points, radius, rng


def make_head(seed, nose=False, cut=False, brain_only=False, spacing_mm=(2.4, 2.6, 2.2)):
    anatomy, acquisition, (x, y, z), radius, rng = draw_head(seed, spacing_mm)
    image = np.where(radius < 1, 140.0, 4.0)
    brain = radius < 0.8
    image[(radius < 0.93) & ~brain] = 10.0
    image[brain] = 150.0
    if nose:
        # A wedge from the nasion down to the tip, 18 to 26 mm before the cheeks, 26 to 36 mm wide at its base.
        height, length, width = rng.uniform(40, 52), rng.uniform(18, 26), rng.uniform(13, 18)
        top = rng.uniform(-25, -10)
        below = np.clip((top - z) / height, 0, 1)
        surface = anatomy.semi_axes_mm[1] * np.sqrt(np.clip(1 - (z / anatomy.semi_axes_mm[2]) ** 2, 0.1, 1))
        reach = surface + length * below * np.clip(1 - np.abs(x) / width, 0, 1) ** 0.7
        image[(y > 0) & (y < reach) & (z < top) & (z > top - height) & (np.abs(x) < width)] = 140.0
    if cut:
        image[(y > 0.35 * anatomy.semi_axes_mm[1]) & (z < -5)] = 0.0
    if brain_only:
        image[~brain] = 0.0
        return image / 150, np.array(spacing_mm)
    noise = rng.normal(0, acquisition.noise_sd, (2, *image.shape))
    image = np.hypot(image + noise[0], noise[1]) * acquisition.gain
    return np.clip(image / np.percentile(image, 99), 0, 1), np.array(spacing_mm)
