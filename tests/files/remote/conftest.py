"""Stores on loopback, and leave to read from them."""

import importlib
from collections import defaultdict

import pytest

from umbrella.files.contained_files import set_elsewhere
from umbrella.files.remote.copies import allow


@pytest.fixture(scope="session")
def connected():
    """Connections by store and time limit: those of botocore cost 0.4 s each to make."""
    return defaultdict(dict)


@pytest.fixture
def let(tmp_path, connected):
    """(roots, patience, most_gb) → ScanCopies in a folder of the test; short waits."""

    def let(*roots, patience=0.5, most_gb=1.0, folder="copies", anew=False):
        copies = allow(roots, tmp_path / folder, most_gb, patience)
        copies.store.first_wait_s = 0.02
        if not anew:
            copies.store._clients = connected[max(patience, 3)]
        return copies

    yield let
    set_elsewhere(None)


@pytest.fixture
def bucket(s3, monkeypatch):
    """The S3 server, with keys in the environment."""
    importlib.import_module("s3fs")  # which takes seconds of a test's patience where the machine is busy
    for name, value in s3.environment.items():
        monkeypatch.setenv(name, value)
    return s3
