"""The index of the `hdf5` store: what its files hold, for queries, in one SQLite file.

The files are the truth. A row of the index is a copy of a file, and holds as long as the file has the
signature that is in the row.
"""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, NamedTuple

from typing_extensions import override

from lume_services.errors import ResultCorruptError, ResultsDBError
from lume_services.services.results.base import batches
from lume_services.services.results.folder.sqlite import Format
from lume_services.services.results.folder.tables import TABLES, RecordTables
from lume_services.services.results.hdf5.folder import RecordFolder, Signature
from lume_services.services.results.hdf5.record import corrupt, read_id, read_record
from lume_services.services.results.record import Record, StoredRecord

_FILES = """
    CREATE TABLE files (
        sequence INTEGER PRIMARY KEY,
        name TEXT NOT NULL UNIQUE,
        size INTEGER NOT NULL,
        modified_ns INTEGER NOT NULL
    );
    CREATE TRIGGER forget_file AFTER DELETE ON records
        BEGIN DELETE FROM files WHERE sequence = OLD.sequence; END;
    CREATE VIEW stored AS
        SELECT sequence, collection, modified, id,
               CAST(document AS BLOB) AS document, CAST(digest AS BLOB) AS digest, name, size, modified_ns
        FROM records CROSS JOIN files USING (sequence);
"""

_FORMAT = Format(
    application_id=0x4C554D48,  # "LUMH"
    version=1,
    schema=TABLES + _FILES,
    restore="Call reindex, and it is made anew from the results.",
)
_KNOWN = "SELECT name, id, digest FROM files JOIN records USING (sequence)"
_BATCH = 100
_UNREADABLE = (sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB)


class RecordFile(NamedTuple):
    """A file and what it holds.

    Attributes:
        name: Of the file.
        signature: Of the file when it was read.
        collection: Of the record.
        record: Without the bytes of its lazy arrays.
    """

    name: str
    signature: Signature
    collection: str
    record: Record


class FileIndex(RecordTables):
    """The index of a folder of results.

    Args:
        path: The SQLite file; made when it is first used.
        folder: The results.
        durable: Whether a commit survives the loss of power.
    """

    def __init__(self, path: Path, folder: RecordFolder, *, durable: bool) -> None:
        super().__init__(path, _FORMAT, durable=durable)
        self._folder = folder

    def ids_of(self, names: Iterable[str]) -> dict[str, str]:
        """Return the ids of the records of those files that are as the index knows them."""
        with self.database.reading() as connection:
            found = connection.execute(
                "SELECT name, id, size, modified_ns FROM files JOIN records USING (sequence) "
                "WHERE name IN (SELECT value FROM json_each(?))",
                (json.dumps(list(names)),),
            ).fetchall()
        return {
            name: record_id for name, record_id, *then in found if self._folder.signature(name) == tuple(then)
        }

    def names(self, collection: str) -> list[str]:
        """Return the names of the files of a collection."""
        return self._column(
            "SELECT name FROM records JOIN files USING (sequence) WHERE collection = ?", collection
        )

    def name_of(self, record_id: str) -> str | None:
        """Return the name of the file of a record."""
        found = self._column("SELECT name FROM records JOIN files USING (sequence) WHERE id = ?", record_id)
        return found[0] if found else None

    def take_in(self, names: Iterable[str]) -> tuple[int, dict[str, ResultsDBError]]:
        """Know files from what they hold, in the order of insertion; those that are gone are left out.

        HDF5 is not used within a transaction: its lock and the one of the database could block each other.

        Returns:
            How many files are new, or new in what they hold, and the errors of those that cannot be read.

        Raises:
            ResultsDBError: The index cannot be written.
        """
        added = 0
        damaged: dict[str, ResultsDBError] = {}
        for batch in batches(sorted(names, key=self._id_in), _BATCH):
            found = [file for name in batch if (file := self._read(name, damaged))]
            with self.database.writing() as connection:
                for file in found:
                    if self._folder.signature(file.name) == file.signature:
                        try:
                            added += self.put(connection, file)
                        except ResultCorruptError as error:
                            damaged[file.name] = error
        return added, damaged

    def forget_gone(self) -> int:
        """Forget the files that are gone; return how many."""
        forgotten = 0
        for batch in batches(self._column("SELECT name FROM files"), _BATCH):
            with self.database.writing() as connection:
                gone = [name for name in batch if self._folder.signature(name) is None]
                for name in gone:
                    self.forget(connection, name)
            forgotten += len(gone)
        return forgotten

    def move_aside_if_damaged(self) -> None:
        """Give the SQLite file another name if SQLite cannot read it.

        Raises:
            ResultsDBError: It is not an index, or cannot be moved.
        """
        if not self.database.path.exists():
            return
        try:
            with self.database.reading() as connection:
                [found] = connection.execute("PRAGMA quick_check(1)").fetchone()
        except ResultsDBError as error:
            if (getattr(error, "code", None) or 0) & 0xFF not in _UNREADABLE:
                raise
            found = error.message
        if found != "ok":
            self.database.move_aside()

    # writing: in a transaction of the caller ------------------------------------------------------

    def put(self, connection: sqlite3.Connection, file: RecordFile) -> bool:
        """Know a file, instead of what was known of that name; return whether that is new.

        Raises:
            ResultCorruptError: Another file has the same id.
        """
        name, signature, collection, record = file
        known = {
            other: (record_id, digest)
            for other, record_id, digest in connection.execute(
                f"{_KNOWN} WHERE name = ? UNION {_KNOWN} WHERE id = ?", (name, record.id)
            )
        }
        for other in known.keys() - {name}:
            raise corrupt(self._folder.file(name), f"its id {record.id} is that of the file {other}")
        if known.get(name) == (record.id, record.digest):
            connection.execute(
                "UPDATE files SET size = ?, modified_ns = ? WHERE name = ?", (*signature, name)
            )
            return False
        self.forget(connection, name)
        # Its blobs lie in its own file: no table of blobs is needed.
        self.insert(connection, collection, [replace(record, blobs={})])
        connection.execute(
            "INSERT INTO files SELECT sequence, ?, ?, ? FROM records WHERE id = ?",
            (name, *signature, record.id),
        )
        return True

    def forget(self, connection: sqlite3.Connection, name: str) -> None:
        """Know a file no more."""
        found = connection.execute(
            "SELECT collection, id FROM records JOIN files USING (sequence) WHERE name = ?", (name,)
        ).fetchall()
        for collection, record_id in found:
            self.delete(connection, collection, [record_id])

    # reading --------------------------------------------------------------------------------------

    @override
    def _records(self, rows: Iterable[tuple[Any, ...]]) -> Iterator[StoredRecord]:
        """Yield the records whose files are there; those whose files were changed read them themselves."""
        for row in rows:
            *_, record_id, text, digest, name, size, modified_ns = row
            signature = self._folder.signature(name)
            if signature is not None:
                kind = StoredRecord if signature == (size, modified_ns) else _ChangedRecord
                yield kind(record_id, text, digest, str(self._folder.file(name)))

    def _read(self, name: str, damaged: dict[str, ResultsDBError]) -> RecordFile | None:
        """Return what a file holds; None if it is gone or damaged."""
        signature = self._folder.signature(name)
        file = self._folder.file(name)
        if signature is None:
            return None
        try:
            collection, record = read_record(file)
            if self._folder.name(collection, record.unique_hash) != name:
                place = f"the result {record.unique_hash!r} of the collection {collection!r}"
                raise corrupt(file, f"this is {place}, and does not lie in its place")
        except FileNotFoundError:
            return None
        except ResultsDBError as error:
            damaged[name] = error
            return None
        return RecordFile(name, signature, collection, record)

    def _id_in(self, name: str) -> str:
        try:
            return read_id(self._folder.file(name))
        except (ResultsDBError, FileNotFoundError):
            return ""  # what is wrong comes out when it is read

    def _column(self, statement: str, *parameters: Any) -> list[str]:
        with self.database.reading() as connection:
            return [value for (value,) in connection.execute(statement, parameters)]


@dataclass(slots=True)
class _ChangedRecord(StoredRecord):
    """A record whose file was changed after the index read it."""

    @override
    def document(self) -> dict[str, Any]:
        try:
            _, found = read_record(Path(self.where))
        except ResultsDBError as error:
            raise self._corrupt(error.message.rstrip(".")) from error
        except FileNotFoundError as error:
            raise self._corrupt("its file was removed meanwhile") from error
        if (found.id, found.digest) != (self.id, self.digest):
            raise self._corrupt("its file holds another result; call reindex")
        return StoredRecord.document(self)
