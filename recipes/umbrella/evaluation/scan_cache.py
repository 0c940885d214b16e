"""Views of scans stay in memory during evaluation, since every control shows the same scans again."""

from collections import OrderedDict

import numpy as np

from umbrella.transform import ConversationTransform

MOST_BYTES = 1024**3  # of views kept


class ViewCache:
    """Views by scan, up to `most_bytes`; the longest unused go first."""

    def __init__(self, most_bytes: int = MOST_BYTES):
        self.most_bytes, self.n_bytes = most_bytes, 0
        self.views: OrderedDict[tuple, np.ndarray] = OrderedDict()

    def get(self, key: tuple) -> np.ndarray | None:
        if key in self.views:
            self.views.move_to_end(key)
        return self.views.get(key)

    def put(self, key: tuple, views: np.ndarray) -> None:
        self.views[key] = views
        self.n_bytes += views.nbytes
        while self.n_bytes > self.most_bytes:
            self.n_bytes -= self.views.popitem(last=False)[1].nbytes


class CachingTransform(ConversationTransform):
    """A ConversationTransform that takes views from a cache, which transforms with the same view options may share.

    With `blank` set to True each scan is shown as its own background: the same shape, no anatomy.
    """

    def __init__(self, processor, cache: ViewCache, **options):
        super().__init__(processor, **options)
        self.cache, self.blank = cache, False

    def load_images(self, row: dict, number: int) -> np.ndarray:
        scan = row["images"][number]
        key = (scan.get("bytes") or scan["path"], scan["modality"])
        images = self.cache.get(key)
        if images is None:
            images = super().load_images(row, number)
            self.cache.put(key, images)
        return np.full_like(images, images.min()) if self.blank else images
