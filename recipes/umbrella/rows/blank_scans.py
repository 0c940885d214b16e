"""Rows whose scans are not read: how many tokens they have, and what the text alone costs."""

import numpy as np

from umbrella.rows.transform import ConversationTransform


class BlankScans(ConversationTransform):
    """A ConversationTransform that shows blank scans, of the shapes that the real ones would have. They need not
    exist."""

    def load_images(self, row: dict, number: int) -> np.ndarray:
        return np.zeros(self.view_shape(row["images"][number]["modality"]), np.float32)
