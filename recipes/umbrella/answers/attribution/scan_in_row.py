"""One scan of a row, as the model is shown it: how likely the row's answer is when that scan is shown changed."""

from collections.abc import Iterable, Iterator
from itertools import islice
from typing import Any

import numpy as np
import torch

from umbrella.answers.scoring import answer_log_likelihoods, replace_answer
from umbrella.rows.changed_scans import find_background
from umbrella.rows.collator import ConversationCollator
from umbrella.rows.transform import ConversationTransform
from umbrella.scans.scan_files import find_source
from umbrella.views.places import Places, locate_view


class ScanInRow:
    """A scan, the row it stands in, and a model that is asked.

    Args:
        model: of the transform's processor; it is put into evaluation mode.
        transform: one without `add_generation_prompt`. Views are taken from its `load_images`, which may keep them.
        row: as a dataset without format gives it; its last turn is the answer.
        number: of the scan in its row, from 0; -1 is the last one.
        answer: whose likelihood is told; None takes the row's own.

    Attributes:
        view: (n_images, 3, H, W) or (T, X, Y, Z).
        background: what stands in the view where nothing is: see `umbrella.rows.changed_scans.find_background`.
        places: where the view lies in the scan.

    Raises ScanError, ConversationError as the transform does, ValueError for a transform that leaves the answer out.
    """

    def __init__(
        self, model: Any, transform: ConversationTransform, row: dict, number: int = -1, answer: str | None = None
    ) -> None:
        if transform.add_generation_prompt:
            raise ValueError("transform: expected one that encodes the answer, found add_generation_prompt=True")
        self.model, self.transform = model.eval(), transform
        self.row = row if answer is None else replace_answer(row, answer)
        self.number = number % len(row["images"])
        self.views = [transform.load_images(row, i) for i in range(len(row["images"]))]
        self.view = self.views[self.number]
        self.background = find_background(self.view, transform.settings)
        scan = row["images"][self.number]
        self.places: Places = locate_view(find_source(scan), scan["modality"], transform.settings)
        self._collate = ConversationCollator(transform.processor)
        self._example = transform.encode_views(self.row, self.views)
        self._text_stays = self._try_images_alone()

    def encode(self, view: np.ndarray) -> dict:
        """The row's example with this view of the scan."""
        views = [view if number == self.number else other for number, other in enumerate(self.views)]
        if self._text_stays:
            return self._example | self._encode_images(views)
        return self.transform.encode_views(self.row, views)

    def _encode_images(self, views: list[np.ndarray]) -> dict:
        return self.transform.encoder.encode_images(self.transform.to_images(views))

    def _try_images_alone(self) -> bool:
        """Whether the image processor alone makes of the views what the whole processor does, and all of its keys that
        are no tokens: the text, which is the same for all views, need then be encoded once."""
        try:
            alone = self._encode_images(self.views)
        except (TypeError, ValueError):  # a processor that needs what only the whole one hands it
            return False
        whole = {key: value for key, value in self._example.items() if isinstance(value, torch.Tensor)}
        return whole.keys() == alone.keys() and all(torch.equal(whole[key], alone[key]) for key in whole)

    def to_inputs(self, examples: list[dict]) -> tuple[dict[str, torch.Tensor], torch.Tensor]:
        """What the model takes, and the labels."""
        batch = {key: value.to(self.model.device) for key, value in self._collate(examples).items()}
        labels = batch.pop("labels")
        return batch, labels

    @torch.no_grad()
    def score(self, views: Iterable[np.ndarray], batch_size: int) -> Iterator[list[float]]:
        """Batch by batch, the log-likelihood of the answer for each of these views of the scan, in nats."""
        queue = iter(views)
        while batch := list(islice(queue, batch_size)):
            inputs, labels = self.to_inputs([self.encode(view) for view in batch])
            yield answer_log_likelihoods(self.model(**inputs).logits, labels).tolist()
