"""Scans in object stores: a command's leave to read them, and what is asked of the stores before the first is read."""

from collections.abc import Callable, Iterable, Mapping
from typing import TYPE_CHECKING, Any

from umbrella.files.contained_files import ADDRESS, find_elsewhere, find_packed, is_remote, set_elsewhere
from umbrella.options.data.remote_flags import RemoteFlags

if TYPE_CHECKING:  # a generator of conversations needs none of it
    from datasets import Dataset


def allow_remote(flags: RemoteFlags) -> None:
    """From here on this process, and those that it forks, may read what lies under `--remote_roots`, and nothing
    else of any store."""
    if not flags.remote_roots:
        set_elsewhere(None)
        return
    from umbrella.files.remote.copies import allow  # here: what no flag asks for costs nothing

    allow(flags.remote_roots, flags.scan_copies, flags.scan_copies_gb, flags.remote_patience)


def know_scans(
    splits: Mapping[str, "Dataset"], once: Callable[..., Any] = lambda function, *given: function(*given)
) -> None:
    """Ask the stores, in few requests, what lies at the addresses that the rows name and beside them.

    Args:
        once: calls a function in one of several processes, and returns in all of them what it has returned.

    Raises RemoteError where a store gives no answer.
    """
    copies: Any = find_elsewhere()
    if copies is None:
        return
    copies.use_table(once(_look_up, splits))


def know_files(paths: Iterable[str]) -> None:
    """The same for scans that are named one by one."""
    if find_elsewhere() is not None:
        _learn([path for path in paths if is_remote(path)])


def _look_up(splits: Mapping[str, "Dataset"]) -> Any:
    return _learn([url for rows in splits.values() for url in _list_urls(rows)])


def _learn(urls: list[str]) -> Any:
    """Nothing is asked of scans that lie in shards."""
    from umbrella.views.volume_cache import list_files

    copies: Any = find_elsewhere()
    packed: Any = find_packed()
    others = urls if packed is None else packed.find_others(urls)
    copies.learn(name for url in others for name in list_files(url))
    return copies.table


def _list_urls(rows: "Dataset") -> list[str]:
    """The addresses in a table, without a loop over its rows."""
    import pyarrow.compute as pc

    found = []
    for chunk in rows.data.table["images"].chunks:
        images = chunk.flatten()
        paths = pc.unique(images.field("path"))
        found += paths.filter(pc.match_substring_regex(paths, f"^{ADDRESS.pattern}")).to_pylist()
    return list(dict.fromkeys(found))
