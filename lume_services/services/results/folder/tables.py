"""The tables of a store that keeps its records in SQLite."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any

from lume_services.errors import ResultCorruptError
from lume_services.services.results.base import Scan, batches
from lume_services.services.results.folder.index_keys import index_keys, index_spans
from lume_services.services.results.folder.sqlite import Database, Format
from lume_services.services.results.query.filter import Bound, Query
from lume_services.services.results.query.order import DATE, order_key
from lume_services.services.results.query.paths import Path as DottedPath
from lume_services.services.results.query.selection import ASCENDING, DESCENDING, Selection
from lume_services.services.results.record import DATE_MODIFIED, ID, UNIQUE_HASH, Record, StoredRecord

_NO_DATE = -(2**63)
_LAST = 2**63 - 1
_FIRST_PAGE = 8
_PAGE = 256

# `sequence` numbers the records in the order of insertion; `modified` is in milliseconds since 1970.
TABLES = """
    CREATE TABLE records (
        sequence INTEGER PRIMARY KEY,
        collection TEXT NOT NULL,
        id TEXT NOT NULL UNIQUE,
        unique_hash TEXT NOT NULL,
        modified INTEGER NOT NULL,
        document BLOB NOT NULL,
        digest BLOB NOT NULL,
        UNIQUE (collection, unique_hash)
    );
    CREATE INDEX records_in_order ON records (collection);
    CREATE INDEX records_in_time ON records (collection, modified);

    CREATE TABLE blobs (
        digest TEXT NOT NULL, sequence INTEGER NOT NULL, PRIMARY KEY (digest, sequence)
    ) WITHOUT ROWID;
    CREATE INDEX blobs_of_record ON blobs (sequence);

    CREATE TABLE indices (
        number INTEGER PRIMARY KEY,
        collection TEXT NOT NULL,
        path TEXT NOT NULL,
        UNIQUE (collection, path)
    );
    CREATE TABLE keys (
        number INTEGER NOT NULL, key BLOB NOT NULL, sequence INTEGER NOT NULL,
        PRIMARY KEY (number, key, sequence)
    ) WITHOUT ROWID;
    CREATE INDEX keys_of_record ON keys (sequence);
"""

_STORED = """
    CREATE VIEW stored AS
        SELECT sequence, collection, modified, id,
               CAST(document AS BLOB) AS document, CAST(digest AS BLOB) AS digest FROM records;
"""

_FORMAT = Format(
    application_id=0x4C554D45,  # "LUME"
    version=1,
    schema=TABLES + _STORED,
    restore="Restore it from a backup, or recover it with: sqlite3 FILE .recover",
)

# The plus before `collection` keeps SQLite from going through the whole collection by its index.
_BY_TEXT = {
    ID: "SELECT sequence FROM records WHERE +collection = ? AND id IN (SELECT value FROM json_each(?))",
    UNIQUE_HASH: (
        "SELECT sequence FROM records "
        "WHERE collection = ? AND unique_hash IN (SELECT value FROM json_each(?))"
    ),
}
_BY_ONE_TEXT = {
    ID: (
        "SELECT * FROM stored WHERE sequence = (SELECT sequence FROM records WHERE collection = ? AND id = ?)"
    ),
    UNIQUE_HASH: (
        "SELECT * FROM stored WHERE sequence = "
        "(SELECT sequence FROM records WHERE collection = ? AND unique_hash = ?)"
    ),
}
_IN_ORDER = "SELECT * FROM stored WHERE collection = ? AND sequence > ? ORDER BY sequence LIMIT ?"
_IN_TIME = {
    ASCENDING: (
        "SELECT * FROM stored WHERE collection = ? AND (modified, sequence) > (?, ?) "
        "ORDER BY modified, sequence LIMIT ?"
    ),
    DESCENDING: (
        "SELECT * FROM stored WHERE collection = ? AND (modified, sequence) < (?, ?) "
        "ORDER BY modified DESC, sequence DESC LIMIT ?"
    ),
}


class RecordTables:
    """Records of all collections with their indices, in one SQLite file.

    Args:
        path: The file; made with its folder when it is first used.
        layout: Its format, with `TABLES` and a view `stored` of the records.
        durable: Whether a commit survives the loss of power, not only the end of the process.
    """

    def __init__(self, path: Path, layout: Format = _FORMAT, *, durable: bool) -> None:
        self.database = Database(path, layout, durable=durable)
        self._where = str(path)

    def collections(self) -> list[str]:
        """Return the names of the collections that hold records, sorted."""
        with self.database.reading() as connection:
            return _column(connection, "SELECT DISTINCT collection FROM records ORDER BY collection")

    def count(self, collection: str) -> int:
        """Return the number of records in a collection."""
        with self.database.reading() as connection:
            [count] = _column(connection, "SELECT count(*) FROM records WHERE collection = ?", collection)
            return int(count)

    def ids(self, collection: str, hashes: Sequence[str]) -> dict[str, str]:
        """Return the ids of those of the unique hashes that are stored."""
        with self.database.reading() as connection:
            return dict(
                connection.execute(
                    "SELECT unique_hash, id FROM records "
                    "WHERE collection = ? AND unique_hash IN (SELECT value FROM json_each(?))",
                    (collection, json.dumps(hashes)),
                )
            )

    # writing: in a transaction of the caller ------------------------------------------------------

    def insert(
        self, connection: sqlite3.Connection, collection: str, records: Sequence[Record]
    ) -> dict[str, str]:
        """Insert records whose unique hash is new; return the ids of all by hash."""
        indices = _indices(connection, collection)
        ids = {}
        for record in records:
            modified = order_key(record.date_modified)[1] if record.date_modified else _NO_DATE
            cursor = connection.execute(
                "INSERT INTO records (collection, id, unique_hash, modified, document, digest) "
                "VALUES (?, ?, ?, ?, ?, ?) ON CONFLICT (collection, unique_hash) DO NOTHING",
                (collection, record.id, record.unique_hash, modified, record.text, record.digest),
            )
            if not cursor.rowcount:
                [ids[record.unique_hash]] = _column(
                    connection,
                    "SELECT id FROM records WHERE collection = ? AND unique_hash = ?",
                    collection,
                    record.unique_hash,
                )
                continue
            ids[record.unique_hash] = record.id
            sequence = cursor.lastrowid
            rows = [(digest, sequence) for digest in record.blobs]
            connection.executemany("INSERT INTO blobs VALUES (?, ?)", rows)
            for number, path in indices.items():
                _add_keys(connection, number, index_keys(record.document, path), sequence)
        return ids

    def delete(
        self, connection: sqlite3.Connection, collection: str, ids: Sequence[str]
    ) -> tuple[int, list[str]]:
        """Delete records; return how many, and the digests of the blobs they referred to."""
        sequences = _column(connection, _BY_TEXT[ID], collection, json.dumps(ids))
        these = json.dumps(sequences)
        digests = _column(
            connection,
            "SELECT DISTINCT digest FROM blobs WHERE sequence IN (SELECT value FROM json_each(?))",
            these,
        )
        for statement in (
            "DELETE FROM records WHERE sequence IN (SELECT value FROM json_each(?))",
            "DELETE FROM blobs WHERE sequence IN (SELECT value FROM json_each(?))",
            "DELETE FROM keys WHERE sequence IN (SELECT value FROM json_each(?))",
        ):
            connection.execute(statement, (these,))
        return len(sequences), digests

    def unused(self, connection: sqlite3.Connection, digests: Sequence[str]) -> set[str]:
        """Return those of the digests that no record refers to."""
        used = _column(
            connection,
            "SELECT digest FROM blobs WHERE digest IN (SELECT value FROM json_each(?))",
            json.dumps(digests),
        )
        return set(digests).difference(used)

    def add_index(self, connection: sqlite3.Connection, collection: str, path: str) -> None:
        """Index a path, for the records that are there and those to come."""
        cursor = connection.execute(
            "INSERT INTO indices (collection, path) VALUES (?, ?) ON CONFLICT DO NOTHING", (collection, path)
        )
        if cursor.rowcount:
            self._fill(connection, cursor.lastrowid, collection, path)

    def rebuild(self, connection: sqlite3.Connection) -> None:
        """Make all indices anew."""
        connection.execute("REINDEX")
        connection.execute("DELETE FROM keys")
        for index in connection.execute("SELECT number, collection, path FROM indices").fetchall():
            self._fill(connection, *index)

    def _fill(self, connection: sqlite3.Connection, number: int | None, collection: str, path: str) -> None:
        dotted = DottedPath(path)
        for row in connection.execute("SELECT * FROM stored WHERE collection = ?", (collection,)):
            try:
                document = self._record(row).document()
            except ResultCorruptError:
                continue  # `find` reports it
            _add_keys(connection, number, index_keys(document, dotted), row[0])

    # reading: a page at a time, so that no transaction stays open ----------------------------------

    def scan(self, collection: str, selection: Selection) -> Scan:
        """Return the records that may match a selection."""
        for name in _BY_ONE_TEXT:
            texts = selection.query.texts(name)
            if texts is not None and len(texts) == 1:
                return Scan(self.named(collection, name, *texts))
        sequences = self._candidates(collection, selection.query)
        if sequences is not None:
            return Scan(self._numbered(collection, sequences))
        if [key.path.atoms for key in selection.sort] == [(DATE_MODIFIED,)]:
            return Scan(self._in_time(collection, selection.sort[0].direction), sorted=True)
        return Scan(self._in_order(collection))

    def named(self, collection: str, name: str, text: str) -> Iterator[StoredRecord]:
        """Return the records with this `_id` or `unique_hash`: one or none."""
        return self._records(self._page(_BY_ONE_TEXT[name], collection, text))

    def fetch(self, collection: str, ids: Sequence[str]) -> Iterator[StoredRecord]:
        """Yield the records of these ids in their order; those that are gone are left out."""
        for batch in batches(ids, _PAGE):
            page = self._page(
                "SELECT * FROM stored WHERE +collection = ? AND id IN (SELECT value FROM json_each(?))",
                collection,
                json.dumps(batch),
            )
            found = {record.id: record for record in self._records(page)}
            yield from (found[record_id] for record_id in batch if record_id in found)

    def _in_order(self, collection: str) -> Iterator[StoredRecord]:
        sequence, size = -1, _FIRST_PAGE
        while page := self._page(_IN_ORDER, collection, sequence, size):
            yield from self._records(page)
            sequence, size = page[-1][0], min(2 * size, _PAGE)

    def _in_time(self, collection: str, direction: int) -> Iterator[StoredRecord]:
        last = (_NO_DATE, -1) if direction == ASCENDING else (_LAST, _LAST)
        size = _FIRST_PAGE
        while page := self._page(_IN_TIME[direction], collection, *last, size):
            yield from self._records(page)
            sequence, _, modified, *_ = page[-1]
            last, size = (modified, sequence), min(2 * size, _PAGE)

    def _numbered(self, collection: str, sequences: Sequence[int]) -> Iterator[StoredRecord]:
        for batch in batches(sequences, _PAGE):
            page = self._page(
                "SELECT * FROM stored WHERE collection = ? "
                "AND sequence IN (SELECT value FROM json_each(?)) ORDER BY sequence",
                collection,
                json.dumps(batch),
            )
            yield from self._records(page)

    def _page(self, statement: str, *parameters: Any) -> list[tuple[Any, ...]]:
        return self.database.rows(statement, parameters)

    def _records(self, rows: Iterable[tuple[Any, ...]]) -> Iterator[StoredRecord]:
        return map(self._record, rows)

    def _record(self, row: tuple[Any, ...]) -> StoredRecord:
        _, _, _, record_id, text, digest, *_ = row
        return StoredRecord(record_id, text, digest, self._where)

    def _candidates(self, collection: str, query: Query) -> list[int] | None:
        """Return the numbers of the records that the indices leave over, in order; None means all."""
        with self.database.reading() as connection:
            for name, statement in _BY_TEXT.items():
                texts = query.texts(name)
                if texts is not None:
                    return sorted(_column(connection, statement, collection, json.dumps(texts)))
            found = [
                _dated(connection, collection, bound)
                for bound in query.bounds.get((DATE_MODIFIED,), ())
                if bound.keys and all(key[0] == DATE for key in bound.keys)
            ]
            for number, path in _indices(connection, collection).items():
                found += [_keyed(connection, number, bound) for bound in query.bounds.get(path.atoms, ())]
            return sorted(set.intersection(*found)) if found else None


def _dated(connection: sqlite3.Connection, collection: str, bound: Bound) -> set[int]:
    dates = [_in_range(key[1]) for key in bound.keys]
    first = _NO_DATE + 1 if bound.operator in ("$lt", "$lte") else min(dates)
    last = _LAST if bound.operator in ("$gt", "$gte") else max(dates)
    statement = "SELECT sequence FROM records WHERE collection = ? AND modified BETWEEN ? AND ?"
    return set(_column(connection, statement, collection, first, last))


def _in_range(milliseconds: int) -> int:
    return min(max(milliseconds, _NO_DATE + 1), _LAST)


def _keyed(connection: sqlite3.Connection, number: int, bound: Bound) -> set[int]:
    statement = "SELECT sequence FROM keys WHERE number = ? AND key BETWEEN ? AND ?"
    spans = index_spans(bound)
    return {sequence for span in spans for sequence in _column(connection, statement, number, *span)}


def _indices(connection: sqlite3.Connection, collection: str) -> dict[int, DottedPath]:
    rows = connection.execute("SELECT number, path FROM indices WHERE collection = ?", (collection,))
    return {number: DottedPath(path) for number, path in rows}


def _add_keys(
    connection: sqlite3.Connection, number: int | None, keys: Iterable[bytes], sequence: int | None
) -> None:
    connection.executemany("INSERT INTO keys VALUES (?, ?, ?)", [(number, key, sequence) for key in keys])


def _column(connection: sqlite3.Connection, statement: str, *parameters: Any) -> list[Any]:
    return [value for (value,) in connection.execute(statement, parameters)]
