"""Records in the store of type file, with digests that fit: listed, found, sorted, counted, exported."""

from __future__ import annotations

import hashlib
import sqlite3
import tempfile
from pathlib import Path
from typing import Any

from fuzz.mutate import Mutator
from fuzz.records import results
from fuzz.target import MIB, Target
from lume_services.errors import EncodeError
from lume_services.results import Result
from lume_services.services.results import ResultsDBService
from lume_services.services.results.file import FileResultsDB
from lume_services.values import dumps, loads

_home = tempfile.TemporaryDirectory()
_store = FileResultsDB(_home.name, blob_threshold=64)
_service = ResultsDBService(lambda: _store)


def _seeds() -> list[bytes]:
    records = [{key: value for key, value in record.items() if key != "_id"} for record in results()]
    _store.insert_many(records, collection="p")
    _store.configure({"p": ["inputs.x"]})
    with sqlite3.connect(Path(_home.name) / "results.sqlite") as connection:
        return [bytes(text) for (text,) in connection.execute("SELECT CAST(document AS BLOB) FROM records")]


def _mutate(mutator: Mutator, seed: bytes) -> bytes:
    if mutator.random.random() < 0.1:
        return mutator.bytes(seed)
    if mutator.random.random() < 0.1:
        return mutator.text(seed.decode()).encode("utf-8", "surrogatepass")
    mutator.seeds = [loads(one.decode()) for one in mutator.random.sample(mutator.seeds, 2)]
    try:
        return dumps(mutator.tree(loads(seed.decode()))).encode("utf-8", "surrogatepass")
    except EncodeError:
        return mutator.bytes(seed)


def _read(text: bytes) -> None:
    with sqlite3.connect(Path(_home.name) / "results.sqlite") as connection:
        connection.execute("DELETE FROM records WHERE sequence > 3")
        changes = (text, hashlib.sha256(text).digest())
        connection.execute("UPDATE records SET document = ?, digest = ? WHERE sequence = 2", changes)
    connection.close()
    first: Any = None
    for use in (_find, _sorted, _queried, _as_results, _stats, _table):
        try:
            use()
        except Exception as error:
            first = first or error
            if not hasattr(error, "remedy"):
                raise
    if first:
        raise first


def _find() -> None:
    found = []
    try:
        for record in _service.find(collection="p"):
            found.append(record)
    finally:
        assert len(found) >= 2, "the other records are not found"


def _sorted() -> None:
    list(_service.find(collection="p", sort="-inputs.x"))


def _queried() -> None:
    list(_service.find(collection="p", query={"inputs.x": {"$gt": 1}, "flow_id": {"$regex": "f"}}))
    _service.count(collection="p", query={"outputs.n": 3})


def _as_results() -> None:
    list(Result.find("p", results_db_service=_service))


def _stats() -> None:
    _service.stats(collection="p")


def _table() -> None:
    _service.to_dataframe(collection="p")


TARGET = Target(
    "store_file", _seeds, _mutate, _read, bytes, bytes, most_bytes=lambda size: 64 * MIB + 64 * size
)
