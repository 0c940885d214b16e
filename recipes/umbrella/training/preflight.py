"""What can be told to be wrong before a long job starts."""

import os
import stat
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from copy import deepcopy
from itertools import compress, islice
from pathlib import Path
from typing import TypeVar

import numpy as np
from datasets import Dataset
from transformers.integrations.deepspeed import HfTrainerDeepSpeedConfig

from umbrella.conversations.encoder import ConversationEncoder, ConversationError
from umbrella.files.arrow_tables import read_column, read_tables
from umbrella.files.contained_files import RemoteError, costs_a_request, find_packed, find_size, is_remote
from umbrella.options.training_arguments import TrainArguments
from umbrella.rows.scan_list import ScanList, list_scans
from umbrella.scans.not_a_scan import join_absent
from umbrella.scans.volumes import ScanError, check_header
from umbrella.views.packed_views import is_view_packed

MOST_SHOWN = 10
MOST_OPENED = 10_000  # scans of which every one is opened; of more, as many
N_THREADS, PIECE = min(16, (os.cpu_count() or 1) * 4), 256
T = TypeVar("T")
R = TypeVar("R")
# How many processes were started: torchrun's, accelerate's and DeepSpeed's own word first, then mpirun's and srun's.
WORLD_SIZES = ("WORLD_SIZE", "OMPI_COMM_WORLD_SIZE", "PMI_SIZE", "SLURM_STEP_NUM_TASKS")


def check_world_size(world_size: int) -> None:
    """Every process of the launcher must train with the others: under some launchers each would train alone, silently.

    torchrun, accelerate and DeepSpeed state their number, mpirun and srun by variables of their own. accelerate, where
    it does not find several GPUs, starts a single process, which it tells where to meet the others.
    """
    print(f"world size: {world_size}", flush=True)
    launched = next((int(os.environ[name]) for name in WORLD_SIZES if name in os.environ), 1)
    told_to_meet = "ACCELERATE_MIXED_PRECISION" in os.environ and "MASTER_ADDR" in os.environ
    is_alone = launched == 1 and "WORLD_SIZE" not in os.environ and told_to_meet and not _is_inherited("MASTER_ADDR")
    if launched != world_size or is_alone:
        raise SystemExit(
            f"error: expected {'several' if is_alone else launched} processes that train together, as the launcher "
            f"was told; found a world size of {world_size}. accelerate's --num_processes counts GPUs: is CUDA there? "
            "On a CPU start with torchrun, or accelerate launch --use_deepspeed, and with --use_cpu true. Under "
            "mpirun and srun set RANK, LOCAL_RANK and WORLD_SIZE, as ds_configs/slurm_zero2.sbatch does; WORLD_SIZE=1 "
            "for runs that do not belong together."
        )


def _is_inherited(name: str) -> bool:
    """Whether the process that started this one had the variable in its own environment; False where that is not
    known, on other systems than Linux."""
    try:
        environment = Path(f"/proc/{os.getppid()}/environ").read_bytes()
    except OSError:
        return False
    return any(entry.startswith(f"{name}=".encode()) for entry in environment.split(b"\0"))


def check_enough_rows(n_rows: int, world_size: int) -> None:
    """Raise ValueError for fewer training rows than processes: some would never see one."""
    if n_rows < world_size:
        raise ValueError(
            f"expected at least as many training rows as processes, found {n_rows} rows for {world_size} processes. "
            "Start fewer processes."
        )


def check_deepspeed(args: TrainArguments) -> None:
    """Raise ValueError where a DeepSpeed config states other values than the flags come to; shows both."""
    config, plugin = getattr(args, "hf_deepspeed_config", None), args.deepspeed_plugin
    if config is None and plugin is not None:  # by accelerate's config file: compared when training starts, too late
        config = HfTrainerDeepSpeedConfig(deepcopy(plugin.hf_ds_config.config))
        config.trainer_config_process(args)
        plugin.set_deepspeed_weakref()  # whose place the copy has taken: loading a model asks it for the ZeRO stage
    if config is None or not config.mismatches:
        return
    name = args.deepspeed or os.environ.get("ACCELERATE_DEEPSPEED_CONFIG_FILE", "accelerate's config file")
    pairs = "; ".join(line.removeprefix("- ds ").replace(" vs hf ", " against ") for line in config.mismatches)
    product = args.world_size * args.per_device_train_batch_size * args.gradient_accumulation_steps
    by_rows = args.tokens_per_batch is None
    each = f"{args.per_device_train_batch_size} rows" if by_rows else "1 batch by tokens"
    raise ValueError(
        f"{name}: expected values that the flags come to, found {pairs}. {each} a device × "
        f"{args.gradient_accumulation_steps} accumulated × {args.world_size} processes are {product} "
        f"{'rows' if by_rows else 'batches'} a step. "
        'Put "auto" there, or change the flags or the number of processes.'
    )


def check_output_dir(output_dir: str, resumes: bool) -> None:
    """A folder with an earlier run in it is never written over."""
    path = Path(output_dir)
    if path.exists() and not path.is_dir():
        raise SystemExit(f"error: {path}: expected a folder to write to, found a file. Choose another --output_dir.")
    if path.is_dir() and (found := [file.name for file in path.iterdir()]) and not resumes:
        is_run = any(name.startswith("checkpoint-") for name in found)
        go_on = ", or continue it with --resume_from_checkpoint auto" if is_run else ""
        raise SystemExit(
            f"error: {path}: expected an empty or new folder, found {'an earlier run' if is_run else found[0]}. "
            f"Choose another --output_dir, or delete it{go_on}."
        )


def check_scans(dataset: Dataset) -> int:
    """Existence and header of every scan that the rows name; of an object in a store without a copy existence alone,
    as its header comes with the whole. Returns their number.

    Of more than 10,000 scans the files of all are looked for, and the headers of 10,000 read, evenly spaced over the
    rows, and of all whose file is not found; this is printed.

    Raises SystemExit with all unreadable scans (the first ten by name).
    """
    scans = list_scans({"rows": dataset}, files_alone=True)
    opened = scans[_choose_opened(scans)]
    found = look_in_pieces(_find_problem, opened.name_all())
    sources = dataset.with_format(None).select_columns("source")
    problems = [(sources[opened[i].row]["source"], problem) for i, problem in enumerate(found) if problem]
    if problems:
        n = f"{len(opened):,} that were opened of {len(scans):,}" if len(opened) < len(scans) else f"{len(scans)}"
        raise SystemExit(
            f"error: {len(problems)} of {n} scans cannot be read:{show_first(join_absent(problems))}\n"
            "Restore them, correct --image_root, or take their rows out; "
            "validate_json_format.py --check_images reads every scan to its end."
        )
    if len(opened) < len(scans):
        print(
            f"scans: all {len(scans):,} files are there; {len(opened):,} of them, evenly spaced, were opened and "
            "their headers read. validate_json_format.py --check_images reads every scan",
            flush=True,
        )
    return len(scans)


def _choose_opened(scans: ScanList) -> np.ndarray:
    """The numbers of the scans whose headers are read."""
    if len(scans) <= MOST_OPENED:
        return np.arange(len(scans))
    others = _list_others(path for path, _ in scans.name_all())
    looked = look_in_pieces(lambda other: (other[0], _is_absent(other[1])), others)
    absent = [number for number, is_absent in looked if is_absent]
    return np.union1d(space_evenly(len(scans), MOST_OPENED), np.array(absent, int))


def _list_others(paths: Iterable[str]) -> Iterator[tuple[int, str]]:
    """(number, path) of those of very many that were not packed, in their order."""
    packed, numbered = find_packed(), enumerate(paths)
    while some := list(islice(numbered, MOST_OPENED)):  # the paths of a million at once are half a gigabyte
        if packed is None:
            yield from some
        else:
            yield from compress(some, ~packed.are_packed([path for _, path in some]))


def space_evenly(n: int, most: int) -> np.ndarray:
    """At most so many numbers below `n`, evenly spaced, the first and the last among them."""
    return np.unique(np.linspace(0, n - 1, min(n, most)).astype(int)) if n else np.arange(0)


def look_in_pieces(look: Callable[[T], R], things: Iterable[T]) -> Iterator[R]:
    """What `look` finds of all things, in their order; threads look at 256 of them at a time."""
    all_things = iter(things)
    pieces = iter(lambda: list(islice(all_things, PIECE)), [])
    waiting: deque = deque()
    with ThreadPoolExecutor(N_THREADS) as pool:
        for piece in pieces:
            waiting.append(pool.submit(lambda some: list(map(look, some)), piece))
            if len(waiting) > 2 * N_THREADS:
                yield from waiting.popleft().result()
        while waiting:
            yield from waiting.popleft().result()


def _is_absent(path: str) -> bool:
    """Whether no regular file, and no object of a store, is where the path of a scan leads."""
    try:
        return find_size(path) is None if is_remote(path) else not stat.S_ISREG(os.stat(path).st_mode)
    except (OSError, ValueError):  # a RemoteError is an OSError; why is told when it is opened
        return True


def show_first(problems: list[str]) -> str:
    """The first ten of the problems, each on a line of its own, and how many more there are."""
    more = [f"... and {len(problems) - MOST_SHOWN} more"] if len(problems) > MOST_SHOWN else []
    return "".join(f"\n  {line}" for line in problems[:MOST_SHOWN] + more)


def _find_problem(scan: tuple[str, str]) -> str | None:
    try:
        if not is_view_packed(*scan) and not costs_a_request(scan[0]):
            check_header(*scan)
    except (ScanError, RemoteError) as error:
        return str(error)
    return None


def check_texts(dataset: Dataset, encoder: ConversationEncoder) -> None:
    """Text that spells a control token is found before training, not in the middle of it.

    Raises ConversationError with the row's source.
    """
    checked = encoder.watch_texts()
    for table in read_tables(dataset, ["conversations", "source"]):
        conversations = read_column(table, "conversations")
        for number in checked.find_unsure(conversations):
            try:
                encoder.check_text(conversations[number].as_py())
            except ConversationError as error:
                raise ConversationError(f"{table['source'][number]}: {error}") from error
