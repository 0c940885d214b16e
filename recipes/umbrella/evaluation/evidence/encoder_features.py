"""What a model's vision encoder makes of a scan, as one vector: before the projector, the mean over all places."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch

from umbrella.options.commands.progress import show_progress
from umbrella.rows.collator import ConversationCollator
from umbrella.rows.transform import ConversationTransform

QUESTION = "What is shown?"  # some text must stand beside a scan; the encoder does not see it


@torch.no_grad()
def encode_scans(model: Any, transform: ConversationTransform, scans: Sequence[dict]) -> np.ndarray | None:
    """(scans, channels) features of scans as rows name them (`path` or `bytes`, `modality`), one scan at a time.

    None for a model whose encoder cannot be asked alone (`get_image_features`).
    """
    if not hasattr(model, "get_image_features"):
        return None
    names = transform.processor.image_processor.model_input_names
    collate = ConversationCollator(transform.processor)
    features = []
    for scan in show_progress(scans, desc="encoding scans", unit="scan"):
        batch = collate([transform.encode_row(_make_row(scan))])
        images = {name: value.to(model.device) for name, value in batch.items() if name in names}
        images["pixel_values"] = images["pixel_values"].to(model.dtype)
        encoded = model.get_image_features(**images).last_hidden_state
        features.append(encoded.float().reshape(-1, encoded.shape[-1]).mean(dim=0).cpu().numpy())
    return np.stack(features)


def _make_row(scan: dict) -> dict:
    """The row of a scan alone."""
    turns = [
        {"role": "user", "content": [{"type": "image"}, {"type": "text", "text": QUESTION}]},
        {"role": "assistant", "content": [{"type": "text", "text": "."}]},
    ]
    return {"task_id": "", "source": "a scan", "images": [scan], "conversations": turns, "metadata": {}}
