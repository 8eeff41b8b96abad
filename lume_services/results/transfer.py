"""Results go from one store to another, directly or by way of an HDF5 export."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from lume_services.errors import DecodeError, ResultCorruptError
from lume_services.services.results import ResultsDBService
from lume_services.values import fingerprint

Advance = Callable[[int], None]
"""Is called with the number of records done since the last call."""


@dataclass(frozen=True)
class Transfer:
    """What became of the records of one collection.

    Attributes:
        collection: The collection.
        copied: Records that were not there before.
        present: Records that were.
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
        advance: Is told of progress.

    Raises:
        ResultCorruptError: A result reads back from the target otherwise than it was read from the source.
    """
    copied = present = 0
    for record in source.find(collection=collection, query=query):
        if _store(record, target, collection):
            copied += 1
        else:
            present += 1
        advance(1)
    return Transfer(collection, copied, present)


def import_results(
    path: str | Path, target: ResultsDBService, *, advance: Advance = lambda _: None
) -> list[Transfer]:
    """Store the results of an HDF5 export, each in the collection that it came from.

    Args:
        path: The file that `export_results` wrote in format `hdf5`.
        target: The store to write.
        advance: Is told of progress.

    Returns:
        What became of them, by collection.

    Raises:
        DecodeError: The file is not such an export.
        ResultCorruptError: A result reads back from the store otherwise than it is in the file.
    """
    import h5py

    from lume_services.values.hdf5 import read_value

    copied: Counter[str] = Counter()
    present: Counter[str] = Counter()
    with h5py.File(path, "r") as file:
        for name in file:
            record = read_value(file[name])
            collection = _collection_of(record, f"{path}: {name}")
            (copied if _store(record, target, collection) else present)[collection] += 1
            advance(1)
    return [Transfer(name, copied[name], present[name]) for name in sorted({*copied, *present})]


def _collection_of(record: Any, where: str) -> str:
    name = record.get("project_name") if isinstance(record, dict) else None
    if not isinstance(name, str) or "unique_hash" not in record:
        raise DecodeError(
            "this is no exported result: it has no project_name or no unique_hash.",
            where=where,
            remedy="Import what `results export --format hdf5` wrote.",
        )
    return name


def _store(record: Mapping[str, Any], target: ResultsDBService, collection: str) -> bool:
    """Store a record unless it is there; return whether it was stored."""
    item = {key: value for key, value in record.items() if key != "_id"}
    by_hash = {"unique_hash": item["unique_hash"]}
    if target.count(collection=collection, query=by_hash):
        return False
    target.insert_one(item, collection=collection)
    _compare(item, target.find_one(collection=collection, query=by_hash), collection)
    return True


def _compare(item: Mapping[str, Any], stored: Mapping[str, Any] | None, collection: str) -> None:
    found = {key: value for key, value in (stored or {}).items() if key != "_id"}
    if fingerprint(found) != fingerprint(item):
        raise ResultCorruptError(
            f"the result {item['unique_hash']} reads back otherwise than it was written.",
            where=f"collection {collection!r}",
            remedy="Check the disk of the target, delete the result there, and copy again.",
            ids=[str((stored or {}).get("_id"))],
        )
