"""Rows whose scans are not read: how many tokens they have, and what the text alone costs."""

import numpy as np

from umbrella.rows.transform import ConversationTransform


class BlankScans(ConversationTransform):
    """A ConversationTransform that shows blank scans, of the shapes that the real ones would have. They need not
    exist."""

    def load_images(self, row: dict, number: int) -> np.ndarray:
        shape = self.view_shape(row["images"][number]["modality"])
        try:
            return np.zeros(shape, np.float32)
        except MemoryError as error:
            flags = "--volume_size or --frames" if self.is_volume else "--image_size"
            raise MemoryError(
                f"{flags}: expected views that fit into memory, found {'x'.join(map(str, shape))} numbers a scan and "
                f"too little memory ({error}). Take fewer"
            ) from error
