"""Keys of an index: bytes that sort, nearly, as the values do.

"Nearly", because long texts are cut and mappings and lists are not told apart. So an index gives all records
that match a condition and perhaps some more, which the query then rejects.
"""

from __future__ import annotations

import math
import struct
from fractions import Fraction
from typing import Any

from lume_services.services.results.query.filter import Bound
from lume_services.services.results.query.order import (
    BOOLEAN,
    BYTES,
    DATE,
    NAN_KEY,
    NULL_KEY,
    NUMBER,
    TEXT,
    OrderKey,
    order_key,
)
from lume_services.services.results.query.paths import Path

_TEXT_BYTES = 64
_SIGN = 1 << 63
_ALL_BITS = (1 << 64) - 1
_HALF = 1 << 15


def index_keys(document: dict[str, Any], path: Path) -> set[bytes]:
    """Return the keys under which a document is found by a condition on a path."""
    return {_bytes_of(order_key(value)) for value in path.values(document, elements=True)} or {
        _bytes_of(NULL_KEY)
    }


def index_spans(bound: Bound) -> list[tuple[bytes, bytes]]:
    """Return the spans, first and last key, that hold the keys of all documents within a bound."""
    if bound.operator in ("$eq", "$in"):
        return [(key, key) for key in map(_bytes_of, bound.keys)]
    [limit] = bound.keys
    rank, key = limit[0], _bytes_of(limit)
    return [(key, bytes([rank + 1]))] if bound.operator in ("$gt", "$gte") else [(bytes([rank]), key)]


def _bytes_of(key: OrderKey) -> bytes:
    rank: int = key[0]
    value: Any = key[-1] if rank != DATE else key[1]  # to the millisecond
    start = bytes([rank])
    if rank == NUMBER:
        return start + (b"\x00" if key == NAN_KEY else b"\x01" + _number(value))
    if rank == TEXT:
        text: str = value
        return start + text.encode()[:_TEXT_BYTES]
    if rank == DATE:
        return start + struct.pack(">Q", min(max(value, -_SIGN), _SIGN - 1) + _SIGN)
    if rank == BOOLEAN:
        return start + struct.pack(">Q", value + _SIGN)
    if rank == BYTES:
        return start + struct.pack(">Q", key[1])
    return start


def _number(value: float | Fraction) -> bytes:
    """Return 10 bytes in the order of the numbers: the nearest float, and what an integer differs from it.

    A larger difference than these bytes hold counts as the largest they hold.
    """
    try:
        nearest = float(value) + 0.0  # not -0.0
    except OverflowError:
        nearest = math.inf if value > 0 else -math.inf
    [bits] = struct.unpack(">Q", struct.pack(">d", nearest))
    ordered = bits ^ (_ALL_BITS if bits & _SIGN else _SIGN)
    rest = value - int(nearest) if isinstance(value, int) and math.isfinite(nearest) else 0
    return struct.pack(">QH", ordered, min(max(rest, -_HALF), _HALF - 1) + _HALF)
