"""Blobs in MongoDB, in the layout of GridFS: equal ones are one file.

`blobs.files` has a document per blob: the digest as `filename`, the length, the digests of the chunks of
1 MiB; `blobs.chunks` has the chunks. So any tool for GridFS reads a blob, and a slice costs its chunks only.
The driver's own GridFS is not used: it has no way to pin a file, and knows nothing of equal ones.

Blobs are shared, and there need be no transactions (a single server has none). What keeps a blob from being
removed while a record that refers to it is being inserted:

* A writer *pins* the file before it inserts the record, and unpins it afterwards. Pinning takes away the
  mark of a remover.
* A remover *dooms* files without pins: it marks them with its token. Then it looks whether a record refers to
  them, and removes those that nothing refers to and that still have its mark and no pin.

If the pin came before the mark, the record was inserted before the remover looked; if it came after, the
mark is gone. A file has a new id each time it is made, so that removing the chunks of an old one never
touches a new one.
"""

from __future__ import annotations

import secrets
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from typing import Any

from bson import Binary, ObjectId
from pymongo import ASCENDING, UpdateOne
from pymongo.database import Database
from pymongo.errors import BulkWriteError

from lume_services.errors import BlobCorruptError, StoreUnavailableError
from lume_services.services.results.mongodb.server import MongoServer, Tree
from lume_services.values.blobs import CHUNK_BYTES, Blob, BlobReader

FILES = "blobs.files"
CHUNKS = "blobs.chunks"

_DUPLICATE = 11000
_CHUNKS_AT_ONCE = 8
_ABANDONED = timedelta(hours=1)


class BlobBucket:
    """The blobs of a database.

    Args:
        server: Where they are.
        used: Returns those of some digests that records refer to.
    """

    def __init__(self, server: MongoServer, used: Callable[[Sequence[str]], set[str]]) -> None:
        self._server = server
        self._used = used

    @contextmanager
    def stored(self, blobs: Mapping[str, Blob]) -> Iterator[None]:
        """Have blobs stored, and kept while the block inserts the records that refer to them.

        If the block fails, those that no record refers to are removed.

        Raises:
            ResultsDBError: They cannot be stored.
        """
        if not blobs:
            yield
            return
        pin = secrets.token_hex(16)
        try:
            new, known = self._server.use(_pinned, pin, list(blobs.values()))
            for file, blob in self._incomplete(new, known, blobs):
                self._write(file, blob)
            yield
        except StoreUnavailableError:
            raise  # what remains is for `reindex`
        except BaseException:
            self._unpin(pin)
            self.remove_unused(list(blobs))
            raise
        self._unpin(pin)

    def open(self, digest: str, record_id: str) -> BlobReader:
        """Return a reader of a blob.

        Args:
            digest: Of the blob.
            record_id: The record that refers to it, for errors.

        Raises:
            BlobCorruptError: The blob is missing or damaged.
            ResultsDBError: It cannot be read.
        """
        return _BucketReader(digest, self._server, record_id)

    def remove_unused(self, digests: Sequence[str]) -> int:
        """Remove those of some blobs that no record refers to; return how many."""
        if not digests:
            return 0
        token = secrets.token_hex(16)
        doomed = self._server.use(_doom, digests, token)
        if not doomed:
            return 0
        used = self._used(list(doomed))
        files = [file for digest, file in doomed.items() if digest not in used]
        return self._server.use(_remove, files, token)

    def sweep(self) -> int:
        """Remove what killed writers left; return how many blobs."""
        self._server.use(_remove_old_pins)
        digests = self._server.use(_unpinned)
        removed = sum(
            self.remove_unused(digests[start : start + _CHUNKS_AT_ONCE])
            for start in range(0, len(digests), _CHUNKS_AT_ONCE)
        )
        return removed + self._server.use(_remove_lost_chunks)

    def _incomplete(
        self, new: Mapping[str, Any], known: Mapping[str, Any], blobs: Mapping[str, Blob]
    ) -> Iterator[tuple[Any, Blob]]:
        counts = self._server.use(_chunk_counts, list(known.values())) if known else {}
        for digest, file in {**new, **known}.items():
            blob = blobs[digest]
            if digest in new or counts.get(file, 0) * CHUNK_BYTES < blob.nbytes:
                yield file, blob

    def _write(self, file: Any, blob: Blob) -> None:
        span = _CHUNKS_AT_ONCE * CHUNK_BYTES
        for start in range(0, blob.nbytes, span):
            self._server.use(_insert, file, start, blob.buffer[start : start + span])

    def _unpin(self, pin: str) -> None:
        self._server.use(_pull, pin)


class _BucketReader(BlobReader):
    """Reads a blob from its chunks, and names the file and the record in errors."""

    def __init__(self, digest: str, server: MongoServer, record_id: str) -> None:
        self._server = server
        self._record_id = record_id
        self._place = f"record {record_id}, {server.where}, GridFS file {digest!r}"
        found = server.use(_file, digest)
        if found is None:
            raise self._damaged("a blob is missing.", digest)
        self._file = found["_id"]
        nbytes, chunks = found.get("length"), (found.get("metadata") or {}).get("chunks")
        if not isinstance(nbytes, int) or not isinstance(chunks, bytes):
            raise self._damaged("the description of a blob is damaged.", digest)
        with self._explained(digest):
            super().__init__(digest, nbytes, chunks, self._bytes)

    def read(self, start: int = 0, stop: int | None = None) -> memoryview:
        with self._explained(self.digest):
            return super().read(start, stop)

    def _bytes(self, start: int, data: memoryview) -> Iterator[int]:
        span = _CHUNKS_AT_ONCE * CHUNK_BYTES
        for begin in range(0, len(data), span):
            part = data[begin : begin + span]
            filled = self._server.use(_fill, self._file, (start + begin) // CHUNK_BYTES, part)
            yield begin + filled
            if filled < len(part):
                break

    @contextmanager
    def _explained(self, digest: str) -> Iterator[None]:
        try:
            yield
        except BlobCorruptError as error:
            raise self._damaged(error.message, digest) from error

    def _damaged(self, what: str, digest: str) -> BlobCorruptError:
        return BlobCorruptError(
            what,
            where=self._place,
            remedy="Restore the database from a backup, or run the calculation again.",
            digest=digest,
            record_id=self._record_id,
        )


def prepare(database: Database[Tree]) -> None:
    """Make the indices of the blobs, unless they are there."""
    database[FILES].create_index("filename", unique=True)
    database[FILES].create_index("pins.by")
    database[CHUNKS].create_index([("files_id", ASCENDING), ("n", ASCENDING)], unique=True)


# each of these may be done twice, if the connection was lost ------------------------------------------


def _pinned(
    database: Database[Tree], pin: str, blobs: Iterable[Blob]
) -> tuple[dict[str, Any], dict[str, Any]]:
    """Pin the files of blobs; return the ids by digest of those that are new, and of the others."""
    made = {blob.digest: ObjectId() for blob in blobs}
    now = datetime.now(UTC)
    pins = [
        UpdateOne(
            {"filename": blob.digest},
            {
                "$addToSet": {"pins": {"by": pin, "at": now}},
                "$unset": {"doomed": ""},
                "$setOnInsert": {
                    "_id": made[blob.digest],
                    "length": blob.nbytes,
                    "chunkSize": CHUNK_BYTES,
                    "uploadDate": now,
                    "metadata": {"chunks": Binary(blob.chunks)},
                },
            },
            upsert=True,
        )
        for blob in blobs
    ]
    try:
        inserted = database[FILES].bulk_write(pins, ordered=False).upserted_count
    except BulkWriteError as error:
        if not only_duplicates(error):
            raise
        database[FILES].bulk_write(pins, ordered=False)  # another writer made the same file meanwhile
        inserted = 0
    if inserted == len(made):
        return made, {}
    found = database[FILES].find({"filename": {"$in": list(made)}}, {"filename": 1})
    ids = {file["filename"]: file["_id"] for file in found}
    new = {digest: file for digest, file in ids.items() if file == made[digest]}
    return new, {digest: file for digest, file in ids.items() if digest not in new}


def _pull(database: Database[Tree], pin: str) -> None:
    database[FILES].update_many({"pins.by": pin}, {"$pull": {"pins": {"by": pin}}})


def _file(database: Database[Tree], digest: str) -> Tree | None:
    return database[FILES].find_one({"filename": digest})


def _unpinned(database: Database[Tree]) -> list[str]:
    return [file["filename"] for file in database[FILES].find({"pins": []}, {"filename": 1})]


def _chunk_counts(database: Database[Tree], files: Iterable[Any]) -> dict[Any, int]:
    groups = database[CHUNKS].aggregate(
        [
            {"$match": {"files_id": {"$in": list(files)}}},
            {"$group": {"_id": "$files_id", "count": {"$sum": 1}}},
        ]
    )
    return {group["_id"]: group["count"] for group in groups}


def _insert(database: Database[Tree], file: Any, start: int, part: memoryview) -> None:
    chunks = [
        {
            "files_id": file,
            "n": (start + offset) // CHUNK_BYTES,
            "data": Binary(part[offset : offset + CHUNK_BYTES]),
        }
        for offset in range(0, len(part), CHUNK_BYTES)
    ]
    try:
        database[CHUNKS].insert_many(chunks, ordered=False)
    except BulkWriteError as error:
        if not only_duplicates(error):
            raise


def _doom(database: Database[Tree], digests: Sequence[str], token: str) -> dict[str, Any]:
    unpinned = {"filename": {"$in": list(digests)}, "pins": []}
    database[FILES].update_many(unpinned, {"$set": {"doomed": token}})
    found = database[FILES].find({**unpinned, "doomed": token}, {"filename": 1})
    return {file["filename"]: file["_id"] for file in found}


def _remove(database: Database[Tree], files: Sequence[Any], token: str) -> int:
    removed = 0
    for file in files:
        if database[FILES].delete_one({"_id": file, "pins": [], "doomed": token}).deleted_count:
            database[CHUNKS].delete_many({"files_id": file})
            removed += 1
    return removed


def _remove_old_pins(database: Database[Tree]) -> None:
    old = {"at": {"$lt": datetime.now(UTC) - _ABANDONED}}
    database[FILES].update_many({"pins.at": old["at"]}, {"$pull": {"pins": old}})


def _remove_lost_chunks(database: Database[Tree]) -> int:
    """Remove the chunks whose file was removed by a process that was killed then."""
    groups = [group["_id"] for group in database[CHUNKS].aggregate([{"$group": {"_id": "$files_id"}}])]
    lost = [file for file in groups if database[FILES].find_one({"_id": file}, {"_id": 1}) is None]
    if lost:
        database[CHUNKS].delete_many({"files_id": {"$in": lost}})
    return len(lost)


def _fill(database: Database[Tree], file: Any, first: int, data: memoryview) -> int:
    """Copy chunks to their places; return the number of bytes up to the first that is missing."""
    expected = first
    filled = 0
    last = first - (-len(data) // CHUNK_BYTES)
    found = database[CHUNKS].find({"files_id": file, "n": {"$gte": first, "$lt": last}}, {"n": 1, "data": 1})
    with found.sort("n", ASCENDING) as chunks:
        for chunk in chunks:
            content = chunk.get("data")
            wanted = min(CHUNK_BYTES, len(data) - filled)
            if chunk["n"] != expected or not isinstance(content, bytes) or len(content) != wanted:
                break
            data[filled : filled + wanted] = content
            filled += wanted
            expected += 1
    return filled


def only_duplicates(error: BulkWriteError) -> bool:
    """Tell whether all that a bulk of writes failed in is that something is there already."""
    details: Any = error.details or {}
    codes = {one.get("code") for one in details.get("writeErrors", ())}
    return codes == {_DUPLICATE} and not details.get("writeConcernErrors")
