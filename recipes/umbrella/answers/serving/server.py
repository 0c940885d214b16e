"""Requests to an OpenAI-compatible server, and what goes wrong with them in one sentence."""

import ipaddress
import os
from typing import Any

import httpx

API_KEY = "UMBRELLA_API_KEY"
MOST_SHOWN = 300  # characters of what a server says of an error


class ServerError(OSError):
    """A server that is not there, does not answer in time, or refuses a request."""


class Server:
    """Posts requests to `URL/chat/completions`.

    Args:
        url: as http://127.0.0.1:8000/v1; /v1 may be left out.
        timeout_s: most seconds for an answer.
        api_key: that the server asks for; None takes the environment variable UMBRELLA_API_KEY.

    Raises ValueError for an url that is none.
    """

    def __init__(self, url: str, timeout_s: float = 600.0, api_key: str | None = None) -> None:
        try:
            parsed = httpx.URL(url)
        except (httpx.InvalidURL, TypeError):
            parsed = httpx.URL("")
        if parsed.scheme not in ("http", "https") or not parsed.host:
            raise ValueError(f"url: expected one as http://127.0.0.1:8000/v1, found {url!r}")
        self.url = url.rstrip("/") if parsed.path.strip("/") else f"{url.rstrip('/')}/v1"
        key = api_key or os.environ.get(API_KEY)
        headers = {"Authorization": f"Bearer {key}"} if key else {}
        # What is asked of this machine does not go through the proxy that the environment names.
        self.http = httpx.Client(timeout=timeout_s, headers=headers, trust_env=not is_loopback(parsed.host))
        self.timeout_s = timeout_s

    def complete(self, body: dict[str, Any]) -> dict[str, Any]:
        """What the server answers to a chat completion. Raises ServerError."""
        try:
            response = self.http.post(f"{self.url}/chat/completions", json=body)
        except httpx.TimeoutException as error:
            raise ServerError(
                f"{self.url}: expected an answer within {self.timeout_s:g} s, found none. Give it more time, or look "
                "whether the server is busy"
            ) from error
        except httpx.TransportError as error:
            raise ServerError(
                f"{self.url}: expected a server, found none that answers ({error}). Start it "
                "(recipes/serve.py --model_name_or_path DIR), or give the url that it prints"
            ) from error
        if response.status_code != httpx.codes.OK:
            raise ServerError(
                f"{self.url}: expected an answer, found HTTP {response.status_code}: {_read_detail(response)}"
                f"{_find_remedy(response.status_code)}"
            )
        try:
            answered = response.json()
            answered["choices"][0]["message"]["role"]
        except (ValueError, TypeError, LookupError) as error:
            raise ServerError(
                f"{self.url}: expected a chat completion, found {response.text[:MOST_SHOWN]!r}. Give the url of an "
                "OpenAI-compatible server"
            ) from error
        return answered


def is_loopback(host: str) -> bool:
    """Whether a host is this machine itself."""
    try:
        return ipaddress.ip_address(host.strip("[]")).is_loopback
    except ValueError:
        return host == "localhost"


def _read_detail(response: httpx.Response) -> str:
    try:
        said = response.json()
        said = said.get("detail") or said.get("message") or said.get("error") or said
        text = said.get("message", said) if isinstance(said, dict) else said
    except (ValueError, AttributeError):
        text = response.text
    return " ".join(str(text).split())[:MOST_SHOWN].rstrip(".") or "no word of why"


def _find_remedy(status: int) -> str:
    if status in (401, 403):
        return f". Set {API_KEY} to the key that the server takes"
    if status in (400, 404):
        return ". Ask for the model by the name under which the server has it, or give another url"
    return ". What the server printed tells more"
