"""What lmms-eval calls of this task: a row's conversation with its pictures, its true answer, how answers are read.

The answers are read by `reading/`, a copy of Umbrella's own rules, so that a score is the one that Umbrella's own
evaluation gives. It needs Pillow, and nothing of Umbrella.
"""

import importlib.util
import json
import sys
from pathlib import Path
from typing import Any

from PIL import Image

HERE = Path(__file__).resolve().parent
PACKAGE = f"umbrella_reading_{abs(hash(str(HERE)))}"  # another folder's rules may be another version's


def doc_to_messages(doc: dict) -> list[dict]:
    """The conversation up to the question: turns of texts and pictures, each in its place."""
    return [
        {"role": turn["role"], "content": [_to_item(item) for item in turn["content"]]} for turn in doc["messages"]
    ]


def doc_to_visual(doc: dict) -> list[Image.Image]:
    """The pictures alone, for models that take no conversation."""
    items = [item for turn in doc["messages"] for item in turn["content"]]
    return [_open(item["image"]) for item in items if item["type"] == "image"]


def doc_to_text(doc: dict) -> str:
    """The texts alone: that of the question; where other turns stand before it, all of them, each after its role."""
    texts = ["\n".join(item["text"] for item in turn["content"] if item["type"] == "text") for turn in doc["messages"]]
    if len(texts) == 1:
        return texts[0]
    return "\n".join(f"{turn['role']}: {text}" for turn, text in zip(doc["messages"], texts, strict=True))


def doc_to_target(doc: dict) -> str:
    """The true answer."""
    return str(doc["target"])


def process_results(doc: dict, results: list[str]) -> dict[str, Any]:
    """Metric → score of one answer, with whom it is of, so that standard errors are over subjects."""
    settings = json.loads((HERE / "reading.json").read_text(encoding="utf-8"))
    text, unread = results[0].strip(), False
    if settings["task"] == "text":
        name, score = "exact_match", float(text == doc["target"].strip())
    else:
        found = _read(text, settings)
        unread = found is None
        if settings["task"] == "classification":
            name, score = "accuracy", float(found == doc["target"])
        else:
            name, score = "mae", doc["error_if_unread"] if found is None else abs(found - doc["target"])
    return {name: {"score": score, "subject": doc["subject"]}, "unreadable": float(unread)}


def mean_score(scores: list[dict]) -> float:
    """The mean of what `process_results` gave."""
    return sum(entry["score"] for entry in scores) / len(scores)


def _to_item(item: dict) -> dict:
    if item["type"] == "image":
        return {"type": "image", "url": _open(item["image"])}
    return {"type": "text", "text": item["text"]}


def _open(name: str) -> Image.Image:
    with Image.open(HERE / name) as picture:
        return picture.convert("RGB")


def _read(text: str, settings: dict) -> Any:
    rules = _load_rules()
    if settings["task"] == "classification":
        return rules.LabelReading(tuple(settings["labels"]), tuple(settings["forms"])).read(text)
    return rules.NumberReading(settings["unit"], rules.NumberFormat(*settings["signs"])).read(text)


def _load_rules() -> Any:
    """The package `reading/`, under a name that no other folder's has."""
    if PACKAGE not in sys.modules:
        folder = HERE / "reading"
        spec = importlib.util.spec_from_file_location(
            PACKAGE, folder / "__init__.py", submodule_search_locations=[str(folder)]
        )
        if spec is None or spec.loader is None:
            raise ImportError(f"{folder}: expected the rules by which answers are read, found none. Export anew")
        package = importlib.util.module_from_spec(spec)
        sys.modules[PACKAGE] = package
        spec.loader.exec_module(package)
    return sys.modules[PACKAGE]
