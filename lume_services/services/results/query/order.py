"""How stored values compare: MongoDB's order across types, as one key for equality, ranges and sorting.

The order of the types is: null (and missing), numbers, text, mappings, lists, bytes, booleans, dates. Values
of different types are never equal: `True` is not 1. Integers of any size and floats are one type and compare
exactly; NaN equals itself and comes before all other numbers; text compares by code point. A date is the
midnight of UTC at which it begins; moments compare to the nanosecond.

Two things differ from MongoDB: mappings are equal whatever the order of their keys, and bytes compare by
length and digest, so that an array is equal to itself whether it lies in the record or beside it.
"""

from __future__ import annotations

import struct
from collections.abc import Callable
from datetime import UTC, date, datetime, time, timedelta
from fractions import Fraction
from typing import Any, Final, NamedTuple, TypeAlias

from typing_extensions import override

from lume_services.values.blobs import Blob
from lume_services.values.codec import TYPE, TYPES, decode

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
_MILLION = 10**6
_NOT_A_TIME = -(2**63)
_NANOSECONDS = {
    "W": 604_800 * 10**9,
    "D": 86_400 * 10**9,
    "h": 3600 * 10**9,
    "m": 60 * 10**9,
    "s": 10**9,
    "ms": _MILLION,
    "us": 1000,
    "ns": 1,
}
_ONE_VALUE = {TYPE, "value"}
_SCALARS = (str, int, float, bool, bytes, datetime, type(None))


class Missing:
    """The type of `MISSING`, which stands for a value that is not there; it compares as null."""

    def __repr__(self) -> str:
        return "MISSING"


MISSING: Final = Missing()


def view(node: Any) -> Any:
    """Return a part of a document as queries see it.

    What the codec tags with a kind counts as the value it holds: a number of NumPy or of any size as the
    number, a member of an Enum as its value, a date or a moment of pandas or NumPy as a `Moment`, a tuple as
    a list, a set as the list of its elements in their order. A value of several parts, as a complex number,
    an array or a model, counts as the mapping of its parts.
    """
    if type(node) is dict and TYPE in node:
        kind = node[TYPE]
        if isinstance(kind, str) and kind in _VIEWS:
            try:
                return _VIEWS[kind](node)
            except (ValueError, TypeError, LookupError, AttributeError, OverflowError):
                return node  # damaged: whoever decodes it says so
        if "value" in node and (isinstance(node["value"], _SCALARS) or node.keys() == _ONE_VALUE):
            return view(node["value"])
    return node


def member(node: dict[str, Any], key: str) -> Any:
    """Return what a mapping in a document holds under a key, as queries see it."""
    value = node[key]
    types = node.get(TYPES)
    if types and key in types:
        return view({**types[key], "value": value})
    return view(value)


def _view_int(node: dict[str, Any]) -> Any:
    return int(node["value"], 16)


def _view_moment(node: dict[str, Any]) -> Any:
    return node["value"] + timedelta(microseconds=node["microseconds"])


def _view_date(node: dict[str, Any]) -> Any:
    return datetime.combine(date.fromisoformat(node["value"]), time.min, UTC)


def _view_unordered(node: dict[str, Any]) -> Any:
    return sorted(node["value"], key=order_key)


def _view_scalar(node: dict[str, Any]) -> Any:
    """Return a scalar of NumPy: a plain one, a moment, or a long double as far as it is a plain number."""
    if "value" in node:
        return member({**node, TYPES: node.get(TYPES, {})}, "value")
    dtype, data = node["dtype"], node.get("data")
    if not isinstance(dtype, str) or type(data) is not bytes:
        return node
    if dtype.startswith("<M8"):
        return _moment(int.from_bytes(data, "little", signed=True), dtype[4:-1])
    if dtype in ("<c8", "<c16"):
        real, imag = struct.unpack("<ff" if dtype == "<c8" else "<dd", data)
        return {TYPE: "complex", "real": real, "imag": imag}
    return _exact(decode(node)) if dtype.startswith("<f16") else node


def _exact(number: Any) -> Any:
    """Return a long double as the number it is: a float, or a fraction that no float holds."""
    try:
        top, bottom = number.as_integer_ratio()
    except (ValueError, OverflowError):  # NaN, infinity
        return float(number)
    if bottom == 1:
        return top
    fraction = Fraction(top, bottom)
    near = float(number)
    return near if Fraction(near) == fraction else fraction


def _moment(count: int, unit: str) -> Any:
    """Return a count of a unit since 1970 as a `Moment`; NaT, and what is no whole count, otherwise."""
    if count == _NOT_A_TIME:
        return None
    nanoseconds = _NANOSECONDS[unit] * count
    return Moment(*divmod(nanoseconds, _MILLION))


class Moment(NamedTuple):
    """A moment that no datetime holds: of years beyond 9999, or with nanoseconds.

    Attributes:
        milliseconds: Since 1970, UTC.
        nanoseconds: That come to the milliseconds.
    """

    milliseconds: int
    nanoseconds: int

    @override
    def __str__(self) -> str:
        try:
            moment = _EPOCH + self.milliseconds * _MILLISECOND
        except OverflowError:
            return f"{self.milliseconds} ms and {self.nanoseconds} ns since 1970"
        return f"{moment:%Y-%m-%dT%H:%M:%S}.{moment.microsecond // 1000:03}{self.nanoseconds:06}Z"


def order_key(node: Any) -> OrderKey:
    """Return the key by which a part of a document compares with all others."""
    return _KEYS[type(node)](node)


def type_rank(node: Any) -> int:
    """Return the place of the type of a viewed part of a document in the order of the types."""
    return BYTES if _is_blob(node) else _RANKS[type(node)]


def _is_blob(node: Any) -> bool:
    return type(node) is dict and node.get(TYPE) == "blob"


def _number(node: float | Fraction) -> OrderKey:
    return (NUMBER, 1, node) if node == node else NAN_KEY  # noqa: PLR0124 - only NaN differs from itself


def _mapping(node: dict[str, Any]) -> OrderKey:
    if _is_blob(node):
        return (BYTES, node["nbytes"], node["digest"])
    seen = view(node)
    if seen is not node:
        return order_key(seen)
    if TYPES in node:
        return (MAPPING, tuple((key, order_key(member(node, key))) for key in sorted(node) if key != TYPES))
    return (MAPPING, tuple((key, order_key(node[key])) for key in sorted(node)))


def _bytes(node: bytes) -> OrderKey:
    return (BYTES, len(node), Blob.of(node).digest)


def _datetime(node: datetime) -> OrderKey:
    milliseconds, rest = divmod(node - _EPOCH, _MILLISECOND)
    return (DATE, milliseconds, rest.microseconds * 1000)


_VIEWS: dict[str, Callable[[dict[str, Any]], Any]] = {
    "int": _view_int,
    "datetime": _view_moment,
    "date": _view_date,
    "set": _view_unordered,
    "frozenset": _view_unordered,
    "dict": _view_unordered,
    "numpy": _view_scalar,
    "bytes": lambda node: node["data"],
    "pandas.Timestamp": lambda node: view(node["utc"]),
}

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
    Moment: DATE,
    Fraction: NUMBER,
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
    datetime: _datetime,
    Moment: lambda node: (DATE, *node),
    Fraction: _number,
}
