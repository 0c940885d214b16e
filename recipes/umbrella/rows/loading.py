"""The rows that a recipe's data arguments name."""

import os
from typing import Any

import datasets
from datasets import Dataset, DatasetDict

from umbrella.files.contained_files import is_remote, split_root
from umbrella.files.shards.fitting import check_fits
from umbrella.files.shards.reading import use_shards
from umbrella.files.written_files import writing
from umbrella.options.arguments import DataArguments
from umbrella.rows.mixing import join_cohorts
from umbrella.rows.published import load_published
from umbrella.rows.remote_scans import allow_remote, know_scans
from umbrella_dataset import FormatError, load_umbrella

MOST_LOOKED_FOR = 100  # rows of a split whose scans are looked for in shards


def load_splits(arguments: DataArguments) -> DatasetDict:
    """All splits of `--json_dir`, of several cohorts joined, or of the published `--dataset_name`; stores are asked
    about scans that lie there.

    What is found between cohorts is printed once, and kept in `arguments.cohort_notes`.
    Raises as `read_splits`, and RemoteError, an OSError, where a store gives no answer.
    """
    splits = read_splits(arguments)
    know_scans(splits)
    return splits


def read_splits(arguments: DataArguments) -> DatasetDict:
    """The same; nothing is asked of a store yet, see `umbrella.rows.remote_scans.know_scans`.

    Their scans are read from `--scan_shards` from then on, where that is given.

    Raises FormatError (a ValueError) for invalid data, ValueError for a published dataset without rows that fit,
    ShardError.
    """
    allow_remote(arguments)
    packed = use_shards(arguments.shard_folders, find_scan_roots(arguments))
    splits = _load(arguments)
    if packed is not None:
        check_fits(packed, (path for rows in splits.values() for path in _draw_paths(rows)))
    return splits


def find_scan_roots(arguments: DataArguments) -> list[str]:
    """The folders that the paths of scans in shards count from, as the rows state them: one for each
    data folder with a root of its own."""
    roots = [place.image_root or place.json_dir for place in arguments.cohort_places]
    roots = roots or [arguments.image_root or arguments.json_dir or arguments.dataset_name or ""]
    found = (root if is_remote(root) else os.path.realpath(os.path.expanduser(root)) for root in roots)
    return list(dict.fromkeys(found))  # cohorts may share one


def _draw_paths(rows: Dataset) -> list[tuple[str, str | None]]:
    """(path, the folder that it is held to) of the scans of some rows, evenly spaced."""
    some = rows.with_format(None).select(range(0, len(rows), 1 + len(rows) // MOST_LOOKED_FOR))["images"]
    places = (split_root(scan["path"]) for scans in some for scan in scans if scan["path"] and not scan.get("bytes"))
    return [(path, root) for root, path in places]


def _load(arguments: DataArguments) -> DatasetDict:
    config: dict[str, Any] = {"task_types": arguments.task_types, "modalities": arguments.modalities}
    if arguments.remote_roots:
        config["remote_roots"] = arguments.remote_roots
    # With these set, HF_HOME has no effect.
    is_local = arguments.dataset_name is None
    variables = "HF_DATASETS_CACHE" if is_local else "HF_DATASETS_CACHE and HF_HUB_CACHE"
    with writing(datasets.config.HF_DATASETS_CACHE, f"set {variables} to a folder on another disk"):
        if arguments.json_dir is not None:
            return load_umbrella(arguments.json_dir, image_root=arguments.image_root, **config)
        if is_local:
            return _load_cohorts(arguments, config)
        splits = load_published(arguments.dataset_name, arguments.image_root)
    kept = (arguments.task_types, arguments.modalities)
    return DatasetDict({name: _filter(rows, name, *kept) for name, rows in splits.items()})


def _load_cohorts(arguments: DataArguments, config: dict[str, Any]) -> DatasetDict:
    splits_of = {}
    for place in arguments.cohort_places:
        try:
            splits_of[place.name] = load_umbrella(place.json_dir, image_root=place.image_root, **config)
        except FormatError as error:
            raise FormatError(f"cohort {place.name}: {error}") from error
    splits, said = join_cohorts(splits_of, arguments.same_ids)
    new = [sentence for sentence in said if sentence not in arguments.cohort_notes]
    arguments.cohort_notes += new
    if int(os.environ.get("RANK", "0")) == 0:
        print("".join(f"note: {sentence}\n" for sentence in new), end="", flush=True)
    return splits


def _filter(rows: Dataset, name: str, task_types: list[str] | None, modalities: list[str] | None) -> Dataset:
    kept = [
        i
        for i, (task_type, of_scans) in enumerate(zip(rows["task_type"], rows["modalities"], strict=True))
        if (task_types is None or task_type in task_types) and (modalities is None or set(of_scans) <= set(modalities))
    ]
    if not kept:
        raise ValueError(f"{name}: expected rows of task types {task_types} and modalities {modalities}, found none")
    return rows.select(kept)


def pick_split(splits: DatasetDict, name: str, remedy: str = "Choose one of them with --split") -> Dataset:
    """One split. Raises ValueError that names those there are, and the `remedy`."""
    if name not in splits:
        raise ValueError(f"expected a split {name!r} in the data, found only {', '.join(splits)}. {remedy}")
    return splits[name]


def pick_training_splits(splits: DatasetDict, eval_strategy: str) -> dict[str, Dataset]:
    """The splits that a training run reads: "train", and "validation" where it evaluates. Raises as `pick_split`."""
    used = {"train": pick_split(splits, "train", "Training reads the split of that name")}
    if eval_strategy != "no":
        remedy = f"--eval_strategy {eval_strategy} evaluates on it: leave the flag out, or add a folder validation/"
        used["validation"] = pick_split(splits, "validation", remedy)
    return used
