"""What `find` is asked for: which records, in which order, which part of them, how many."""

from __future__ import annotations

import operator
import sys
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple, TypeAlias

from typing_extensions import override

from lume_services.errors import QueryError
from lume_services.services.results.query.filter import Query, compile_query, path_of, shown
from lume_services.services.results.query.order import EMPTY_LIST, NULL_KEY, OrderKey, order_key
from lume_services.services.results.query.paths import Path, project
from lume_services.services.results.record import ID

SortSpec: TypeAlias = str | Sequence[str | tuple[str, int]]

ASCENDING = 1
DESCENDING = -1


class _Descending(NamedTuple):
    """A key that comes before those that are less."""

    key: Any

    @override
    def __lt__(self, other: tuple[Any, ...]) -> bool:
        return bool(self.key > other[0])


@dataclass(frozen=True)
class SortKey:
    """One of the paths to sort by.

    Attributes:
        path: Where the values are.
        direction: `ASCENDING` or `DESCENDING`.
    """

    path: Path
    direction: int

    def of(self, document: dict[str, Any]) -> OrderKey:
        """Return what a document is sorted by: of a list its least element, or greatest if descending."""
        keys: list[OrderKey] = []
        for value in self.path.values(document, elements=False):
            if type(value) is list:
                keys.extend(map(order_key, value) if value else [(EMPTY_LIST,)])
            else:
                keys.append(order_key(value))
        return (min if self.direction == ASCENDING else max)(keys, default=NULL_KEY)


class Selection(NamedTuple):
    """The checked arguments of `ResultsDB.find`.

    Attributes:
        query: The filter.
        sort: The paths to sort by, the most important first. Equal ones follow in the order of
            insertion, or the opposite where the last key descends: the newest first.
        fields: The paths to return, or None for all.
        skip: How many records to leave out at the beginning.
        limit: How many to return at most, or None for all.
    """

    query: Query
    sort: tuple[SortKey, ...]
    fields: tuple[Path, ...] | None
    skip: int
    limit: int | None

    @classmethod
    def of(
        cls,
        query: Mapping[str, Any] | None = None,
        fields: Sequence[str] | None = None,
        sort: SortSpec | None = None,
        limit: int | None = None,
        skip: int = 0,
    ) -> Selection:
        """Return the selection that the arguments describe.

        Raises:
            QueryError: One of them is not valid.
            EncodeError: A value in the query could not be stored, so nothing can be equal to it.
        """
        return cls(
            query=compile_query(query),
            sort=_sort_keys(sort),
            fields=_paths(fields),
            skip=_number(skip, "skip"),
            limit=None if limit is None else _number(limit, "limit"),
        )

    @property
    def stop(self) -> int | None:
        """The number of records to look at, those to skip included."""
        return None if self.limit is None else min(self.skip + self.limit, sys.maxsize)

    def key(self, document: dict[str, Any]) -> tuple[Any, ...]:
        """Return what the documents of several collections come in one order by, as `in_order` has it."""
        keys = [(key.of(document), key.direction) for key in self.sort]
        keys.append((document[ID], self.sort[-1].direction))
        return tuple(_Descending(key) if direction == DESCENDING else key for key, direction in keys)

    def in_order(self, found: list[tuple[tuple[OrderKey, ...], str]]) -> list[str]:
        """Return ids in the order of the sort keys.

        Args:
            found: Keys and ids, in the order of insertion.
        """
        if self.sort[-1].direction == DESCENDING:
            found.reverse()
        for place in reversed(range(len(self.sort))):
            found.sort(key=lambda entry: entry[0][place], reverse=self.sort[place].direction == DESCENDING)
        return [record_id for _, record_id in found]

    def projected(self, document: dict[str, Any]) -> dict[str, Any]:
        """Return the part of a document that is asked for; the `_id` is always in it."""
        if self.fields is None:
            return document
        return {ID: document[ID], **project(document, self.fields)}


def _paths(fields: Sequence[str] | None) -> tuple[Path, ...] | None:
    if fields is None:
        return None
    if not _is_listing(fields) or not all(isinstance(name, str) for name in fields):
        raise QueryError(
            f"fields is a list of paths, not {shown(fields)}.", remedy='Write ["inputs", "outputs.y"].'
        )
    return tuple(path_of(name, "fields") for name in fields)


def _number(value: Any, name: str) -> int:
    try:
        number = -1 if isinstance(value, bool) else operator.index(value)  # an integer of NumPy is one, too
    except TypeError:
        number = -1
    if not 0 <= number <= sys.maxsize:
        raise QueryError(
            f"{name} is a whole number from 0 to 2**63 - 1, not {shown(value)}.",
            remedy=f"Leave {name} out for no bound." if name == "limit" else None,
        )
    return number


def _is_listing(value: Any) -> bool:
    return isinstance(value, Iterable) and not isinstance(value, str | bytes | Mapping)


def _sort_keys(sort: SortSpec | None) -> tuple[SortKey, ...]:
    if sort is None:
        return ()
    parts: Iterable[Any] = sort if _is_listing(sort) else [sort]
    return tuple(_sort_key(part) for part in parts)


def _sort_key(part: Any) -> SortKey:
    match part:
        case str():
            name, direction = part.removeprefix("-"), DESCENDING if part.startswith("-") else ASCENDING
        case (str() as name, int() as direction) if type(direction) is int and abs(direction) == ASCENDING:
            pass
        case _:
            raise QueryError(
                f"cannot sort by {shown(part)}.",
                remedy='Write "outputs.y", "-outputs.y" for the greatest first, or [("outputs.y", -1)].',
            )
    return SortKey(path_of(name, "sort"), direction)
