"""Does a tool that has the task's folder alone show the model what Umbrella shows it? Asked of the folder itself."""

import importlib.util
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from datasets import Dataset
from transformers import AutoProcessor

from umbrella.rows.transform import ConversationTransform

TOLERANCE = 1e-4  # of float32, beside the rounding to levels


@dataclass(frozen=True)
class Agreement:
    """Of `n` rows: in how many a stock processor makes other tokens or other shapes of pictures, and by how much what
    the encoder sees differs at most."""

    n: int
    n_other_tokens: int
    n_other_shapes: int
    most_difference: float

    def list_warnings(self, most_error: float) -> list[str]:
        """What is not as it is in Umbrella, in sentences. most_error  what rounding to levels explains"""
        of_rows, told = f"of {self.n} rows", []
        if self.n_other_tokens:
            told.append(f"{self.n_other_tokens} {of_rows} have other tokens than in Umbrella")
        if self.n_other_shapes:
            told.append(f"{self.n_other_shapes} {of_rows} have pictures of another shape than in Umbrella")
        if self.most_difference > most_error + TOLERANCE:
            told.append(f"intensities differ by up to {self.most_difference:.3g}, more than rounding explains")
        return [f"WARNING: the processor alone does not show what Umbrella shows: {'; '.join(told)}."] if told else []


def compare_with_folder(folder: Path, rows: Dataset, docs: list[dict], transform: ConversationTransform) -> Agreement:
    """Show each row as the folder's functions and its processor do, and as `transform` does."""
    functions, processor = load_functions(folder), AutoProcessor.from_pretrained(folder / "model")
    n_other_tokens, n_other_shapes, most_difference = 0, 0, 0.0
    for row, doc in zip(rows.with_format(None), docs, strict=True):
        own = transform.encode_row(row)
        got = encode_as_others_do(processor, functions.doc_to_messages(doc))
        n_other_tokens += got["input_ids"][0].tolist() != own["input_ids"]
        if "pixel_values" in own:
            is_alike = "pixel_values" in got and got["pixel_values"].shape == own["pixel_values"].shape
            n_other_shapes += not is_alike
            if is_alike:
                difference = float((got["pixel_values"].float() - own["pixel_values"].float()).abs().max())
                most_difference = max(most_difference, difference)
    return Agreement(len(docs), n_other_tokens, n_other_shapes, most_difference)


def encode_as_others_do(processor: Any, messages: list[dict]) -> Any:
    """What a stock processor makes of a conversation with pictures, called as lmms-eval's models call it."""
    text = processor.apply_chat_template(messages, tokenize=False, add_generation_prompt=True)
    pictures = [item["url"] for message in messages for item in message["content"] if item["type"] == "image"]
    return processor(text=text, images=pictures or None, return_tensors="pt")


def load_functions(folder: Path) -> Any:
    """The module utils.py of a task's folder, as lmms-eval loads it."""
    spec = importlib.util.spec_from_file_location("utils", folder / "utils.py")
    if spec is None or spec.loader is None:
        raise ImportError(f"{folder / 'utils.py'}: expected the task's functions, found none")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module
