"""Claims about hints: a worker is told of the rows that it then gets, and rows, order and batches stay as they are."""

import pickle
from collections import defaultdict
from itertools import pairwise

import pytest
from accelerate.data_loader import BatchSamplerShard, SkipBatchSampler
from torch.utils.data import BatchSampler, DataLoader, Dataset, SequentialSampler, get_worker_info

from umbrella.answers.generation import Answerer
from umbrella.models.loading import load_model, load_processor
from umbrella.rows.batches.blank_rows import FilledRows
from umbrella.rows.batches.lookahead import DEPTH, Foresight, Lookahead, Told, find_prefetch
from umbrella.rows.batches.order import BatchSizes, RowOrder
from umbrella.rows.batches.repeats import PLACES
from umbrella.rows.collator import ConversationCollator
from umbrella.rows.kept_views import CachingTransform, ViewCache
from umbrella.rows.transform import ConversationTransform
from umbrella_dataset import load_umbrella


class Heard(Dataset):
    """Index → (the worker that gets it, the index, what it carries)."""

    def __len__(self):
        return 10**6

    def __getitem__(self, index):
        worker = get_worker_info()
        return worker.id if worker else 0, int(index), getattr(index, "ahead", None)


def deal(batches, n_processes, rank, n_workers, n_skipped=0):
    """What one process gets of the batches, as accelerate and PyTorch deal them: [(worker, rows, told)]."""
    shard = BatchSamplerShard(batches, n_processes, rank)
    shard = SkipBatchSampler(shard, n_skipped) if n_skipped else shard
    loader = DataLoader(Heard(), batch_sampler=shard, collate_fn=list, num_workers=n_workers)
    return [(batch[0][0], [row for _, row, _ in batch], [told for *_, told in batch]) for batch in loader]


class Uneven:
    """Batches of one to three rows, as those by a budget of tokens: without a batch size."""

    def __len__(self):
        return 30

    def __iter__(self):
        starts = [sum(1 + i % 3 for i in range(number)) for number in range(31)]
        return iter([list(range(a, b)) for a, b in pairwise(starts)])


def make_order(n_rows, a_batch):
    return RowOrder(n_rows, "random", BatchSizes(a_batch, a_batch), seed=3, epoch=lambda: 1)


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore:This DataLoader will create")
@pytest.mark.parametrize("n_workers", [0, 1, 2, 3])
@pytest.mark.parametrize("n_processes", [1, 2, 3])
def test_a_worker_is_told_of_what_it_then_gets(n_processes, n_workers):
    even = BatchSampler(make_order(58, 2 * n_processes), 2, drop_last=False)
    batches, n_skipped = (Uneven(), 2) if n_workers % 2 else (even, n_processes - 1)
    got = deal(Lookahead(batches, n_processes, n_workers), n_processes, n_processes - 1, n_workers, n_skipped)
    plain = deal(batches, n_processes, n_processes - 1, 0, n_skipped)
    assert [rows for _, rows, _ in got] == [rows for _, rows, _ in plain] and len(got) > 5
    of_worker = defaultdict(list)
    for worker, rows, told in got:
        of_worker[worker].append((rows, told))
    assert len(of_worker) == max(1, n_workers)
    for batches in of_worker.values():
        for number, (rows, told) in enumerate(batches):
            coming = [row for others, _ in batches[number + 1 : number + 1 + DEPTH] for row in others]
            assert told == [(*rows[1:], *coming), *[None] * (len(rows) - 1)]


def test_the_batches_of_an_order_that_processes_do_not_divide_stay_as_they_are():
    """Where accelerate fills up with rows of the start, as in evaluation."""
    for batches in (BatchSampler(SequentialSampler(range(11)), 2, drop_last=False), Uneven()):
        for rank in range(4):
            told = [rows for _, rows, _ in deal(Lookahead(batches, 4, 0), 4, rank, 0)]
            assert told == [rows for _, rows, _ in deal(batches, 4, rank, 0)]


def test_what_is_asked_of_a_batch_sampler_is_answered_by_its_own():
    batches = BatchSampler(SequentialSampler(range(11)), 2, drop_last=False)
    told = Lookahead(batches, 2, 2)
    assert (told.batch_size, told.drop_last, told.sampler, len(told)) == (2, False, batches.sampler, 6)
    assert not hasattr(Lookahead(Uneven(), 2, 2), "batch_size")
    assert list(pickle.loads(pickle.dumps(told))) == list(batches)


def test_hints_outlive_the_way_to_a_worker():
    told = pickle.loads(pickle.dumps(Told(7, (8, 9))))
    assert told == 7 and isinstance(told, int) and told.ahead == (8, 9)


@pytest.fixture
def rows(small_data):
    return load_umbrella(str(small_data), split="test")


def test_scans_of_coming_rows_are_fetched_once_unless_their_views_are_kept(rows, tmp_path):
    processor, fetched = load_processor("tiny"), []
    options = {"max_length": 256, "volume_cache": tmp_path, "fetch_ahead": fetched.append}
    transform = ConversationTransform(processor, **options)
    paths = [[scan["path"] for scan in images] for images in rows["images"]]
    transform.encode_row(rows[0])
    shown = rows.with_transform(transform)
    blank = transform.blank_example()
    filled = FilledRows(shown, blank, len(rows) + 2, Foresight(shown, find_prefetch(shown)))
    batches = list(Lookahead(BatchSampler(SequentialSampler(filled), 2, drop_last=False), 1, 0, depth=1))
    assert filled[len(rows)] is blank and fetched == []
    kept = set(paths[0])
    for start, batch in enumerate(batches):
        fetched.clear()
        assert ConversationCollator(processor)([filled[index] for index in batch])["input_ids"].shape[0] == 2
        coming = paths[1:4] if start == 0 else paths[2 * start + 2 : 2 * start + 4]
        expected = [path for row in coming for path in row if path not in kept]
        assert [path for call in fetched for path in call] == expected
        kept |= {path for row in batch if row < len(rows) for path in paths[row]}
    assert find_prefetch(rows.with_transform(ConversationTransform(processor))) is None


def test_a_row_that_comes_again_is_told_of_as_the_row_that_it_is(rows):
    told = []
    foresight = Foresight(rows, lambda coming: told.append([row["task_id"] for row in coming]))
    foresight.hear(Told(0, [1, 1 + PLACES, 2 + 3 * PLACES, len(rows) + 5]))
    assert told == [rows["task_id"][1:3]]


def test_a_view_in_memory_is_not_fetched_and_a_variant_is_that_of_its_row(rows):
    fetched, variants = [], rows.select_columns(["task_id"]).add_column("row", list(range(len(rows))))
    options = {"max_length": 256, "fetch_ahead": fetched.extend, "variants_of": rows}
    transform = CachingTransform(load_processor("tiny"), ViewCache(), **options)
    transform.encode_row(variants[0])
    transform.prefetch([variants[0]])
    assert fetched == []
    other = next(i for i in range(len(rows)) if not {s["path"] for s in rows[i]["images"]} & {
        s["path"] for s in rows[0]["images"]})  # fmt: skip
    transform.prefetch([variants[other]])
    assert fetched == [scan["path"] for scan in rows[other]["images"]]


def test_who_asks_a_model_tells_its_workers_too(rows):
    fetched, asked = [], []
    processor = load_processor("tiny")
    prompts = ConversationTransform(processor, max_length=256, add_generation_prompt=True, fetch_ahead=fetched.append)

    class Asking(Answerer):
        def _ask(self, batch):
            asked.append(len(fetched))
            return [None] * len(batch)

    list(Asking(load_model("tiny", seed=0), prompts, prompts, 2, 1).answer(rows, None))
    paths = [[scan["path"] for scan in images] for images in rows["images"]]
    assert len(asked) == len(rows) // 2
    assert fetched[0] == [path for row in paths[1 : 2 + 2 * DEPTH] for path in row]
    assert [path for call in fetched for path in call] == [path for row in paths[1:] for path in row]
