"""What is estimated of a case of gpu.py, and the batch that it trains on: as estimate_memory.py plans it."""

from pathlib import Path

import torch
from on_gpu.cases import Case
from transformers import PreTrainedModel

from umbrella.conversations.ignore_index import IGNORE_INDEX
from umbrella.options.arguments import ModelArguments
from umbrella.options.parsing import parse_arguments
from umbrella.options.tool_arguments import EstimateArguments, PlannedDataArguments
from umbrella.options.training_arguments import PlannedTrainArguments
from umbrella.planning.memory_estimate import GIB, OVERHEAD, build_without_memory, estimate, load_config
from umbrella.planning.planned_batch import PlannedBatch, build_batch, plan_batch
from umbrella.records.recipe import find_settings
from umbrella.views.settings import ViewSettings


def plan_case(case: Case, folder: Path) -> tuple[PlannedBatch, PreTrainedModel, PlannedTrainArguments]:
    """The batch of a case, its model without memory, and its arguments."""
    source = case.source(folder)
    kinds = (ModelArguments, PlannedDataArguments, PlannedTrainArguments, EstimateArguments)
    _, data, args, asked = parse_arguments(kinds, case.to_flags(source, folder))
    model = build_without_memory(load_config(source), args, sharded_by_deepspeed=False)
    plan = plan_batch(
        model,
        rows=args.per_device_train_batch_size,
        tokens=data.max_length,
        scans=asked.scans,
        settings=find_settings(ViewSettings.of(data), source),
        supervised=asked.supervised_tokens,
    )
    return plan, model, args


def estimate_case(case: Case, folder: Path) -> dict:
    """The estimate of a case on one GPU in GiB, CUDA's own share left out, and its largest parts."""
    torch.set_num_threads(2)
    plan, _, args = plan_case(case, folder)
    rows = estimate(load_config(case.source(folder)), args, plan, num_gpus=1)
    (row,) = (row for row in rows if row.name == case.strategy)
    parts = ("weights", "gradients", "optimizer", "buffers", "activations", "loss")
    shares = {f"estimated_{part}_gib": round(getattr(row, part) / GIB, 3) for part in parts}
    return {"estimated_gib": round((row.total - OVERHEAD) / GIB, 3), **shares}


def make_batch(plan: PlannedBatch, model: PreTrainedModel) -> dict:
    """The planned batch with numbers as different as those of real rows: a GPU is faster on zeros."""
    random = torch.Generator().manual_seed(0)
    batch = build_batch(model, plan, torch.float32)
    image_token, vocabulary = model.config.image_token_id, model.get_input_embeddings().num_embeddings
    ids = batch["input_ids"]
    words = torch.randint(1, min(vocabulary, image_token), ids.shape, generator=random)
    batch["input_ids"] = torch.where(ids == image_token, ids, words)
    batch["labels"] = torch.where(batch["labels"] == IGNORE_INDEX, IGNORE_INDEX, batch["input_ids"])
    batch["pixel_values"] = torch.randn(batch["pixel_values"].shape, generator=random)
    return batch | {"attention_mask": torch.ones_like(ids)}
