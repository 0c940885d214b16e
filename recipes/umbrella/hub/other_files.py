"""What a push does with the files that a repo has already: those of former pushes are replaced, others are not touched
unless that is asked for.

Each push lists its files in `.umbrella_push.json`, beside them: so that the next one knows which are its own.
"""

import json
from collections.abc import Callable, Collection
from pathlib import Path

from huggingface_hub import HfApi

from umbrella.json_files import read_json

MANIFEST = ".umbrella_push.json"
KEPT = (".gitattributes",)
MOST_NAMED = 10


class OtherFilesError(ValueError):
    """Files in the repo that would be read as a part of what is published, or of which that cannot be told."""


def write_manifest(folder: Path) -> None:
    """Beside what is to be pushed, the list of it."""
    names = sorted(path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file())
    text = json.dumps({"files": [name for name in names if name != MANIFEST]}, indent=1)
    (folder / MANIFEST).write_text(text + "\n", encoding="utf-8")


def read_manifest(api: HfApi, repo_id: str, repo_type: str, revision: str) -> set[str]:
    """The files that the last push has written; none in a repo that has none of ours.

    Raises OtherFilesError for a manifest that no push wrote."""
    path = Path(api.hf_hub_download(repo_id, MANIFEST, repo_type=repo_type, revision=revision))
    found = read_json(path)
    files = found.get("files") if isinstance(found, dict) else None
    if not isinstance(files, list) or not all(isinstance(name, str) for name in files):
        raise OtherFilesError(
            f"expected {MANIFEST} as the last push wrote it, a list of its files, found another. Restore it in the "
            "repo's history, or delete it, after which those files count as others"
        )
    return {MANIFEST, *files}


def choose_deletions(
    there: Collection[str],
    names: Collection[str],
    former: Collection[str],
    is_read: Callable[[str], bool],
    delete_other_files: bool,
) -> list[str]:
    """The files to delete of a repo: those of former pushes that this one has no more, and the others where they are
    asked to go. Prints which others go, or stay.

    Args:
        there: the repo's files.
        names: the files of this push.
        former: the files that former pushes have written.
        is_read: whether a file of this name is read as a part of what is published.

    Raises OtherFilesError where others that are not to be deleted would be read.
    """
    own = sorted((set(there) & set(former)) - set(names) - set(KEPT))
    others = find_others(there, {*names, *former})
    if delete_other_files:
        if others:
            print(f"deleted by this push, though none of this program wrote them: {_show(others)}")
        return own + others
    refuse_read(others, is_read)
    if others:
        print(
            f"left in the repo, since no push of this program wrote them: {_show(others)} "
            "(--delete_other_files true deletes them)"
        )
    return own


def find_others(there: Collection[str], own: Collection[str]) -> list[str]:
    """The files of a repo that are not our own."""
    return sorted(set(there) - set(own) - set(KEPT))


def refuse_read(others: list[str], is_read: Callable[[str], bool]) -> None:
    """Raise OtherFilesError where one of these files is read as a part of what is published."""
    if read := [name for name in others if is_read(name)]:
        raise OtherFilesError(
            f"expected no other files that are read as a part of what is published, found {_show(read)}, which no "
            "push of this program wrote. Delete them, choose another repo, or give --delete_other_files true, which "
            f"deletes {'these' if read == others else f'all {len(others)} others'}"
        )


def _show(names: list[str]) -> str:
    more = f" and {len(names) - MOST_NAMED} more" if len(names) > MOST_NAMED else ""
    return ", ".join(map(repr, names[:MOST_NAMED])) + more
