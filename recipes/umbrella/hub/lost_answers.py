"""What became of a commit whose answer was lost: the Hub is asked. It is there, it is not, or unknown."""

import hashlib
from json import JSONDecodeError
from pathlib import Path

from huggingface_hub import CommitOperationAdd, CommitOperationDelete
from huggingface_hub.errors import HfHubHTTPError, HTTPError
from huggingface_hub.hf_api import RepoFile

from umbrella.hub.repo import HubRepo


def may_be_published(error: HTTPError | JSONDecodeError) -> bool:
    """Whether the commit may be there although sending it has ended with this error: no answer came, or one of a proxy
    or a server that gave up. 412 too: a request that is sent again meets the commit of its first time."""
    response = error.response if isinstance(error, HfHubHTTPError) else None
    return response is None or response.status_code >= 500 or response.status_code == 412


def find_commit(
    repo: HubRepo, parent: str, operations: list[CommitOperationAdd | CommitOperationDelete]
) -> str | None:
    """The sha of the commit that these operations have made of `parent`; None where there is none.

    Only the commit that follows `parent` can be it, since it was sent with the condition that nobody has committed
    meanwhile; others may have come after it.

    Raises HTTPError where the Hub cannot be asked, LookupError where its history has lost the parent.
    """
    history = repo.list_commits()
    if parent not in history:
        raise LookupError(f"the history of {repo.repo_id} does not have {parent} any more")
    position = history.index(parent)
    if position == 0:
        return None
    sha = history[position - 1]
    there = repo.list_files(sha)
    return sha if all(_is_done(operation, there.get(operation.path_in_repo)) for operation in operations) else None


def _is_done(operation: CommitOperationAdd | CommitOperationDelete, file: RepoFile | None) -> bool:
    if isinstance(operation, CommitOperationDelete) or file is None:
        return isinstance(operation, CommitOperationDelete) and file is None
    return has_content(file, Path(operation.path_or_fileobj))


def has_content(file: RepoFile, path: Path) -> bool:
    """Whether a file of the Hub and one here are the same bytes."""
    if file.lfs is not None:
        with path.open("rb") as stream:
            return file.lfs.sha256 == hashlib.file_digest(stream, "sha256").hexdigest()
    return file.size == path.stat().st_size and file.blob_id == _git_hash(path.read_bytes())


def _git_hash(data: bytes) -> str:
    """The name that git gives a file of this content."""
    return hashlib.sha1(b"blob %d\0" % len(data) + data).hexdigest()
