"""The `mongodb` store when others write into its collections."""

from __future__ import annotations

import hashlib
import os
import pickle
from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest
from pymongo.database import Database

from lume_services.errors import (
    DecodeError,
    ResultCorruptError,
)
from lume_services.services.results.mongodb import MongodbResultsDB
from lume_services.services.results.record import Record

ARRAY = np.arange(400_000.0)  # three chunks and a bit


@pytest.fixture
def store(mongodb_settings: dict[str, Any]) -> Iterator[MongodbResultsDB]:
    with MongodbResultsDB(**mongodb_settings) as store:
        yield store


# what others write into the collections -----------------------------------------------------------


class Boom:
    def __reduce__(self) -> tuple[Any, ...]:
        return os._exit, (66,)


def stored(item: dict[str, Any]) -> dict[str, Any]:
    record = Record.of(item, "poison", threshold=1 << 20)
    return {"text": record.text, "digest": record.digest, "document": {}, "modified": -1}


POISON: dict[str, dict[str, Any]] = {
    "a pickle as the text": {"text": pickle.dumps(Boom()), "digest": b"", "modified": 1},
    "a document of the predecessor": {"inputs": {"a": pickle.dumps(Boom(), 2)}, "outputs": {"y": 1}},
    "a wrong digest": {**stored({"a": 1}), "digest": b"x" * 32},
    "other types": {"text": 3, "digest": [None], "modified": 5, "body": {"x": 1}},
    "a body that is not there": {"body": "../x", "digest": b"", "modified": 5},
    "no date": {**stored({"a": 1}), "digest": b"", "modified": None},
}


@pytest.mark.parametrize("with_id", [True, False])
@pytest.mark.parametrize("poison", POISON)
def test_a_poisoned_document_is_refused_by_name(
    store: MongodbResultsDB, database: Database[Any], poison: str, with_id: bool
) -> None:
    """MDB-6, MDB-17."""
    ids = store.insert_many([{"n": 0}, {"n": 1}], collection="p")
    named = {"_id": "00poison"} if with_id else {}
    bad = str(
        database["results.p"].insert_one({**POISON[poison], "unique_hash": "poison", **named}).inserted_id
    )
    for sort in (None, "date_modified", "-date_modified", "n"):
        found = []
        with pytest.raises(ResultCorruptError, match=f"record {bad} is damaged") as caught:
            found.extend(record["_id"] for record in store.find(collection="p", sort=sort))
        assert store._server.where in str(caught.value)
    stream = store.find(collection="p")
    assert [next(stream)["_id"], next(stream)["_id"]] == ids
    assert store.count(collection="p", query={"_id": ids[0]}) == 1
    with pytest.raises(ResultCorruptError):
        store.find_one(collection="p", query={"unique_hash": "poison"})
    assert store.delete(collection="p", query={"_id": bad}) == 1
    assert [record["_id"] for record in store.find(collection="p")] == ids


def test_a_forged_record(store: MongodbResultsDB, database: Database[Any]) -> None:
    """With a right digest: its content is still only data."""
    store.insert_one({"n": 0}, collection="p")
    for text in (
        '{"a":{"$type":"os.system","value":"true"}}',
        '{"a":{"$type":"blob","digest":"../x","nbytes":1}}',
        "[" * 100_000,
        '{"a":' * 5000 + "1" + "}" * 5000,
        "!!python/object/apply:os.system [true]",
    ):
        digest = hashlib.sha256(text.encode()).digest()
        forged = {"_id": "f", "unique_hash": "f", "text": text.encode(), "digest": digest, "modified": 1}
        database["results.p"].insert_one(forged)
        with pytest.raises((ResultCorruptError, DecodeError), match="record f"):
            store.find_one(collection="p", query={"_id": "f"})
        database["results.p"].delete_one({"_id": "f"})
    assert [record["n"] for record in store.find(collection="p")] == [0]


def test_a_changed_value_is_seen(store: MongodbResultsDB, database: Database[Any]) -> None:
    """MDB-17."""
    record_id = store.insert_one({"outputs": {"y": 1}}, collection="p")
    text = (database["results.p"].find_one() or {})["text"].replace(b'"y":1', b'"y":999')
    database["results.p"].update_one({"_id": record_id}, {"$set": {"text": text}})
    with pytest.raises(ResultCorruptError, match="does not match its digest"):
        list(store.find(collection="p"))
