"""The tasks and counts that the conformance scenarios share."""

from __future__ import annotations

import asyncio

from prefect import task

COUNTS: dict[str, int] = {}
SEEN: list[object] = []


def count(name: str) -> int:
    """Count a call."""
    COUNTS[name] = COUNTS.get(name, 0) + 1
    return COUNTS[name]


@task
def add(a, b=1):
    return a + b


@task
async def add_async(a, b=1):
    await asyncio.sleep(0)
    return a + b


@task
def fail(message="broken"):
    raise ValueError(message)
