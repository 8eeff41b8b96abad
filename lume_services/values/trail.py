"""Where a walk through a nested value is: for the path in errors, the depth limit, and cycles."""

from __future__ import annotations

import json
from typing import Any

from lume_services.errors import LUMEServicesError

MAX_DEPTH = 200


class Trail:
    """The way from the root of a value to the part that is being looked at.

    Args:
        root: The name of the whole, as `outputs`.
        error: The class of the errors that the walk raises.
        limit: How many containers may lie inside each other.

    Attributes:
        steps: Keys and indices from the root to here. The walk appends and pops them.
    """

    def __init__(self, root: str, error: type[LUMEServicesError], *, limit: int = MAX_DEPTH) -> None:
        self.steps: list[object] = []
        self._root = root
        self._error = error
        self._limit = limit
        self._open: set[int] = set()

    def __str__(self) -> str:
        return self._root + "".join(f"[{_step(step)}]" for step in self.steps)

    def enter(self, container: object) -> None:
        """Go into a container; `leave` it afterwards, unless an error ends the walk."""
        if id(container) in self._open:
            raise self.fail("it contains itself.", "Break the cycle; store each part once.")
        if len(self._open) >= self._limit:
            raise self.fail(
                f"it is nested more than {self._limit} levels deep.",
                "Flatten it, or use an array or a table.",
            )
        self._open.add(id(container))

    def leave(self, container: object) -> None:
        """Come back out of a container."""
        self._open.discard(id(container))

    def fail(self, message: str, remedy: str | None = None, **facts: Any) -> LUMEServicesError:
        """Return an error that names this place."""
        return self._error(message, where=str(self), remedy=remedy, **facts)


def _step(step: object) -> str:
    return json.dumps(step, ensure_ascii=False) if isinstance(step, str) else repr(step)
