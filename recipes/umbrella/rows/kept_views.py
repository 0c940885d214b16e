"""Views of scans stay in memory during evaluation, since every control shows the same scans again."""

from collections import OrderedDict
from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np
import xxhash
from datasets import Dataset

from umbrella.rows.changed_scans import CHANGES, find_background
from umbrella.rows.transform import ConversationTransform
from umbrella.scans.scan_files import find_source
from umbrella.views.volume_cache import identify_scan

MOST_BYTES = 1024**3  # of views kept


class ViewCache:
    """Views by the hash of what they are of, up to `most_bytes`; the longest unused go first. One that is larger alone
    is not kept."""

    def __init__(self, most_bytes: int = MOST_BYTES) -> None:
        self.most_bytes, self.n_bytes = most_bytes, 0
        self.views: OrderedDict[str, np.ndarray] = OrderedDict()

    def get(self, key: str) -> np.ndarray | None:
        if key in self.views:
            self.views.move_to_end(key)
        return self.views.get(key)

    def put(self, key: str, views: np.ndarray) -> None:
        if views.nbytes > self.most_bytes:
            return
        if views.base is not None:  # a part of a larger array, which would stay in memory with it
            views = views.copy()
        if key in self.views:
            self.n_bytes -= self.views.pop(key).nbytes
        self.views[key] = views
        self.n_bytes += views.nbytes
        while self.n_bytes > self.most_bytes:
            self.n_bytes -= self.views.popitem(last=False)[1].nbytes


class CachingTransform(ConversationTransform):
    """A ConversationTransform that takes views from a cache, which transforms with the same view options may share.

    Args:
        change: the name of one of `umbrella.rows.changed_scans.CHANGES`: each scan is shown changed; what is drawn
            depends on `seed`, the row's task_id and the scan's number.
        variants_of: rows; those that are then encoded are variants, which state the number of their row in `row` and
            what is other in them.
        perturb: (scan, a row's `perturbation`, its `strength`) → the view of the scan, see
            `umbrella.rows.perturbed_scans`.
    """

    def __init__(
        self,
        processor: Any,
        cache: ViewCache,
        change: str | None = None,
        seed: int = 0,
        variants_of: Dataset | None = None,
        perturb: Callable[[dict, str, int], np.ndarray] | None = None,
        **options: Any,
    ) -> None:
        super().__init__(processor, **options)
        self.cache, self.change, self.seed = cache, None if change is None else CHANGES[change], seed
        self.variants_of, self.perturb = variants_of and variants_of.with_format(None), perturb

    @property
    def shows_scans_as_they_are(self) -> bool:
        return self.change is None and self.perturb is None

    def encode_row(self, row: dict) -> dict:
        """One row, or variant of a row → one example."""
        return super().encode_row(self.complete(row))

    def complete(self, row: dict) -> dict:
        """A variant with what it has of its row; any other row as it is."""
        return row if self.variants_of is None else {**self.variants_of[row["row"]], **row}

    def is_kept(self, row: dict, number: int) -> bool:
        is_here = self.perturb is None and self.cache.get(hash_scan(row["images"][number])) is not None
        return is_here or super().is_kept(row, number)

    def prefetch(self, rows: list[dict]) -> None:
        super().prefetch([self.complete(row) for row in rows])

    def load_images(self, row: dict, number: int) -> np.ndarray:
        scan = row["images"][number]
        if self.perturb is not None:
            how = row["perturbation"], row["strength"]
            return self._keep(f"{hash_scan(scan)} {how}", partial(self.perturb, scan, *how))
        images = self._keep(hash_scan(scan), partial(super().load_images, row, number))
        if self.change is None:
            return images
        return self.change(images, f"{self.seed} {row['task_id']} {number}", find_background(images, self.settings))

    def _keep(self, key: str, load: Callable[[], np.ndarray]) -> np.ndarray:
        images = self.cache.get(key)
        if images is None:
            images = load()
            self.cache.put(key, images)
        return images


def hash_scan(scan: dict) -> str:
    """A scan's name in the cache, of a fixed length, whether the row has the scan's bytes or its path; another one for
    a file that has changed."""
    identity = identify_scan(find_source(scan))
    return xxhash.xxh3_128_hexdigest(repr((identity, scan["modality"])).encode())
