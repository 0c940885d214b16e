"""What goes wrong with the Hub and with the network, said in one sentence that tells what to do."""

from collections.abc import Iterator
from contextlib import contextmanager

from huggingface_hub.errors import (
    HfHubHTTPError,
    HFValidationError,
    HTTPError,
    LocalTokenNotFoundError,
    OfflineModeIsEnabled,
)

AGAIN = "Run the same command again: it continues where it was"
_BY_STATUS = {
    401: "{repo}: expected a valid token, found one that the Hub does not know. Log in with `hf auth login`",
    402: "{repo}: the Hub refuses for want of a paid plan or storage ({message}). Free some space, then run again",
    403: "{repo}: expected the right to write, found a token without it ({message}). Use one with write access",
    404: "{repo}: expected a repo that this token may see, found none. Check the name and the token",
    412: "{repo}: somebody else has committed since this push began; nothing was published. Run again",
    413: "{repo}: the Hub says that a file is too large ({message}). Use a smaller --max_shard_size",
    429: f"{{repo}}: the Hub asks to slow down ({{message}}). {AGAIN}, in a while",
    507: "{repo}: the storage quota is used up ({message}). Free some space, then run again",
}


class PushError(ValueError):
    """A push that did not happen. The message says why, and what to do."""


class OtherFilesError(ValueError):
    """Files in the repo that no push of this program wrote and that a push would replace or publish as a part of its
    own, or of which that cannot be told."""


@contextmanager
def explain_errors(repo_id: str, outcome: str = "nothing was published") -> Iterator[None]:
    """Errors of the Hub, of the network and of names, as a PushError of one sentence, which says `outcome` where the
    connection broke."""
    try:
        yield
    except PushError:
        raise
    except OtherFilesError as error:
        raise PushError(f"{repo_id}: {error}") from error
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
        raise PushError(_explain(repo_id, cause, outcome)) from error


def _explain(repo_id: str, error: HTTPError, outcome: str) -> str:
    response = error.response if isinstance(error, HfHubHTTPError) else None
    if response is None:
        return f"{repo_id}: the connection to the Hub broke ({type(error).__name__}); {outcome}. {AGAIN}"
    message = (error.server_message or str(error).splitlines()[0]).strip()
    default = f"{{repo}}: the Hub answered {response.status_code} ({{message}}); {outcome}. {AGAIN}"
    return _BY_STATUS.get(response.status_code, default).format(repo=repo_id, message=message)
