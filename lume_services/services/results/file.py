"""The `file` store: results in a folder, without a server.

    results.sqlite     the records of all collections, as JSON text with its digest, and their indices
    blobs/ab/ab34…     large arrays, named by their digest; equal ones are one file
    blobs/unfinished/  arrays being written

Any number of processes and threads of one machine may use the folder at once. A write is complete or has not
happened: a blob is written under another name and then renamed, before the one transaction that stores its
record. A writer that is killed at any point loses nothing that it was told is stored; at worst it leaves
a blob that no record refers to, which `reindex` removes. The loss of power may undo the last writes, unless
`durability` is "power"; it never damages the records.

Network file systems. SQLite's write-ahead log needs memory that all users of the file share, so it does not
work where several machines use the folder. On NFS, Lustre, GPFS, CIFS and their like (as the system's table
of mounts tells) the store therefore uses SQLite's rollback journal, which needs only file locks. It is
slower (insert many results at once there), and correct if the locks of the file system hold across machines:
on NFS 4 they do; on NFS 3 with a lock service; on Lustre if it is mounted with `flock`. With `noflock` SQLite
reports an error; with `localflock` use the store from one machine only. A store that was moved between the
two kinds of file systems adapts when it is next opened.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Literal

from typing_extensions import override

from lume_services.errors import ResultsDBError
from lume_services.services.results.base import Reindexed, ResultsDB, Scan, batches
from lume_services.services.results.folder.blobs import BlobFolder
from lume_services.services.results.folder.tables import RecordTables
from lume_services.services.results.query.selection import Selection
from lume_services.services.results.record import Record, StoredRecord
from lume_services.values.blobs import Blob, BlobReader
from lume_services.values.codec import DEFAULT_THRESHOLD

_BLOB_ATTEMPTS = 10
_BLOB_BATCH = 500


class FileResultsDB(ResultsDB):
    """A results store in a folder.

    Args:
        path: The folder; made when the store is first used.
        blob_threshold: Arrays of at least this many bytes are kept beside the record.
        durability: What an insert that has returned survives: the end of the `process`, by whatever signal,
            or also the loss of `power`, which costs a flush of the disk each time.
    """

    def __init__(
        self,
        path: str | Path,
        blob_threshold: int = DEFAULT_THRESHOLD,
        durability: Literal["process", "power"] = "process",
    ) -> None:
        super().__init__(blob_threshold=blob_threshold)
        self.path = Path(path).expanduser().absolute()
        durable = durability == "power"
        self._tables = RecordTables(self.path / "results.sqlite", durable=durable)
        self._blobs = BlobFolder(self.path / "blobs", durable=durable)

    def __repr__(self) -> str:
        return f"FileResultsDB({str(self.path)!r})"

    @override
    def collections(self) -> list[str]:
        return self._tables.collections()

    @override
    def configure(self, indices: Mapping[str, Sequence[str]]) -> None:
        for collection, paths in indices.items():
            for path in paths:
                with self._tables.database.writing() as connection:
                    self._tables.add_index(connection, collection, path)

    @override
    def reindex(self) -> Reindexed:
        with self._tables.database.writing() as connection:
            self._tables.rebuild(connection)
        unused = sum(self._remove_unused(batch) for batch in batches(self._blobs.digests(), _BLOB_BATCH))
        return Reindexed(removed=unused + self._blobs.remove_abandoned(), damaged=self._damaged())

    @override
    def close(self) -> None:
        self._tables.database.close()

    @override
    def _ids(self, collection: str, hashes: Sequence[str]) -> dict[str, str]:
        return self._tables.ids(collection, hashes)

    @override
    def _insert(self, collection: str, records: Sequence[Record]) -> dict[str, str]:
        blobs = {digest: blob for record in records for digest, blob in record.blobs.items()}
        try:
            ids = self._insert_with(blobs, collection, records)
        except BaseException:
            with suppress(ResultsDBError):  # what cannot be removed now is for `reindex`
                self._remove_unused(list(blobs))
            raise
        superseded = [record for record in records if ids[record.unique_hash] != record.id]
        self._remove_unused([digest for record in superseded for digest in record.blobs])
        return ids

    def _insert_with(
        self, blobs: Mapping[str, Blob], collection: str, records: Sequence[Record]
    ) -> dict[str, str]:
        for _ in range(_BLOB_ATTEMPTS):
            for blob in blobs.values():
                self._blobs.put(blob)
            with self._tables.database.writing() as connection:
                # Unused blobs are removed under the same lock: those that are there now will stay.
                if all(map(self._blobs.has, blobs.values())):
                    return self._tables.insert(connection, collection, records)
        raise ResultsDBError(
            "another process keeps removing blobs while they are stored.",
            where=str(self.path),
            remedy="Insert again when it has ended.",
        )

    @override
    def _scan(self, collection: str, selection: Selection) -> Scan:
        return self._tables.scan(collection, selection)

    @override
    def _named(self, collection: str, name: str, text: str) -> Iterator[StoredRecord]:
        return self._tables.named(collection, name, text)

    @override
    def _fetch(self, collection: str, ids: Sequence[str]) -> Iterator[StoredRecord]:
        return self._tables.fetch(collection, ids)

    @override
    def _count(self, collection: str) -> int:
        return self._tables.count(collection)

    @override
    def _delete(self, collection: str, ids: Sequence[str]) -> int:
        with self._tables.database.writing() as connection:
            deleted, digests = self._tables.delete(connection, collection, ids)
        self._remove_unused(digests)
        return deleted

    @override
    def _open_blob(self, digest: str, record_id: str) -> BlobReader:
        return self._blobs.open(digest, record_id)

    def _remove_unused(self, digests: Sequence[str]) -> int:
        if not digests:
            return 0
        with self._tables.database.writing() as connection:
            return sum(map(self._blobs.remove, self._tables.unused(connection, digests)))
