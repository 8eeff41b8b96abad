"""How stored values compare: MongoDB's order across types, as one key for equality, ranges and sorting.

The order of the types is: null (and missing), numbers, text, mappings, lists, bytes, booleans, dates. Values
of different types are never equal: `True` is not 1. Integers and floats are one type and compare exactly;
NaN equals itself and comes before all other numbers; text compares by code point.

Two things differ from MongoDB: mappings are equal whatever the order of their keys, and bytes compare by
length and digest, so that an array is equal to itself whether it lies in the record or beside it.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any, Final, TypeAlias

from lume_services.values.blobs import Blob
from lume_services.values.codec import TYPE, TYPES

OrderKey: TypeAlias = tuple[Any, ...]

EMPTY_LIST: Final = 0  # only in sorting: MongoDB puts an empty list before null
NULL: Final = 1
NUMBER: Final = 2
TEXT: Final = 3
MAPPING: Final = 4
LIST: Final = 5
BYTES: Final = 6
BOOLEAN: Final = 7
DATE: Final = 8

NULL_KEY: Final[OrderKey] = (NULL,)
NAN_KEY: Final[OrderKey] = (NUMBER, 0)

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MILLISECOND = timedelta(milliseconds=1)
_SCALARS = (str, int, float, bool, bytes, datetime, type(None))


class Missing:
    """The type of `MISSING`, which stands for a value that is not there; it compares as null."""

    def __repr__(self) -> str:
        return "MISSING"


MISSING: Final = Missing()


def view(node: Any) -> Any:
    """Return a part of a document as queries see it.

    What the codec tags with a kind counts as the value it holds: a NumPy number as the number, an Enum
    member as its value, a tuple or a set as a list. A value of several parts, as a complex number, an array
    or a model, counts as the mapping of its parts.
    """
    if type(node) is dict and TYPE in node:
        if "value" in node and (isinstance(node["value"], _SCALARS) or node.keys() == {TYPE, "value"}):
            return view(node["value"])
        if node[TYPE] == "bytes":
            return node["data"]
    return node


def order_key(node: Any) -> OrderKey:
    """Return the key by which a part of a document compares with all others."""
    return _KEYS[type(node)](node)


def type_rank(node: Any) -> int:
    """Return the place of the type of a viewed part of a document in the order of the types."""
    return BYTES if _is_blob(node) else _RANKS[type(node)]


def _is_blob(node: Any) -> bool:
    return type(node) is dict and node.get(TYPE) == "blob"


def _number(node: float) -> OrderKey:
    return (NUMBER, 1, node) if node == node else NAN_KEY  # noqa: PLR0124 - only NaN differs from itself


def _mapping(node: dict[str, Any]) -> OrderKey:
    if _is_blob(node):
        return (BYTES, node["nbytes"], node["digest"])
    seen = view(node)
    if seen is not node:
        return order_key(seen)
    return (MAPPING, tuple((key, order_key(node[key])) for key in sorted(node) if key != TYPES))


def _bytes(node: bytes) -> OrderKey:
    return (BYTES, len(node), Blob.of(node).digest)


_RANKS: dict[type, int] = {
    type(None): NULL,
    Missing: NULL,
    int: NUMBER,
    float: NUMBER,
    str: TEXT,
    dict: MAPPING,
    list: LIST,
    bytes: BYTES,
    bool: BOOLEAN,
    datetime: DATE,
}

_KEYS: dict[type, Callable[[Any], OrderKey]] = {
    type(None): lambda _: NULL_KEY,
    Missing: lambda _: NULL_KEY,
    int: _number,
    float: _number,
    str: lambda node: (TEXT, node),
    dict: _mapping,
    list: lambda node: (LIST, tuple(order_key(item) for item in node)),
    bytes: _bytes,
    bool: lambda node: (BOOLEAN, node),
    datetime: lambda node: (DATE, (node - _EPOCH) // _MILLISECOND),
}
