"""Lists that the Prefect API gives in pages."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar

T = TypeVar("T")

_PAGE = 200


def every(page: Callable[[int, int], list[T]]) -> list[T]:
    """Return a whole list.

    Args:
        page: Returns a part of it, given the most that there may be in it, and where it begins.
    """
    found: list[T] = []
    while True:
        part = page(_PAGE, len(found))
        found += part
        if len(part) < _PAGE:
            return found
