"""Claims about packed patches: what they hold is torch's own unfolding, and nothing is lost."""

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from properties import examples

from umbrella.models.volumes.patches import POOLED_TIME, FeatureUnit, check_multiple, pack_patches, unpack_patches

SIDES = st.tuples(*[st.integers(1, 3)] * 4)


@given(SIDES, SIDES, st.integers(0, 99))
@examples(40)
def test_patches_are_what_torch_unfolds_and_come_back_as_they_were(grid, patch, seed):
    size = [n * p for n, p in zip(grid, patch, strict=True)]
    volume = torch.randn(*size, generator=torch.Generator().manual_seed(seed))
    packed = pack_patches(volume, patch)
    unfolded = volume
    for axis, p in enumerate(patch):
        unfolded = unfolded.unfold(axis, p, p)  # (..., p), the patch's own axes last
    assert torch.equal(packed, unfolded.reshape(len(packed), -1))
    assert torch.equal(unpack_patches(packed, size, patch), volume)


@given(SIDES, SIDES, st.sampled_from([1, 2]), st.booleans())
@examples(40)
def test_a_unit_counts_as_llava_does(grid, patch, pool, pools_time):
    t, *space = grid
    size = [t * patch[0], *(n * p * pool for n, p in zip(space, patch[1:], strict=True))]
    size[0] += POOLED_TIME if pools_time else 0
    unit = FeatureUnit.of(patch, pool, pools_time)
    expected = (1 if pools_time else t) * space[0] * space[1] * space[2]
    assert unit.count(size) == expected
    assert (torch.tensor([size, size]) // unit).prod(dim=-1).tolist() == [expected, expected]


@pytest.mark.parametrize(
    "size, patch, pool, message",
    [
        ((1, 96, 100, 96), (1, 8, 8, 8), 1, r"multiple of 8x8x8 voxels.*96x100x96.*Set --volume_size 96x96x96$"),
        ((1, 96, 104, 96), (1, 8, 8, 8), 2, r"multiple of 16x16x16 .*pools 2x2x2 into one.*--volume_size 96x96x96$"),
        ((3, 32, 32, 32), (2, 8, 8, 8), 1, r"of 2 frames.*3 frames. Set --volume_size 32x32x32 and --frames 4$"),
        ((1, 4, 32, 32), (1, 8, 8, 8), 1, r"--volume_size 8x32x32$"),
    ],
)
def test_a_size_that_patches_do_not_fill_is_one_sentence_with_one_that_they_do(size, patch, pool, message):
    with pytest.raises(ValueError, match=message) as error:
        check_multiple(size, patch, pool)
    assert "\n" not in str(error.value)
