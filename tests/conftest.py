"""What all tests have in common."""

import signal

import pytest


@pytest.hookimpl(tryfirst=True)
def pytest_sessionstart() -> None:
    """Let Ctrl-C interrupt this process and those of the tests, also where they run in the background."""
    signal.signal(signal.SIGINT, signal.default_int_handler)
