"""Results go from one store to another, directly or by way of an export."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeAlias

from lume_services.errors import BlobCorruptError, LUMEServicesError, ResultCorruptError, ResultsDBError
from lume_services.results.exported import read_export
from lume_services.results.identity import hash_in
from lume_services.results.plain import is_table
from lume_services.services.results import ResultsDBService
from lume_services.services.results.record import ID, UNIQUE_HASH
from lume_services.services.results.service import INTERNAL, is_internal
from lume_services.values import fingerprint

Advance: TypeAlias = Callable[[int], None]
"""Is called with the number of records done since the last call."""
Record: TypeAlias = Mapping[str, Any]

_BATCH_RECORDS = 100
_BATCH_BYTES = 64 << 20


@dataclass(frozen=True)
class Transfer:
    """What became of the records of one collection.

    Attributes:
        collection: The collection.
        copied: Records that were not there before; each was read back and is equal.
        present: Records that were; they are left as they are.
    """

    collection: str
    copied: int
    present: int


def copy_results(
    source: ResultsDBService,
    target: ResultsDBService,
    collection: str,
    query: Mapping[str, Any] | None = None,
    *,
    of_runs: bool = False,
    advance: Advance = lambda _: None,
) -> Transfer:
    """Copy the results of a collection that match into the same collection of another store.

    Each is read back and compared. What is there already is not copied again, so a copy that was interrupted
    is resumed by doing it again.

    Args:
        source: The store to read.
        target: The store to write.
        collection: The collection.
        query: A MongoDB filter.
        of_runs: The collection may be one of what is kept of runs. A run that is resumed takes values from
            there, so only where the source is trusted as much as the target.
        advance: Is told of progress.

    Raises:
        ResultsDBError: The collection is one of what is kept of runs, and that is not allowed.
        ResultCorruptError: A result reads back from the target otherwise than it was read from the source,
            or does not have the hash of its content; or, after all others were copied, some cannot be read.
    """
    if not of_runs:
        _refuse_internal(collection, where=f"collection {collection!r}")
    done = copied = 0
    damaged: list[BlobCorruptError] = []
    for batch in _batches(source.find(collection=collection, query=query)):
        copied += _store_readable(batch, target, collection, damaged)
        done += len(batch)
        advance(len(batch))
    if damaged:
        raise damaged[0]
    return Transfer(collection, copied, done - copied)


def import_results(
    path: str | Path,
    target: ResultsDBService,
    *,
    file_format: str | None = None,
    advance: Advance = lambda _: None,
) -> list[Transfer]:
    """Store the results of an export, each in the collection that it came from, and compare each.

    Args:
        path: The file that `export_results` wrote.
        target: The store to write.
        file_format: `hdf5`, `json` or `jsonl`; default: by the suffix of the path.
        advance: Is told of progress.

    Returns:
        What became of them, by collection.

    Raises:
        SerializationError: The format is not one of them.
        DecodeError: The file is not such an export, or JSON has not kept a result exactly. The results
            before it are stored.
        ResultsDBError: A record is none of a result, but of what is kept of runs; likewise.
        ResultCorruptError: A result reads back from the store otherwise than it is in the file.
    """
    done: Counter[str] = Counter()
    copied: Counter[str] = Counter()
    for batch in _batches(read_export(path, file_format=file_format)):
        by_collection: dict[str, list[Record]] = {}
        for record in batch:
            _refuse_internal(record["project_name"], where=str(path))
            by_collection.setdefault(record["project_name"], []).append(record)
        for name, records in by_collection.items():
            copied[name] += _store(records, target, name)
            done[name] += len(records)
        advance(len(batch))
    return [Transfer(name, copied[name], done[name] - copied[name]) for name in sorted(done)]


def _refuse_internal(collection: str, *, where: str) -> None:
    """Refuse what is kept of runs: what comes from elsewhere is a result, and changes no run here."""
    if is_internal(collection):
        raise ResultsDBError(
            f"{collection!r} is no project of results: names that begin with {INTERNAL!r} belong to the "
            "records of runs, which are not taken from elsewhere.",
            where=where,
            remedy="Name a project that `lume-services results stats` lists.",
            collection=collection,
        )


def _batches(records: Iterable[Record]) -> Iterator[list[Record]]:
    """Yield the records in lists, so many that the arrays of each list fit into memory."""
    batch: list[Record] = []
    nbytes = 0
    try:
        for record in records:
            batch.append(record)
            nbytes += _nbytes(record)
            if len(batch) == _BATCH_RECORDS or nbytes >= _BATCH_BYTES:
                yield batch
                batch, nbytes = [], 0
    except LUMEServicesError:  # at the end of the stream, of those that cannot be read
        if batch:
            yield batch
        raise
    if batch:
        yield batch


def _nbytes(value: Any) -> int:
    """Return the size of the arrays in a value, read or not."""
    if isinstance(value, Mapping) or is_table(value):
        return sum(_nbytes(item) for _, item in value.items())
    if isinstance(value, list | tuple):
        return sum(map(_nbytes, value))
    return len(value) if isinstance(value, bytes) else getattr(value, "nbytes", 0)


def _store_readable(
    records: Sequence[Record], target: ResultsDBService, collection: str, damaged: list[BlobCorruptError]
) -> int:
    """Do as `_store`; leave out records with damaged arrays, and note the errors."""
    try:
        return _store(records, target, collection)
    except BlobCorruptError as error:
        if len(records) > 1:
            return sum(_store_readable([record], target, collection, damaged) for record in records)
        damaged.append(error)
        return 0


def _store(records: Sequence[Record], target: ResultsDBService, collection: str) -> int:
    """Store those of the records that are not there, and compare them; return how many."""
    items = {
        record[UNIQUE_HASH]: {key: value for key, value in record.items() if key != ID} for record in records
    }
    there = target.find(collection=collection, query=_one_of(items), fields=[UNIQUE_HASH])
    for record in there:
        items.pop(record[UNIQUE_HASH])
    if items:
        _check_hashes(items, collection)
        target.insert_many(items.values(), collection=collection)
        _compare(items, target.find(collection=collection, query=_one_of(items)), collection)
    return len(items)


def _check_hashes(items: Mapping[str, Record], collection: str) -> None:
    """Refuse results whose content does not give their hash: they would hide those that have it."""
    for unique_hash, item in items.items():
        if "result_type_string" in item and hash_in(item) != unique_hash:
            raise ResultCorruptError(
                f"the content of the result {unique_hash} gives another hash.",
                where=f"collection {collection!r}",
                remedy="Delete it from the store that it is copied from.",
                hashes=[unique_hash],
            )


def _one_of(items: Mapping[str, Record]) -> dict[str, Any]:
    return {UNIQUE_HASH: {"$in": list(items)}}


def _compare(items: Mapping[str, Record], stored: Iterable[Record], collection: str) -> None:
    found = {
        record[UNIQUE_HASH]: fingerprint({key: value for key, value in record.items() if key != ID})
        for record in stored
    }
    for unique_hash, item in items.items():
        if found.get(unique_hash) != fingerprint(item):
            raise ResultCorruptError(
                f"the result {unique_hash} reads back otherwise than it was written.",
                where=f"collection {collection!r}",
                remedy="Check the disk of the target, delete the result there, and copy again.",
                hashes=[unique_hash],
            )
