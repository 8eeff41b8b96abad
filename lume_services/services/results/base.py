"""`ResultsDB`: what every results store does, and the little that each does in its own way."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from heapq import merge
from itertools import chain, islice
from operator import itemgetter
from types import TracebackType
from typing import Any, NamedTuple, Self, TypeVar, cast

from lume_services.errors import (
    LUMEServicesError,
    ResultCorruptError,
    ResultNotFoundError,
    ResultsDBError,
)
from lume_services.services.results.attached import BlobsOfRecord
from lume_services.services.results.names import check_collection
from lume_services.services.results.query.selection import Selection, SortSpec
from lume_services.services.results.record import ID, UNIQUE_HASH, Record, StoredRecord, unique_hash_of
from lume_services.services.results.stats import CollectionStats
from lume_services.services.results.unreadable import Unreadable
from lume_services.values.blobs import BlobReader
from lume_services.values.codec import DEFAULT_THRESHOLD, decode

T = TypeVar("T")

_BATCH_ITEMS = 500
_BATCH_BYTES = 64 << 20


class Scan(NamedTuple):
    """Records that a store offers for a selection.

    Attributes:
        records: All that may match, and perhaps others, each once.
        sorted: They come in the order of the selection; otherwise in the order of insertion.
    """

    records: Iterator[StoredRecord]
    sorted: bool = False


@dataclass(frozen=True)
class Reindexed:
    """What `ResultsDB.reindex` did.

    Attributes:
        added: Results that the index did not know, or knew with another content.
        forgotten: Results that it knew and that are gone.
        removed: Arrays and unfinished files of killed writers that belonged to no result.
        damaged: What is wrong with each result that cannot be read, by its id or its file. They are left.
    """

    added: int = 0
    forgotten: int = 0
    removed: int = 0
    damaged: Mapping[str, str] = field(default_factory=dict)

    def __str__(self) -> str:
        counts = (
            f"{self.added} results added to the index, {self.forgotten} forgotten; "
            f"{self.removed} leftovers removed; {len(self.damaged)} results damaged"
        )
        return "\n".join([counts, *(f"  {name}: {message}" for name, message in self.damaged.items())])


class ResultsDB(ABC):
    """A store of results: collections of records, each a nested dict.

    A record holds whatever the codec can store. Large arrays lie beside it and come back as `LazyArray`,
    read when they are used. A record is never changed, only inserted and deleted. Queries are MongoDB
    filters; see `query`. An instance may be shared by threads, and used after a fork.

    A subclass implements the methods with a leading underscore, `collections`, `configure`, `reindex` and
    `close`.

    Args:
        blob_threshold: Arrays of at least this many bytes are kept beside the record.
    """

    def __init__(self, *, blob_threshold: int = DEFAULT_THRESHOLD) -> None:
        self.blob_threshold = blob_threshold

    def insert_one(self, item: Mapping[str, Any], *, collection: str) -> str:
        """Store an item, once.

        If the collection holds one with the same `unique_hash` (by default the fingerprint of the item),
        nothing is stored.

        Args:
            item: Text keys and values that the codec can store; `date_modified`, if any, is a datetime.
            collection: Where to store it; made when it is first used.

        Returns:
            The id of the record, which may be the older one.

        Raises:
            EncodeError: A value cannot be stored; the message names it.
            ResultsDBError: The store cannot be written.
        """
        return self.insert_many([item], collection=collection)[0]

    def insert_many(self, items: Iterable[Mapping[str, Any]], *, collection: str) -> list[str]:
        """Store many items, each once, much faster than one by one.

        An error leaves the items before it stored; doing it again stores the rest.

        Returns:
            The ids in the order of the items.

        Raises:
            EncodeError: A value cannot be stored; the message names it.
            ResultsDBError: The store cannot be written.
        """
        check_collection(collection)
        inserted: list[str] = []
        for batch in batches(items, _BATCH_ITEMS):
            hashes = [unique_hash_of(item) for item in batch]
            ids = self._ids(collection, hashes)
            pending: dict[str, Record] = {}
            pending_bytes = 0
            for unique_hash, item in zip(hashes, batch, strict=True):
                if unique_hash in ids or unique_hash in pending:
                    continue
                record = Record.of(item, unique_hash, threshold=self.blob_threshold)
                pending[unique_hash] = record
                pending_bytes += sum(blob.nbytes for blob in record.blobs.values())
                if pending_bytes >= _BATCH_BYTES:
                    ids |= self._insert(collection, list(pending.values()))
                    pending, pending_bytes = {}, 0
            if pending:
                ids |= self._insert(collection, list(pending.values()))
            inserted += [ids[unique_hash] for unique_hash in hashes]
        return inserted

    def find(
        self,
        *,
        collection: str,
        query: Mapping[str, Any] | None = None,
        fields: Sequence[str] | None = None,
        sort: SortSpec | None = None,
        limit: int | None = None,
        skip: int = 0,
    ) -> Iterator[dict[str, Any]]:
        """Stream the records that match, in the order of insertion or as sorted.

        What is inserted or deleted meanwhile may or may not be seen. A record that cannot be read does
        not end the stream: all others come, then the error.

        Args:
            collection: Where to look; one that does not exist is empty.
            query: A MongoDB filter with dotted paths, as `{"outputs.y": {"$gt": 2}}`.
            fields: Dotted paths to return besides `_id`; the arrays of the others are not read.
            sort: A path, `-path` for the greatest first, or a list of `(path, 1 or -1)`; in MongoDB's
                order across types. Equal ones come in the order of insertion, or, where the last key
                descends, the newest first.
            limit: At most so many records.
            skip: Leave out so many at the beginning.

        Returns:
            Dicts with the values as they were stored, and `_id`.

        Raises:
            QueryError: An argument is not valid; raised at once.
            ResultCorruptError: At the end of the stream: a record is damaged, or several cannot be read.
            DecodeError: At the end of the stream: a record holds a type that is not registered here.
            BlobCorruptError: At the end of the stream: an array is missing. When it is read: it is damaged.
            ResultsDBError: The store cannot be read.
        """
        selection = Selection.of(query, fields, sort, limit, skip)
        check_collection(collection)
        return self._values([collection], selection)

    def find_in(
        self,
        collections: Sequence[str],
        *,
        query: Mapping[str, Any] | None = None,
        fields: Sequence[str] | None = None,
        sort: SortSpec | None = None,
        limit: int | None = None,
        skip: int = 0,
    ) -> Iterator[dict[str, Any]]:
        """Stream the records of several collections that match, in one order.

        Args:
            collections: Where to look.
            query: As for `find`, as are the others.
            fields: Dotted paths to return.
            sort: One order for all. Without it, one collection comes after the other.
            limit: At most so many records of all.
            skip: Leave out so many of all at the beginning.

        Raises:
            QueryError: An argument is not valid; raised at once. Other errors are those of `find`.
        """
        selection = Selection.of(query, fields, sort, limit, skip)
        for collection in collections:
            check_collection(collection)
        return self._values(collections, selection)

    def find_one(
        self,
        *,
        collection: str,
        query: Mapping[str, Any] | None = None,
        fields: Sequence[str] | None = None,
        sort: SortSpec | None = None,
    ) -> dict[str, Any] | None:
        """Return the first of the records that `find` gives, or None."""
        name = _name_in(query)
        if name is not None and fields is None and sort is None:
            return self._get(collection, *name)
        found = list(self.find(collection=collection, query=query, fields=fields, sort=sort, limit=1))
        return found[0] if found else None

    def find_all(self, *, collection: str) -> Iterator[dict[str, Any]]:
        """Stream all records of a collection in the order of insertion."""
        return self.find(collection=collection)

    def count(self, *, collection: str, query: Mapping[str, Any] | None = None) -> int:
        """Return how many records match.

        Raises:
            QueryError: The query is not valid.
            ResultCorruptError: Some records are damaged, so that this is not known.
        """
        selection = Selection.of(query)
        check_collection(collection)
        if not query:
            return self._count(collection)
        unreadable = self._unreadable(collection)
        count = sum(1 for _ in self._documents(collection, selection, unreadable))
        unreadable.report()
        return count

    def stats(self, *, collection: str) -> CollectionStats:
        """Return what a collection holds. All its records are read, but no array."""
        check_collection(collection)
        return CollectionStats.of(collection, self._scan(collection, Selection.of()).records)

    def delete(self, *, collection: str, query: Mapping[str, Any]) -> int:
        """Delete the records that match, and the blobs that no other record refers to.

        Args:
            collection: Where to delete.
            query: As for `find`; `{}` deletes all. This and `{"_id": …}` delete damaged records, too.

        Returns:
            How many were deleted.

        Raises:
            QueryError: The query is not valid.
            ResultCorruptError: Some records are damaged, so that it is not known whether they match. Nothing
                was deleted.
        """
        selection = Selection.of(query)
        check_collection(collection)
        if not query or list(query) == [ID]:
            ids = [record.id for record in self._scan(collection, selection).records]
        else:
            unreadable = self._unreadable(collection)
            ids = [document[ID] for document in self._documents(collection, selection, unreadable)]
            unreadable.report()
        return sum(self._delete(collection, batch) for batch in batches(ids, _BATCH_ITEMS))

    @abstractmethod
    def collections(self) -> list[str]:
        """Return the names of the collections that hold records, sorted."""

    @abstractmethod
    def configure(self, indices: Mapping[str, Sequence[str]]) -> None:
        """Make queries on some paths fast; `unique_hash`, `_id` and `date_modified` always are.

        Args:
            indices: By collection, the dotted paths. Those of an earlier call are kept.
        """

    @abstractmethod
    def reindex(self) -> Reindexed:
        """Make the indices anew, and remove what killed writers left; unfinished files after an hour.

        It is safe while others use the store.

        Raises:
            ResultsDBError: The store cannot be read or written.
        """

    @abstractmethod
    def close(self) -> None:
        """Close what is open; the next use opens it again."""

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    # what a store does in its own way -------------------------------------------------------------

    @abstractmethod
    def _ids(self, collection: str, hashes: Sequence[str]) -> dict[str, str]:
        """Return the ids of those of the unique hashes that are stored."""

    @abstractmethod
    def _insert(self, collection: str, records: Sequence[Record]) -> dict[str, str]:
        """Store records with their blobs, so that none is ever seen in part; return the ids by hash.

        Another process may have stored the same hash meanwhile: then its id is returned.
        """

    @abstractmethod
    def _scan(self, collection: str, selection: Selection) -> Scan:
        """Return the records that may match a selection."""

    def _named(self, collection: str, name: str, text: str) -> Iterable[StoredRecord]:
        """Return the records with this `_id` or `unique_hash`: one or none."""
        return self._scan(collection, Selection.of({name: text})).records

    @abstractmethod
    def _fetch(self, collection: str, ids: Sequence[str]) -> Iterator[StoredRecord]:
        """Yield the records of these ids in their order; those that are gone are left out."""

    @abstractmethod
    def _count(self, collection: str) -> int:
        """Return the number of records in a collection."""

    @abstractmethod
    def _delete(self, collection: str, ids: Sequence[str]) -> int:
        """Delete records, and blobs that are not referred to any more; return how many records."""

    @abstractmethod
    def _open_blob(self, digest: str, record_id: str) -> BlobReader:
        """Return a reader of a blob that a record refers to."""

    # finding --------------------------------------------------------------------------------------

    def _get(self, collection: str, name: str, text: str) -> dict[str, Any] | None:
        """Find one record by its `_id` or `unique_hash`: the commonest query, which needs no compiling."""
        check_collection(collection)
        for record in self._named(collection, name, text):
            try:
                document = record.document()
                if document.get(name) == text:
                    return document if record.is_plain else self._value(collection, document)
            except (ResultCorruptError, ResultNotFoundError):
                if self._holds(collection, record.id):
                    raise
        return None

    def _value(self, collection: str, document: dict[str, Any]) -> dict[str, Any]:
        record_id = document[ID]
        source = BlobsOfRecord(
            lambda digest: self._open_blob(digest, record_id),
            lambda: self._holds(collection, record_id),
            f"record {record_id} of the collection {collection}",
        )
        value: Any = decode(document, source=source, where=f"record {record_id}")
        return cast("dict[str, Any]", value)

    def _values(self, collections: Sequence[str], selection: Selection) -> Iterator[dict[str, Any]]:
        unreadable = self._unreadable(*collections)
        if len(collections) == 1:
            yield from map(itemgetter(1), self._found(collections[0], selection, unreadable))
        else:
            each = selection._replace(skip=0, limit=selection.stop)
            streams = [self._found(collection, each, unreadable) for collection in collections]
            together = (
                merge(*streams, key=lambda found: selection.key(found[0]))
                if selection.sort
                else chain.from_iterable(streams)
            )
            yield from map(itemgetter(1), islice(together, selection.skip, selection.stop))
        unreadable.report()

    def _found(
        self, collection: str, selection: Selection, unreadable: Unreadable
    ) -> Iterator[tuple[dict[str, Any], dict[str, Any]]]:
        """Yield the documents that match, each with its value."""
        for document in self._documents(collection, selection, unreadable):
            try:
                value = self._value(collection, selection.projected(document))
            except ResultNotFoundError:
                continue  # it was deleted meanwhile
            except ResultsDBError:
                raise
            except LUMEServicesError as error:
                unreadable.add(document[ID], error)
            else:
                yield document, value

    def _unreadable(self, *collections: str) -> Unreadable:
        return Unreadable(lambda record_id: any(self._holds(one, record_id) for one in collections))

    def _holds(self, collection: str, record_id: str) -> bool:
        return any(True for _ in self._fetch(collection, [record_id]))

    def _damaged(self) -> dict[str, str]:
        """Return what is wrong with each record that cannot be read, by id."""
        messages: dict[str, str] = {}
        for collection in self.collections():
            unreadable = self._unreadable(collection)
            for _ in unreadable.skip(self._scan(collection, Selection.of()).records):
                pass
            messages |= unreadable.messages()
        return messages

    def _documents(
        self, collection: str, selection: Selection, unreadable: Unreadable
    ) -> Iterator[dict[str, Any]]:
        scan = self._scan(collection, selection)
        found = filter(selection.query.matches, unreadable.skip(scan.records))
        if selection.sort and not scan.sorted:
            keys = [(tuple(key.of(item) for key in selection.sort), item[ID]) for item in found]
            wanted = selection.in_order(keys)[selection.skip : selection.stop]
            yield from unreadable.skip(self._fetch(collection, wanted))
        else:
            yield from islice(found, selection.skip, selection.stop)


def _name_in(query: Mapping[str, Any] | None) -> tuple[str, str] | None:
    """Return what a query names a record by, `_id` or `unique_hash`, where it says nothing else."""
    if query is None or len(query) != 1:
        return None
    [(name, text)] = query.items()
    return (name, text) if name in (ID, UNIQUE_HASH) and type(text) is str else None


def batches(items: Iterable[T], size: int) -> Iterator[list[T]]:
    """Yield the items in lists of at most `size`."""
    remaining = iter(items)
    while batch := list(islice(remaining, size)):
        yield batch
