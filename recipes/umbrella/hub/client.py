"""Uploading a folder to the Hub: one way for datasets, models and the Trainer, with errors that say what to do.

Large files go first, each by itself, so that a push that was stopped continues where it was. Then one commit publishes
everything at once, provided that nobody else has committed meanwhile: until then the repo shows what it showed before.
`HfApi.upload_folder` is no such way: it commits a large folder in parts, of which only the first has that condition.
"""

from collections.abc import Callable
from json import JSONDecodeError
from pathlib import Path

from huggingface_hub import CommitOperationAdd, CommitOperationDelete, HfApi
from huggingface_hub.errors import HTTPError, RepositoryNotFoundError

from umbrella.hub.lost_answers import find_commit, has_content, may_be_published
from umbrella.hub.other_files import choose_deletions, find_others, find_own, refuse_others
from umbrella.hub.repo import HubRepo
from umbrella.models.hub_errors import AGAIN, PushError, explain_errors
from umbrella.options.commands.progress import show_progress
from umbrella.rows.push_manifest import write_manifest

FILES_A_BATCH = 50


def open_repo(api: HfApi, repo_id: str, repo_type: str, public: bool, gated: str | None = None) -> str:
    """Create the repo, private unless `public`, where there is none. Returns its full name.

    Raises PushError where a model is to have a dataset's name, or a dataset a model's, or where the repo is public and
    `public` is not set.
    """
    with explain_errors(repo_id):
        user = api.whoami()["name"]
        repo_id = repo_id if "/" in repo_id else f"{user}/{repo_id}"
        other = {"dataset": "model", "model": "dataset"}.get(repo_type)
        if other and not _exists(api, repo_id, repo_type) and _exists(api, repo_id, other):
            raise PushError(
                f"{repo_id}: expected a {repo_type}, found a {other} of that name. Choose another --repo_id"
            )
        sdk = "gradio" if repo_type == "space" else None
        api.create_repo(repo_id, repo_type=repo_type, private=not public, exist_ok=True, space_sdk=sdk)
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


def upload(
    repo: HubRepo,
    folder: Path,
    message: str,
    is_read: Callable[[str], bool],
    is_written: Callable[[str], bool],
    delete_other_files: bool = False,
) -> str:
    """Publish the files of `folder`, in one commit. Returns the commit's address.

    What is there already is not uploaded again, and without any change there is no commit. Files of former pushes that
    `folder` has no more are deleted; with others in the repo goes what `other_files.choose_deletions` says.

    Args:
        is_read: whether a file of this name is read as a part of what is published.
        is_written: whether a push writes files of this name.

    Raises PushError.
    """
    with explain_errors(repo.repo_id):
        head = repo.find_head()
        write_manifest(folder)
        paths = {path.relative_to(folder).as_posix(): path for path in sorted(folder.rglob("*")) if path.is_file()}
        there = repo.list_files(head)
        own = find_own(repo, head, there, lambda name: name in paths or is_written(name))
        equal = {name for name in {*there} & {*paths} - own if has_content(there[name], paths[name])}
        unwanted = choose_deletions(there, paths, own | equal, is_read, delete_other_files)
        additions = [  # each file is read once, for its hash
            CommitOperationAdd(name, path)
            for name, path in show_progress(paths.items(), desc="compare with the repo", unit="file")
        ]
        with show_progress(total=len(additions), desc="upload", unit="file") as progress:
            for start in range(0, len(additions), FILES_A_BATCH):
                batch = additions[start : start + FILES_A_BATCH]
                repo.api.preupload_lfs_files(repo.repo_id, batch, repo_type=repo.repo_type, free_memory=False)
                progress.update(len(batch))
        operations = [*map(CommitOperationDelete, unwanted), *additions]
        return _commit(repo, message, head, operations)


def check_other_files(
    api: HfApi, repo_id: str, repo_type: str, is_read: Callable[[str], bool], is_written: Callable[[str], bool]
) -> None:
    """Raise PushError, before there is anything to push, where the repo has files that no push of this program wrote
    and that are read as a part of what is going to be published, or may be replaced by it."""
    repo = HubRepo(api, repo_id, repo_type)
    with explain_errors(repo_id):
        head = repo.find_head()
        there = repo.list_files(head)
        own = find_own(repo, head, there, is_written)
        refuse_others(find_others(there, own), lambda name: is_read(name) or is_written(name))


def _commit(repo: HubRepo, message: str, head: str, operations: list) -> str:
    """The address of the commit; where its answer is lost, of the one that the Hub has."""
    try:
        info = repo.api.create_commit(
            repo.repo_id, operations, commit_message=message, repo_type=repo.repo_type, parent_commit=head
        )
    except (HTTPError, JSONDecodeError) as error:
        if not may_be_published(error):
            raise
        lost = f"{repo.repo_id}: the Hub's answer to the commit was lost ({type(error).__name__})"
        try:
            sha = find_commit(repo, head, operations)
        except (HTTPError, LookupError) as asking:
            raise PushError(
                f"{lost}, and asking whether it was published failed too ({type(asking).__name__}): it cannot be "
                f"known. See {repo.url}, or run the same command again, which changes nothing where it was published"
            ) from asking
        if sha is None and isinstance(error, JSONDecodeError):
            raise PushError(f"{lost}; nothing was published. {AGAIN}") from error
        if sha is None:
            raise
        print(f"{lost}; asked afterwards, the Hub has the commit")
        return f"{repo.url}/commit/{sha}"
    return info.commit_url
