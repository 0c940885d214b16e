"""--feature_cache: with a frozen tower nothing changes but the time that it takes."""

import itertools
import json
from types import SimpleNamespace

import eval as evaluation
import pytest
import torch
import train
from conversation_folder import write_folder
from families import FAMILIES
from family_models import build_model
from forking import run_ranks

import umbrella.views.loading
from umbrella.models.cached_tower import attach_feature_cache
from umbrella.models.feature_cache import FeatureCache, ScanFeatures, key_to_numbers, numbers_to_key
from umbrella.models.freezing import choose_trained
from umbrella.models.loading import load_model, load_processor
from umbrella.rows.batches.blank_rows import add_blank_scan
from umbrella.rows.cached_scans import find_left
from umbrella.rows.collator import ConversationCollator, without_names
from umbrella.rows.kept_views import CachingTransform, ViewCache
from umbrella.rows.transform import ConversationTransform
from umbrella_dataset import load_umbrella

VIEWS = {
    "tiny": {"view": "slices:2", "image_size": 64},
    "tiny3d": {"view": "volume", "volume_size": "32x16x16", "volume_spacing": 3.0},
}
CPU = torch.device("cpu")


@pytest.fixture(scope="module")
def rows(tmp_path_factory):
    """Rows of 2, 1, 0 and 3 scans."""
    folder = write_folder(tmp_path_factory.mktemp("conversations"), {"train": [2, 1, 0, 3]})
    return load_umbrella(folder, split="train")


class Case:
    """A model and its transform, with features kept in a folder or without."""

    def __init__(self, name="tiny", folder=None, change=lambda model: None, device=CPU, **options):
        self.processor, self.model = load_processor(name), load_model(name)
        choose_trained(self.model, ["projector", "language_model"])
        change(self.model)
        self.cache = None if folder is None else FeatureCache(folder)
        self.options = VIEWS[name] | {"feature_cache": self.cache} | options
        self.transform = ConversationTransform(self.processor, **self.options)
        if self.cache is not None:
            attach_feature_cache(self.model, self.processor, self.cache, device)

    def make_batch(self, rows):
        return without_names(ConversationCollator(self.processor)([self.transform.encode_row(row) for row in rows]))

    def learn(self, rows):
        """(loss, gradient of each trained weight)"""
        self.model.train().zero_grad()
        loss = self.model(**self.make_batch(rows)).loss
        loss.backward()
        grads = {name: p.grad.clone() for name, p in self.model.named_parameters() if p.requires_grad}
        return loss.detach(), grads


def count_entries(folder):
    return len(list(folder.glob("*/*/*.view")))


def assert_equal(one, other):
    torch.testing.assert_close(one, other, rtol=1e-6, atol=1e-6)


def refuse(*_, **__):
    pytest.fail("run again")


@pytest.mark.slow
@pytest.mark.parametrize("name", VIEWS)
def test_losses_and_gradients_are_the_same_and_no_scan_is_opened_again(name, rows, tmp_path, monkeypatch):
    plain, cached = Case(name), Case(name, tmp_path)
    expected = plain.learn(rows)
    assert_equal(cached.learn([rows[1], rows[2]]), plain.learn([rows[1], rows[2]]))
    assert count_entries(tmp_path) == 1
    assert_equal(cached.learn(rows), expected)  # one scan is there, the others are not
    assert count_entries(tmp_path) == 6
    monkeypatch.setattr(umbrella.views.loading, "read_scan" if name == "tiny" else "read_series", refuse)
    cached.model.model.vision_tower.forward = refuse
    assert_equal(cached.learn(rows), expected)
    assert_equal(cached.learn([rows[3], rows[0]]), plain_of(name, rows, monkeypatch))


def plain_of(name, rows, monkeypatch):
    monkeypatch.undo()
    return Case(name).learn([rows[3], rows[0]])


@pytest.mark.slow
@pytest.mark.parametrize("name", VIEWS)
def test_generated_answers_are_the_same_and_nothing_of_it_is_saved(name, rows, tmp_path):
    plain, cached = Case(name), Case(name, tmp_path / "cache")
    names = list(plain.model.state_dict())
    found = []
    for case in (plain, cached, cached):
        batch = case.make_batch(rows)
        del batch["labels"]
        found.append(case.model.eval().generate(**batch, max_new_tokens=4, do_sample=False).tolist())
    assert found[0] == found[1] == found[2]
    assert list(cached.model.state_dict()) == names
    cached.model.save_pretrained(tmp_path / "saved")
    again, cache = load_model(tmp_path / "saved").requires_grad_(False), FeatureCache(tmp_path / "cache")
    assert all(torch.equal(again.state_dict()[name], value) for name, value in plain.model.state_dict().items())
    attach_feature_cache(again, cached.processor, cache, CPU)
    assert cache.tower == cached.cache.tower
    batch = plain.make_batch(rows)  # a batch of a transform that knows no features
    assert torch.equal(plain.model(**batch).logits, cached.model(**batch).logits)


@pytest.mark.slow
@pytest.mark.parametrize("strategy", ["default", "full"])
@pytest.mark.parametrize("layer", [-2, [0, -1]])
def test_what_the_projector_eats_is_what_the_model_selects(layer, strategy, rows, tmp_path):
    """Several layers side by side, with and without the class token."""

    def change(model):
        model.config.vision_feature_layer, model.config.vision_feature_select_strategy = layer, strategy
        width = model.config.vision_config.hidden_size * (1 if layer == -2 else 2)
        torch.manual_seed(0)
        model.model.multi_modal_projector.linear_1 = torch.nn.Linear(width, model.config.text_config.hidden_size)

    plain, cached = Case(change=change), Case(folder=tmp_path, change=change)
    pixels = plain.make_batch(rows)["pixel_values"]
    expected = plain.model.model.get_image_features(pixels).pooler_output
    cached.processor.vision_feature_select_strategy = strategy
    for _ in range(2):
        found = cached.model(**cached.make_batch(rows)).image_hidden_states
        assert_equal(found, torch.cat(list(expected)))
    kept = cached.transform.find_features(rows[1], 0).kept
    assert kept.view_shape == (2, 3, 64, 64)
    assert kept.features.shape == (2, 17 if strategy == "full" else 16, 64 if layer == -2 else 128)


# ------------------------------------------------------------------------------------------------ names of entries


@pytest.mark.slow
def test_other_weights_options_or_code_have_other_entries(rows, tmp_path, monkeypatch):
    def spoil(model):
        with torch.no_grad():
            next(model.model.vision_tower.parameters())[0] += 1

    def select(model):
        model.config.vision_feature_layer = -2

    cases = [
        Case(folder=tmp_path),
        Case(folder=tmp_path, change=spoil),
        Case(folder=tmp_path, change=select),
        Case(folder=tmp_path, change=lambda model: model.model.vision_tower.half()),
        Case(folder=tmp_path, device=torch.device("cuda")),
        Case(folder=tmp_path, view="axial"),
        Case(folder=tmp_path, standardize=False),
    ]
    assert cases[0].cache.tower == Case(folder=tmp_path).cache.tower
    monkeypatch.setattr("umbrella.models.feature_cache.version", lambda name: "another")
    cases.append(Case(folder=tmp_path))
    keys = [case.transform.find_features(rows[0], 0).key for case in cases]
    assert len(set(keys)) == len(cases)
    two, three = (
        case.transform.find_features(row, 0).key for case, row in zip(cases, [rows[0], rows[3]], strict=False)
    )
    assert two != three


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16, torch.float16])
@pytest.mark.parametrize("shape", [(5, 3, 7), (11, 3)])
def test_features_come_back_as_they_were_and_a_damaged_entry_counts_as_absent(dtype, shape, tmp_path):
    cache, key = FeatureCache(tmp_path), f"{7:032x}"
    features = torch.randn(shape).to(dtype)
    features.view(-1)[:2] = torch.tensor([float("nan"), -0.0]).to(dtype)
    cache.put(key, ScanFeatures((1, 8, 16, 16), features))
    found = cache.get(key)
    assert found.view_shape == (1, 8, 16, 16) and found.features.dtype == dtype
    assert torch.equal(found.features.view(torch.uint8), features.view(torch.uint8))
    (entry,) = tmp_path.glob("*/*/*.view")
    entry.write_bytes(entry.read_bytes()[:-1] + b"\x55")
    assert cache.get(key) is None


@pytest.mark.parametrize("key", ["0" * 31 + "1", "f" * 32, "8" + "0" * 31, None])
def test_a_name_passes_through_a_tensor(key):
    numbers = torch.tensor([key_to_numbers(key)]).tolist()[0]
    assert numbers_to_key(*numbers) == key


# ------------------------------------------------------------------------------------------------ what is not kept


@pytest.mark.slow
def test_blank_and_changed_scans_and_blank_rows_neither_come_from_the_cache_nor_go_to_it(rows, tmp_path):
    class Mirrored(ConversationTransform):
        def load_images(self, row, number):
            return super().load_images(row, number)[..., ::-1].copy()

    case, plain = Case(folder=tmp_path), Case()
    for times in range(2):
        for kind, extra in ((CachingTransform, {"change": "blank", "cache": ViewCache()}), (Mirrored, {})):
            case.transform = kind(case.processor, **case.options, **extra)
            plain.transform = kind(plain.processor, **plain.options, **extra)
            assert_equal(case.learn(rows), plain.learn(rows))
        assert count_entries(tmp_path) == 6 * times
        case.transform = CachingTransform(case.processor, ViewCache(), **case.options)
        plain.transform = ConversationTransform(plain.processor, **plain.options)
        assert_equal(case.learn(rows), plain.learn(rows))
    for text_only, blank in ([[rows[2]], True], [rows, False]):
        batches = []
        for one in (case, plain):
            blank_batch = without_names(ConversationCollator(one.processor)([one.transform.blank_example()]))
            batch = one.make_batch(text_only)
            batches.append(add_blank_scan(batch, blank_batch, {}) if blank else batch)
        assert_equal(case.model(**batches[0]).logits, plain.model(**batches[1]).logits)
    assert count_entries(tmp_path) == 6


@pytest.mark.slow
def test_scans_of_dropped_turns_go_with_them(rows, tmp_path):
    case, plain = Case(folder=tmp_path, max_length=110), Case(max_length=110)
    assert len(plain.transform.encode_row(rows[3])["pixel_values"]) == 2  # of 3 scans with 2 slices each
    for _ in range(2):
        assert_equal(case.learn([rows[3]]), plain.learn([rows[3]]))


def test_the_scans_that_are_left_are_the_youngest_and_those_of_system_turns():
    image, text = {"type": "image"}, {"type": "text", "text": "a"}
    turns = [{"role": "system", "content": [image]}]
    for items in ([image, image, text], [text], [image]):
        turns += [{"role": "user", "content": items}, {"role": "assistant", "content": [text]}]
    assert [find_left(turns, n) for n in (4, 2)] == [[0, 1, 2, 3], [0, 3]]


# ------------------------------------------------------------------------------------------------ refusals


def refuse_attaching(model, processor):
    with pytest.raises(ValueError, match="--feature_cache: expected") as error:
        attach_feature_cache(model, processor, SimpleNamespace(), CPU)
    return str(error.value)


def test_other_families_and_trained_towers_are_refused():
    for family in ("qwen2_5_vl", "llava_next"):
        processor = FAMILIES[family]()
        assert "expected a LLaVA" in refuse_attaching(build_model(family, processor), processor)
    model = load_model("tiny")
    choose_trained(model, ["layers.1.self_attn.q_proj"])
    assert "train other parts" in refuse_attaching(model, load_processor("tiny"))
    with pytest.raises(ValueError, match="found augment"):
        ConversationTransform(load_processor("tiny"), augment=refuse, feature_cache=SimpleNamespace())


@pytest.mark.parametrize(
    ("flags", "expected"),
    [
        (("--train", "all"), "found --train all: what a trained one"),
        (("--train", "projector", "--augment", "true"), "found --augment true"),
        (("--train", "projector", "--frames", "window:2"), "found --frames window:2"),
    ],
)
def test_train_refuses_what_changes_a_scans_features(flags, expected, call, small_data, capsys):
    with pytest.raises(SystemExit) as end:
        print(call(train, "--json_dir", small_data, "--output_dir", "run", "--model_name_or_path", "tiny3d",
                   "--feature_cache", "cache", *flags))  # fmt: skip
    assert expected in f"{end.value} {capsys.readouterr().err}"


def test_a_tower_that_computes_in_another_number_type_than_it_was_loaded_in_is_told(rows, tmp_path):
    case = Case(folder=tmp_path)
    case.model.bfloat16()
    with pytest.raises(ValueError, match=r"in torch\.float32 on cpu, as it was loaded, found torch\.bfloat16 on cpu"):
        case.learn(rows)


@pytest.mark.slow
def test_a_folder_that_cannot_be_written_is_one_line(rows, tmp_path, capsys):
    (tmp_path / "file").write_text("")
    case = Case(folder=tmp_path / "file")
    assert_equal(case.learn(rows), Case().learn(rows))
    case.learn(rows)
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith("warning: feature cache") and line.endswith("what is not in it is computed each time")


# ------------------------------------------------------------------------------------------------ the commands

SHORT = ("--max_length", 256, "--report_to", "none", "--learning_rate", "1e-3", "--logging_steps", 1, "--epochs", 2)


@pytest.mark.slow
def test_a_run_and_its_evaluation_come_to_the_same(call, small_data, tmp_path):
    """With three rows answered as it trains; alone, as two processes on one folder, and in mixed precision."""
    flags = ("--json_dir", small_data, "--train", "projector,language_model", "--eval_strategy", "epoch", *SHORT)
    flags += ("--eval_answers", 3)
    kept, in_16_bits = ("--feature_cache", "cache"), ("--bf16", "true")
    for name, more in {"plain": (), "kept": kept, "16": in_16_bits, "kept_16": (*in_16_bits, *kept)}.items():
        call(train, *flags, "--batch_size", 4, "--output_dir", name, *more)
    n_entries = count_entries(tmp_path / "cache")
    command = [train.__file__, *flags, "--use_cpu", "true", "--batch_size", 2, "--output_dir", "two"]
    run_ranks([*command, "--feature_cache", "shared"], tmp_path)
    plain, *others, plain_16, kept_16 = (read_history(tmp_path / n) for n in ("plain", "kept", "two", "16", "kept_16"))
    assert others == [pytest.approx(plain, rel=1e-6), pytest.approx(plain, rel=1e-4)]
    assert kept_16 == pytest.approx(plain_16, abs=1e-2)  # which rows are computed together decides how they round
    assert 2 * count_entries(tmp_path / "shared") == n_entries > 8

    flags = ("--json_dir", small_data, "--controls_n", 4, "--max_length", 256, "--max_new_tokens", 4)
    flags += ("--bootstrap", 10, "--baselines", "false", "--report", "false", "--model_name_or_path", "kept")
    for name, more in {"plain": (), "kept": kept}.items():
        call(evaluation, *flags, "--output_dir", f"eval_{name}", *more)
    assert count_entries(tmp_path / "cache") > n_entries
    for file in ("predictions.jsonl", "controls.jsonl"):
        lines = [(tmp_path / f"eval_{name}" / file).read_text().splitlines() for name in ("plain", "kept")]
        plain, kept = ([json.loads(line)["prediction"] for line in found] for found in lines)
        assert plain == kept and len(plain) >= 8


def read_history(folder):
    history = json.loads((folder / "trainer_state.json").read_text())["log_history"]
    names = ("loss", "eval_loss", "eval_accuracy")
    return list(itertools.chain.from_iterable([entry[name] for name in names if name in entry] for entry in history))
