"""Greedy answers to the last question of each row."""

from collections.abc import Iterator

import torch
from datasets import Dataset
from torch.utils.data import DataLoader
from tqdm import tqdm

from umbrella.collator import ConversationCollator
from umbrella.trainer import without_names
from umbrella.transform import ConversationTransform


@torch.inference_mode()
def generate_answers(
    model, transform: ConversationTransform, rows: Dataset, batch_size: int, max_new_tokens: int, num_workers: int = 0
) -> Iterator[str]:
    """The model's answer to each row, in the rows' order, without special tokens and outer white space.

    Args:
        transform: made with `add_generation_prompt=True`.
        batch_size: rows generated at once, padded on the left; it does not change the answers.
    """
    collate = ConversationCollator(transform.processor, padding_side="left", keep_metadata=True)
    loader = DataLoader(
        rows.with_transform(transform), batch_size=batch_size, collate_fn=collate, num_workers=num_workers
    )
    tokenizer = transform.processor.tokenizer
    model.eval()
    with tqdm(total=len(rows), unit="row", desc="generating") as progress:
        for batch in loader:
            inputs = {key: value.to(model.device) for key, value in without_names(batch).items() if key != "labels"}
            tokens = model.generate(
                **inputs,
                do_sample=False,
                max_new_tokens=max_new_tokens,
                eos_token_id=_end_tokens(model, transform),
                pad_token_id=tokenizer.pad_token_id,
            )
            answers = tokenizer.batch_decode(tokens[:, inputs["input_ids"].shape[1] :], skip_special_tokens=True)
            progress.update(len(answers))
            yield from (answer.strip() for answer in answers)


def _end_tokens(model, transform: ConversationTransform) -> list[int]:
    """What ends an answer: the model's own end tokens, and the one that the labels taught."""
    own = model.generation_config.eos_token_id
    own = own if isinstance(own, list) else [own]
    return sorted({transform.encoder.end_token_id, *(token for token in own if token is not None)})
