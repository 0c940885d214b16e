"""Uploading a folder to the Hub: one way for datasets, models and the Trainer, with errors that say what to do.

Large files go first, each by itself, so that a push that was stopped continues where it was. Then one commit publishes
everything at once, provided that nobody else has committed meanwhile: until then the repo shows what it showed before.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from huggingface_hub import CommitOperationAdd, CommitOperationDelete, HfApi
from huggingface_hub.errors import (
    HfHubHTTPError,
    HFValidationError,
    HTTPError,
    LocalTokenNotFoundError,
    OfflineModeIsEnabled,
    RepositoryNotFoundError,
)
from tqdm import tqdm

FILES_A_BATCH = 50
KEPT = (".gitattributes",)
_AGAIN = "Run the same command again: it continues where it was"
_BY_STATUS = {
    401: "{repo}: expected a valid token, found one that the Hub does not know. Log in with `hf auth login`",
    402: "{repo}: the Hub refuses for want of a paid plan or storage ({message}). Free some space, then run again",
    403: "{repo}: expected the right to write, found a token without it ({message}). Use one with write access",
    404: "{repo}: expected a repo that this token may see, found none. Check the name and the token",
    412: "{repo}: somebody else has committed since this push began; nothing was published. Run again",
    413: "{repo}: the Hub says that a file is too large ({message}). Use a smaller --max_shard_size",
    429: f"{{repo}}: the Hub asks to slow down ({{message}}). {_AGAIN}, in a while",
    507: "{repo}: the storage quota is used up ({message}). Free some space, then run again",
}


class PushError(ValueError):
    """A push that did not happen. The message says why, and what to do."""


@contextmanager
def explain_errors(repo_id: str) -> Iterator[None]:
    """Errors of the Hub, of the network and of names, as a PushError of one sentence."""
    try:
        yield
    except PushError:
        raise
    except LocalTokenNotFoundError as error:
        raise PushError(
            f"{repo_id}: expected to be logged in to the Hub, found no token. Log in: `hf auth login`, or set HF_TOKEN"
        ) from error
    except OfflineModeIsEnabled as error:
        raise PushError(f"{repo_id}: expected a network, found HF_HUB_OFFLINE set. Unset it to push") from error
    except HFValidationError as error:
        raise PushError(f"{repo_id}: expected a name such as user/name ({error})") from error
    except (HTTPError, RuntimeError) as error:
        # An upload that fails in a thread comes as a RuntimeError, caused by what the network or the Hub said.
        cause = error if isinstance(error, HTTPError) else error.__cause__
        if not isinstance(cause, HTTPError):
            raise
        raise PushError(_explain(repo_id, cause)) from error


def _explain(repo_id: str, error: HTTPError) -> str:
    response = error.response if isinstance(error, HfHubHTTPError) else None
    if response is None:
        return f"{repo_id}: the connection to the Hub broke ({type(error).__name__}); nothing was published. {_AGAIN}"
    message = (error.server_message or str(error).splitlines()[0]).strip()
    default = f"{{repo}}: the Hub answered {response.status_code} ({{message}}). {_AGAIN}"
    return _BY_STATUS.get(response.status_code, default).format(repo=repo_id, message=message)


def open_repo(api: HfApi, repo_id: str, repo_type: str, public: bool, gated: str | None = None) -> str:
    """Create the repo, private unless `public`, where there is none. Returns its full name.

    Raises PushError where a repo of the other type has this name, or where the repo is public and `public` is not set.
    """
    with explain_errors(repo_id):
        user = api.whoami()["name"]
        repo_id = repo_id if "/" in repo_id else f"{user}/{repo_id}"
        other = {"dataset": "model", "model": "dataset"}[repo_type]
        if not _exists(api, repo_id, repo_type) and _exists(api, repo_id, other):
            raise PushError(
                f"{repo_id}: expected a {repo_type}, found a {other} of that name. Choose another --repo_id"
            )
        api.create_repo(repo_id, repo_type=repo_type, private=not public, exist_ok=True)
        if not api.repo_info(repo_id, repo_type=repo_type).private and not public:
            raise PushError(
                f"{repo_id}: expected a private repo, found a public one. Make it private on the Hub, choose another "
                "--repo_id, or publish for everybody with --public true"
            )
        if gated is not None:
            api.update_repo_settings(repo_id, repo_type=repo_type, gated=gated)
    return repo_id


def _exists(api: HfApi, repo_id: str, repo_type: str) -> bool:
    try:
        api.repo_info(repo_id, repo_type=repo_type)
    except RepositoryNotFoundError:
        return False
    return True


def upload(api: HfApi, folder: Path, repo_id: str, repo_type: str, message: str) -> str:
    """Make the repo's files those of `folder`, in one commit. Returns the commit's address.

    What is there already is not uploaded again, and without any change there is no commit. Raises PushError.
    """
    with explain_errors(repo_id):
        head = api.repo_info(repo_id, repo_type=repo_type).sha
        paths = sorted(path for path in folder.rglob("*") if path.is_file())
        additions = [
            CommitOperationAdd(path.relative_to(folder).as_posix(), path)
            for path in tqdm(paths, "compare with the repo", unit="file")  # reads each file once, for its hash
        ]
        with tqdm(total=len(additions), desc="upload", unit="file") as progress:
            for start in range(0, len(additions), FILES_A_BATCH):
                batch = additions[start : start + FILES_A_BATCH]
                api.preupload_lfs_files(repo_id, batch, repo_type=repo_type, free_memory=False)
                progress.update(len(batch))
        names = {addition.path_in_repo for addition in additions}
        there = api.list_repo_files(repo_id, repo_type=repo_type, revision=head)
        deletions = [CommitOperationDelete(name) for name in there if name not in names and name not in KEPT]
        info = api.create_commit(
            repo_id, [*deletions, *additions], commit_message=message, repo_type=repo_type, parent_commit=head
        )
    return info.commit_url
