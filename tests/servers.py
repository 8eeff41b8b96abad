"""What the servers of the tests have in common."""

from __future__ import annotations

import os
import socket
from typing import NoReturn

import pytest


class ServerUnavailable(Exception):
    """The server cannot be started here; the message says why."""


def free_port() -> int:
    """Return a port of the loopback that nobody listens on."""
    with socket.create_server(("127.0.0.1", 0)) as probe:
        port: int = probe.getsockname()[1]
    return port


def unavailable(why: str, remedy: str) -> NoReturn:
    """Skip the test; where LUME_TEST_REQUIRE_SERVICES=1, as in CI, fail it."""
    message = f"{why}; try: {remedy}"
    if os.environ.get("LUME_TEST_REQUIRE_SERVICES") == "1":
        pytest.fail(message)
    pytest.skip(message)
