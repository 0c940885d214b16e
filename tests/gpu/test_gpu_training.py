"""train.py on a GPU: number types, what saves time and memory, and that each gives what the plain run gives."""

import gc
import math
import shutil

import pytest
import torch
import train
from safetensors.torch import load_file

from umbrella.models.loading import load_model

pytestmark = [pytest.mark.gpu, pytest.mark.slow]

MODELS = ["tiny", "tiny3d"]
of_each_model = pytest.mark.parametrize("model", MODELS)


def assert_learns(run):
    assert all(map(math.isfinite, run.losses))
    assert sum(run.losses[-4:]) < 0.8 * sum(run.losses[:4])


@of_each_model
def test_the_gpu_takes_the_steps_of_the_cpu(model, fit):
    """Convolutions of a GPU compute in TF32 where nobody says otherwise, hence the tolerance."""
    on_gpu, on_cpu = fit(model, "gpu", max_steps=6), fit(model, "cpu", max_steps=6, use_cpu="true")
    assert on_gpu.losses == pytest.approx(on_cpu.losses, rel=5e-3)
    assert on_gpu.norms == pytest.approx(on_cpu.norms, rel=5e-2)
    assert on_gpu.peak > 0


@of_each_model
def test_bf16_learns_with_workers_and_pinned_batches(model, fit):
    assert_learns(fit(model, bf16="true", dataloader_num_workers=2))


@of_each_model
def test_fp16_learns_and_leaves_out_few_steps(model, fit):
    """Its scale starts at 65536 and is halved by each step that is left out, whose gradient is not finite."""
    run = fit(model, fp16="true")
    assert_learns(run)
    assert sum(map(math.isfinite, run.norms)) >= len(run.norms) - 6


@of_each_model
def test_checkpointing_takes_the_same_steps_in_less_memory(model, fit):
    plain = fit(model, "plain", bf16="true", max_steps=4)
    spared = fit(model, "spared", bf16="true", max_steps=4, gradient_checkpointing="true")
    assert spared.losses == pytest.approx(plain.losses, rel=1e-2)
    assert spared.peak < plain.peak


@of_each_model
def test_compiled_training_takes_the_same_steps(model, fit):
    plain = fit(model, "plain", max_steps=4)
    assert fit(model, "compiled", max_steps=4, torch_compile="true").losses == pytest.approx(plain.losses, rel=5e-3)


@of_each_model
def test_ligers_kernels_take_the_same_steps(model, fit, fit_apart):
    """Apart, as liger changes classes of transformers for the whole process."""
    pytest.importorskip("liger_kernel")
    plain = fit(model, "plain", max_steps=6, bf16="true")
    fused = fit_apart(model, "fused", max_steps=6, bf16="true", use_liger_kernel="true")
    assert fused.losses == pytest.approx(plain.losses, rel=2e-2)
    assert fused.norms == pytest.approx(plain.norms, rel=0.2)


@of_each_model
def test_adapters_learn_in_bf16_and_are_merged(model, fit):
    run = fit(model, train="projector,lora", bf16="true", merge_lora="true", learning_rate="3e-3")
    assert_learns(run)
    assert load_model(str(run.folder)).num_parameters() == load_model(model).num_parameters()


@of_each_model
def test_adapters_learn_on_weights_of_four_bits(model, fit):
    pytest.importorskip("bitsandbytes")
    run = fit(model, train="lora", bf16="true", load_in_4bit="true", learning_rate="3e-3")
    assert all(map(math.isfinite, run.losses))
    assert sum(run.losses[-4:]) < 0.9 * sum(run.losses[:4])
    saved = load_file(run.folder / "adapter_model.safetensors")
    assert any("lora_B" in name and value.abs().max() > 0 for name, value in saved.items())


@of_each_model
def test_kept_features_give_the_losses_of_the_tower(model, fit, tmp_path):
    """The second epoch reads each of them; no scan goes through the tower again."""
    flags = {"train": "projector,language_model", "max_steps": 6, "bf16": "true"}
    plain = fit(model, "plain", **flags)
    kept = fit(model, "kept", **flags, feature_cache=tmp_path / "features")
    assert kept.losses == pytest.approx(plain.losses, rel=1e-2)
    assert list((tmp_path / "features").glob("*/*/*.view"))


def test_a_resumed_run_drops_out_what_the_whole_one_drops_out(fit, tmp_path, device):
    """The dropout of adapters is drawn on the GPU."""
    flags = {"train": "lora", "lora_dropout": 0.5, "save_strategy": "steps", "save_steps": 2, "learning_rate": "1e-2"}
    whole = fit("tiny", "whole", max_steps=4, **flags)
    assert device.type in torch.load(whole.folder / "checkpoint-2/rng_state.pth", weights_only=False)
    shutil.copytree(whole.folder / "checkpoint-2", tmp_path / "run/checkpoint-2")
    resumed = fit("tiny", max_steps=4, resume_from_checkpoint=tmp_path / "run/checkpoint-2", **flags)
    assert resumed.losses[-2:] == pytest.approx(whole.losses[-2:], rel=1e-5)
    other = fit("tiny", "other", max_steps=4, seed=7, **flags)
    assert other.losses[-2:] != pytest.approx(whole.losses[-2:], rel=1e-5)


def test_evaluations_answer_and_the_best_trained_parts_are_put_back(fit):
    """In mixed precision generation runs the frozen parts in 16 bits and the trained ones in 32."""
    flags = {"eval_strategy": "steps", "eval_steps": 4, "save_steps": 4, "load_best_model_at_end": "true"}
    run = fit("tiny3d", train="projector,language_model", bf16="true", save_strategy="steps", max_steps=8, **flags)
    assert (run.folder / "trained_weights.safetensors").is_file()


@of_each_model
def test_full_determinism_repeats_itself_to_the_bit(model, fit, determinism):
    runs = []
    for name in "ab":
        runs.append(fit(model, name, max_steps=4, full_determinism="true"))
        assert torch.are_deterministic_algorithms_enabled()
        torch.use_deterministic_algorithms(False)
    weights = [(run.folder / "model.safetensors").read_bytes() for run in runs]
    assert weights[0] == weights[1]


def test_one_batch_is_looked_at(call, small_data, device):
    flags = ("--batch_size", 4, "--max_length", 256, "--report_to", "none", "--check_batch", "true")
    assert "peak GPU memory" in call(train, "--json_dir", small_data, "--output_dir", "run", *flags)


def test_memory_that_runs_out_ends_with_the_remedies(fit, device):
    gc.collect()
    torch.cuda.empty_cache()
    torch.cuda.set_per_process_memory_fraction(2**23 / torch.cuda.get_device_properties(device).total_memory)
    try:
        with pytest.raises(SystemExit) as end:
            fit("tiny", batch_size=8)
    finally:
        torch.cuda.set_per_process_memory_fraction(1.0)
    assert "out of memory" in str(end.value) and "--bf16 true" in str(end.value)
