"""What went wrong at a store, told from the exceptions of its client: the kind, and a sentence with the remedy."""

import re

from umbrella.files.contained_files import AbsentError, RemoteError
from umbrella.files.remote.addresses import find_host

ABSENT, FORBIDDEN, KEYS, CHANGED = "absent", "forbidden", "keys", "changed"
BUSY, STALLED, CUT, UNREACHABLE, OTHER = "busy", "stalled", "cut", "unreachable", "other"
TRIED_AGAIN = (BUSY, STALLED, CUT, UNREACHABLE)
KEYS_OF = {
    "s3": "AWS_PROFILE, or AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY",
    "gs": "GOOGLE_APPLICATION_CREDENTIALS",
    "https": "nothing: a server that asks for a login is not read",
    "hf": "HF_TOKEN",
}
# Of botocore, aiohttp, httpx, requests and google.auth, by name: none of them is imported before it is needed.
_KIND_OF_NAME = (
    (re.compile("Credentials"), KEYS),
    (re.compile("Certificate|OfflineMode"), OTHER),
    (re.compile("Timeout|TimedOut"), STALLED),
    (re.compile("Payload|IncompleteRead|RemoteProtocol|ChecksumError|ResponseStreaming"), CUT),
    (re.compile("Connect|Disconnected|ProxyError|ReadError|WriteError"), UNREACHABLE),
)
_MOST_SAID = 200


class WrongBytes(Exception):
    """What came is not what the store says that it has sent."""


class ObjectChanged(Exception):
    """Another object lies under the name than was expected there."""


def find_kind(error: BaseException) -> tuple[str, str]:
    """(kind, what the store or the client said in short) of an exception."""
    if isinstance(error, WrongBytes):
        return CUT, str(error)
    if isinstance(error, ObjectChanged):
        return CHANGED, str(error)
    for one in _walk(error):
        status, said = _find_status(one)
        if status:
            return _find_kind_of_status(status, said)
        for pattern, kind in _KIND_OF_NAME:
            if pattern.search(type(one).__name__):
                return kind, _shorten(str(one) or type(one).__name__)
    for builtin, kind in (
        (FileNotFoundError, ABSENT),
        (PermissionError, FORBIDDEN),
        (TimeoutError, STALLED),
        (ConnectionError, UNREACHABLE),
    ):
        if isinstance(error, builtin):
            return kind, _shorten(str(error) or type(error).__name__)
    forbidden = str(error).startswith("Forbidden")  # gcsfs says a 403 in words
    return FORBIDDEN if forbidden else OTHER, _shorten(f"{type(error).__name__}: {error}")


def describe(kind: str, url: str, said: str = "") -> RemoteError:
    """The error to raise, for the kinds that are not tried again."""
    host, scheme = find_host(url), url.partition(":")[0]
    keys = KEYS_OF[scheme]
    sentences = {
        ABSENT: f"{url}: expected an object, found none (404): check the name and --image_root; was it removed "
        "after the data were made?",
        FORBIDDEN: f"{url}: expected an object that may be read with the keys of the environment, found that {host} "
        f"refuses it ({said}). Set {keys}, or ask for the right to read and to list there",
        KEYS: f"{url}: expected keys in the environment, found none that {host} takes ({said}). Set {keys} (no flag "
        "takes them)",
        CHANGED: f"{url}: expected the object that was there when this command began, found another under its name "
        f"({said}). Start anew, or restore that version",
        OTHER: f"{url}: expected an answer of the store, found: {said}",
    }
    return (AbsentError if kind == ABSENT else RemoteError)(sentences[kind], kind, url)


def describe_given_up(kind: str, url: str, said: str, n_tries: int, patience_s: float) -> RemoteError:
    """The error to raise where trying again has not helped."""
    if kind == CUT:
        sentence = (
            f"{url}: expected the object whole, found in {n_tries} tries that {said}. Write it to the store anew"
        )
    else:
        remedy = (
            "Is the address right, and does this machine reach it?"
            if kind == UNREACHABLE
            else "The store is overloaded, or the way to it: go on later (a training run with "
            "--resume_from_checkpoint auto), or set --remote_patience higher"
        )
        sentence = (
            f"{url}: expected an answer within {patience_s:g} s, found {n_tries} tries without (the last: {said}). "
            f"{remedy}"
        )
    return RemoteError(sentence, kind, url)


def _walk(error: BaseException) -> list[BaseException]:
    """An exception and those that it came from, the innermost last."""
    found: list[BaseException] = []
    one: BaseException | None = error
    while one is not None and one not in found:
        found.append(one)
        one = one.__cause__ or (None if one.__suppress_context__ else one.__context__)
    return found


def _find_status(error: BaseException) -> tuple[int | None, str]:
    """(HTTP status, what was said) where an exception holds one: botocore's in a dict, the others' as attributes."""
    response = getattr(error, "response", None)
    if isinstance(response, dict):
        status = response.get("ResponseMetadata", {}).get("HTTPStatusCode")
        return status, " ".join(dict.fromkeys((str(status), response.get("Error", {}).get("Code", "")))).strip()
    for value in (
        getattr(response, "status_code", None),
        getattr(error, "status", None),
        getattr(error, "code", None),
    ):
        if str(value).isdigit() and 300 <= int(value) < 600:  # type: ignore[arg-type]  # it is all digits
            return int(value), _shorten(f"{value} {getattr(error, 'message', '')}".strip())  # type: ignore[arg-type]
    return None, ""


def _find_kind_of_status(status: int, said: str) -> tuple[str, str]:
    kinds = {404: ABSENT, 410: ABSENT, 401: FORBIDDEN, 403: FORBIDDEN, 408: BUSY, 429: BUSY}
    return kinds.get(status, BUSY if status in (500, 502, 503, 504) else OTHER), said


def _shorten(text: str) -> str:
    text = " ".join(text.split()).partition("?")[0]  # a query may hold a key
    return text if len(text) <= _MOST_SAID else text[:_MOST_SAID] + "..."
