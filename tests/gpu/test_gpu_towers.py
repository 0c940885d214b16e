"""Towers for volumes on a GPU: in each number type what the CPU makes of the same volumes in float32."""

import importlib.util

import pytest
import torch
from transformers import AutoModel, SiglipVisionConfig

from umbrella.models.volumes.dense import DenseTowerConfig
from umbrella.models.volumes.inflated import InflatedTowerConfig
from umbrella.models.volumes.registration import register_volume_models
from umbrella.models.volumes.tower import VolumeTower, VolumeTowerConfig

pytestmark = [pytest.mark.gpu, pytest.mark.slow]

SIZES = {"hidden_size": 64, "intermediate_size": 128, "num_hidden_layers": 3, "num_attention_heads": 4}
TIMM = pytest.mark.skipif(importlib.util.find_spec("timm") is None, reason="needs the package timm")
MOST_IN_A_GRID = 65_535  # blocks along the second and third axis of a kernel's grid
TOWERS = {
    "volumes": VolumeTowerConfig(**SIZES, patch_size=(1, 8, 8, 8), pool=2),
    "joint": VolumeTowerConfig(**SIZES, patch_size=(1, 8, 8, 8), pool=1, time_attention="joint", pools_time=True),
    "inflated": InflatedTowerConfig(
        SiglipVisionConfig(**SIZES, image_size=32, patch_size=8, vision_use_head=False),
        n_prefix=0,
        table_side=4,
        patch_size=(1, 8, 8, 8),
        plane_mm=32.0,
    ),
    "sfcn": DenseTowerConfig(volume_size=[32, 32, 32], hidden_size=64, pool=1),
    "timm": DenseTowerConfig(
        encoder="timm:vit_tiny_patch16_224",
        encoder_options={"patch_size": 16},
        volume_size=[32, 32, 32],
        hidden_size=192,
        patch_size=[1, 16, 16, 16],
    ),
}
NAMES = [pytest.param(name, marks=TIMM if name == "timm" else ()) for name in TOWERS]


def build_tower(config):
    register_volume_models()
    torch.manual_seed(0)
    return AutoModel.from_config(config)


def make_volumes(config):
    """Two volumes, one of them of two frames, as packed patches, and their sizes."""
    frames = [1, 2]
    patch = config.patch_size
    n_patches = sum(frames) * (32 // patch[1]) * (32 // patch[2]) * (32 // patch[3])
    pixel_values = torch.randn(n_patches, patch[1] * patch[2] * patch[3], generator=torch.Generator().manual_seed(1))
    return {"pixel_values": pixel_values, "image_sizes": torch.tensor([[n, 32, 32, 32] for n in frames])}


def run(tower, batch, device, dtype):
    """The features, and the gradient of all weights, on the CPU in float32."""
    batch = {name: value.to(device) for name, value in batch.items()}
    tower.to(device).zero_grad()
    with torch.autocast(device.type, dtype, enabled=dtype != torch.float32):
        features = tower(**batch).last_hidden_state
        towards = torch.randn(features.shape, generator=torch.Generator().manual_seed(2)).to(device)
        (features.float() * towards).sum().backward()
    gradients = [p.grad.flatten().float().cpu() for p in tower.parameters() if p.grad is not None]
    return features.detach().float().cpu(), torch.cat(gradients)


def difference(found, expected):
    return ((found - expected).norm() / expected.norm()).item()


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16, torch.float16], ids=["float32", "bf16", "fp16"])
@pytest.mark.parametrize("name", NAMES)
def test_a_tower_makes_on_a_gpu_what_it_makes_on_the_cpu(name, dtype, device):
    tower, batch = build_tower(TOWERS[name]).train(), make_volumes(TOWERS[name])
    expected = run(tower, batch, torch.device("cpu"), torch.float32)
    found = run(tower, batch, device, dtype)
    most = {torch.float32: 5e-3, torch.float16: 2e-2, torch.bfloat16: 5e-2}[dtype]
    assert difference(found[0], expected[0]) < most
    assert difference(found[1], expected[1]) < 5 * most


@pytest.mark.parametrize("name", NAMES)
def test_a_tower_whose_weights_are_in_16_bits_takes_volumes_in_32(name, device):
    """As eval.py loads a published model."""
    tower, batch = build_tower(TOWERS[name]).eval(), make_volumes(TOWERS[name])
    with torch.no_grad():
        expected = tower(**batch).last_hidden_state
        batch = {key: value.to(device) for key, value in batch.items()}
        found = tower.to(device, torch.bfloat16)(**batch).last_hidden_state
    assert found.dtype == torch.bfloat16
    assert difference(found.float().cpu(), expected) < 5e-2


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16], ids=["float32", "bf16"])
def test_more_places_than_a_kernels_grid_has_blocks_attend_over_time(dtype, device):
    """Each place of a series is a sequence of its own: a batch of long series has more than 65,535 of them."""
    config = VolumeTowerConfig(32, 32, 1, 2, patch_size=(1, 2, 2, 2), pool=1)
    torch.manual_seed(0)
    tower = VolumeTower(config).to(device)
    n = 9
    sizes = torch.tensor([[2, 40, 40, 40]] * n)
    of_one = 2 * 20**3
    assert n * of_one // 2 > MOST_IN_A_GRID
    volume = torch.randn(of_one, 8, device=device)
    with torch.autocast(device.type, dtype, enabled=dtype != torch.float32):
        features = tower(volume.repeat(n, 1), sizes).last_hidden_state[0]
        (features.float() ** 2).mean().backward()
        alone = tower(volume, sizes[:1]).last_hidden_state[0]
    last = features[-of_one:]
    assert difference(last.detach().float(), alone.detach().float()) < (1e-5 if dtype == torch.float32 else 2e-2)
    assert all(p.grad.isfinite().all() for p in tower.parameters() if p.grad is not None)
