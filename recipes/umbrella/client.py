"""A name that a workstation's programs import, without torch and transformers: asks a served model about scans."""

from umbrella.answers.serving.client import Client, Reply
from umbrella.answers.serving.server import ServerError

__all__ = ["Client", "Reply", "ServerError"]
