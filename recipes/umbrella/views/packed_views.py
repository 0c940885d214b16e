"""Views of scans from shards, in front of the cache of views: a scan whose view was packed is not read at all."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from umbrella.files.contained_files import find_packed, split_root
from umbrella.files.shards.reading import Found, PackedScans
from umbrella.scans.scan_files import explain_reading
from umbrella.views.settings import ViewSettings
from umbrella.views.volume_cache import VolumeCache, hash_code, unpack_views

CODE = "code"  # among an index's settings: a hash of what views are made by


class PackedViews:
    """Answers as a VolumeCache does; what was not packed is left to the one behind, or is loaded.

    Args:
        settings: of the views that are asked for.

    Raises ValueError where the packed ones were made with others, or by other code.
    """

    def __init__(self, packed: PackedScans, settings: ViewSettings, behind: VolumeCache | None) -> None:
        self.packed, self.behind = packed, behind
        expected = describe_views(settings)
        for folder in packed.folders:
            if folder.holds_views and (found := folder.index.about.settings) != expected:
                names = sorted(name for name in expected | found if expected.get(name) != found.get(name))
                raise ValueError(f"{folder.index.place}: {_describe_difference(names, expected, found)}")

    def load(self, load_view: Callable[..., np.ndarray], source: str | Path | bytes, **options: Any) -> np.ndarray:
        """The view of a scan. Raises what `load_view` raises."""
        found = find_packed_view(self.packed, source, options["modality"])
        if found is not None:
            with explain_reading(split_root(str(source))[1]):
                return unpack_views(found.folder.read(found.member))
        return load_view(source, **options) if self.behind is None else self.behind.load(load_view, source, **options)

    def holds(self, load_view: Callable, source: str | Path | bytes, **options: Any) -> bool:
        """Whether the view is on this machine."""
        found = find_packed_view(self.packed, source, options["modality"])
        if found is not None:
            return found.folder.is_here(found.member)
        return self.behind is not None and self.behind.holds(load_view, source, **options)


def describe_views(settings: ViewSettings) -> dict[str, Any]:
    """What an index of views states of them."""
    return settings.stated() | {CODE: hash_code()}


def is_view_packed(source: str | Path | bytes, modality: str) -> bool:
    """Whether this process takes the view of a scan from shards: it was read when it was packed."""
    packed = find_packed()
    return isinstance(packed, PackedScans) and find_packed_view(packed, source, modality) is not None


def find_packed_view(packed: PackedScans, source: str | Path | bytes, modality: str) -> Found | None:
    """Where a scan's view lies; None for one that was not packed."""
    if isinstance(source, bytes) or not packed.holds_views:
        return None
    root, path = split_root(source)
    return packed.find(path, root, modality)


def _describe_difference(names: list[str], expected: dict, found: dict) -> str:
    if names == [CODE]:
        return "expected views that this version of Umbrella has made, found those of another: pack them anew"
    shown = [name for name in names if name != CODE]
    asked, packed = (", ".join(f"--{name} {each.get(name)}" for name in shown) for each in (expected, found))
    return (
        f"expected views as they are asked for, by {asked}, found those by {packed}: pack them anew, or ask for these"
    )
