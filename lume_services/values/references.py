"""References within nested values."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any


def references(value: Any, mark: str) -> Iterator[Mapping[str, Any]]:
    """Yield the references within a nested value: the mappings that have a text under the key `mark`."""
    if isinstance(value, Mapping):
        if isinstance(value.get(mark), str):
            yield value
        for item in value.values():
            yield from references(item, mark)
    elif isinstance(value, list | tuple):
        for item in value:
            yield from references(item, mark)
