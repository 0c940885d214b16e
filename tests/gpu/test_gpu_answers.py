"""Answers on a GPU are those of the CPU: the same weights, the same words."""

import json
import shutil

import eval as evaluation
import pytest
import torch

from umbrella.models.loading import load_model

pytestmark = [pytest.mark.gpu, pytest.mark.slow]

BRIEFLY = ("--split", "test", "--controls", "false", "--baselines", "false", "--bootstrap", 20, "--report", "false")


def ask(call, model, data, output, *flags):
    """The answers of a model, by the names of the rows."""
    call(evaluation, "--model_name_or_path", model, "--json_dir", data, "--output_dir", output, *BRIEFLY, *flags)
    lines = (output / "predictions.jsonl").read_text(encoding="utf-8").splitlines()
    return {record["task_id"]: record["prediction"] for record in map(json.loads, lines)}


def save_in_16_bits(folder, output):
    """A copy of a model with its weights in bfloat16."""
    shutil.copytree(folder, output)
    load_model(str(folder)).to(torch.bfloat16).save_pretrained(output)
    return output


@pytest.mark.parametrize("model", ["tiny", "tiny3d"])
def test_a_gpu_gives_the_cpus_answers_in_float32_and_most_of_them_in_bf16(model, fit, folders, call, tmp_path):
    """Of a model that was trained, whose words are no matter of the last digit."""
    run, data = fit(model, max_steps=60).folder, folders[model]
    on_cpu = ask(call, run, data, tmp_path / "cpu", "--use_cpu", "true")
    assert len(on_cpu) == 8
    assert ask(call, run, data, tmp_path / "gpu") == on_cpu
    one_by_one = ask(call, run, data, tmp_path / "single", "--batch_size", 1, "--max_new_tokens", 32)
    assert one_by_one == on_cpu
    half = ask(call, save_in_16_bits(run, tmp_path / "half"), data, tmp_path / "bf16")
    assert sum(half[name] == answer for name, answer in on_cpu.items()) >= 0.75 * len(on_cpu)
