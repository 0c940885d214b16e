"""What a push does with the files that a repo has already: those of former pushes are replaced or deleted, others are
not touched unless that is asked for.

Which are of former pushes is told by their list (`push_manifest`); in a repo without one, which an older version has
published, by its card.
"""

from collections.abc import Callable, Collection

from umbrella.hub.repo import HubRepo
from umbrella.models.hub_errors import OtherFilesError
from umbrella.rows.push_manifest import MANIFEST, parse_manifest

CARD = "README.md"
# How a line of each card template begins.
CARD_LINES = (
    "Conversations about brain scans, for training and evaluating vision-language models.",
    "A vision-language model that answers questions about brain scans, trained with Umbrella",
    "A page to look at brain scans and to talk about them with the vision-language model",
)
KEPT = (".gitattributes",)
MOST_NAMED = 10


def find_own(repo: HubRepo, revision: str, there: Collection[str], is_written: Callable[[str], bool]) -> set[str]:
    """Those of a repo's files that a push may replace or delete unasked: the last push lists them; in a repo without
    such a list, but with a card of ours, they have names of ours; and a card in which nobody has written.

    Args:
        there: the repo's files.
        is_written: whether a push writes a file of this name.

    Raises OtherFilesError for a list that no push wrote.
    """
    own = parse_manifest(repo.read(MANIFEST, revision)) if MANIFEST in there else set()
    if own is None:
        raise OtherFilesError(
            f"expected {MANIFEST} as the last push wrote it, a list of its files, found another. Delete it there, and "
            "run again: then the repo's card tells whose its files are"
        )
    own |= {MANIFEST} & set(there)
    if CARD not in there or CARD in own:
        return own
    card = repo.read(CARD, revision).decode(errors="replace")
    if is_unwritten(card):
        print(f"{CARD} of the repo is replaced, since it has nothing but a licence")
        return {*own, CARD}
    if MANIFEST not in there and any(line.startswith(CARD_LINES) for line in card.splitlines()):
        own = set(filter(is_written, there))
        print(f"taken for files of an earlier push, since {CARD} is a card of this program: {_show(sorted(own))}")
    return own


def is_unwritten(card: str) -> bool:
    """Whether a card is as the Hub makes it with a new repo: empty, or a YAML block with the licence alone."""
    lines = card.strip().splitlines()
    return lines == [] or (
        len(lines) > 1
        and lines[0].strip() == lines[-1].strip() == "---"
        and all(line.startswith("license") for line in lines[1:-1])
    )


def choose_deletions(
    there: Collection[str],
    names: Collection[str],
    own: Collection[str],
    is_read: Callable[[str], bool],
    delete_other_files: bool,
) -> list[str]:
    """The files to delete of a repo: our own that this push has no more, and the others where they are asked to go.
    Prints which others go, are replaced, or stay.

    Args:
        there: the repo's files.
        names: the files of this push.
        own: those of the repo's files that may be replaced or deleted unasked.
        is_read: whether a file of this name is read as a part of what is published.

    Raises OtherFilesError where others that are not to be deleted would be replaced, or read.
    """
    stale = sorted((set(there) & set(own)) - set(names) - set(KEPT))
    others = find_others(there, own)
    if not delete_other_files:
        refuse_others(others, lambda name: name in names or is_read(name))
        if others:
            print(
                f"left in the repo, since no list of a push names them: {_show(others)} "
                "(--delete_other_files true deletes them)"
            )
        return stale
    deleted = [name for name in others if name not in names]
    for done, of_others in (("replaced", [name for name in others if name in names]), ("deleted", deleted)):
        if of_others:
            print(f"{done} by this push, though no list of a push names them: {_show(of_others)}")
    return stale + deleted


def find_others(there: Collection[str], own: Collection[str]) -> list[str]:
    """The files of a repo that are not our own."""
    return sorted(set(there) - set(own) - set(KEPT))


def refuse_others(others: list[str], is_concerned: Callable[[str], bool]) -> None:
    """Raise OtherFilesError where `is_concerned` is true of one of these files: it would be replaced, or read."""
    if concerned := [name for name in others if is_concerned(name)]:
        raise OtherFilesError(
            "expected no other files that this push would replace, or that are read as a part of what it publishes, "
            f"found {_show(concerned)}, which no list of a push names. Delete them, choose another repo, or "
            f"give --delete_other_files true, which replaces or deletes "
            f"{'these' if concerned == others else f'all {len(others)} others'}"
        )


def _show(names: list[str]) -> str:
    more = f" and {len(names) - MOST_NAMED} more" if len(names) > MOST_NAMED else ""
    return ", ".join(map(repr, names[:MOST_NAMED])) + more
