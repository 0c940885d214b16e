"""Checkpoints that are whole or recognised as not: what a killed job, a full disk or SIGTERM leaves behind.

`complete.json`, the last file that is written into a checkpoint, names all others with their sizes and a hash: of a
file up to 1 MiB all of it, of a larger one 16 parts from its start to its end. Only then are older checkpoints removed
(--save_total_limit).
"""

import json
import os
import shutil
from pathlib import Path

import torch
import xxhash
from safetensors import SafetensorError
from transformers.trainer_utils import rotate_checkpoints, sort_checkpoints

from umbrella.files.json_files import read_json
from umbrella.files.written_files import WriteError, name_reason, replacing
from umbrella.hub.exporting import merge_adapters
from umbrella.hub.guarded_push import GuardedPush
from umbrella.models.adapters import is_adapted
from umbrella.models.base import BaseModel
from umbrella.models.trained_weights import FILE_NAME as TRAINED_WEIGHTS
from umbrella.models.trained_weights import collect_trained, load_trained, save_trained
from umbrella.records.recipe import Recipe
from umbrella.training.run_start import FirstStep, save_before_weights
from umbrella.training.sigterm import PREEMPTED_EXIT_CODE, SigtermFlag

MARKER = "complete.json"
PARTS, PART_BYTES = 16, 64 * 1024


class CheckpointTrainer(GuardedPush):
    """A Trainer whose checkpoints are whole, and hold of a partly frozen model only what is trained.

    Args:
        recipe: written beside every model that is saved.
        base: of a model that is saved without its frozen weights; None for one that is saved whole.
        first_step: writes the run's records; what it has seen lies beside every model. None: nothing is recorded.
    """

    def __init__(
        self, *args, recipe: Recipe, base: BaseModel | None = None, first_step: FirstStep | None = None, **kwargs
    ):
        self.recipe, self.base, self.first_step = recipe, base, first_step
        self.sigterm = SigtermFlag(self)
        super().__init__(*args, **kwargs)
        self.add_callback(self.sigterm)
        if first_step is not None:
            self.add_callback(first_step)
        if base is not None and self.is_deepspeed_enabled and not is_adapted(self.model):
            self.model.register_load_state_dict_pre_hook(_keep_frozen)

    def train(self, *args, **kwargs):
        with self.sigterm.listening():
            return super().train(*args, **kwargs)

    # ---------------------------------------------------------------------------------------------- models

    def save_model(self, output_dir=None, _internal_call=False):
        if self.base is None or is_adapted(self.model):
            super().save_model(output_dir, _internal_call)
            if self.args.merge_lora and not _internal_call and self.args.should_save:
                merge_adapters(Path(output_dir or self.args.output_dir), self.processing_class, self.recipe)
            return
        state = collect_trained(self.model, keep=self.args.should_save)
        folder = output_dir or self.args.output_dir
        if self.args.should_save:
            self._announce_weights(folder)
            save_trained(state, self.accelerator.unwrap_model(self.model), folder)
            self.processing_class.save_pretrained(folder)
            torch.save(self.args, Path(folder) / "training_args.bin")
            self._save_records(folder)
        if self.args.push_to_hub and not _internal_call:
            self.push_to_hub(commit_message="Model save")

    def _save(self, output_dir=None, state_dict=None):
        if self.args.should_save:
            self._announce_weights(output_dir or self.args.output_dir)
        super()._save(output_dir, state_dict)
        if self.args.should_save:
            self._save_records(output_dir or self.args.output_dir)

    def _announce_weights(self, folder: str) -> None:
        if self.first_step is not None:
            save_before_weights(self.first_step.training_data, folder)

    def _save_records(self, folder: str) -> None:
        if self.first_step is not None and self.first_step.began:  # else no weight has changed, nor its record
            self.first_step.training_data.save(folder)
        self.recipe.save(folder)
        if self.base is not None:
            self.base.save(folder)

    def _load_from_checkpoint(self, resume_from_checkpoint, model=None):
        path = Path(resume_from_checkpoint) / TRAINED_WEIGHTS
        if path.is_file() and not self.is_fsdp_enabled:
            load_trained(model or self.model, path)
        else:
            super()._load_from_checkpoint(resume_from_checkpoint, model)

    def _load_best_model(self):
        path = Path(self.state.best_model_checkpoint) / TRAINED_WEIGHTS
        if path.is_file() and not self.is_deepspeed_enabled and not self.is_fsdp_enabled:
            load_trained(self.model, path)
        else:
            super()._load_best_model()

    def _issue_warnings_after_load(self, load_result):
        missing = set(load_result.missing_keys) - set(self.model.all_tied_weights_keys)
        if missing or load_result.unexpected_keys:
            raise ValueError(
                f"expected a checkpoint of this model, found one without {sorted(missing)[:3]} and with the unknown "
                f"{sorted(load_result.unexpected_keys)[:3]}. Load model and checkpoint from one run."
            )

    # ---------------------------------------------------------------------------------------------- checkpoints

    def _save_checkpoint(self, model, trial):
        folder = Path(self._get_output_dir(trial)) / f"checkpoint-{self.state.global_step}"
        if self.args.should_save:
            shutil.rmtree(folder, ignore_errors=True)  # what an earlier run left half-written
        self.accelerator.wait_for_everyone()
        # Older checkpoints go only when this one is whole, so not within the method above.
        limit, self.args.save_total_limit = self.args.save_total_limit, None
        try:
            super()._save_checkpoint(model, trial)
        except (OSError, RuntimeError, SafetensorError) as error:  # torch's writer raises the second
            if isinstance(error, torch.OutOfMemoryError):
                raise
            raise WriteError(explain_failed_save(folder, error, self._way_on)) from error
        finally:
            self.args.save_total_limit = limit
        self.accelerator.wait_for_everyone()
        if self.args.should_save:
            write_marker(folder, self.args.world_size, self.rows_a_step)
            if limit:  # one that is half-written must not count among those that are kept
                for other in sort_checkpoints(str(folder.parent)):
                    if read_marker(other) is None:
                        shutil.rmtree(other)
            best = self.state.best_model_checkpoint
            rotate_checkpoints(str(folder.parent), limit, best_model_checkpoint=best, use_mtime=True)
        self.accelerator.wait_for_everyone()
        if self.sigterm.agreed:
            if self.args.process_index == 0:
                print(f"SIGTERM: {folder} is saved; {self._way_on}", flush=True)
            raise SystemExit(PREEMPTED_EXIT_CODE)

    @property
    def _way_on(self) -> str:
        if self.args.save_only_model:  # see `umbrella.training.resuming`
            return "without the optimizer (--save_only_model) no run goes on: start from a checkpoint as a model"
        return "go on with --resume_from_checkpoint auto"

    def _save_optimizer_and_scheduler(self, output_dir):
        if not self.is_deepspeed_enabled or self.base is None:
            super()._save_optimizer_and_scheduler(output_dir)
            return
        # transformers leaves frozen weights out for PEFT's models only.
        with self.model.register_state_dict_post_hook(_drop_second_names):
            self.model_wrapped.save_checkpoint(output_dir, exclude_frozen_parameters=True)
        if self.args.should_save and type(self.lr_scheduler).__name__ != "DeepSpeedSchedulerWrapper":
            torch.save(self.lr_scheduler.state_dict(), Path(output_dir) / "scheduler.pt")

    @property
    def rows_a_step(self) -> int:
        """Rows that a step of the optimizer takes, over all processes."""
        return self._train_batch_size * self.args.gradient_accumulation_steps * self.args.world_size


def _keep_frozen(module, state_dict, prefix, *_):
    """Before weights are loaded: those that the checkpoint leaves out are the frozen ones, which stay."""
    for name, value in module.state_dict().items():
        state_dict.setdefault(f"{prefix}{name}", value)


def _drop_second_names(module, state_dict, prefix, *_):
    """Frozen weights that two modules share (an output layer tied to the embedding): DeepSpeed leaves out one name."""
    names = dict(module.named_parameters(remove_duplicate=False))
    for name in names.keys() - dict(module.named_parameters()).keys():
        if not names[name].requires_grad:
            state_dict.pop(f"{prefix}{name}", None)


def explain_failed_save(folder: Path, error: Exception, way_on: str) -> str:
    """What is to be done about a checkpoint that could not be written; `way_on` from an earlier one."""
    found = f"{folder}: expected to write a checkpoint, found {name_reason(error)}"
    whole = find_whole_checkpoint(folder.parent)
    if whole is None:
        again = "start again with --resume_from_checkpoint auto, which then starts from the first step"
        return f"{found}. There is none before it. Make room, then {again}, or choose another --output_dir."
    n_others = len([other for other in folder.parent.glob("checkpoint-*") if other != folder])
    fewer = " (--save_total_limit 1 keeps fewer from then on)" if n_others > 1 else ""
    return f"{found}. The one before, {whole}, is whole. Make room{fewer}, then {way_on}."


# -------------------------------------------------------------------------------------------------- whole or not


def write_marker(folder: Path, world_size: int, rows_a_step: int) -> None:
    """Declare a checkpoint whole."""
    paths = {path.relative_to(folder).as_posix(): path for path in _files(folder)}
    record = {
        "world_size": world_size,
        "rows_a_step": rows_a_step,
        "files": {name: path.stat().st_size for name, path in paths.items()},
        "xxh3_128": {name: _hash_parts(path) for name, path in paths.items()},
    }
    with replacing(folder / MARKER) as partial, open(partial, "w", encoding="utf-8") as file:
        file.write(json.dumps(record, indent=1) + "\n")
        file.flush()
        os.fsync(file.fileno())  # a machine that goes down must not leave an empty one under the final name


def read_marker(folder: str | Path) -> dict | None:
    """What `write_marker` wrote; None where a checkpoint is not whole, see `find_fault`."""
    record = _read_record(folder)
    return None if record is None or _find_unlike(folder, record) else record


def find_fault(folder: str | Path) -> str:
    """Why `read_marker` gives None: that the checkpoint was never finished, or which of its files is no longer as it
    was written."""
    record = _read_record(folder)
    if record is None:
        return f"has {MARKER} cut short or changed" if (Path(folder) / MARKER).is_file() else "is half-written"
    name = _find_unlike(folder, record)
    return f"has {name} cut short or changed" if (Path(folder) / name).is_file() else f"lacks {name}"


def _find_unlike(folder: str | Path, record: dict) -> str | None:
    """The first file of a marker's that is missing, of another size or of other content, as far as its hash tells;
    markers of older versions have sizes alone."""
    paths = {file.relative_to(folder).as_posix(): file for file in _files(Path(folder))}
    hashes = record.get("xxh3_128", {})
    for name, size in record["files"].items():
        if name not in paths or paths[name].stat().st_size != size:
            return name
        if name in hashes and _hash_parts(paths[name]) != hashes[name]:
            return name
    return None


def _hash_parts(path: Path) -> str:
    """Hash of a file's size and of `PARTS` parts, evenly from its first byte to its last: milliseconds, whatever its
    size. A file of up to all parts together is hashed whole."""
    size = path.stat().st_size
    digest = xxhash.xxh3_128(str(size).encode())
    with open(path, "rb") as file:
        if size <= PARTS * PART_BYTES:
            digest.update(file.read())
            return digest.hexdigest()
        for number in range(PARTS):
            file.seek((size - PART_BYTES) * number // (PARTS - 1))
            digest.update(file.read(PART_BYTES))
    return digest.hexdigest()


def _read_record(folder: str | Path) -> dict | None:
    """The marker's content; None where there is none, or one that is cut short or damaged."""
    try:
        record = read_json(Path(folder) / MARKER, dict, ("world_size", "rows_a_step", "files"))
    except (OSError, ValueError):
        return None
    return record if isinstance(record["files"], dict) and isinstance(record.get("xxh3_128", {}), dict) else None


def _files(folder: Path) -> list[Path]:
    return sorted(path for path in folder.rglob("*") if path.is_file() and not path.name.startswith(MARKER))


def find_whole_checkpoint(output_dir: str | Path, say=None) -> str | None:
    """The last whole checkpoint of a run; `say` is called with a sentence for each later one that is not."""
    for folder in reversed(sort_checkpoints(str(output_dir))) if Path(output_dir).is_dir() else ():
        if read_marker(folder) is not None:
            return folder
        if say:
            say(f"{folder} {find_fault(folder)} and is passed over")
    return None
