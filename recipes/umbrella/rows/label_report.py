"""What a model is trained on, for a person to read: marked tokens, counts, lengths. Loads no scan for the lengths."""

import itertools
import math
import statistics
import sys
from collections.abc import Iterable
from dataclasses import dataclass, replace
from typing import NamedTuple

from transformers import PreTrainedTokenizerBase

from umbrella.conversations.encoder import ConversationError
from umbrella.conversations.ignore_index import IGNORE_INDEX
from umbrella.options.commands.control_signs import COLOURS
from umbrella.rows.blank_scans import BlankScans
from umbrella.rows.transform import ConversationTransform

PLAIN_MARKS = {"supervised": ("⟦", "⟧"), "image": ("", ""), "text": ("", "")}
# Black on green, so that white space shows too; images in grey.
COLOUR_MARKS = {kind: (COLOURS[kind], COLOURS["end"]) for kind in ("supervised", "image")} | {"text": ("", "")}
MOST_BINS, MOST_BLOCKS, MOST_SHOWN = 12, 40, 10


class Run(NamedTuple):
    """Text of tokens that follow one another and are of one kind: "supervised", "image" or "text"."""

    kind: str
    text: str

    @property
    def is_supervised(self) -> bool:
        return self.kind == "supervised"


def find_runs(example: dict, tokenizer: PreTrainedTokenizerBase, image_token_ids: list[int]) -> list[Run]:
    """The text of an example, cut where the kind of its tokens changes; image tokens as `<image>×16`.

    Args:
        example: `input_ids` and `labels`, as ConversationTransform makes them.
    """
    input_ids = example["input_ids"]
    kinds = [
        "image" if token in image_token_ids else "text" if label == IGNORE_INDEX else "supervised"
        for token, label in zip(input_ids, example["labels"], strict=True)
    ]
    runs, end = [], 0
    for kind, tokens in itertools.groupby(kinds):
        start, end = end, end + len(list(tokens))
        # Cut out of the whole text: decoded alone, a run would lose the space in front of its first word.
        words = _decode(tokenizer, input_ids[:end])[len(_decode(tokenizer, input_ids[:start])) :]
        if kind == "image":
            words = f"{tokenizer.convert_ids_to_tokens(input_ids[start])}×{end - start}"
        runs.append(Run(kind, _escape(words)))
    return runs


def mark_runs(runs: Iterable[Run], colour: bool) -> str:
    """The runs as one text, the supervised ones marked: with a terminal's colours, else with ⟦ ⟧."""
    marks, pieces = COLOUR_MARKS if colour else PLAIN_MARKS, []
    for run in runs:
        opening, closing = marks[run.kind]
        # A colour is closed at each line's end, or it would run to the edge of the terminal.
        lines = run.text.split("\n") if colour else [run.text]
        pieces.append("\n".join(f"{opening}{line}{closing}" if line else line for line in lines))
    return "".join(pieces)


def _decode(tokenizer: PreTrainedTokenizerBase, input_ids: list[int]) -> str:
    return tokenizer.decode(input_ids, clean_up_tokenization_spaces=False)


def _escape(words: str) -> str:
    """Text of the data must not steer the terminal."""
    return "".join(c if c.isprintable() or c == "\n" else c.encode("unicode_escape").decode() for c in words)


def describe_counts(example: dict, image_token_ids: list[int]) -> str:
    """One line: "120 tokens: 70 text, 32 image, 18 supervised"."""
    image = sum(token in image_token_ids for token in example["input_ids"])
    supervised = sum(label != IGNORE_INDEX for label in example["labels"])
    total = len(example["input_ids"])
    return f"{total} tokens: {total - image - supervised} text, {image} image, {supervised} supervised"


def count_scan_tokens(transform: ConversationTransform, modality: str) -> int:
    """How many tokens a scan becomes: its image tokens, with those that a processor puts between them. Loads none."""
    shown = BlankScans(transform.processor, **transform.settings.stated(), max_length=sys.maxsize)
    turns = [
        {"role": "user", "content": [{"type": "image"}, {"type": "text", "text": "a"}]},
        {"role": "assistant", "content": [{"type": "text", "text": "b"}]},
    ]
    scan = {"path": "", "modality": modality}
    row = {"source": "", "task_id": "", "metadata": None, "images": [scan], "conversations": turns}
    return sum(token in shown.encoder.image_token_ids for token in shown.encode_row(row)["input_ids"])


def describe_scan_tokens(transform: ConversationTransform, modalities: Iterable[str]) -> str:
    """A line for each modality: "sMRI scan: volume, 64x80x64 voxels of 3 mm: 80 tokens, one for each cube of 48 mm";
    of a series with frames "in each frame", or "over all frames" where the tower pools them."""
    settings, lines = transform.settings, []
    for modality in sorted(set(modalities)):
        tokens = count_scan_tokens(transform, modality)
        shown = settings if modality != "sMRI" else replace(settings, frames=None)  # which has none
        line = f"{modality} scan: {shown.describe()}: {tokens} tokens"
        if transform.is_volume and tokens:
            n_frames, *size = transform.view_shape(modality)
            n_steps = tokens // count_scan_tokens(transform, "sMRI")  # which has one frame
            cube = (math.prod(size) * n_steps / tokens) ** (1 / 3) * settings.volume_spacing
            each = "in each frame" if n_steps == n_frames else f"in each {n_frames // n_steps} frames"
            over = f" {each if n_steps > 1 else 'over all frames'}" if n_frames > 1 else ""
            line += f", one for each cube of {cube:.3g} mm{over}"
        lines.append(line)
    return "\n".join(lines)


@dataclass(frozen=True)
class RowLength:
    """How many tokens a row has, and how many are left within max_length: fewer where turns are dropped, None where
    the row cannot fit."""

    source: str
    tokens: int
    kept: int | None


def measure_length(row: dict, transform: BlankScans, unbounded: BlankScans) -> RowLength:
    """The length of a row; `unbounded` is `transform` with no bound. Raises ConversationError for a row that would be
    refused whatever its length."""
    tokens = len(unbounded.encode_row(row)["input_ids"])
    if tokens <= transform.max_length:
        return RowLength(row["source"], tokens, tokens)
    try:
        return RowLength(row["source"], tokens, len(transform.encode_row(row)["input_ids"]))
    except ConversationError:
        return RowLength(row["source"], tokens, None)


def measure_lengths(rows: Iterable[dict], transform: ConversationTransform) -> list[RowLength]:
    """The length of each row as `transform` would make it, without loading its scans."""
    options = transform.settings.stated()
    bounded = BlankScans(
        transform.processor, **options, max_length=transform.max_length, on_overflow=transform.on_overflow
    )
    unbounded = BlankScans(transform.processor, **options, max_length=sys.maxsize)
    return [measure_length(row, bounded, unbounded) for row in rows]


def draw_histogram(lengths: list[RowLength], max_length: int) -> str:
    """How long the rows are, as bars of text, and how many of them `max_length` touches."""
    tokens = [length.tokens for length in lengths]
    low, high = min(tokens), max(tokens)
    width = -(-(high - low + 1) // MOST_BINS)
    counts = [sum(start <= n < start + width for n in tokens) for start in range(low, high + 1, width)]
    lines = [f"{len(lengths)} rows: {low} to {high} tokens, median {statistics.median_low(tokens)}"]
    for i, count in enumerate(counts):
        start = low + i * width
        bar = "█" * -(-count * MOST_BLOCKS // max(counts))
        over = "  > max_length" if start > max_length else ""
        lines.append(f"{start:>7}–{start + width - 1:<7}{count:>7} {bar}{over}")
    dropped = sum(length.kept is not None and length.kept < length.tokens for length in lengths)
    unfit = [length.source for length in lengths if length.kept is None]
    lines.append(f"max_length {max_length}: {dropped} rows lose their oldest turns, {len(unfit)} rows cannot fit")
    lines += [f"  cannot fit: {source}" for source in unfit[:MOST_SHOWN]]
    if len(unfit) > MOST_SHOWN:
        lines.append(f"  ... and {len(unfit) - MOST_SHOWN} more")
    return "\n".join(lines)
