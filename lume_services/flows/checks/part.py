"""The type of a part of a value: of what `select` finds at an `attribute_index`."""

from __future__ import annotations

import inspect
import numbers
import typing
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from pydantic import BaseModel

from lume_services.errors import LUMEServicesError, choose_from
from lume_services.flows.checks.annotations import (
    alternatives,
    class_of,
    entry,
    fields,
    item,
    positions,
    type_name,
)

_NOTHING = "It has nothing inside that could be chosen."


class NoSuchPartError(LUMEServicesError, LookupError):
    """No value of a type has anything at an index."""


class _NotThere(Exception):
    """A type has no such part; the argument is the remedy."""


def types_at(given: Sequence[Any], index: Sequence[str | int]) -> Sequence[Any]:
    """Return the types that the part of a value may have.

    Args:
        given: The types that the value may have.
        index: The way to the part, by keys and positions.

    Raises:
        NoSuchPartError: None of the types can have such a part; the message says which are there.
    """
    found = given
    for depth, part in enumerate(index):
        kinds = [kind for annotation in found for kind in alternatives(annotation)]
        parts: list[Any] = []
        remedies: list[str] = []
        for kind in kinds:
            try:
                parts += _part(kind, part)
            except _NotThere as refusal:
                remedies.append(str(refusal))
        if not parts:
            trail = "".join(f"[{earlier!r}]" for earlier in index[:depth])
            names = " | ".join(dict.fromkeys(map(type_name, kinds)))
            message = f"{names}{f' at {trail}' if trail else ''} has no {part!r}."
            raise NoSuchPartError(message, remedy=min(remedies, key=_NOTHING.__eq__))
        found = parts
    return found


def _part(kind: Any, part: str | int) -> Sequence[Any]:
    owner = class_of(kind)
    if kind is Any or owner is BaseModel:
        return [Any]
    if owner is None or issubclass(owner, str | bytes):
        raise _NotThere(_NOTHING)
    if issubclass(owner, Mapping):
        return [_value(kind, part)]
    found = list(_fields(owner, part))
    if found:
        return found
    if isinstance(part, int) and (known := positions(kind)) is not None:
        return [_position(known, part)]
    return [_other(kind, owner, part)]


def _value(kind: Any, key: str | int) -> Any:
    known = fields(typing.cast("type", class_of(kind)))
    if known is None:
        key_type, value_type = entry(kind)
        if not any(_may_be(key, one) for one in alternatives(key_type)):
            raise _NotThere(f"Its keys are {type_name(key_type)}.")
        return value_type
    if key not in known:
        raise _NotThere(choose_from(key, known))
    return known[str(key)].annotation


def _may_be(key: str | int, kind: Any) -> bool:
    owner = class_of(kind)
    if owner is None:
        return kind is Any or key in typing.get_args(kind)
    is_number = isinstance(key, int) and issubclass(owner, numbers.Number)
    return is_number or isinstance(key, owner) or issubclass(owner, type(key))


def _fields(owner: type, name: str | int) -> Iterator[Any]:
    """Yield the types of a field of a class; if it has none of the name, of the field of its subclasses."""
    known = fields(owner) or {}
    if name in known:
        yield known[str(name)].annotation
    elif isinstance(name, str):
        # What is annotated with a class may be of a subclass.
        subclasses: list[type] = type.__subclasses__(owner)
        for subclass in subclasses:
            yield from _fields(subclass, name)


def _position(known: Sequence[Any], position: int) -> Any:
    if -len(known) <= position < len(known):
        return known[position]
    remedy = f"It has positions 0 to {len(known) - 1}." if known else "It is empty."
    raise _NotThere(remedy)


def _other(kind: Any, owner: type, part: str | int) -> Any:
    is_sequence = issubclass(owner, Sequence) or hasattr(owner, "__array__")
    if isinstance(part, int) and hasattr(owner, "__getitem__"):
        return item(kind)
    if hasattr(owner, "columns") or (inspect.isabstract(owner) and not is_sequence):
        return Any
    if known := fields(owner):
        raise _NotThere(choose_from(part, known))
    if is_sequence:
        raise _NotThere("It has positions: 0, 1, …")
    if hasattr(owner, "__getitem__"):
        return Any
    raise _NotThere(_NOTHING)
