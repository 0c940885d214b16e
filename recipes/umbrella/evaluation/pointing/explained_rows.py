"""Scans are explained one by one: by the model, then by one of random weights. Maps are written as they come."""

import re
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from datasets import Dataset

from umbrella.answers.attribution.gradients import map_gradient
from umbrella.answers.attribution.maps import OCCLUSION, AttributionMap
from umbrella.answers.attribution.occlusion import map_occlusion
from umbrella.answers.attribution.regions import Pointing, Region, point_at
from umbrella.answers.attribution.scan_in_row import ScanInRow
from umbrella.answers.generation import Answerer
from umbrella.answers.scoring import last_text
from umbrella.conversations.encoder import ConversationError
from umbrella.evaluation.pointing.arguments import ExplainArguments
from umbrella.evaluation.pointing.share import Pointed, correlate_maps, summarize_likeness, summarize_pointing
from umbrella.models.random_weights import draw_random_model
from umbrella.options.commands.progress import show_progress
from umbrella.rows.scan_places import find_subject_places
from umbrella.rows.transform import ConversationTransform


@dataclass(frozen=True)
class Explained:
    """A scan of a row whose answer was explained.

    number      of the scan in its row, from 0
    answer      that was explained; is_own: the model's, not the true one
    found       its map; file: where it was written
    pointing    None where no region is known, or the view shows nothing of it
    of_random   that of the model with random weights, and what it points at
    likeness    rank correlation of the two
    """

    row: dict
    number: int
    answer: str
    found: AttributionMap
    file: str
    region: Region | None
    pointing: Pointing | None
    of_random: AttributionMap | None = None
    random_pointing: Pointing | None = None
    likeness: float | None = None

    def to_dict(self) -> dict:
        """The row's entry in metrics.json."""
        found, highest = self.found, self.found.highest
        entry = {
            "task_id": self.row["task_id"],
            "subject_id": self.row["metadata"]["subject_id"],
            "scan": self.number,
            "answer": self.answer,
            "log_likelihood": found.log_likelihood,
            "drop_without_the_scan" if found.method == OCCLUSION else "sum_over_the_scan": found.whole,
            "map": self.file,
            "highest_box_mm": highest and [round(float(x), 2) for x in found.boxed.centre_mm(highest)],
            "highest_drop" if found.method == OCCLUSION else "highest_sum": (
                float(found.drops.max()) if len(found.drops) else None
            ),
        }
        for name, pointing in (("", self.pointing), ("random_", self.random_pointing)):
            if pointing is not None:
                entry |= {f"{name}hit": pointing.hit, f"{name}chance": pointing.chance}
        return entry | ({} if self.likeness is None else {"rank_correlation_with_random": self.likeness})


class Explainer:
    """Explains the answers to some rows.

    Args:
        prompts, answers: transforms with `add_generation_prompt` and without.
        folder: maps are written below it.
        look: gets each row with its scan as soon as it is explained.
    """

    def __init__(
        self,
        model: Any,
        prompts: ConversationTransform,
        answers: ConversationTransform,
        asked: ExplainArguments,
        folder: Path,
        look: Callable[[Explained, ScanInRow], None],
    ) -> None:
        self.model, self.prompts, self.answers, self.asked, self.folder, self.look = (
            model,
            prompts,
            answers,
            asked,
            folder,
            look,
        )
        self.random = draw_random_model(model, asked.seed) if asked.random_model else None
        self.seconds: list[float] = []
        self.n_views: list[int] = []
        self.unexplained: list[str] = []
        self.box_mm = ""

    def explain(self, rows: Dataset, chosen: list[tuple[dict, Region | None]]) -> list[Explained]:
        """All scans of each row's subject. `rows`: those that are chosen, as a dataset."""
        texts = {row["task_id"]: last_text(row) for row, _ in chosen}
        if self.asked.answer == "own":
            answerer = Answerer(
                self.model, self.prompts, self.answers, self.asked.batch_size, self.asked.max_new_tokens
            )
            for found in answerer.answer(rows, "answering"):
                texts |= {answer.task_id: answer.text for answer in found}
        for old in (self.folder / "maps").glob("[0-9][0-9][0-9]_*_*.nii.gz"):
            old.unlink()
        explained = []
        for i, (row, region) in enumerate(show_progress(chosen, desc="explaining", unit="row")):
            try:
                text = texts[row["task_id"]]
                explained += [self._explain_scan(i, row, n, region, text) for n in find_subject_places(row)]
            except ConversationError as error:  # an answer of its own can be empty, or hold a control token
                if self.asked.answer != "own":
                    raise
                self.unexplained.append(f"{row['task_id']}, {texts[row['task_id']]!r}: {error}")
        if not explained:
            raise ValueError(
                f"expected answers that can be explained, found none. {self.unexplained[0]}. Take --answer true"
            )
        return explained

    def _explain_scan(self, place: int, row: dict, number: int, region: Region | None, text: str) -> Explained:
        scan = ScanInRow(self.model, self.answers, row, number, answer=text)
        start = time.perf_counter()
        found = self._map(scan)
        self.seconds.append(time.perf_counter() - start)
        self.n_views.append(found.n_views)
        self.box_mm = " × ".join(f"{side:.3g}" for side in found.boxed.box_mm)
        stem = re.sub(r"[^\w.-]", "_", row["task_id"])
        which = f"scan{number + 1}_" if len(find_subject_places(row)) > 1 else ""
        file = f"maps/{place + 1:03d}_{stem}_{which}{self.asked.method}.nii.gz"
        found.save(self.folder / file)
        explained = Explained(row, scan.number, text, found, file, region, _point(found, region))
        if self.random is not None:
            scan.model = self.random
            other = self._map(scan)
            explained = replace(
                explained,
                of_random=other,
                random_pointing=_point(other, region),
                likeness=correlate_maps(found, other),
            )
        self.look(explained, scan)
        return explained

    def _map(self, scan: ScanInRow) -> AttributionMap:
        if self.asked.method == OCCLUSION:
            return map_occlusion(scan, self.asked.box_mm, self.asked.batch_size)
        return map_gradient(scan, self.asked.box_mm)

    def summarize(self, explained: list[Explained]) -> dict:
        """metrics.json but for the names of model and region."""
        subjects = [one.row["metadata"]["subject_id"] or f"row {one.row['task_id']}" for one in explained]
        pointed = [
            Pointed(subject, one.pointing, one.random_pointing)
            for one, subject in zip(explained, subjects, strict=True)
            if one.pointing is not None
        ]
        region = next((one.region.name for one in explained if one.region is not None), None)
        n_with_region = sum(one.region is not None for one in explained)
        pointing = summarize_pointing(region, pointed, n_with_region - len(pointed)) if region and pointed else None
        likeness = None
        if self.random is not None:
            likeness = summarize_likeness([one.likeness for one in explained], subjects)
        parts = [part for part in (pointing, likeness) if part is not None]
        warnings = [warning for part in parts for warning in part["warnings"]]
        if region and not pointed:
            warnings.append(f"The view shows nothing of the {region} in any row: there is no pointing number.")
        n_flat = sum(one.found.highest is None for one in explained)
        if n_flat:
            warnings.append(f"In {n_flat} of {len(explained)} maps no box matters more than another: the map is flat.")
        if self.unexplained:
            n, n_explained = len(self.unexplained), len({one.row["task_id"] for one in explained})
            warnings.append(f"{n} of {n + n_explained} answers cannot be explained. The first: {self.unexplained[0]}.")
        return {
            "split": self.asked.split,
            "method": self.asked.method,
            "answer": self.asked.answer,
            "box_mm": self.box_mm,
            "seed": self.asked.seed,
            "pointing": pointing,
            "likeness": likeness,
            "sentences": [sentence for part in parts for sentence in part["sentences"]],
            "warnings": warnings,
            "seconds_a_map": sum(self.seconds) / len(self.seconds),
            "views_a_map": sum(self.n_views) / len(self.n_views),
            "device": str(self.model.device),
            "rows": [one.to_dict() for one in explained],
        }


def _point(found: AttributionMap, region: Region | None) -> Pointing | None:
    return None if region is None else point_at(found, region)
