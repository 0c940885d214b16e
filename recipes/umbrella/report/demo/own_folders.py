"""Folders of this process, for scans: nobody else may read them, and none stays."""

import atexit
import os
import platform
import shutil
import tempfile
from pathlib import Path
from zlib import crc32

import psutil


def make_own_folder(kind: str, within: str | None = None) -> Path:
    """A new folder, which is removed when the process ends. Those of its kind of processes of this machine that were
    killed go now.

    within  where it is made; None: where temporary files are
    """
    parent = Path(within or tempfile.gettempdir())
    # Several machines may share the place, whose numbers are not ours; the page's addresses tell nobody their names.
    machine = crc32(platform.node().encode())
    ours = f"umbrella-{kind}-{machine:08x}-"
    for left in parent.iterdir() if parent.is_dir() else ():
        number = left.name.removeprefix(ours).partition("-")[0]
        if left.name.startswith(ours) and number.isdigit() and not psutil.pid_exists(int(number)):
            shutil.rmtree(left, ignore_errors=True)
    parent.mkdir(parents=True, exist_ok=True)
    folder = Path(tempfile.mkdtemp(prefix=f"{ours}{os.getpid()}-", dir=parent)).resolve()
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    return folder
