"""The `mongodb` store: what it keeps in the database, and how it heals."""

from __future__ import annotations

import gc
import tracemalloc
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import numpy as np
import pytest
from gridfs import GridFSBucket
from pymongo import MongoClient
from pymongo.database import Database

from lume_services.errors import (
    BlobCorruptError,
    ResultCorruptError,
    ResultsDBError,
)
from lume_services.services.results.mongodb import MongodbResultsDB

ARRAY = np.arange(400_000.0)  # three chunks and a bit


@pytest.fixture
def store(mongodb_settings: dict[str, Any]) -> Iterator[MongodbResultsDB]:
    with MongodbResultsDB(**mongodb_settings) as store:
        yield store


# records ------------------------------------------------------------------------------------------


def test_what_other_programs_see(store: MongodbResultsDB, database: Database[Any]) -> None:
    when = datetime(2024, 1, 31, tzinfo=UTC)
    item = {"inputs": {"QUAD:LI20:X.VAL": 1.5, "$set": 2, "": 3}, "n": np.int64(4), "date_modified": when}
    record_id = store.insert_one({**item, "image": ARRAY}, collection="my.project")
    assert sorted(database.list_collection_names()) == ["blobs.chunks", "blobs.files", "results.my%2Eproject"]
    found = database["results.my%2Eproject"].find_one({"document.inputs.QUAD:LI20:X.VAL": {"$lt": 2}})
    assert found is not None
    assert found["_id"] == record_id
    assert found["document"]["n"] == 4
    assert found["document"]["inputs"]["%24set"] == 2
    assert found["document"]["image"]["shape"] == [400_000]
    assert GridFSBucket(database, "blobs").open_download_stream_by_name(found["marks"][0]).read() == (
        ARRAY.tobytes()
    )


def test_the_indices(store: MongodbResultsDB, database: Database[Any]) -> None:
    """MDB-4, MDB-12, MDB-14."""
    store.configure({"p": ["outputs.y", "unique_hash", "date_modified"]})
    indices = database["results.p"].index_information()
    keys = [[name for name, _ in index["key"]] for index in indices.values()]
    assert sorted(keys) == [
        ["_id"],
        ["document.outputs.y", "_id"],
        ["marks"],
        ["modified", "_id"],
        ["unique_hash"],
    ]
    assert [index["key"] for index in indices.values() if index.get("unique")] == [[("unique_hash", 1)]]


def test_an_index_that_is_gone_is_made_again(store: MongodbResultsDB, database: Database[Any]) -> None:
    store.insert_many([{"n": n} for n in range(5)], collection="p")
    database["results.p"].drop_indexes()
    assert [record["n"] for record in store.find(collection="p", sort="-date_modified")] == [4, 3, 2, 1, 0]
    store.reindex()
    unique = [index for index in database["results.p"].index_information().values() if index.get("unique")]
    assert [index["key"] for index in unique] == [[("unique_hash", 1)]]
    assert store.insert_one({"n": 2}, collection="p") == store.find_one(collection="p", query={"n": 2})["_id"]


def test_a_record_of_another_format(store: MongodbResultsDB, database: Database[Any]) -> None:
    ids = store.insert_many([{"n": n} for n in range(3)], collection="p")
    database["results.p"].update_one({"_id": ids[1]}, {"$set": {"format": 2}})
    database["results.p"].update_one({"_id": ids[2]}, {"$unset": {"format": ""}})
    stream = store.find(collection="p")
    assert [next(stream)["n"], next(stream)["n"]] == [0, 2]
    with pytest.raises(ResultCorruptError, match=f"record {ids[1]} has another format.*version") as caught:
        next(stream)
    assert caught.value.ids == [ids[1]]
    with pytest.raises(ResultCorruptError, match="another format"):
        store.find_one(collection="p", query={"_id": ids[1]})


def test_a_user_who_may_only_read(mongodb_settings: dict[str, Any], store: MongodbResultsDB) -> None:
    store.insert_one({"n": 1, "array": ARRAY}, collection="p")
    name = f"reader_{mongodb_settings['database']}"
    with MongoClient(mongodb_settings["uri"]) as client:
        roles = [{"role": "read", "db": mongodb_settings["database"]}]
        client[mongodb_settings["database"]].command("createUser", name, pwd="s3cret", roles=roles)
    host, port = mongodb_settings["uri"].rpartition("@")[2].partition("/")[0].split(":")
    with MongodbResultsDB(
        host=host,
        port=int(port),
        username=name,
        password="s3cret",
        database=mongodb_settings["database"],
        options={"authSource": mongodb_settings["database"]},
    ) as reader:
        [record] = reader.find(collection="p")
        assert np.array_equal(record["array"], ARRAY)
        for write in (
            lambda: reader.insert_one({"n": 2}, collection="p"),
            lambda: reader.delete(collection="p", query={}),
            lambda: reader.configure({"p": ["n"]}),
        ):
            with pytest.raises(ResultsDBError, match="may not do this.*readWrite") as caught:
                write()
            assert "s3cret" not in str(caught.value)
    assert store.count(collection="p") == 1


def test_data_that_was_there_before_the_index(store: MongodbResultsDB, database: Database[Any]) -> None:
    first = store.insert_one({"unique_hash": "h"}, collection="p")
    store.close()
    database["results.p"].drop_indexes()
    assert store.insert_one({"unique_hash": "h"}, collection="p") == first
    store.close()
    database["results.p"].drop_indexes()
    database["results.p"].insert_one({**(database["results.p"].find_one() or {}), "_id": "copy"})
    with pytest.raises(ResultsDBError, match="have the same unique_hash") as caught:
        store.insert_one({"n": 1}, collection="p")
    assert "results.p" in str(caught.value)
    store.insert_one({"n": 1}, collection="q")


def test_a_record_of_many_medium_arrays(store: MongodbResultsDB, database: Database[Any]) -> None:
    """MDB-11: 25 MB, each array below the threshold."""
    arrays = [np.full(8000, n, float) for n in range(400)]
    record_id = store.insert_one({"arrays": arrays, "n": 1}, collection="p")
    record = store.find_one(collection="p", query={"n": 1})
    assert record is not None
    assert all(np.array_equal(a, b) for a, b in zip(record["arrays"], arrays, strict=True))
    database["blobs.chunks"].update_one({"n": 2}, {"$set": {"data": b"x" * (1 << 20)}})
    with pytest.raises(ResultCorruptError, match=record_id):
        store.find_one(collection="p")
    assert store.delete(collection="p", query={"_id": record_id}) == 1
    assert database["blobs.chunks"].find_one() is None


def test_what_mongodb_cannot_search_is_found_all_the_same(store: MongodbResultsDB) -> None:
    deep: Any = 7
    for _ in range(150):
        deep = {"k": deep}
    items: list[dict[str, Any]] = [
        {"deep": deep},
        {"long": list(range(5000))},
        {"text": "x" * 1000},
        {"a": 1, "a.b": {"c": 2}},
        {"a": {"b": {"c": [1, 2]}}, "a.b": [3]},
        {"a..b": 5, ".": 6, "nul\0": 7},
        {"big": {f"key{n}": "v" * 200 for n in range(9000)}, "y": 8},
    ]
    store.insert_many(({"unique_hash": str(n), **item} for n, item in enumerate(items)), collection="p")
    for query, expected in {
        ".".join(["deep"] + ["k"] * 150): (7, "0"),
        "long": (4321, "1"),
        "text": ("x" * 1000, "2"),
        "a.b.c": (2, "3 4"),
        "a": (1, "3"),
        "a.b": (3, "4"),
        "a..b": (5, "5"),
        ".": (6, "5"),
        "nul\0": (7, "5"),
        "y": (8, "6"),
    }.items():
        value, hashes = expected
        found = store.find(collection="p", query={query: value}, fields=["unique_hash"])
        assert [record["unique_hash"] for record in found] == hashes.split(), query


def test_a_big_array_needs_little_memory(store: MongodbResultsDB) -> None:
    image = np.random.default_rng(1).normal(size=(3000, 1000))  # 24 MB
    store.configure({"p": []})
    tracemalloc.start()
    store.insert_one({"image": image}, collection="p")
    _, peak = tracemalloc.get_traced_memory()
    assert peak < 1.5 * image.nbytes  # besides the array itself
    record = store.find_one(collection="p")
    assert record is not None
    gc.collect()
    tracemalloc.reset_peak()
    before, _ = tracemalloc.get_traced_memory()
    assert np.array_equal(record["image"][10:20], image[10:20])
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak - before < image.nbytes / 4
    assert not record["image"].loaded


# blobs --------------------------------------------------------------------------------------------


def blobs(database: Database[Any]) -> tuple[int, int]:
    return database["blobs.files"].count_documents({}), database["blobs.chunks"].count_documents({})


def test_deleting_leaves_no_orphan(store: MongodbResultsDB, database: Database[Any]) -> None:
    ids = [store.insert_one({"n": n, "array": ARRAY}, collection=f"p{n}") for n in range(2)]
    assert blobs(database) == (1, 4)
    store.delete(collection="p0", query={"_id": ids[0]})
    assert blobs(database) == (1, 4)
    store.delete(collection="p1", query={})
    assert blobs(database) == (0, 0)


def test_a_failed_insert_leaves_no_orphan(
    store: MongodbResultsDB, database: Database[Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    store.insert_one({"n": 0}, collection="p")

    def refuse(*_: Any) -> dict[str, str]:
        raise ResultsDBError("refused")

    with monkeypatch.context() as patch:
        patch.setattr(store, "_insert_once", refuse)
        with pytest.raises(ResultsDBError, match="refused"):
            store.insert_one({"array": ARRAY}, collection="p")
    assert blobs(database) == (0, 0)
    store.insert_one({"unique_hash": "h", "array": ARRAY}, collection="p")
    store.insert_one({"unique_hash": "h", "array": ARRAY + 1}, collection="p")  # superseded
    assert blobs(database) == (1, 4)


def test_reindex_removes_what_killed_processes_left(store: MongodbResultsDB, database: Database[Any]) -> None:
    store.insert_many([{"array": ARRAY}, {"array": ARRAY + 1}, {"array": ARRAY + 2}], collection="p")
    files = [file["_id"] for file in database["blobs.files"].find()]
    database["results.p"].delete_one({})  # a deleter killed after its first step
    database["blobs.files"].delete_one({"_id": files[-1]})  # and one after its second
    assert store.reindex().removed == 2
    now = datetime.now(UTC)
    for age, removed in ((timedelta(minutes=50), 0), (timedelta(hours=2), 1)):
        pin = {"by": "a killed writer", "at": now - age}
        database["blobs.files"].update_many({}, {"$set": {"pins": [pin]}})
        database["results.p"].update_many({}, {"$unset": {"marks": ""}})
        assert store.reindex().removed == removed
    assert blobs(database) == (0, 0)


def test_storing_it_again_heals_a_truncated_blob(store: MongodbResultsDB, database: Database[Any]) -> None:
    store.insert_one({"n": 0, "array": ARRAY}, collection="p")
    database["blobs.chunks"].delete_one({"n": 1})
    [record] = store.find(collection="p")
    with pytest.raises(BlobCorruptError, match="missing in part"):
        record["array"].sum()
    store.insert_one({"n": 1, "array": ARRAY}, collection="p")
    assert all(np.array_equal(record["array"], ARRAY) for record in store.find(collection="p"))


@pytest.mark.parametrize(
    ("where", "change"),
    [
        ("blobs.chunks", {"$set": {"data": b"x" * 1_048_576}}),
        ("blobs.chunks", {"$set": {"data": b"x"}}),
        ("blobs.chunks", {"$set": {"data": "text"}}),
        ("blobs.chunks", {"$set": {"n": 77}}),
        ("blobs.files", {"$set": {"length": 1}}),
        ("blobs.files", {"$set": {"length": 2**62}}),
        ("blobs.files", {"$set": {"length": "x"}}),
        ("blobs.files", {"$set": {"metadata": None}}),
        ("blobs.files", {"$set": {"filename": "x"}}),
    ],
)
def test_a_damaged_blob_is_an_error_never_wrong_numbers(
    store: MongodbResultsDB, database: Database[Any], where: str, change: dict[str, Any]
) -> None:
    record_id = store.insert_one({"n": 1, "array": ARRAY}, collection="p")
    store.insert_one({"n": 2}, collection="p")
    assert database[where].update_one({}, change).modified_count == 1
    stream = store.find(collection="p", sort="-n")
    assert next(stream)["n"] == 2
    with pytest.raises(BlobCorruptError) as caught:
        np.asarray(next(stream)["array"])
    assert record_id in str(caught.value)
    assert store._server.where in str(caught.value)
