"""A case of gpu.py in its own process: weights drawn and saved, loaded as train.py loads them, trained and timed."""

import gc
import math
import os
import time
from pathlib import Path

import torch
from on_gpu.cases import BUILT, Case
from on_gpu.planning import GIB, make_batch, plan_case
from transformers import AutoConfig, AutoModelForImageTextToText, TrainerCallback

from umbrella.models.for_training import load_for_training
from umbrella.models.volumes.registration import register_volume_models
from umbrella.options.arguments import ModelArguments
from umbrella.options.parsing import parse_arguments
from umbrella.options.tool_arguments import PlannedDataArguments
from umbrella.options.training_arguments import TrainArguments
from umbrella.training.provenance import Provenance
from umbrella.training.trainer import ConversationTrainer

WARM_UP, TIMED, MOST_SECONDS = 3, 10, 12.0  # steps, steps, of the timed ones
ALONE = {"RANK": "0", "LOCAL_RANK": "0", "WORLD_SIZE": "1", "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": "29517"}


class OneBatch:
    """A collator whose batches are all the same."""

    def __init__(self, batch: dict, rows: int) -> None:
        names = {"task_ids": [f"row {number}" for number in range(rows)], "metadata": [None] * rows}
        self.batch, self.fill = batch | names, {}

    def __call__(self, examples: list) -> dict:
        return dict(self.batch)


class Clock(TrainerCallback):
    """Ends the run when enough steps were timed; then knows the seconds and the memory."""

    def __init__(self, on_gpu: bool) -> None:
        self.on_gpu, self.start, self.seconds, self.steps, self.memory = on_gpu, 0.0, 0.0, 0, {}

    def now(self) -> float:
        if self.on_gpu:
            torch.cuda.synchronize()
        return time.perf_counter()

    def on_train_begin(self, *_, **__) -> None:
        if self.on_gpu:
            gc.collect()
            torch.cuda.empty_cache()
            torch.cuda.reset_peak_memory_stats()

    def on_step_end(self, args, state, control, **_) -> None:
        if state.global_step == WARM_UP:
            self.start = self.now()
        elif state.global_step > WARM_UP:
            self.seconds, self.steps = self.now() - self.start, state.global_step - WARM_UP
            if self.steps == TIMED or self.seconds > MOST_SECONDS:
                self.memory = read_memory() if self.on_gpu else {}
                control.should_training_stop = True


def read_memory() -> dict:
    free, total = torch.cuda.mem_get_info()
    return {
        "peak_gib": round(torch.cuda.max_memory_allocated() / GIB, 3),
        "reserved_gib": round(torch.cuda.max_memory_reserved() / GIB, 3),
        "used_gib": round((total - free) / GIB, 3),
    }


def draw_weights(case: Case, folder: Path, device: str) -> str:
    """The folder of the case's model with random weights in bfloat16, drawn by the first case that wants it."""
    if case.model in BUILT:
        return case.model
    place = folder / f"{case.model} weights"
    if not (place / "config.json").is_file():
        torch.manual_seed(0)
        with torch.device(device):
            config = AutoConfig.from_pretrained(case.source(folder))
            model = AutoModelForImageTextToText.from_config(config, dtype=torch.bfloat16)
        partial = folder / f"{case.model} partial"
        model.save_pretrained(partial, max_shard_size="8GB")
        partial.rename(place)
        del model
        gc.collect()
        torch.cuda.empty_cache()
    return str(place)


def measure(case: Case, folder: Path, device: str) -> dict:
    """Train on one batch again and again; see `read_memory` for the memory."""
    began = time.perf_counter()
    register_volume_models()
    plan, planned, _ = plan_case(case, folder)
    batch = make_batch(plan, planned)
    name = draw_weights(case, folder, device)
    if "--deepspeed" in case.train_only:
        os.environ.update(ALONE)
    on_cpu = ["--use_cpu", "true"] if device == "cpu" else []
    flags = [*case.to_flags(name, folder), *case.train_only, *on_cpu]
    _, _, args = parse_arguments((ModelArguments, PlannedDataArguments, TrainArguments), flags)
    model, base = load_for_training(name, args)
    clock, collate = Clock(device == "cuda"), OneBatch(batch, plan.rows)
    trainer = ConversationTrainer(
        model=model,
        args=args,
        data_collator=collate,
        train_dataset=list(range(plan.rows * 8)),
        callbacks=[clock],
        blank={},
        provenance=Provenance(None, base),
    )
    loaded = time.perf_counter()
    trainer.train()
    losses = [entry["train_loss"] for entry in trainer.state.log_history if "train_loss" in entry]
    if not losses or not all(map(math.isfinite, losses)):
        raise ValueError(f"expected a finite loss, found {losses}")
    rows = clock.steps * plan.rows * args.gradient_accumulation_steps
    return {
        **clock.memory,
        "step_ms": round(1000 * clock.seconds / clock.steps, 1),
        "rows_per_s": round(rows / clock.seconds, 2),
        "tokens_per_s": round(rows * plan.tokens / clock.seconds),
        "rows": plan.rows,
        "tokens": plan.tokens,
        "images": plan.images,
        "image_tokens": plan.image_tokens,
        "supervised": plan.supervised,
        "loss": round(losses[-1], 4),
        "steps": clock.steps,
        "device": torch.cuda.get_device_name() if device == "cuda" else "cpu",
        "loading_s": round(loaded - began, 1),
        "training_s": round(time.perf_counter() - loaded, 1),
    }
