"""What lies at many addresses, in few requests: stores that can list are asked for what they have below a folder."""

import os
from collections import defaultdict
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor

from umbrella.files.contained_files import AbsentError, RemoteError
from umbrella.files.remote.addresses import find_host, split_address
from umbrella.files.remote.faults import FORBIDDEN
from umbrella.files.remote.identity import Identity
from umbrella.files.remote.store import Store

FEWEST_LISTED = 50  # addresses of one bucket: for fewer each is asked for by itself
MOST_LISTED = 20  # entries a wanted address, and so many pages: then the folder is mostly of others
LEAST_BOUND = 20_000
N_THREADS = 16


def look_up(urls: Sequence[str], store: Store) -> dict[str, Identity | RemoteError | None]:
    """Address → what lies there, None: nothing; the error where the store refuses to say. Raises RemoteError where it
    gives no answer."""
    by_host = defaultdict(list)
    for url in dict.fromkeys(urls):
        store.check(url)
        by_host[find_host(url)].append(url)
    known: dict[str, Identity | RemoteError | None] = {}
    for wanted in by_host.values():
        known |= _list(wanted, store) if len(wanted) > FEWEST_LISTED else {}
    rest = [url for url in dict.fromkeys(urls) if url not in known]
    if rest:
        with ThreadPoolExecutor(min(N_THREADS, len(rest))) as pool:
            known |= dict(zip(rest, pool.map(lambda url: _stat(url, store), rest), strict=True))
    return known


def _list(urls: list[str], store: Store) -> dict[str, Identity | None]:
    """What a listing of the folder that they have in common tells of them: all, where it came to its end."""
    folder = os.path.commonprefix(urls).rpartition("/")[0] + "/"  # noqa: RUF071 - "//" stays, which keys may have
    if "/" not in split_address(folder)[1]:
        return {}
    bound = max(LEAST_BOUND, MOST_LISTED * len(urls))
    try:
        found = store.list_below(folder, bound)
    except AbsentError:
        return dict.fromkeys(urls)
    except RemoteError as error:
        if error.kind != FORBIDDEN:  # to read one does not need the right to list
            raise
        return {}
    if found is None:
        return {}
    is_whole = len(found) <= bound
    return {url: found.get(url) for url in urls if is_whole or url in found}


def _stat(url: str, store: Store) -> Identity | RemoteError | None:
    try:
        return store.stat(url)
    except AbsentError:
        return None
    except RemoteError as error:
        if error.kind != FORBIDDEN:
            raise
        return error
