"""Claims about batches: rows of like length together, the same order by seed, on every rank and after a resume;
workers that stay, and do not grow."""

import json
import pickle
from dataclasses import replace

import numpy as np
import psutil
import pytest
import torch
from accelerate import skip_first_batches
from accelerate.data_loader import prepare_data_loader
from conversation_folder import make_record, write_rows, write_scan
from families import FAMILIES
from family_models import build_model
from forking import run_ranks
from tiny_trainer import build_trainer, trainer_parts
from torch.utils.data import BatchSampler, DataLoader

from umbrella.models.loading import load_model, load_processor
from umbrella.options.data.cohort_flags import CohortPlace
from umbrella.options.training_arguments import TrainArguments
from umbrella.rows.batches.cohorts import Cohorts
from umbrella.rows.batches.order import BatchSizes, RowOrder, read_lengths
from umbrella.rows.collator import ConversationCollator
from umbrella.rows.mixing import join_cohorts
from umbrella.rows.transform import ConversationTransform
from umbrella.training.trainer import ConversationTrainer
from umbrella.views.volume_cache import VolumeCache
from umbrella_dataset import load_umbrella

GROUPED = {"train_sampling_strategy": "group_by_length"}


@pytest.fixture(scope="module")
def rows(tmp_path_factory):
    rows = load_umbrella(write_rows(tmp_path_factory.mktemp("rows") / "data", 24), split="train")
    rows.set_transform(ConversationTransform(load_processor("tiny")))
    return rows


def group(lengths, rows_a_step, epoch, seed=0):
    return RowOrder(len(lengths), "group_by_length", BatchSizes(rows_a_step, 1), seed, lambda: epoch, lengths)


def test_rows_come_once_and_blank_ones_fill_the_last_batch():
    order = RowOrder(10, "random", BatchSizes(rows_a_step=8, rows_a_batch=4), seed=0, epoch=lambda: 0)
    assert len(order) == 12
    assert sorted(order) == list(range(12))
    assert list(order)[10:] == [10, 11]
    assert list(RowOrder(10, "sequential", BatchSizes(8, 4), 0, lambda: 0)) == list(range(12))
    cut = RowOrder(10, "random", BatchSizes(8, 4, drop_last=True), 0, lambda: 0)
    assert len(cut) == len(set(cut)) == 8
    assert max(cut) < 10


def test_the_order_is_a_permutation_by_seed_and_epoch_with_like_lengths_together():
    lengths = np.random.default_rng(0).integers(1, 2000, 400).tolist()
    epochs = [list(group(lengths, 4, epoch)) for epoch in (0, 0, 1)]
    assert all(sorted(order) == list(range(400)) for order in epochs)
    assert epochs[0] == epochs[1] != epochs[2]
    assert list(group(lengths, 4, 0, seed=1)) != epochs[0]
    padded = np.array(lengths)[epochs[0]].reshape(-1, 4).max(axis=1).sum() * 4
    assert padded < 1.06 * sum(lengths)
    assert np.array(lengths).reshape(-1, 4).max(axis=1).sum() * 4 > 1.5 * sum(lengths)


@pytest.mark.parametrize("strategy", ["group_by_length", "random", "sequential"])
def test_a_loader_is_made_without_loading_a_scan(rows, tmp_path, strategy, monkeypatch):
    monkeypatch.setattr(ConversationTransform, "__call__", lambda *_: pytest.fail("a row was loaded"))
    trainer = build_trainer(rows, tmp_path, train_sampling_strategy=strategy)
    trainer.get_train_dataloader()
    trainer.get_eval_dataloader()


def real_share(loader):
    """The share of tokens that are not padding."""
    masks = [batch["attention_mask"] for batch in loader]
    return sum(mask.sum().item() for mask in masks) / sum(mask.numel() for mask in masks)


@pytest.mark.slow
def test_batches_of_training_and_evaluation_hold_rows_of_like_length(rows, tmp_path):
    trainer = build_trainer(rows, tmp_path, per_device_eval_batch_size=2, **GROUPED)
    for loader in (trainer.get_train_dataloader(), trainer.get_eval_dataloader()):
        assert len(loader) == 12
        assert real_share(loader) > 0.85
    assert real_share(build_trainer(rows, tmp_path).get_train_dataloader()) < 0.8


FETCHED: list[str] = []


def fetch_ahead(paths):
    FETCHED.extend(paths)


@pytest.mark.slow
def test_batches_are_the_same_where_workers_are_told_what_comes(rows, tmp_path):
    """Those of training, of a run that goes on, and of evaluation; with rows that were sent to a worker."""
    told = rows.with_transform(ConversationTransform(load_processor("tiny"), fetch_ahead=fetch_ahead))
    for get in ("get_train_dataloader", "get_eval_dataloader"):
        plain, foretold = (getattr(build_trainer(some, tmp_path), get)() for some in (rows, told))
        assert len(plain) == len(foretold) and plain.total_batch_size == foretold.total_batch_size
        FETCHED.clear()
        for n_skipped in (0, 5):
            for one, other in zip(*(skip_first_batches(some, n_skipped) for some in (plain, foretold)), strict=True):
                assert one.keys() == other.keys() and one["task_ids"] == other["task_ids"]
                assert all(torch.equal(one[key], other[key]) for key in one if isinstance(one[key], torch.Tensor))
        assert set(FETCHED) == {scan["path"] for row in rows.with_format(None) for scan in row["images"]}
        sent = pickle.loads(pickle.dumps(foretold.base_dataloader.dataset))
        assert sent[next(iter(foretold.base_dataloader.batch_sampler))[0]]["input_ids"]
        assert type(plain.base_dataloader.batch_sampler) is BatchSampler


@pytest.mark.slow
def test_evaluation_has_the_same_loss_in_groups(rows, tmp_path):
    # The Trainer weighs batches, not tokens: with one row a batch both orders come to the same mean.
    plain, grouped = (
        build_trainer(rows, tmp_path, per_device_eval_batch_size=1, **options).evaluate()["eval_loss"]
        for options in ({}, GROUPED)
    )
    assert grouped == pytest.approx(plain, rel=1e-5)


@pytest.mark.slow
def test_padding_to_the_longest_row_trains_as_padding_to_2048_does(rows):
    """The guide pads every row to max_length; the losses of the steps are the same, the time is not."""
    processor, losses = load_processor("tiny"), []
    examples = [rows[index] for index in (0, 5, 1)]
    for padding in ("longest", 2048):
        model = load_model("tiny", seed=0).train()
        optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
        for first in (0, 1):
            batch = ConversationCollator(processor, padding=padding)(examples[first : first + 2])
            loss = model(**batch).loss
            loss.backward()
            optimizer.step()
            optimizer.zero_grad()
            losses.append(loss.item())
    assert batch["input_ids"].shape == (2, 2048)
    assert losses[0] != pytest.approx(losses[1], rel=1e-3)  # the first step changed the model
    assert losses[:2] == pytest.approx(losses[2:], rel=1e-5)


@pytest.mark.parametrize("skipped", [0, 1])
def test_two_ranks_see_every_row_once_also_after_a_resume(rows, skipped):
    epoch = 1
    order = [group(read_lengths(rows), 2, epoch) for _ in range(2)]
    plain, seen = rows.with_format(None), []
    for rank in range(2):
        torch.manual_seed(rank)  # the ranks' own generators differ and must not matter
        loader = DataLoader(plain, batch_size=2, sampler=order[rank], collate_fn=lambda batch: batch)
        loader = prepare_data_loader(loader, num_processes=2, process_index=rank, put_on_device=False)
        loader = skip_first_batches(loader, skipped)
        loader.set_epoch(epoch)
        seen += [row["task_id"] for batch in loader for row in batch]
    expected = [plain[index]["task_id"] for index in list(order[0])[4 * skipped :]]
    assert sorted(seen) == sorted(expected)


RESUMED_RANK = """
import json, os, sys
import test_batching
from umbrella.options.commands.ending import run

folder, rank = sys.argv[1], os.environ["RANK"]
whole = test_batching.build_of_cohorts(folder, rank)
evaluated = whole.evaluate()
whole.train()
again = test_batching.build_of_cohorts(folder, rank)
again.train(resume_from_checkpoint=f"{folder}/run/checkpoint-8")
with open(f"{folder}/seen-{rank}.json", "w") as file:
    json.dump([whole.seen, again.seen, [evaluated, *whole.state.log_history]], file)
run(lambda: None)  # ends as a recipe does
"""


def build_of_cohorts(folder, rank, **options):
    """A trainer of two cohorts whose rows have their own lengths; each process reads them for itself."""
    cohorts = {name: load_umbrella(f"{folder}/{name}", cache_dir=f"{folder}/{rank}") for name in "AB"}
    rows = join_cohorts(cohorts, None)[0]["train"]
    provenance = replace(
        trainer_parts()["provenance"], cohorts=Cohorts.of(rows, [CohortPlace("A", "A"), CohortPlace("B", "B")])
    )
    rows.set_transform(ConversationTransform(load_processor("tiny")))
    options = GROUPED | {"max_steps": 12, "save_steps": 8, "seed": 3, "logging_steps": 1, "optim": "sgd"} | options
    return build_trainer(rows, f"{folder}/run", provenance=provenance, **options)


@pytest.mark.slow
def test_two_processes_train_on_every_row_once_an_epoch_and_resume_within_one(tmp_path):
    """Of two cohorts; what is logged of each is what one process logs."""
    for name, n_rows in (("A", 17), ("B", 7)):
        write_rows(tmp_path / name, n_rows)
    (tmp_path / "rank.py").write_text(RESUMED_RANK)
    run_ranks([tmp_path / "rank.py", tmp_path], tmp_path)
    ranks = [json.loads((tmp_path / f"seen-{rank}.json").read_text()) for rank in range(2)]
    for epoch in range(2):  # of 24 rows: 6 steps with 2 rows on each process
        names = [name for whole, _, _ in ranks for batch in whole[6 * epoch : 6 * epoch + 6] for name in batch]
        assert sorted(names) == sorted(f"{name}/row_{i}" for name, n in (("A", 17), ("B", 7)) for i in range(n))
    assert all(again == whole[8:] for whole, again, _ in ranks)
    alone = build_of_cohorts(tmp_path, 0, gradient_accumulation_steps=2, save_steps=99)
    logged = [alone.evaluate()]
    alone.train()
    logged += alone.state.log_history
    for one, *others in zip(logged, *(history for _, _, history in ranks), strict=True):
        for key in (key for key in one if key.endswith(("_A", "_B"))):
            assert [other[key] for other in others] == pytest.approx([one[key]] * 2, rel=1e-4), key


def test_a_fused_loss_that_ignores_the_steps_tokens_is_refused(rows, tmp_path):
    processor = FAMILIES["qwen2_5_vl"]()  # whose model takes no number of tokens
    args = TrainArguments(output_dir=str(tmp_path), report_to="none")
    args.use_liger_kernel = True  # its package is not needed before training
    model = build_model("qwen2_5_vl", processor)
    with pytest.raises(
        ValueError, match=r"--use_liger_kernel: .*, found Qwen2_5_VLForConditionalGeneration, whose is"
    ):
        ConversationTrainer(model, args, train_dataset=rows, **trainer_parts(processor))


@pytest.mark.slow
def test_a_resumed_run_sees_the_rows_that_were_left(rows, tmp_path):
    options = GROUPED | {"num_train_epochs": 3, "save_steps": 6, "max_steps": 28, "seed": 3}
    whole = build_trainer(rows, tmp_path, **options)
    whole.train()
    assert len(whole.seen) == 28
    assert whole.seen[:12] != whole.seen[12:24]
    for step in (0, 6):  # of the second epoch
        again = build_trainer(rows, tmp_path, **options)
        again.train(resume_from_checkpoint=f"{tmp_path}/checkpoint-{12 + step}")
        assert again.seen == whole.seen[12 + step :]


def test_workers_stay_and_prefetch_where_there_are_any(rows, tmp_path):
    for num_workers, expected in ((0, (False, None)), (2, (True, 2))):
        loader = build_trainer(rows, tmp_path, dataloader_num_workers=num_workers).get_train_dataloader()
        assert (loader.persistent_workers, loader.prefetch_factor) == expected
    off = build_trainer(rows, tmp_path, dataloader_num_workers=2, dataloader_persistent_workers=False)
    assert off.get_train_dataloader().persistent_workers is False


@pytest.mark.nightly
@pytest.mark.parametrize("last", [4, 10])
def test_the_memory_of_workers_is_flat_from_the_second_epoch_to_the_last(last, tmp_path):
    """With a cache that holds a fifth of the views: so scans are decoded, views written, read and taken out."""
    (tmp_path / "train").mkdir()
    for number in range(500):
        write_scan(tmp_path / f"{number}.nii", number)
    with open(tmp_path / "train" / "rows.jsonl", "w", encoding="utf-8") as file:
        for number in range(250):
            names = [f"{2 * number}.nii", f"{2 * number + 1}.nii"]
            file.write(json.dumps(make_record(f"row_{number}", names)) + "\n")
    rows = load_umbrella(tmp_path, split="train")
    cache = VolumeCache(tmp_path / "cache", most_gb=100 * 16412e-9)
    rows.set_transform(ConversationTransform(load_processor("tiny"), volume_cache=cache))
    collate = ConversationCollator(load_processor("tiny"))
    loader = DataLoader(rows, 8, shuffle=True, collate_fn=collate, num_workers=2, persistent_workers=True)
    memory = []
    for _ in range(last):
        for _batch in loader:
            pass
        workers = psutil.Process().children(recursive=True)
        memory.append(sum(worker.memory_info().rss for worker in workers))
    assert memory[-1] == pytest.approx(memory[1], rel=0.05)
