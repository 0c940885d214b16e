"""Addresses among the flags: none holds a key, and what is read or written as a folder or file is on this machine."""

import re
from collections.abc import Sequence

from umbrella.files.contained_files import is_remote, show_address
from umbrella.files.remote.addresses import has_password

# Of TensorBoard's own writers some reach stores, so --logging_dir is none of these.
_ON_THIS_MACHINE = re.compile(
    r"--(?!logging_dir)(?:\w+_dir|output|scan_copies|volume_cache|feature_cache|table|cohorts|participants|bids_out"
    r"|dicom_rules|resume_from_checkpoint)"
)
_ADDRESS = re.compile(r"[A-Za-z][A-Za-z0-9+.-]*://")


def check_addresses(flags: Sequence[str]) -> None:
    """Refuse, among flags (`--name value`, `--name=value`), an address with a user or password, and one where a folder
    or file is meant: it would be made here, as the folder "s3:".

    Raises ValueError that names the flag, and shows no key.
    """
    name = "the command line"
    for flag in flags:
        is_name = flag.startswith("--")
        name, _, value = flag.partition("=") if is_name else (name, "", flag)
        if not _ADDRESS.match(value):
            continue
        shown = show_address(value)
        if _ON_THIS_MACHINE.fullmatch(name.replace("-", "_").replace("__", "--", 1)):
            raise ValueError(
                f"{name}: expected a path on this machine, found the address {shown}: of stores scans alone are read, "
                "and nothing is written there. Give a place here, and copy from or to the store by its own tools"
            )
        if is_remote(value) and has_password(value):
            raise ValueError(
                f"{name}: expected an address without keys, found {shown} with a user or password: keys come from the "
                "environment alone"
            )
