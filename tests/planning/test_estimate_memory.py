"""What a recipe needs in memory: weights as published, activations of a real run, states as DeepSpeed has them."""

import copy
import json
import re

import estimate_memory
import pytest
import torch
from families import FAMILIES
from family_models import build_model
from launching import ROOT

from umbrella.models.freezing import choose_trained
from umbrella.models.tiny3d import build_tiny3d
from umbrella.models.tiny_llava import build_tiny_llava
from umbrella.models.volumes.dense import DenseTowerConfig
from umbrella.options.training_arguments import PlannedTrainArguments
from umbrella.planning.memory_estimate import (
    GIB,
    OVERHEAD,
    build_without_memory,
    count_weights,
    estimate,
    frozen_bytes,
    load_config,
    measure_step,
)
from umbrella.planning.planned_batch import build_batch, plan_batch
from umbrella.planning.saved_activations import fake_weights, measure_activations
from umbrella.records.recipe import Recipe
from umbrella.views.settings import ViewSettings

CONFIGS = ROOT / "tests" / "model_configs"
PUBLISHED = {
    "llava_1_5_7b": 7_063_427_072,
    "llava_interleave_0_5b": 864_031_264,  # of the config as we know it; the Hub says 0.9 B
    "qwen2_5_vl_3b": 3_754_622_976,
    "smolvlm_500m": 507_482_304,
}


def build(name, deepspeed=False, **options):
    """A model of real shape, without memory."""
    return build_without_memory(load_config(str(CONFIGS / name)), PlannedTrainArguments(**options), deepspeed)


# ------------------------------------------------------------------------------------------------ weights


@pytest.mark.parametrize("name", PUBLISHED)
def test_weights_are_as_many_as_published(name):
    assert count_weights(build(name)) == (PUBLISHED[name], PUBLISHED[name])


@pytest.mark.slow
def test_projector_is_less_than_a_percent_of_llava_and_lora_what_its_ranks_make():
    assert count_weights(build("llava_1_5_7b", train="projector"))[1] == 1024 * 4096 + 4096 + 4096 * 4096 + 4096
    layer = 4 * (4096 + 4096) + 3 * (4096 + 11008)  # inputs and outputs of its seven linear maps
    assert count_weights(build("llava_1_5_7b", train="lora", lora_r=8))[1] == 32 * 8 * layer


def test_number_formats_are_those_of_training():
    def formats(**options):
        model = build("smolvlm_500m", train="projector", **options)
        return {p.requires_grad: p.dtype for p in model.parameters()}

    assert formats() == {True: torch.float32, False: torch.float32}
    assert formats(bf16=True) == {True: torch.float32, False: torch.bfloat16}
    assert formats(bf16=True, deepspeed=True) == {True: torch.bfloat16, False: torch.bfloat16}


@pytest.mark.slow
def test_qlora_holds_a_7b_model_in_four_bits():
    model = build("llava_1_5_7b", train="lora", bf16=True, load_in_4bit=True)
    assert 3.8 < frozen_bytes(model, in_4bit=True) / GIB < 4.6  # embedding and output layer in 32 bits: 1 GiB of it


# ------------------------------------------------------------------------------------------------ activations


@pytest.mark.slow
@pytest.mark.parametrize("bf16", [False, True], ids=["float32", "bf16"])
@pytest.mark.parametrize("checkpointing", [False, True], ids=["plain", "checkpointing"])
@pytest.mark.parametrize("train", ["all", "projector", "language_model"])
def test_fake_run_keeps_what_a_real_one_keeps(train, checkpointing, bf16):
    real = build_tiny_llava()[0]
    batch = build_batch(real, plan_batch(real, 3, 50, 2, ViewSettings(), 7), torch.float32)
    kept = []
    for model in (fake_weights(copy.deepcopy(real).to("meta")), real):
        choose_trained(model, train)
        if checkpointing:
            model.activation_checkpointing_enable()
        kept.append(measure_activations(model, batch, bf16))
    assert kept[0] == kept[1]
    assert kept[0].kept > 3 * 50 * 128 * 4


@pytest.mark.slow
@pytest.mark.parametrize("family", ["llava_1_5", "qwen2_5_vl", "smolvlm"])
def test_fake_run_is_true_for_each_family_whose_batch_is_planned(family):
    processor = FAMILIES[family]()
    real = build_model(family, processor)
    real.set_attn_implementation("sdpa")
    size = {"qwen2_5_vl": 56}.get(family)
    plan = plan_batch(real, 2, 40, 2, ViewSettings(image_size=size), None)
    image = torch.zeros(3, *plan.shape).numpy()
    kwargs = {"size": {"longest_edge": 32}} if family == "smolvlm" else {}
    text = processor.apply_chat_template(
        [{"role": "user", "content": [{"type": "image"}, {"type": "text", "text": "a"}]}], tokenize=False
    )
    ids = processor(text=text, images=[image], do_resize=False, do_rescale=False, **kwargs)["input_ids"][0]
    assert list(ids).count(real.config.image_token_id) == plan.image_tokens  # as the processor itself makes them
    batch = build_batch(real, plan, torch.float32)
    fake = fake_weights(copy.deepcopy(real).to("meta"))
    assert measure_activations(fake, batch, True) == measure_activations(real, batch, True)


@pytest.mark.slow
@pytest.mark.parametrize("checkpointing", [False, True], ids=["plain", "checkpointing"])
@pytest.mark.parametrize("frames", [None, "3"])
def test_fake_run_is_true_for_volumes_whose_tokens_are_those_of_the_processor(frames, checkpointing):
    real, processor = build_tiny3d()
    settings = ViewSettings(volume_size="32x48x32", frames=frames)
    plan = plan_batch(real, 2, 240, 2, settings, None)
    assert plan.shape == (8, 32, 48, 32)  # frames of a whole patch
    processor.image_processor.volume_size = settings.volume_size
    volume = torch.ones(plan.shape).numpy()
    encoded = processor(text="<image>", images=[volume], return_tensors="pt")
    assert (encoded["input_ids"] == processor.image_token_id).sum() == plan.image_tokens == 4 * 6 * 4
    batch = build_batch(real, plan, torch.float32)
    assert torch.equal(batch["image_sizes"], encoded["image_sizes"].repeat(4, 1))
    assert batch["pixel_values"].shape == (4 * len(encoded["pixel_values"]), 8**4)
    kept = []
    for model in (fake_weights(copy.deepcopy(real).to("meta")), real):
        if checkpointing:
            model.activation_checkpointing_enable()
        kept.append(measure_activations(model, batch, False))
    assert kept[0] == kept[1]  # under autocast all but a few bytes: torch's fake norm says bf16 of its statistics
    tower_layer = 4 * len(encoded["pixel_values"]) * real.config.vision_config.hidden_size * 4  # bytes of its input
    assert kept[0].kept > 2 * tower_layer


@pytest.mark.slow
def test_nothing_grows_with_the_square_of_the_length():
    """Of two layers in each part: the time goes by their number."""
    config = load_config(str(CONFIGS / "smolvlm_500m"))
    config.text_config.num_hidden_layers = config.vision_config.num_hidden_layers = 2

    def kept(tokens):
        model = build_without_memory(config, PlannedTrainArguments(bf16=True), False)
        batch = build_batch(model, plan_batch(model, 1, tokens, 1, ViewSettings(), 10), torch.float32)
        return measure_activations(fake_weights(model), batch, True).kept

    one, two, four = kept(1000), kept(2000), kept(4000)
    assert four - two == pytest.approx(2 * (two - one), rel=1e-3)


@pytest.mark.slow
def test_checkpointing_keeps_the_layers_inputs_and_one_layer():
    """Those of the frozen vision tower too: transformers lets its embeddings require gradients."""
    rows, tokens, patches = 2, 1024, 32**2
    model = build("smolvlm_500m", deepspeed=True, bf16=True, train="language_model")
    plain, spared = measure_step(model, plan_batch(model, rows, tokens, 1, ViewSettings(), 10), autocast=False)
    inputs = 2 * rows * (32 * tokens * 960 + 12 * patches * 768)
    assert inputs <= spared.kept < 1.15 * inputs
    assert spared.kept + spared.largest_layer < plain.kept / 4
    assert 32 * spared.largest_layer == pytest.approx(plain.kept, rel=0.1)


# ------------------------------------------------------------------------------------------------ states


def plan_llava(**options):
    """The number of weights of LLaVA-1.5-7B with four layers in each part, since the time goes by their number, and
    its estimate with short rows, on 4 GPUs, by the names of its strategies."""
    args = PlannedTrainArguments(per_device_train_batch_size=1, **options)
    config = load_config(str(CONFIGS / "llava_1_5_7b"))
    config.text_config.num_hidden_layers = config.vision_config.num_hidden_layers = 4
    model = build_without_memory(config, args, False)
    rows = estimate(config, args, plan_batch(model, 1, 600, 1, ViewSettings(), 10), num_gpus=4)
    return count_weights(model)[0], {row.name: row for row in rows}


@pytest.mark.slow
def test_states_of_a_model_trained_in_full_are_those_that_deepspeed_estimates():
    zero2 = pytest.importorskip("deepspeed.runtime.zero.stage_1_and_2").estimate_zero2_model_states_mem_needs
    zero3 = pytest.importorskip("deepspeed.runtime.zero.stage3").estimate_zero3_model_states_mem_needs
    n, rows = plan_llava(bf16=True)

    def states(name):
        return rows[name].weights + rows[name].gradients + rows[name].optimizer

    _, gpu = zero2(n, num_gpus_per_node=4, cpu_offload=False)
    assert states("ZeRO-2") == pytest.approx(gpu, rel=1e-6)
    cpu, gpu = zero2(n, num_gpus_per_node=4, cpu_offload=True, additional_buffer_factor=1)
    assert (rows["ZeRO-2 offload"].cpu, states("ZeRO-2 offload")) == (cpu, gpu)
    _, gpu, _ = zero3(n, 0, num_gpus_per_node=4, cpu_offload=False)  # without the 16-bit gradients, 2 bytes of 20
    assert states("ZeRO-3") == pytest.approx(gpu * 20 / 18, rel=1e-6)
    cpu, *_ = zero3(n, 0, num_gpus_per_node=4, cpu_offload=True, additional_buffer_factor=1)
    assert rows["ZeRO-3 offload"].cpu == cpu


@pytest.mark.slow
def test_states_without_deepspeed_are_16_bytes_a_trained_weight_and_2_a_frozen_one():
    n, rows = plan_llava(bf16=True, train="projector")
    row = rows["DDP"]
    trained = 20_979_712
    assert row.weights + row.gradients + row.optimizer == 16 * trained + 2 * (n - trained)
    assert row.buffers == 4 * trained
    parts = row.weights, row.gradients, row.optimizer, row.buffers, row.activations, row.loss
    assert row.total == pytest.approx(sum(parts) + OVERHEAD)


def test_a_real_step_leaves_the_gradients_and_the_optimizer_that_are_estimated():
    model = build_tiny_llava()[0]
    batch = build_batch(model, plan_batch(model, 1, 30, 1, ViewSettings(), 5), torch.float32)
    optimizer = torch.optim.AdamW(model.parameters())
    model(**batch).loss.backward()
    optimizer.step()
    moments = [state[name].nbytes for state in optimizer.state.values() for name in ("exp_avg", "exp_avg_sq")]
    trained = sum(p.numel() for p in model.parameters() if p.grad is not None)  # CLIP's last layers serve nothing
    assert sum(moments) == 8 * trained
    assert sum(p.grad.nbytes for p in model.parameters() if p.grad is not None) == 4 * trained
    assert trained / count_weights(model)[1] > 0.98


# ------------------------------------------------------------------------------------------------ recipes

SHAPES = {f"llava_1_5_7b_{name}": "llava_1_5_7b" for name in ("stage1", "stage2", "lora")} | {
    "llava_interleave_0_5b": "llava_interleave_0_5b",
    "qwen2_5_vl_3b_lora": "qwen2_5_vl_3b",
    "smolvlm_500m": "smolvlm_500m",
}


def read_header(recipe):
    """What a recipe's first lines say: (GPUs, GB of each, GiB that it needs, strategy)."""
    header = re.match(r"(#.*\n)+", (ROOT / "recipes" / "configs" / f"{recipe}.yaml").read_text("utf-8"))[0]
    n, card = re.search(r"# Hardware: (\d) GPUs? of (\d+) GB", header).groups()
    stated, strategy, of = re.search(r"Memory: ([\d.]+) GiB a GPU \((\S+), (\d) GPUs?,", header).groups()
    assert of == n
    return int(n), int(card), float(stated), strategy


@pytest.fixture
def print_estimate(call, monkeypatch):
    """(recipe, model's folder) → the row of the strategy that the header names: (as a Memory, as it is printed)."""
    made, to_table = [], estimate_memory.to_table
    monkeypatch.setattr(estimate_memory, "to_table", lambda rows: made.append(rows) or to_table(rows))

    def run(recipe, folder):
        n, _, _, strategy = read_header(recipe)
        path = ROOT / "recipes" / "configs" / f"{recipe}.yaml"
        out = call(estimate_memory, path, "--model_name_or_path", folder, "--num_gpus", n)
        printed = next(line for line in out.splitlines() if line.startswith(f"{strategy:<15}"))
        return next(row for row in made.pop() if row.name == strategy), printed[15:]

    return run


def count_layers(config):
    """Layers of (language model, vision tower), and the names of these settings."""
    names = ("num_hidden_layers", "depth" if config.model_type == "qwen2_5_vl" else "num_hidden_layers")
    return names, [
        getattr(part, name) for part, name in zip((config.text_config, config.vision_config), names, strict=True)
    ]


def write_config(config, layers, folder):
    """The model with fewer layers in its two parts."""
    config, (names, _) = copy.deepcopy(config), count_layers(config)
    for part, name, n in zip((config.text_config, config.vision_config), names, layers, strict=True):
        setattr(part, name, n)
    config.text_config.layer_types = None  # those of all layers: the config makes them anew
    config.save_pretrained(folder)
    return folder


# Adapters by DDP are shown by llava_1_5_7b_lora too.
NIGHTLY = {"qwen2_5_vl_3b_lora": pytest.mark.nightly}


@pytest.mark.slow
@pytest.mark.parametrize("recipe", [pytest.param(name, marks=NIGHTLY.get(name, ())) for name in SHAPES])
def test_memory_in_a_recipes_header_is_that_of_its_layers(recipe, print_estimate, tmp_path):
    """By the command, of models with two layers in each part and with one more in one part: each layer adds the same.
    With all layers, whose number the time goes by: the nightly test."""
    config = load_config(str(CONFIGS / SHAPES[recipe]))
    few = [(2, 2), (3, 2), (2, 3)]
    rows = [print_estimate(recipe, write_config(config, n, tmp_path / f"{n}"))[0] for n in few]

    def sum_up(name):
        start, *more = (getattr(row, name) for row in rows)
        return start + sum((n - 2) * (one - start) for n, one in zip(count_layers(config)[1], more, strict=True))

    _, card, stated, _ = read_header(recipe)
    assert sum_up("total") / GIB == pytest.approx(stated, abs=0.06)
    assert stated < 0.9 * card
    assert sum_up("otherwise") > 2 * sum_up("activations")  # each recipe has activation checkpointing


@pytest.mark.nightly
@pytest.mark.slow
@pytest.mark.parametrize("recipe", SHAPES)
def test_memory_in_a_recipes_header_is_what_the_command_prints(recipe, print_estimate):
    _, card, stated, _ = read_header(recipe)
    row, printed = print_estimate(recipe, CONFIGS / SHAPES[recipe])
    # weights, gradients, optimizer, buffers, activations, otherwise, loss, total, cpu, then the cards that it fits
    figures = printed.split()
    assert float(figures[7]) == pytest.approx(stated, abs=0.06)
    assert f" {card}" in printed[9 * 12 :]
    assert float(figures[5]) > 2 * float(figures[4])  # each recipe has activation checkpointing
    assert float(figures[7]) == pytest.approx(row.total / GIB, abs=0.006)
    assert stated < 0.9 * card


# ------------------------------------------------------------------------------------------------ command


@pytest.mark.slow
def test_command_prints_a_table_of_strategies(call, tmp_path):
    """Of a published model with two layers in each part: the time goes by their number."""
    config = json.loads((CONFIGS / "smolvlm_500m/config.json").read_text("utf-8"))
    for part in ("text_config", "vision_config"):
        config[part]["num_hidden_layers"] = 2
    (tmp_path / "config.json").write_text(json.dumps(config))
    flags = ["--bf16", "true", "--num_gpus", "8", "--max_length", "512", "--view", "slices:2", "--batch_size", "2"]
    out = call(estimate_memory, "--model_name_or_path", tmp_path, *flags)
    n = count_weights(build(tmp_path))[0]
    assert 1e8 < n < 3e8 and f"{n:,} weights, {n:,} trained (100.00%)" in out
    assert "2 rows of 512 tokens on each GPU; images a row: 2, of 512 px and 64 tokens; 382 supervised" in out
    names = ["DDP", "ZeRO-2", "ZeRO-2 offload", "ZeRO-3", "ZeRO-3 offload"]
    rows = [line for line in out.splitlines() if line.endswith("GB")]
    assert [row[:15].strip() for row in rows] == names
    assert all(row.endswith("24, 40, 80 GB") for row in rows)


@pytest.mark.slow
def test_of_batches_by_tokens_the_longest_rows_are_planned_and_the_shortest_named(call):
    """tiny's image has 16 tokens: rows of 24 hold one, and a token of text."""
    flags = ("--model_name_or_path", "tiny", "--max_length", "200", "--tokens_per_batch")
    out = call(estimate_memory, *flags, 1000)
    assert "5 rows of 200 tokens on each GPU" in out
    assert "of 24 tokens, are 41 in a batch, with 41 images: --tokens 24 estimates those" in out
    short = call(estimate_memory, *flags, 1000, "--tokens", 24)
    assert "41 rows of 24 tokens on each GPU" in short and "estimates those" not in short
    with pytest.raises(SystemExit, match=r"expected at least 200, for a row of 200 tokens, found 199\. .* --tokens"):
        call(estimate_memory, *flags, 199)


@pytest.mark.slow
def test_activations_with_and_without_checkpointing_are_shown_beside_each_other(call):
    def figures(*flags):
        out = call(estimate_memory, "--max_length", "2000", *flags)
        return [row[15:].split()[4:8] for row in out.splitlines() if row.endswith("GB")]

    plain, spared = figures(), figures("--activation_checkpointing", "true")
    for (without, with_, loss, total), (kept, otherwise, same_loss, smaller) in zip(plain, spared, strict=True):
        assert (with_, without, loss) == (kept, otherwise, same_loss)
        saved = float(without) - float(with_)
        assert saved > 0.01 and float(total) - float(smaller) == pytest.approx(saved, abs=0.011)


@pytest.mark.slow
def test_half_precision_and_flash_attention_are_estimated_where_neither_runs(call):
    flags = ["--max_length", "100", "--bf16", "true"]
    expected = call(estimate_memory, *flags)
    flags = ["--max_length", "100", "--fp16", "true", "--attn_implementation", "flash_attention_2"]
    assert call(estimate_memory, *flags) == expected


@pytest.mark.slow
def test_volumes_are_planned_as_the_model_was_trained(call, tmp_path):
    out = call(estimate_memory, "--model_name_or_path", "tiny3d", "--scans", "2", "--max_length", "600")
    assert "volumes a row: 2, of 48x56x48 voxels, 8 frames and 252 tokens" in out
    build_tiny3d()[0].save_pretrained(tmp_path / "model")
    Recipe("volume", None, True, True, "", "", "32x32x32", 4.0, "4").save(tmp_path / "model")
    out = call(estimate_memory, "--model_name_or_path", tmp_path / "model", "--max_length", "600")
    assert "volumes a row: 1, of 32x32x32 voxels, 8 frames and 64 tokens" in out


@pytest.mark.slow
def test_an_encoder_without_implementations_of_attention_is_planned(call, tmp_path):
    tower = {
        "encoder": "monai:ResNet10",
        "volume_size": [32, 32, 32],
        "hidden_size": 512,
        "patch_size": [1, 16, 16, 16],
    }
    config = build_tiny3d()[0].config
    config.vision_config = DenseTowerConfig(**tower, pool=2, pools_time=True)
    config.save_pretrained(tmp_path / "model")
    asked = ("--model_name_or_path", tmp_path / "model", "--max_length", "600", "--volume_size")
    assert "volumes a row: 1, of 32x32x32 voxels and 1 tokens" in call(estimate_memory, *asked, "32")
    with pytest.raises(SystemExit) as stop:
        call(estimate_memory, *asked, "48")
    assert "it pools 2x2x2 into one" in str(stop.value)


@pytest.mark.slow
def test_tiny_needs_no_folder(call):
    assert "tiny: 679,552 weights" in call(estimate_memory, "--max_length", "100")


@pytest.mark.parametrize(
    "flags, message",
    [
        (["--model_name_or_path", "no/such_model"], "found no folder 'no/such_model' here"),
        (["--max_length", "17"], "--tokens: expected more than 17, for 1 images of 16 tokens a row"),
        (["--supervised_tokens", "5000"], "--supervised_tokens: expected 1 to"),
        (["--view", "volume"], "--view: this model takes pictures: one of their views, found volume"),
        (["--model_name_or_path", "tiny3d", "--view", "axial"], "--view: this model takes whole volumes"),
        (["--model_name_or_path", "tiny3d", "--volume_size", "50"], "Set --volume_size 48x48x48"),
        (["--optim", "adafactor"], "--optim: expected AdamW"),
        (["--train", "tongue"], "--train: expected names out of"),
    ],
)
def test_what_cannot_be_estimated_is_refused_in_one_sentence(call, flags, message):
    with pytest.raises(SystemExit) as stop:
        call(estimate_memory, *flags)
    assert message in str(stop.value) and "\n" not in str(stop.value)


def test_no_gpus_are_refused(call, capsys):
    with pytest.raises(SystemExit):
        call(estimate_memory, "--num_gpus", "0")
    assert "--num_gpus: expected at least 1, found 0" in capsys.readouterr().err
