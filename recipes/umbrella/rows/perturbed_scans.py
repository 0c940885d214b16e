"""Perturbed scans on their way to a view: each scan is decoded once for all that is made of it.

What the view shows of a scan is perturbed and written as a NIfTI file in memory; that file takes the way of every
other, so its percentiles, its place on the grid and its picture are those of a scan that was recorded so. Nothing of
it is kept on disk.
"""

from dataclasses import replace

import numpy as np

from umbrella.rows.kept_views import ViewCache, hash_scan
from umbrella.scans.scan_files import find_source
from umbrella.scans.volumes import ScanError
from umbrella.views.expectations import NONE
from umbrella.views.loading import load_view, read_shown_series
from umbrella.views.perturbation import KINDS, Frames, perturb
from umbrella.views.settings import VOLUME, ViewSettings


class PerturbedScans:
    """Loads views of perturbed scans. Decoded scans stay in memory, up to `most_bytes`.

    seed  of what is drawn; the same scan is perturbed alike wherever a row shows it
    """

    def __init__(self, settings: ViewSettings, seed: int = 0, **limits: int) -> None:
        self.settings, self.seed = settings, seed
        self._stored, self._unfilled = ViewCache(**limits), dict[str, Frames]()

    def load(self, scan: dict, kind: str, strength: int) -> np.ndarray:
        """The view of one scan of a row, perturbed, as `umbrella.views.loading.load_view` gives it. Raises ScanError.

        kind, strength  see `umbrella.views.perturbation.perturb`
        """
        frames = perturb(self._read(scan), kind, strength, self.seed)
        # What the encoder expects was asked of the scan as it is; a series holds nothing but the frames to be shown.
        settings = replace(self.settings, expects=self.settings.expects and NONE)
        if settings.view == VOLUME and len(frames.stored) > 1:
            settings = replace(settings, frames=str(len(frames.stored)))
        try:
            return load_view(frames.to_bytes(), modality=scan["modality"], **settings.stated())
        except ScanError as error:
            name = f"{KINDS[kind].title} {KINDS[kind].names[strength]}"
            raise ScanError(f"{scan['path']}, perturbed by {name}: {error}") from error

    def _read(self, scan: dict) -> Frames:
        key = hash_scan(scan)
        stored = self._stored.get(key)
        if stored is not None:
            return replace(self._unfilled[key], stored=stored)
        series = read_shown_series(find_source(scan), scan["modality"], self.settings)
        frames = Frames.of_series(series, self.settings.view)
        self._unfilled[key] = replace(frames, stored=series.stored[:0])
        self._stored.put(key, series.stored)  # a copy: what was read stands in memory that the next scan is read into
        return frames
