"""Flows that take a known time."""

import time

from prefect import flow


@flow
def nothing() -> None:
    """Do nothing."""


@flow
def wait(seconds: float) -> float:
    """Wait."""
    time.sleep(seconds)
    return seconds
