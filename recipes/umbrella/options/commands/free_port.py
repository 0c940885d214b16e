"""Whether a server can listen at a port: told before a model is loaded for it."""

import socket


def check_port(host: str, port: int) -> None:
    """Raise ValueError where nothing can listen at a port of `host`, an address or a name of this machine."""
    try:
        family, kind, protocol, _, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0]
        with socket.socket(family, kind, protocol) as tried:
            tried.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            tried.bind(address)
    except OSError as error:
        raise ValueError(
            f"--port {port}: expected a free port, found one that cannot be taken at {host} "
            f"({error.strerror or error}). Choose another"
        ) from error
