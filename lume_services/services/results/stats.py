"""What a collection holds: how many results, how much, since when, and what takes the room."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from heapq import nlargest
from typing import Any

from lume_services.errors import ResultCorruptError
from lume_services.services.results.record import StoredRecord, date_of
from lume_services.values.codec import TYPE, TYPES

LARGEST = 5


@dataclass(frozen=True, order=True)
class Part:
    """An array, or other binary data, in a record.

    Attributes:
        nbytes: Its size in bytes.
        path: Where it is, as `outputs.image`.
        record_id: The record.
    """

    nbytes: int
    path: str
    record_id: str


@dataclass(frozen=True)
class CollectionStats:
    """What a collection holds.

    Attributes:
        collection: The collection.
        results: How many records.
        damaged: How many of them cannot be read; nothing else here counts them.
        nbytes: Of the records and their arrays, in bytes. Equal arrays beside the records count once.
        first: The earliest `date_modified`, or None.
        last: The latest.
        largest: The largest arrays, the largest first.
    """

    collection: str
    results: int
    damaged: int
    nbytes: int
    first: datetime | None
    last: datetime | None
    largest: tuple[Part, ...]

    @classmethod
    def of(cls, collection: str, records: Iterable[StoredRecord]) -> CollectionStats:
        """Return the statistics of some records. No array is read."""
        results = damaged = texts = 0
        first = last = None
        blobs: dict[str, int] = {}
        largest: list[Part] = []
        for record in records:
            results += 1
            try:
                document = record.document()
            except ResultCorruptError:
                damaged += 1
                continue
            texts += len(record.text)
            moment = date_of(document)
            if isinstance(moment, datetime):
                first = min(first or moment, moment)
                last = max(last or moment, moment)
            sizes: Counter[str] = Counter()
            _measure(document, (), sizes, blobs)
            parts = [Part(nbytes, path, record.id) for path, nbytes in sizes.items() if nbytes]
            largest = nlargest(LARGEST, [*largest, *parts])
        nbytes = texts + sum(blobs.values())
        return cls(collection, results, damaged, nbytes, first, last, tuple(largest))


def _measure(node: Any, path: tuple[str, ...], sizes: Counter[str], blobs: dict[str, int]) -> None:
    """Add up the binary data in a document by path, and note the blobs by digest.

    A value of a kind, as an array or a table, counts as one: its parts have names that no user knows.
    """
    if isinstance(node, bytes):
        sizes[".".join(path)] += len(node)
    elif isinstance(node, list):
        for index, item in enumerate(node):
            _measure(item, (*path, str(index)), sizes, blobs)
    elif isinstance(node, dict) and TYPE in node:
        inner: Counter[str] = Counter()
        if node[TYPE] == "blob":
            inner[""] = blobs[node["digest"]] = node["nbytes"]
        for key in node.keys() - {TYPE}:
            _measure(node[key], (), inner, blobs)
        sizes[".".join(path)] += inner.total()
    elif isinstance(node, dict):
        for key in node.keys() - {TYPES}:
            _measure(node[key], (*path, key), sizes, blobs)
