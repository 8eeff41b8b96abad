"""What the `mongodb` store asks of the collections of its records: each function is one piece of work.

Each of them may be done twice, if the connection was lost meanwhile.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any

from bson import ObjectId
from pymongo import IndexModel
from pymongo.collection import Collection
from pymongo.database import Database
from pymongo.errors import BulkWriteError, DuplicateKeyError

from lume_services.services.results.mongodb.blobs import only_duplicates
from lume_services.services.results.mongodb.filter import MARKS, MODIFIED
from lume_services.services.results.mongodb.server import Tree
from lume_services.services.results.record import ID, UNIQUE_HASH

_PREFIX = "results."

_SPECIAL = re.compile(r"[%$.\0]")
_READ = {"format": 1, "text": 1, "digest": 1, "body": 1, MODIFIED: 1}


def name_of(collection: str) -> str:
    """Return the name in the database of a collection of results."""
    return _PREFIX + _SPECIAL.sub(lambda match: f"%{ord(match[0]):02X}", collection)


def not_empty(database: Database[Tree]) -> list[str]:
    """Return the collections that hold records."""
    return [
        _collection(name) for name in _names(database) if database[name].find_one({}, {ID: 1}) is not None
    ]


def _collection(name: str) -> str:
    escaped = name.removeprefix(_PREFIX)
    return re.sub("%([0-9A-F]{2})", lambda match: chr(int(match[1], 16)), escaped)


def _names(database: Database[Tree]) -> list[str]:
    return [name for name in database.list_collection_names() if name.startswith(_PREFIX)]


def referred_to(database: Database[Tree], digests: Sequence[str]) -> set[str]:
    """Return those of the digests of blobs that records of any collection refer to."""
    where = {MARKS: {"$in": list(digests)}}
    found = {mark for name in _names(database) for mark in database[name].distinct(MARKS, where)}
    return found.intersection(digests)


def make_indices(records: Collection[Tree], indices: Sequence[IndexModel]) -> None:
    """Make indices, unless they are there."""
    records.create_indexes(list(indices))


def find_records(records: Collection[Tree], where: Tree, fields: Tree | None = _READ) -> list[Tree]:
    """Return the documents that match, by default with what a record is read from."""
    return list(records.find(where, fields))


def find_by_hash(records: Collection[Tree], unique_hash: str) -> list[Tree]:
    """Return the one document with a hash, if it is there, whole.

    To leave out the copy would take the server longer than to send it.
    """
    found = records.find_one({UNIQUE_HASH: unique_hash})
    return [] if found is None else [found]


def find_page(
    records: Collection[Tree], where: Tree, order: Sequence[tuple[str, int]], size: int = 0
) -> list[Tree]:
    """Return the first documents that match, in an order; with size 0 all of them."""
    found = records.find(where, _READ, sort=order, limit=size, batch_size=size, allow_disk_use=True)
    return list(found)


def insert_records(records: Collection[Tree], documents: Sequence[Tree]) -> bool:
    """Insert documents; return whether none of them, by id or hash, was there already."""
    try:
        if len(documents) == 1:
            records.insert_one(documents[0])  # quicker than many of one
        else:
            records.insert_many(documents, ordered=False)
    except DuplicateKeyError:
        return False
    except BulkWriteError as error:
        if not only_duplicates(error):
            raise
        return False
    return True


def following(last: Tree, keys: Sequence[str], operator: str) -> Tree:
    """Return the filter for what comes after a document in the order of some keys."""
    *first, final = keys
    ways: list[Tree] = [{key: {operator: last[key]}} for key in first]
    return {"$or": [*ways, {**{key: last[key] for key in first}, final: {operator: last[final]}}]}


def keys_of(ids: Sequence[str]) -> list[Any]:
    """Return what ids may be in the database; a record by another hand may have an ObjectId."""
    return [*ids, *(ObjectId(one) for one in ids if ObjectId.is_valid(one))]
