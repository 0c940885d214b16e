"""Claims about the tower for volumes inside a stock LLaVA: each row as alone, whatever else is in its batch."""

import numpy as np
import pytest
import torch
from families import build_volumes
from family_models import build_model
from transformers import AutoModelForImageTextToText, AutoProcessor

from umbrella.conversations.encoder import ConversationEncoder
from umbrella.models.freezing import choose_trained
from umbrella.models.tiny3d import build_tiny3d
from umbrella.models.volumes import packing
from umbrella.models.volumes.packing import PackedVolumes
from umbrella.models.volumes.patches import POOLED_TIME, pack_patches
from umbrella.models.volumes.tower import ALTERNATE, JOINT, VolumeTower, VolumeTowerConfig
from umbrella.rows.collator import ConversationCollator
from umbrella.views.settings import ViewSettings, parse_volume_size

# Of each row the sizes of its volumes: three 3-D ones, a series, none, both kinds.
ROWS = [
    [(1, 32, 32, 32)],
    [(1, 16, 48, 32)],
    [(1, 64, 16, 16)],
    [(4, 32, 16, 32)],
    [],
    [(1, 32, 32, 32), (3, 16, 16, 32)],
]


def encode(sizes, with_answer=True):
    """A row with a question about volumes of these sizes, drawn from their numbers."""
    turns = [{"role": "user", "content": [*[{"type": "image"}] * len(sizes), {"type": "text", "text": "Male or?"}]}]
    turns += [{"role": "assistant", "content": [{"type": "text", "text": "The subject is female."}]}]
    encoded, volumes = {}, [np.random.default_rng(i).standard_normal(size, np.float32) for i, size in enumerate(sizes)]
    processor = build_volumes()
    if not sizes:
        return ConversationEncoder(processor).encode(turns, [], add_generation_prompt=not with_answer)
    # A processor takes views of one size alone, that of its model: those of others are packed by others.
    packed = []
    for volume in volumes:
        processor.image_processor.settle(ViewSettings(volume_size="x".join(map(str, volume.shape[1:]))))
        packed.append(processor.image_processor(volume))
    encoded["pixel_values"] = torch.cat([one["pixel_values"] for one in packed])
    encoded["image_sizes"] = torch.cat([one["image_sizes"] for one in packed])
    text = processor.apply_chat_template(
        turns if with_answer else turns[:1], add_generation_prompt=not with_answer, tokenize=False
    )
    for i in range(len(volumes)):
        text = text.replace("<|image_pad|>", processor.replace_image_token(encoded, i).replace("image", "scan"), 1)
    ids = processor.tokenizer(text.replace("scan", "image"))["input_ids"]
    return {"input_ids": ids, "attention_mask": [1] * len(ids), "labels": ids} | encoded


@pytest.fixture(scope="module")
def model():
    return build_model("volumes", build_volumes())


def collate(rows, side, with_answer):
    examples = [encode(row, with_answer) | {"metadata": {}, "task_id": ""} for row in rows]
    return ConversationCollator(build_volumes(), padding_side=side)(examples)


@pytest.mark.parametrize("side", ["right", "left"])
def test_logits_of_each_row_of_a_batch_are_those_of_the_row_alone(model, side):
    batch = collate(ROWS, side, True)
    model.train()
    with torch.no_grad():
        together = model(**batch).logits
        for number, row in enumerate(ROWS):
            alone = collate([row], side, True)
            found = model(**alone).logits[0][alone["attention_mask"][0].bool()]
            torch.testing.assert_close(
                together[number][batch["attention_mask"][number].bool()], found, atol=1e-5, rtol=0
            )
    model.eval()


@pytest.mark.parametrize("options", [{}, {"num_beams": 3}], ids=["greedy", "three beams"])
def test_answers_of_each_row_of_a_batch_are_those_of_the_row_alone(model, options):
    wanted = {"max_new_tokens": 6, "do_sample": False, "pad_token_id": 0, **options}
    batch = collate(ROWS, "left", False)
    batch.pop("labels")
    together = model.generate(**batch, **wanted)[:, batch["input_ids"].shape[1] :]
    answers = set()
    for number, row in enumerate(ROWS):
        alone = collate([row], "left", False)
        alone.pop("labels")
        found = model.generate(**alone, **wanted)[0, alone["input_ids"].shape[1] :]
        answers.add(tuple(found.tolist()))
        assert together[number, : len(found)].tolist() == found.tolist()
    assert len(answers) > 1  # they depend on the scans


def gradients(model, batch):
    model.zero_grad()
    model(**batch).loss.backward()
    return {name: p.grad.clone() for name, p in model.named_parameters() if p.grad is not None}


def test_gradients_are_the_same_with_checkpointing_and_in_each_implementation_of_attention(model):
    batch = collate(ROWS, "right", True)
    expected = gradients(model.train(), batch)
    assert all(
        value.abs().max() > 0
        for name, value in expected.items()
        if "vision_tower" in name and "k_proj.bias" not in name
    )
    model.gradient_checkpointing_enable()
    checkpointed = gradients(model, batch)
    model.gradient_checkpointing_disable()
    assert model.model.vision_tower.config._attn_implementation == "eager"
    model.set_attn_implementation("sdpa")
    fused = gradients(model, batch)
    model.set_attn_implementation("eager")
    model.eval()
    for found in (checkpointed, fused):
        assert found.keys() == expected.keys()
        for name, value in expected.items():
            torch.testing.assert_close(found[name], value, atol=1e-5, rtol=1e-4)


def test_a_frozen_tower_has_no_gradient_and_the_projector_the_same(model):
    batch = collate(ROWS, "right", True)
    expected = gradients(model.train(), batch)
    choose_trained(model, "projector")
    model.gradient_checkpointing_enable()
    found = gradients(model, batch)
    model.gradient_checkpointing_disable()
    choose_trained(model, "all")
    model.eval()
    assert set(found) == {name for name in expected if "projector" in name}
    for name, value in found.items():
        torch.testing.assert_close(value, expected[name], atol=1e-6, rtol=1e-5)


@pytest.mark.slow
def test_saved_and_loaded_by_the_auto_classes_it_is_the_same(model, tmp_path):
    model.save_pretrained(tmp_path)
    build_volumes().save_pretrained(tmp_path)
    batch = collate(ROWS, "right", True)
    again = AutoModelForImageTextToText.from_pretrained(tmp_path, attn_implementation="eager")
    with torch.no_grad():
        assert torch.equal(again(**batch).logits, model(**batch).logits)
    assert type(AutoProcessor.from_pretrained(tmp_path)) is type(build_volumes())
    half = AutoModelForImageTextToText.from_pretrained(tmp_path, dtype=torch.bfloat16)
    with torch.autocast("cpu", torch.bfloat16), torch.no_grad():
        for one in (half, again):
            found = one(**batch)
            assert found.logits.dtype == torch.bfloat16
            assert found.loss == pytest.approx(float(model(**batch).loss), rel=0.05)


@pytest.mark.nightly
def test_compiled_it_is_the_same(model):
    batch = collate(ROWS[2:4], "right", True)
    with torch.no_grad():
        found = torch.compile(model, backend="eager")(**batch).logits
        torch.testing.assert_close(found, model(**batch).logits, atol=1e-5, rtol=0)
    torch._dynamo.reset()


# ------------------------------------------------------------------------------------------------ the tower alone


def build_tower(**options):
    sizes = {"hidden_size": 16, "intermediate_size": 32, "num_hidden_layers": 2, "num_attention_heads": 2}
    torch.manual_seed(0)
    return VolumeTower(VolumeTowerConfig(**sizes, **options)).eval()


def look(tower, volume):
    """The tower's features of one volume, (n, C)."""
    config = tower.config
    size = torch.tensor([volume.shape])
    size[0, 0] += POOLED_TIME if config.pools_time else 0
    with torch.no_grad():
        return tower(pack_patches(volume, config.patch_size), size).last_hidden_state[0]


def test_places_are_mm_from_the_middle_and_frames():
    packed = PackedVolumes(torch.tensor([[2, 32, 16, 8]]), [1, 8, 8, 8], 1, 16)
    places = packed.places(2.0, torch.device("cpu")).reshape(2, 4, 2, 1, 4)
    assert places[:, 0, 0, 0, 0].tolist() == [0.5, 1.5]
    assert places[0, :, 0, 0, 1].tolist() == [-24.0, -8.0, 8.0, 24.0]
    assert places[0, 0, :, 0, 2].tolist() == [-8.0, 8.0]
    assert places[0, 0, 0, :, 3].tolist() == [0.0]


def test_a_3d_scan_is_the_same_to_both_attentions_and_a_series_is_not():
    alternate, joint = build_tower(time_attention=ALTERNATE), build_tower(time_attention=JOINT)
    joint.load_state_dict(alternate.state_dict())
    scan, series = torch.randn(1, 16, 32, 16), torch.randn(3, 16, 32, 16)
    torch.testing.assert_close(look(alternate, scan), look(joint, scan))
    assert not torch.allclose(look(alternate, series), look(joint, series), atol=1e-4)


@pytest.mark.parametrize("time_attention", [ALTERNATE, JOINT])
def test_the_order_of_frames_reaches_features_that_are_pooled_over_time(time_attention):
    tower = build_tower(time_attention=time_attention, pools_time=True)
    series = torch.randn(4, 16, 32, 16)
    found = look(tower, series)
    assert found.shape == (2, 16)
    for other in (series.flip(0), series[[0, 2, 1, 3]], series[:1].expand(4, -1, -1, -1)):
        assert (look(tower, other) - found).abs().max() > 1e-4


def test_features_stand_in_the_order_of_their_places():
    tower = build_tower(pool=2)
    volume = torch.zeros(1, 32, 48, 16)
    empty = look(tower, volume)
    volume[:, 16:, 32:] = 5.0  # of 2 × 3 × 1 cells the last one
    moved = (look(tower, volume) - empty).abs().sum(dim=-1)
    assert moved.argmax() == 5


@pytest.mark.parametrize(
    "patch, pool, n_features", [((1, 8, 8, 8), 1, 64), ((2, 8, 8, 8), 2, 4), ((1, 16, 16, 16), 1, 8)]
)
def test_as_many_features_as_llava_counts(patch, pool, n_features):
    tower = build_tower(patch_size=patch, pool=pool)
    series = torch.randn(2, 32, 16, 32)
    assert len(look(tower, series)) == n_features
    assert (torch.tensor([series.shape]) // tower.patch_size).prod() == n_features


def test_what_does_not_fit_together_is_one_sentence():
    tower = build_tower(pool=2)
    with pytest.raises(ValueError, match=r"image_sizes say, found 7\. Take both from one call"):
        tower(torch.zeros(7, 512), torch.tensor([[1, 16, 16, 16]]))
    with pytest.raises(ValueError, match=r"multiple of 16x16x16 .*Set --volume_size 32x16x16"):
        tower(torch.zeros(12, 512), torch.tensor([[1, 24, 16, 16]]))
    with pytest.raises(ValueError, match="time_attention: expected alternate or joint, found 'both'"):
        VolumeTowerConfig(time_attention="both")
    with pytest.raises(ValueError, match="multiple of num_attention_heads, 6, found 100"):
        VolumeTowerConfig(hidden_size=100)


# ------------------------------------------------------------------------------------------------ tiny3d


def test_the_same_seed_gives_the_same_weights_and_the_callers_random_state_stays():
    state = torch.get_rng_state()
    one, same, other = (build_tiny3d(seed)[0].state_dict() for seed in (0, 0, 1))
    assert torch.equal(state, torch.get_rng_state())
    assert all(torch.equal(one[name], same[name]) for name in one)
    assert not all(torch.equal(one[name], other[name]) for name in one)


def test_it_is_small_and_five_scans_fit_a_context():
    model, processor = build_tiny3d()
    assert 0.6e6 < model.num_parameters() < 1e6
    shown = processor.image_processor
    a_scan = shown.unit.count([POOLED_TIME + 16, *parse_volume_size(shown.volume_size)])
    assert (a_scan, 5 * a_scan < 2048) == (252, True)


@pytest.mark.parametrize("most", [1, 5, 12])
def test_attention_in_several_calls_is_attention_in_one(monkeypatch, most):
    """A GPU's kernels take a bounded number of sequences, and there is one for each place of a series."""
    tower, volume = build_tower(patch_size=(1, 8, 8, 8)), torch.randn(4, 16, 32, 16)
    whole = look(tower, volume)
    calls = []
    attend = packing.PackedVolumes.attend

    def counting(self, attention, *rest):
        return attend(self, lambda query, *others: (calls.append(len(query)), attention(query, *others))[1], *rest)

    monkeypatch.setattr(packing.PackedVolumes, "attend", counting)
    monkeypatch.setattr(packing, "MOST_IN_A_CALL", most)
    assert torch.allclose(look(tower, volume), whole, atol=1e-6)
    heads = tower.config.num_attention_heads
    assert max(calls) <= max(1, most // heads)
