"""What `--remote_roots` and its neighbours take, told before anything large is imported."""

import shlex
from dataclasses import fields
from typing import Any

from umbrella.files.contained_files import show_address
from umbrella.files.remote.addresses import find_fault, is_within
from umbrella.options.data.remote_flags import RemoteFlags
from umbrella.options.extras import check_extra
from umbrella.options.number_bounds import POSITIVE, check_bounds

OF_REMOTE = tuple(one.name for one in fields(RemoteFlags))
PACKAGE_OF = {"s3": "s3fs", "gs": "gcsfs", "https": "aiohttp"}  # hf:// comes with huggingface_hub


def check_remote(flags: RemoteFlags, *image_roots: str | None) -> None:
    """Raise ValueError for roots that are no addresses and image_roots under none of them; ImportError, with the
    command that installs it, for a missing package."""
    check_bounds(flags, {"scan_copies_gb": POSITIVE, "remote_patience": POSITIVE})
    roots = flags.remote_roots or []
    for root in roots:
        if (fault := find_fault(root)) is not None:
            raise ValueError(
                f"--remote_roots: expected the beginning of addresses, as s3://bucket/study, found "
                f"{show_address(root)}: {fault}"
            )
        scheme = root.partition(":")[0]
        if scheme in PACKAGE_OF:
            check_extra(PACKAGE_OF[scheme], f"--remote_roots {scheme}://", "remote")
    for image_root in image_roots:
        if image_root is not None and "://" in image_root:
            _check_image_root(image_root, roots)


def _check_image_root(image_root: str, roots: list[str]) -> None:
    if (fault := find_fault(image_root)) is not None:
        raise ValueError(f"--image_root: expected a folder or an address, found {show_address(image_root)}: {fault}")
    if not is_within(image_root, roots):
        raise ValueError(
            f"--image_root {image_root}: expected a folder on this machine, or an address under --remote_roots, "
            f"found {' '.join(roots) or 'none'} there. Add it: --remote_roots {shlex.quote(image_root)}"
        )


def tell_remote(flags: RemoteFlags) -> dict[str, Any]:
    """Flag → its value, for another class that has them."""
    return {name: getattr(flags, name) for name in OF_REMOTE}
