"""Filters, sorts, fields and limits of `find`, on the store of type file."""

from __future__ import annotations

import tempfile
from datetime import UTC, datetime
from typing import Any

import numpy as np

from fuzz.mutate import INTERESTING, Mutator
from fuzz.records import results
from fuzz.target import Target
from lume_services.errors import EncodeError
from lume_services.services.results.file import FileResultsDB
from lume_services.values import decode, dumps, encode, loads

_home = tempfile.TemporaryDirectory()
_store = FileResultsDB(_home.name)
_QUERIES: list[Any] = [
    {"inputs.x": {"$gt": 1, "$lte": 2.5}},
    {"$or": [{"outputs.n": 3}, {"$nor": [{"inputs.x": None}]}], "flow_id": "f"},
    {"inputs.x.a": {"$in": [1, "a", None, np.float32(1.5)]}, "outputs.n": {"$nin": [2**63 - 1]}},
    {"flow_id": {"$regex": "^[a-f]+$"}, "outputs.table": {"$exists": True}},
    {"date_modified": {"$gte": datetime(2024, 1, 1, tzinfo=UTC)}, "inputs.x": {"$not": {"$size": 2}}},
    {"inputs.x": {"$elemMatch": {"$eq": 1}}, "outputs.image": np.arange(3.0)},
    {"unique_hash": "0" * 64},
    {"_id": {"$in": ["a"]}},
]


def _seeds() -> list[dict[str, Any]]:
    records = [{key: value for key, value in record.items() if key != "_id"} for record in results()]
    _store.insert_many(records, collection="p")
    _store.configure({"p": ["inputs.x", "flow_id"]})
    options = {
        "fields": ["inputs.x", "outputs"],
        "sort": [["flow_id", 1], ["inputs.x", -1]],
        "limit": 3,
        "skip": 1,
    }
    return [{"query": query, **options} for query in _QUERIES]


def _mutate(mutator: Mutator, seed: dict[str, Any]) -> Any:
    found = mutator.tree(seed)
    if not isinstance(found, dict):
        return seed
    if mutator.random.random() < 0.1:
        found["query"] = mutator.random.choice(INTERESTING)
    return {name: found[name] for name in seed if name in found}


def _read(given: dict[str, Any]) -> None:
    options = {**given, "sort": [tuple(key) for key in given["sort"]]} if _is_list_of_lists(given) else given
    list(_store.find(collection="p", **options))
    _store.count(collection="p", query=given.get("query"))


def _is_list_of_lists(given: dict[str, Any]) -> bool:
    sort = given.get("sort")
    return isinstance(sort, list) and all(isinstance(key, list) for key in sort)


def _to_bytes(given: Any) -> bytes:
    try:
        return dumps(encode(given)).encode()
    except EncodeError:
        return repr(given).encode("utf-8", "backslashreplace")


TARGET = Target(
    "filters",
    _seeds,
    _mutate,
    _read,
    _to_bytes,
    lambda data: decode(loads(data.decode())),
    lambda size: 64 << 20,
)
