"""Row by row: a server's answers beside those that the model gives here."""

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import takewhile

from datasets import Dataset

from umbrella.answers.generation import Answerer
from umbrella.answers.serving.client import Client, Reply
from umbrella.rows.transform import ConversationTransform

MOST_SHOWN = 40  # characters of a text
PROMPT, SAMPLED, TEXT = "prompt", "sampled", "text"
CAUSES = {
    PROMPT: "the server writes another prompt, or resizes pictures: serve the model's own folder, with its chat "
    "template and its processor as they are",
    SAMPLED: "the server gives other answers to the same request: it samples, or is not the same from one request to "
    "the next",
    TEXT: "of prompts as long as here: the server has other weights or numbers (dtype, attention, quantization), "
    "resizes pictures, or a generation_config of its own",
}


@dataclass(frozen=True)
class Difference:
    """A row that a server answers otherwise.

    where  what differs first: the prompt's length, the server's answers among themselves, or only the text
    """

    task_id: str
    where: str
    detail: str


@dataclass(frozen=True)
class Compared:
    """One row: its answer here and the server's, and how they differ; None where they are equal."""

    task_id: str
    here: str
    served: str
    difference: Difference | None


def compare_rows(
    rows: Dataset, answerer: Answerer, client: Client, prompts: ConversationTransform
) -> Iterator[Compared]:
    """Each row's answers, in the rows' order.

    Args:
        answerer: of predict.py, with rows one by one: a batch may be computed in other numbers.
        prompts: its transform, which tells how long a prompt is.

    Raises ServerError, ScanError.
    """
    answers = (answer for found in answerer.answer(rows, "comparing") for answer in found)
    for row, answer in zip(rows.with_format(None), answers, strict=True):
        reply = client.answer(row["conversations"], row["images"])
        n_tokens = len(prompts.encode_row(row)["input_ids"])
        difference = find_difference(answer.text, n_tokens, reply)
        if difference is not None:
            again = client.answer(row["conversations"], row["images"])
            if difference[0] == TEXT and again.text != reply.text:
                difference = SAMPLED, f"{reply.text!r}, then {again.text!r}"
            difference = Difference(row["task_id"], *difference)
        yield Compared(row["task_id"], answer.text, reply.text, difference)


def find_difference(here: str, n_tokens: int, reply: Reply) -> tuple[str, str] | None:
    """What differs first, and how; None where nothing does. A server that does not count its tokens is compared by the
    text alone."""
    if reply.prompt_tokens not in (None, n_tokens):
        return PROMPT, f"{n_tokens} tokens here, {reply.prompt_tokens} at the server"
    if reply.text != here:
        place = sum(1 for _ in takewhile(lambda pair: pair[0] == pair[1], zip(here, reply.text, strict=False)))
        ours, theirs = (text[place : place + MOST_SHOWN] for text in (here, reply.text))
        return TEXT, f"from character {place + 1} on: {ours!r} here, {theirs!r} at the server"
    return None


def sum_up(compared: list[Compared], most_shown: int = 10) -> list[str]:
    """The sentences that are printed: equal, or which rows differ, where and why that may be."""
    different = [row.difference for row in compared if row.difference is not None]
    n_texts = len({row.here for row in compared})
    if not different:
        return [f"equal: {len(compared)} of {len(compared)} answers ({n_texts} different ones) are predict.py's"]
    lines = [f"different: {len(different)} of {len(compared)} answers are not predict.py's"]
    lines += [f"  {row.task_id}: {row.where}, {row.detail}" for row in different[:most_shown]]
    if len(different) > most_shown:
        lines.append(f"  and {len(different) - most_shown} more")
    found = {row.where for row in different}
    return lines + [f"{where}: {cause}" for where, cause in CAUSES.items() if where in found]
