"""Whether the grid of the view "volume" holds the heads: looked at in a few scans before training."""

import sys
from contextlib import suppress

from datasets import Dataset

from umbrella.scans.scan_files import find_source
from umbrella.scans.volumes import ScanError
from umbrella.views.loading import measure_cut
from umbrella.views.settings import VOLUME, ViewSettings

MOST_SCANS = 8  # that are read
MOST_CUT = 0.01  # of a head, of which nothing is said


def warn_of_cut_heads(rows: Dataset, settings: ViewSettings) -> str | None:
    """Print a warning, which is returned, where the grid cuts off more than a hundredth of a head, with the largest
    share among a few scans spread over the rows. Scans that cannot be read are named elsewhere."""
    if settings.view != VOLUME:
        return None
    plain, shares = rows.with_format(None), {}
    for index in range(0, len(plain), max(1, len(plain) // MOST_SCANS)):
        row = plain[index]
        with suppress(ScanError):
            for scan in row["images"][-1:]:
                shares[row["source"]] = measure_cut(find_source(scan), scan["modality"], settings)
        if len(shares) == MOST_SCANS:
            break
    cut = {source: share for source, share in shares.items() if share > MOST_CUT}
    if not cut:
        return None
    most = max(cut, key=cut.__getitem__)
    warning = (
        f"warning: the grid, {settings.volume_size} voxels of {settings.volume_spacing:g} mm, cuts off a part of the "
        f"head in {len(cut)} of {len(shares)} scans that were looked at, the most in the last scan of {most}: "
        f"{cut[most]:.1%}. To hold it: more --volume_size, or more --volume_spacing. recipes/preview.py shows what is "
        "left"
    )
    print(warning, file=sys.stderr)
    return warning
