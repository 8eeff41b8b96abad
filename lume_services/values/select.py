"""One value out of a nested one, by its path."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from typing import Any

from lume_services.errors import LUMEServicesError, choose_from


class SelectionError(LUMEServicesError, LookupError):
    """There is nothing at a path."""


def select(value: Any, path: Sequence[str | int], *, where: str) -> Any:
    """Return what lies at a path: keys of mappings, fields of classes, positions in sequences.

    Args:
        value: Where to look.
        path: As `["outputs", "image", 3]`.
        where: Who asks, for the error message.

    Raises:
        SelectionError: There is nothing; the message names what is there.
    """
    found = value
    for depth, part in enumerate(path):
        try:
            found = _step(found, part)
        except (LookupError, AttributeError, TypeError) as error:
            trail = "".join(f"[{earlier!r}]" for earlier in path[:depth])
            raise SelectionError(
                f"{_kind(found)}{f' at {trail}' if trail else ''} has no {part!r}.",
                where=where,
                remedy=_advice(found, part),
                path=list(path),
            ) from error
    return found


def field_names(kind: type) -> tuple[str, ...]:
    """Return the names of the fields of a pydantic model, a dataclass or a named tuple; none of others."""
    if dataclasses.is_dataclass(kind):
        return tuple(field.name for field in dataclasses.fields(kind))
    return tuple(getattr(kind, "_fields" if issubclass(kind, tuple) else "model_fields", ()))


def _step(value: Any, part: str | int) -> Any:
    if isinstance(value, Mapping):
        return value[part]
    if isinstance(part, str):
        if part in field_names(type(value)):
            return getattr(value, part)
        if hasattr(value, "columns"):
            return value[part]
        raise LookupError(part)
    if isinstance(value, str | bytes):
        raise TypeError(part)
    return value[part]


def _kind(value: Any) -> str:
    return f"the {type(value).__name__}"


def _advice(value: Any, part: str | int) -> str:
    if isinstance(value, Mapping):
        return choose_from(part, value)
    if names := field_names(type(value)):
        return choose_from(part, names)
    if hasattr(value, "__len__") and not isinstance(value, str | bytes):
        return f"It has positions 0 to {len(value) - 1}." if len(value) else "It is empty."
    return "It has nothing inside that could be chosen."
