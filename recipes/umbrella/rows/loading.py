"""The rows that a recipe's data arguments name."""

import os
from typing import Any

import datasets
from datasets import Dataset, DatasetDict

from umbrella.files.written_files import writing
from umbrella.options.arguments import DataArguments
from umbrella.rows.mixing import join_cohorts
from umbrella.rows.published import load_published
from umbrella_dataset import FormatError, load_umbrella


def load_splits(arguments: DataArguments) -> DatasetDict:
    """All splits of `--json_dir`, of several cohorts joined, or of the published `--dataset_name`.

    What is found between cohorts is printed once, and kept in `arguments.cohort_notes`.
    Raises FormatError (a ValueError) for invalid data, ValueError for a published dataset without rows that fit, and
    for cohorts that cannot be joined (`umbrella.rows.mixing.join_cohorts`).
    """
    config: dict[str, Any] = {"task_types": arguments.task_types, "modalities": arguments.modalities}
    # With these set, HF_HOME has no effect.
    is_local = arguments.dataset_name is None
    variables = "HF_DATASETS_CACHE" if is_local else "HF_DATASETS_CACHE and HF_HUB_CACHE"
    with writing(datasets.config.HF_DATASETS_CACHE, f"set {variables} to a folder on another disk"):
        if arguments.json_dir is not None:
            return load_umbrella(arguments.json_dir, image_root=arguments.image_root, **config)
        if is_local:
            return _load_cohorts(arguments, config)
        splits = load_published(arguments.dataset_name, arguments.image_root)
    return DatasetDict({name: _filter(rows, name, **config) for name, rows in splits.items()})


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
