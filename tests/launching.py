"""Start train.py's launchers from a test."""

import random
import socket
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parent.parent
BIN = Path(sys.executable).parent


def launch(command, cwd):
    """Run a command line from the folder `cwd`; returns what it printed."""
    result = subprocess.run([str(part) for part in command], cwd=cwd, capture_output=True, text=True, timeout=600)
    assert result.returncode == 0, result.stdout[-2000:] + result.stderr[-4000:]
    return result.stdout


def find_free_port() -> int:
    """For a launcher that takes 29500 else: two tests may start one at the same time. Below those that the system
    itself gives away, of which another program may have taken this one before it is listened at."""
    draw = random.SystemRandom()
    while True:
        port = draw.randrange(20_000, 32_000)
        with socket.socket() as one:
            if one.connect_ex(("127.0.0.1", port)):  # nobody listens there
                return port
