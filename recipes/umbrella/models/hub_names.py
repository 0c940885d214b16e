"""What a name that is no folder here can be: a repo of the Hub, which is asked once and briefly, or nothing at all."""

from functools import lru_cache
from pathlib import Path

from huggingface_hub import HfApi, constants
from huggingface_hub.errors import (
    GatedRepoError,
    HfHubHTTPError,
    HFValidationError,
    HTTPError,
    OfflineModeIsEnabled,
    RepositoryNotFoundError,
)
from huggingface_hub.file_download import repo_folder_name

SECONDS = 10  # libraries that find no Hub try for minutes
EXPECTED = {
    "model": "a folder that save_pretrained wrote, a model of the Hub or 'tiny'",
    "dataset": "the folder of a published dataset, or its name on the Hub",
}


def find_repo(
    name: str | Path, repo_type: str = "model", asked_as: str | None = None, remedy: str = ""
) -> dict[str, bool]:
    """The options with which libraries load a name: none for a folder and for what the Hub has; `local_files_only`
    where the Hub cannot be asked and the cache has it.

    Args:
        asked_as: what the message begins with (default: the name).
        remedy: a sentence that the message ends with.

    Raises FileNotFoundError, at once, for what is neither here nor there.
    """
    path = Path(name).expanduser()
    if path.is_dir():
        return {}
    is_a_path = path.is_absolute() or str(name).startswith((".", "~")) or len(path.parts) > 2
    problem = "" if is_a_path else _ask_hub(str(name), repo_type, constants.HF_HUB_CACHE)
    if problem is None:
        return {}
    if not is_a_path and _is_cached(str(name), repo_type):
        return {"local_files_only": True}
    raise FileNotFoundError(
        f"{asked_as or name}: expected {EXPECTED[repo_type]}; found no folder {str(path)!r} here"
        + (f", and {problem}" if problem else "")
        + (f". {remedy}" if remedy else "")
    )


def name_on_hub(name: str | None) -> str | None:
    """A name that is a repo's of the Hub; None for none, and for a folder here."""
    return name if name and not Path(name).expanduser().is_dir() else None


@lru_cache  # for each cache folder: whoever is given another one starts anew
def _ask_hub(name: str, repo_type: str, _cache: str) -> str | None:
    """Why the Hub cannot give the repo; None where it can."""
    try:
        HfApi().repo_info(name, repo_type=repo_type, timeout=SECONDS)
    except GatedRepoError:
        return None  # it is there; who loads it is told what to do
    except RepositoryNotFoundError:
        return f"the Hub has no such {repo_type}, or a private one (log in: `hf auth login`)"
    except HFValidationError:
        return "it is no name that the Hub could know"
    except OfflineModeIsEnabled:
        return "the Hub is not asked, since HF_HUB_OFFLINE is set; the cache has none of that name"
    except HfHubHTTPError as error:
        return f"the Hub refuses ({str(error).splitlines()[0]})"
    except (HTTPError, OSError) as error:
        return f"the Hub could not be reached ({type(error).__name__}: {str(error).splitlines()[0]})"
    return None


def _is_cached(name: str, repo_type: str) -> bool:
    folder = Path(constants.HF_HUB_CACHE) / repo_folder_name(repo_id=name, repo_type=repo_type)
    return any(folder.glob("snapshots/*/*"))
