"""Whether a scan looks as if it had a skull: synthetic heads with theirs and without, and a template without."""

import numpy as np
import phantoms
import pytest
from nilearn.datasets import load_mni152_template
from phantom_heads import make_head

from umbrella.scans.intensity import IntensityMap
from umbrella.scans.skull import judge_skull
from umbrella.views.grid import place_grid, sample_grid


def shown(volume, affine, spacing_mm=3.0, size=(66, 72, 66)):
    volume = np.asarray(volume, np.float32)
    unchanged = IntensityMap(0.0, 1.0, float(volume.min()), float(volume.max()))
    grid, _ = place_grid(volume[None], affine, size, spacing_mm, unchanged)
    return sample_grid(volume[None], affine, grid, unchanged)[0]


def draw(seed, tissues):
    rng = np.random.default_rng(seed)
    anatomy = phantoms.draw_anatomy(rng, phantoms.SEXES[seed % 2])
    acquisition = phantoms.draw_acquisition(rng)
    volume = phantoms.make_scan(anatomy, acquisition).astype(np.float32)
    if tissues is not None:
        kept = [phantoms.LABELS[name] for name in tissues]
        volume[~np.isin(phantoms.make_labels(anatomy, acquisition), kept)] = 0
    return shown(volume, np.diag([*phantoms.SPACING_MM, 1.0]))


@pytest.mark.parametrize("seed", range(2))
def test_a_head_has_a_skull_and_its_brain_alone_has_none(seed):
    head = judge_skull(draw(seed, None), 3.0)
    assert head.has_skull is True and "directions a dark layer lies beneath the surface" in head.evidence
    for tissues in (("csf", "grey", "white", "ventricles"), ("grey", "white")):
        assert judge_skull(draw(seed, tissues), 3.0).has_skull is False


@pytest.mark.parametrize("flags", [{}, {"nose": True}, {"brain_only": True}])
def test_other_heads_with_noise_and_a_nose(flags):
    volume, spacing_mm = make_head(3, **flags)
    assert judge_skull(shown(volume, np.diag([*spacing_mm, 1.0])), 3.0).has_skull is not flags.get("brain_only", False)


@pytest.mark.slow
def test_the_mni_template_of_nilearn_has_none():
    image = load_mni152_template(resolution=2)
    assert judge_skull(shown(image.get_fdata(), image.affine), 3.0).has_skull is False


def test_it_says_that_it_cannot_tell():
    ball = np.zeros((40, 40, 40), np.float32)
    ball[18:22, 18:22, 18:22] = 1
    assert judge_skull(ball, 2.0).has_skull is None
    noise = np.random.default_rng(0).normal(size=(40, 40, 40)).astype(np.float32)
    assert judge_skull(noise, 3.0).has_skull is not True
