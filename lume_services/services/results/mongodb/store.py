"""The `mongodb` store: results in a database on a MongoDB server.

    results.PROJECT    a document per record of the collection PROJECT
    blobs.files        large arrays, in the layout of GridFS; equal ones are one file
    blobs.chunks       their chunks of 1 MiB

A record holds the JSON `text` of its document with the `digest`, which is what is read, and beside it, for
MongoDB, a copy of the `document` that can be searched and indexed, with native numbers, texts and dates; see
`mongodb_filter`. A text that is too large for a MongoDB document is kept as a blob.

Any number of processes on any machines may use the database at once. A unique index makes inserts
exactly-once; blobs are written before the record, and kept safe without transactions, see `mongodb_blobs`.
Writes are acknowledged by a majority of the servers and in their journal. A writer that is killed at any
point loses nothing that it was told is stored; at worst it leaves a blob that no record refers to, which
`reindex` removes.

Records are read in pages, each of them one request: no cursor and no session stays open, so a stream may
be left, go on after the server was restarted, or after a fork.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Concatenate, ParamSpec, TypeVar

from bson import Binary, Int64
from pydantic import SecretStr
from pymongo import ASCENDING, IndexModel
from pymongo.collection import Collection
from pymongo.database import Database
from typing_extensions import override

from lume_services.errors import BlobCorruptError, ResultCorruptError, ResultsDBError
from lume_services.services.results.base import Reindexed, ResultsDB, Scan, batches
from lume_services.services.results.mongodb.blobs import BlobBucket, prepare
from lume_services.services.results.mongodb.filter import (
    DOCUMENT,
    MARKS,
    MODIFIED,
    NO_DATE,
    all_of,
    digests_in,
    field,
    marks_of,
    prefilter,
    searchable,
)
from lume_services.services.results.mongodb.records import (
    find_by_hash,
    find_page,
    find_records,
    following,
    insert_records,
    keys_of,
    make_indices,
    name_of,
    not_empty,
    referred_to,
)
from lume_services.services.results.mongodb.server import MongoServer, Tree
from lume_services.services.results.query.filter import Query
from lume_services.services.results.query.order import order_key
from lume_services.services.results.query.paths import Path
from lume_services.services.results.query.selection import Selection
from lume_services.services.results.record import DATE_MODIFIED, ID, UNIQUE_HASH, Record, StoredRecord
from lume_services.values.blobs import Blob, BlobReader
from lume_services.values.codec import DEFAULT_THRESHOLD

T = TypeVar("T")
P = ParamSpec("P")

_FORMAT = 1
_LARGEST_TEXT = 1 << 18
_ATTEMPTS = 10
_FIRST_PAGE = 8
_GROWTH = 8
_PAGE = 4096
_PAGE_BYTES = 16 << 20
_OVERHEAD = 200
_FETCH = 256
_OURS = {ID: {"$gt": ""}, MODIFIED: {"$gte": NO_DATE}}
_NOT_OURS = {"$or": [{ID: {"$type": "objectId"}}, {MODIFIED: None}]}
_DUPLICATE = 11000
_INDICES = (
    IndexModel(UNIQUE_HASH, unique=True),
    IndexModel([(MODIFIED, ASCENDING), (ID, ASCENDING)]),
    IndexModel(MARKS, sparse=True),  # one for both of what it holds: each index costs every insert
)
_ALWAYS_FAST = ((ID,), (UNIQUE_HASH,), (DATE_MODIFIED,))


class MongodbResultsDB(ResultsDB):
    """A results store in a MongoDB database.

    Args:
        uri: Connection string, as `mongodb+srv://user:password@cluster.example.org`; takes the place of
            `host`, `port`, `username`, `password` and `authmechanism`.
        host: Name of the server.
        port: Of the server.
        username: None means no authentication.
        password: Of the user.
        database: Name of the database.
        authmechanism: As the driver names it: `SCRAM-SHA-256`, `MONGODB-X509`, …
        options: Further options of the driver, as `{"tls": True, "authSource": "admin"}`. They are stronger
            than the defaults here: `w` "majority", `journal` True, and the time-outs.
        blob_threshold: Arrays of at least this many bytes are kept beside the record.
        timeout_seconds: How long to wait for a server that is away, and for each of its answers.
    """

    def __init__(
        self,
        *,
        uri: str | SecretStr | None = None,
        host: str = "localhost",
        port: int = 27017,
        username: str | None = None,
        password: str | SecretStr | None = None,
        database: str = "lume_services",
        authmechanism: str = "DEFAULT",
        options: Mapping[str, Any] | None = None,
        blob_threshold: int = DEFAULT_THRESHOLD,
        timeout_seconds: float = 10.0,
    ) -> None:
        super().__init__(blob_threshold=blob_threshold)
        self._server = MongoServer(
            uri=uri,
            host=host,
            port=port,
            username=username,
            password=password,
            database=database,
            authmechanism=authmechanism,
            options=options or {},
            timeout_seconds=timeout_seconds,
        )
        self._blobs = BlobBucket(self._server, self._used)
        self._prepared: set[str] = set()

    def __repr__(self) -> str:
        return f"MongodbResultsDB({self._server.where!r})"

    @override
    def collections(self) -> list[str]:
        return sorted(self._server.use(not_empty))

    @override
    def configure(self, indices: Mapping[str, Sequence[str]]) -> None:
        for collection, paths in indices.items():
            self._prepare(collection)
            for path in paths:
                atoms = Path(path).atoms
                if atoms not in _ALWAYS_FAST:
                    index = IndexModel([(field(atoms), ASCENDING), (ID, ASCENDING)])
                    self._use(collection, make_indices, [index])

    @override
    def reindex(self) -> Reindexed:
        self._prepared.clear()
        for collection in self.collections():
            self._prepare(collection)
        return Reindexed(removed=self._blobs.sweep(), damaged=self._damaged())

    @override
    def close(self) -> None:
        self._prepared.clear()
        self._server.close()

    @override
    def _ids(self, collection: str, hashes: Sequence[str]) -> dict[str, str]:
        if len(hashes) == 1:
            return {}  # the insert will tell; to ask before would double its time
        return self._known(collection, hashes)

    @override
    def _insert(self, collection: str, records: Sequence[Record]) -> dict[str, str]:
        self._prepare(collection)
        bodies = {record.id: Blob.of(record.text) for record in records if len(record.text) > _LARGEST_TEXT}
        blobs = {digest: blob for record in records for digest, blob in record.blobs.items()}
        blobs |= {body.digest: body for body in bodies.values()}
        documents = [_stored(record, bodies.get(record.id)) for record in records]
        with self._blobs.stored(blobs):
            ids = self._insert_once(collection, documents)
        known = [one for one in documents if ids[one[UNIQUE_HASH]] != one[ID]]
        self._blobs.remove_unused(
            list({digest for one in known for digest in digests_in(one.get(MARKS, ()))})
        )
        return ids

    @override
    def _scan(self, collection: str, selection: Selection) -> Scan:
        query = selection.query
        if [key.path.atoms for key in selection.sort] == [(DATE_MODIFIED,)]:
            direction = selection.sort[0].direction
            return Scan(self._pages(collection, query, (MODIFIED, ID), direction), sorted=True)
        return Scan(self._pages(collection, query, (ID,), ASCENDING))

    @override
    def _named(self, collection: str, name: str, text: str) -> Iterator[StoredRecord]:
        if name == UNIQUE_HASH:
            return map(self._record, self._use(collection, find_by_hash, text))
        return map(self._record, self._use(collection, find_records, {ID: {"$in": keys_of([text])}}))

    @override
    def _fetch(self, collection: str, ids: Sequence[str]) -> Iterator[StoredRecord]:
        for batch in batches(ids, _FETCH):
            page = self._use(collection, find_records, {ID: {"$in": keys_of(batch)}})
            found = {str(document[ID]): document for document in page}
            yield from (self._record(found[record_id]) for record_id in batch if record_id in found)

    @override
    def _count(self, collection: str) -> int:
        return self._use(collection, Collection.count_documents, {})

    @override
    def _delete(self, collection: str, ids: Sequence[str]) -> int:
        where = {ID: {"$in": keys_of(ids)}}
        marks = self._use(collection, Collection.distinct, MARKS, where)
        deleted = self._use(collection, Collection.delete_many, where).deleted_count
        self._blobs.remove_unused(digests_in(marks))
        return deleted

    @override
    def _open_blob(self, digest: str, record_id: str) -> BlobReader:
        return self._blobs.open(digest, record_id)

    def _use(
        self,
        collection: str,
        work: Callable[Concatenate[Collection[Tree], P], T],
        *args: P.args,
        **kwargs: P.kwargs,
    ) -> T:
        """Do some work with a collection; see `MongoServer.use`."""

        def with_database(database: Database[Tree]) -> T:
            return work(database[name_of(collection)], *args, **kwargs)

        return self._server.use(with_database)

    def _prepare(self, collection: str) -> None:
        if collection in self._prepared:
            return
        try:
            self._server.use(prepare)
            self._use(collection, make_indices, _INDICES)
        except ResultsDBError as error:
            if getattr(error, "code", None) != _DUPLICATE:
                raise
            raise ResultsDBError(
                f"records of the collection {collection!r} have the same unique_hash: {error.message}",
                where=self._server.where,
                remedy=f"Remove all but one from {name_of(collection)}, with MongoDB's own tools.",
            ) from error
        self._prepared.add(collection)

    def _known(self, collection: str, hashes: Sequence[str]) -> dict[str, str]:
        found = self._use(collection, find_records, {UNIQUE_HASH: {"$in": list(hashes)}}, {UNIQUE_HASH: 1})
        return {document[UNIQUE_HASH]: str(document[ID]) for document in found}

    def _insert_once(self, collection: str, documents: Sequence[Tree]) -> dict[str, str]:
        ids: dict[str, str] = {}
        for _ in range(_ATTEMPTS):
            missing = [document for document in documents if document[UNIQUE_HASH] not in ids]
            if self._use(collection, insert_records, missing):
                return ids | {document[UNIQUE_HASH]: document[ID] for document in missing}
            ids |= self._known(collection, [document[UNIQUE_HASH] for document in missing])
            if len(ids) == len(documents):
                return ids
        raise ResultsDBError(
            "another process keeps removing records while they are stored.",
            where=self._server.where,
            remedy="Insert again when it has ended.",
        )

    def _pages(
        self, collection: str, query: Query, keys: Sequence[str], direction: int
    ) -> Iterator[StoredRecord]:
        order = [(key, direction) for key in keys]
        named = _by_name(query)
        if named is not None:
            yield from map(self._record, self._use(collection, find_page, named, order))
            return
        wanted = all_of(_OURS, prefilter(query))
        after: Tree = {}
        size = _FIRST_PAGE
        while page := self._use(collection, find_page, all_of(wanted, after), order, size):
            yield from map(self._record, page)
            if len(page) < size:
                break
            after = following(page[-1], keys, "$gt" if direction == ASCENDING else "$lt")
            size = _next_size(page)
        if wanted == _OURS:
            # What others have put into the collection is reported as damaged.
            yield from map(self._record, self._use(collection, find_records, _NOT_OURS))

    def _record(self, document: Tree) -> StoredRecord:
        record_id = str(document[ID])
        text, digest = document.get("text"), document.get("digest")
        body = document.get("body")
        if text is None and isinstance(body, str):
            try:
                text = bytes(self._blobs.open(body, record_id).read())
            except BlobCorruptError:
                text = None
        kind = StoredRecord if document.get("format", _FORMAT) == _FORMAT else _OtherRecord
        return kind(
            record_id,
            text if isinstance(text, bytes) else b"",
            digest if isinstance(digest, bytes) else b"",
            self._server.where,
        )

    def _used(self, digests: Sequence[str]) -> set[str]:
        return self._server.use(referred_to, digests)


@dataclass(slots=True)
class _OtherRecord(StoredRecord):
    """A record of a format that is not known here."""

    @override
    def document(self) -> dict[str, Any]:
        raise ResultCorruptError(
            f"record {self.id} has another format than {_FORMAT}, the one that this version of LUME-services "
            "knows.",
            where=self.where,
            remedy="Use the version of LUME-services that wrote it.",
            ids=[self.id],
        )


def _stored(record: Record, body: Blob | None) -> Tree:
    """Return the MongoDB document of a record."""
    document, left_out = searchable(record.document)
    marks = marks_of([*record.blobs, *([body.digest] if body else [])], left_out)
    return {
        ID: record.id,
        "format": _FORMAT,
        UNIQUE_HASH: record.unique_hash,
        MODIFIED: Int64(order_key(record.date_modified)[1] if record.date_modified else NO_DATE),
        DOCUMENT: document,
        **({"body": body.digest} if body else {"text": Binary(record.text)}),
        "digest": Binary(record.digest),
        **({MARKS: marks} if marks else {}),
    }


def _by_name(query: Query) -> Tree | None:
    """Return the filter for a query that names the records by hash or id; None for any other."""
    hashes, ids = query.texts(UNIQUE_HASH), query.texts(ID)
    if hashes is not None:
        return {UNIQUE_HASH: {"$in": hashes}}
    return None if ids is None else {ID: {"$in": keys_of(ids)}}


def _next_size(page: Sequence[Tree]) -> int:
    """Return how many records to ask for after a page: more, but not too many bytes."""
    texts = (document.get("text") for document in page)
    nbytes = sum(_OVERHEAD + (len(text) if isinstance(text, bytes) else 0) for text in texts)
    return max(1, min(_GROWTH * len(page), _PAGE, _PAGE_BYTES * len(page) // nbytes))
