"""A port that nothing can listen at is said before a model is loaded."""

import socket

import pytest

from umbrella.options.commands.free_port import check_port


def test_a_port_in_use_is_said_and_a_free_one_is_not():
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        with pytest.raises(
            ValueError, match=rf"--port {port}: expected a free port, found one that .*at 127\.0\.0\.1"
        ):
            check_port("127.0.0.1", port)
    check_port("127.0.0.1", port)


def test_an_address_of_another_machine_is_said():
    with pytest.raises(ValueError, match=r"cannot be taken at 192\.0\.2\.1 \("):  # nobody's, by RFC 5737
        check_port("192.0.2.1", 8000)
