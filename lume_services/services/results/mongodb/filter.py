"""What MongoDB itself searches: a copy of each document that it can index, and the filter for it.

The filter only has to leave nothing out: what it offers is matched again, exactly. The copy holds values as
queries see them (see `order.view`), and keys are taken apart at their dots, as paths are: `{"X.VAL": 1}` and
`{"X": {"VAL": 1}}` both become `{"X": {"VAL": 1}}`, where the path `X.VAL` finds them. Long lists and texts,
very deep parts and keys that collide are left out, and their paths are noted: a query on such a path, or
below it, is offered the record.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import UTC, datetime, timedelta
from fractions import Fraction
from typing import Any

from lume_services.services.results.query.filter import Bound, Query
from lume_services.services.results.query.order import (
    BOOLEAN,
    DATE,
    NAN_KEY,
    NUMBER,
    TEXT,
    Moment,
    OrderKey,
    member,
    view,
)
from lume_services.services.results.record import DATE_MODIFIED, ID, UNIQUE_HASH
from lume_services.values.codec import TYPE, TYPES
from lume_services.values.document import INT64

DOCUMENT = "document"
MARKS = "marks"
MODIFIED = "modified"

NO_DATE = -(2**63)

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_DATETIMES = range(-62_135_596_800_000, 253_402_300_800_000)  # the years 1 to 9999, in milliseconds
_LONGEST_LIST = 1000
_LONGEST_TEXT = 256
_DEEPEST = 50
_LARGEST = 1 << 20
_NOTHING = object()
_COARSE = {"$gt": "$gte", "$lt": "$lte"}  # of moments MongoDB compares the milliseconds only


def searchable(document: dict[str, Any]) -> tuple[dict[str, Any], list[str]]:
    """Return the copy of a document that MongoDB can search, and the paths that it leaves out.

    Args:
        document: As the codec made it.
    """
    copy = _Copy()
    try:
        return copy.mapping(document, (), listed=False, depth=0), sorted(copy.left_out)
    except _TooLargeError:
        return {}, [""]


def marks_of(digests: Iterable[str], left_out: Iterable[str]) -> list[str]:
    """Return what finds a record: the blobs that it refers to, and the paths that its copy leaves out."""
    return [*digests, *(f".{path}" for path in left_out)]


def digests_in(marks: Iterable[Any]) -> list[str]:
    """Return those of the marks of records that are digests of blobs."""
    return [mark for mark in marks if isinstance(mark, str) and not mark.startswith(".")]


def field(atoms: Sequence[str]) -> str:
    """Return the field of a stored record, as MongoDB writes it, where a path of the copy lies."""
    return ".".join([DOCUMENT, *_pieces(".".join(atoms))])


def prefilter(query: Query) -> dict[str, Any]:
    """Return a MongoDB filter that all records pass which match the query, and perhaps others."""
    conditions = [
        condition
        for atoms, bounds in query.bounds.items()
        for bound in bounds
        if (condition := _condition(atoms, bound)) is not None
    ]
    return all_of(*conditions)


def all_of(*filters: dict[str, Any]) -> dict[str, Any]:
    """Return the filter that demands all of some filters; flat where it can be, for the sake of indices."""
    together: dict[str, Any] = {}
    others = []
    for one in filters:
        if together.keys().isdisjoint(one):
            together |= one
        else:
            others.append(one)
    return {**together, "$and": others} if others else together


class _TooLargeError(Exception):
    """The copy would need more room than it may have."""


class _Copy:
    """Makes the copy of one document.

    Attributes:
        left_out: The paths of what the copy does not hold; of what lies in a list, the path of the list.
    """

    def __init__(self) -> None:
        self.left_out: set[str] = set()
        self._size = 0

    def mapping(
        self, node: dict[str, Any], path: tuple[str, ...], *, listed: bool, depth: int
    ) -> dict[str, Any]:
        fields: dict[str, Any] = {}
        for key in node:
            if key in (TYPE, TYPES):
                continue
            pieces = _pieces(key)
            self._take(len(key))
            place = path if listed else (*path, *pieces)
            value = self._value(member(node, key), place, listed, depth + len(pieces))
            if value is not _NOTHING:
                self._merge(fields, pieces, value, place)
        return fields

    def _value(self, node: Any, path: tuple[str, ...], listed: bool, depth: int) -> Any:
        kind = type(node)
        if kind is bytes:
            return _NOTHING  # no condition on bytes is asked of the server
        if kind is str:
            self._take(len(node))
            too_long = len(node) > _LONGEST_TEXT
        else:
            self._take(16)
            too_long = (kind is list and len(node) > _LONGEST_LIST) or _is_beyond(node)
        if too_long or depth > _DEEPEST:
            self.left_out.add(".".join(path))
            return _NOTHING
        if kind is dict:
            return self.mapping(node, path, listed=listed, depth=depth)
        if kind is list:
            items = (self._value(view(item), path, True, depth + 1) for item in node)
            return [None if item is _NOTHING else item for item in items]
        return node

    def _merge(
        self, fields: dict[str, Any], pieces: Sequence[str], value: Any, path: tuple[str, ...]
    ) -> None:
        first, *rest = pieces
        if rest:
            value = {rest[-1]: value}
            for piece in reversed(rest[:-1]):
                value = {piece: value}
        there = fields.setdefault(first, value)
        if there is value:
            return
        if type(there) is dict and type(value) is dict:
            for piece, inner in value.items():
                self._merge(there, [piece], inner, path)
        else:
            self.left_out.add(".".join(path))

    def _take(self, size: int) -> None:
        self._size += size
        if self._size > _LARGEST:
            raise _TooLargeError


def _is_beyond(value: Any) -> bool:
    """Tell whether MongoDB has no value that compares exactly as this one."""
    return isinstance(value, Moment | Fraction) or (type(value) is int and value not in INT64)


def _pieces(key: str) -> list[str]:
    """Return the names of the nested fields that stand for a key."""
    return [_name(piece) for piece in key.split(".")]


def _name(piece: str) -> str:
    """Return a name that MongoDB accepts as one of a path: not empty, no dollar sign first, no NUL."""
    name = piece.replace("%", "%25").replace("\0", "%00")
    return f"%24{name[1:]}" if name.startswith("$") else name or "%"


def _condition(atoms: Sequence[str], bound: Bound) -> dict[str, Any] | None:
    if tuple(atoms) in ((ID,), (UNIQUE_HASH,)):
        return _on_text(atoms[0], bound)
    if tuple(atoms) == (DATE_MODIFIED,):
        return _on_date(bound)
    operands = [_operand(key) for key in bound.keys]
    if _NOTHING in operands or TYPE in atoms or TYPES in atoms:
        return None
    pieces = _pieces(".".join(atoms))
    if len(pieces) > _DEEPEST:
        return None
    above = [".".join(pieces[:length]) for length in range(len(pieces) + 1)]
    dated = any(isinstance(operand, datetime) for operand in operands)
    operator = _COARSE.get(bound.operator, bound.operator) if dated else bound.operator
    return {"$or": [{field(atoms): _test(operator, operands)}, {MARKS: {"$in": marks_of([], above)}}]}


def _on_text(name: str, bound: Bound) -> dict[str, Any]:
    texts = [key[1] for key in bound.keys if key[0] == TEXT]
    if not texts:
        return {name: {"$in": []}}
    return {name: _test(bound.operator, texts)}


def _on_date(bound: Bound) -> dict[str, Any] | None:
    if not all(key[0] == DATE for key in bound.keys):
        return None
    milliseconds = [min(max(key[1], NO_DATE + 1), INT64[-1]) for key in bound.keys]
    return {MODIFIED: _test(_COARSE.get(bound.operator, bound.operator), milliseconds)}


def _test(operator: str, operands: Iterable[Any]) -> dict[str, Any]:
    operands = list(operands)
    return {operator: operands} if operator == "$in" else {operator: operands[0]}


def _operand(key: OrderKey) -> Any:
    """Return the value of a key as MongoDB compares it, or `_NOTHING` where that is not the same."""
    rank = key[0]
    if rank in (TEXT, BOOLEAN):
        return key[1]
    if rank == NUMBER and key != NAN_KEY and not _is_beyond(key[2]):
        return key[2]
    if rank == DATE and key[1] in _DATETIMES:
        return _EPOCH + timedelta(milliseconds=key[1])
    return _NOTHING
