"""Every store keeps what it is given, once, exactly."""

from __future__ import annotations

import math
from collections.abc import Callable
from datetime import UTC, datetime, timedelta, timezone
from typing import Any

import numpy as np
import pandas as pd
import pytest

from lume_services.errors import EncodeError, ResultsDBError
from lume_services.services.results import Reindexed, ResultsDB, ResultsDBService
from lume_services.values import fingerprint
from lume_services.values.lazy import LazyArray

ITEM: dict[str, Any] = {
    "project_name": "p",
    "flow_id": "0123456789",
    "inputs": {"QUAD:LI20:X.VAL": 1.5, "json": '{"a": 1}', "number": "007", "": "empty key"},
    "outputs": {
        "nothing": None,
        "flags": [True, False],
        "integers": [0, -1, 2**53 + 1, 2**63 - 1, 2**70],
        "floats": [0.1, -0.0, math.inf, 5e-324],
        "tuple": (1, (2, "x")),
        "bytes": b"\x80\x04pickle",
        "scalar": np.float32(0.1),
        "array": np.arange(6.0).reshape(2, 3).T,
        "texts": np.array(["a", "bc"]),
        "table": pd.DataFrame({"x": [1, 2], "t": pd.to_datetime(["2024-01-31", None])}, index=[10, 20]),
        "when": datetime(2024, 1, 31, 12, 0, 0, 123456, tzinfo=UTC),
        "$type": {"$types": 1, "$set": 2},
    },
}


def same(value: Any, other: Any) -> bool:
    return fingerprint(value) == fingerprint(other)


def test_a_record_comes_back_as_it_was_given(store: ResultsDB) -> None:
    record_id = store.insert_one(ITEM, collection="p")
    record = store.find_one(collection="p", query={"_id": record_id})
    assert record is not None
    assert isinstance(record_id, str)  # MDB-3
    assert record.pop("_id") == record_id
    assert record.pop("unique_hash") == fingerprint(ITEM)
    assert same(record, ITEM)
    assert type(record["outputs"]["scalar"]) is np.float32
    assert type(record["outputs"]["tuple"]) is tuple


def test_the_item_is_not_changed(store: ResultsDB) -> None:
    before = fingerprint(ITEM)
    store.insert_one(ITEM, collection="p")
    assert fingerprint(ITEM) == before


def test_the_same_item_is_one_record(store: ResultsDB, open_store: Callable[[], ResultsDB]) -> None:
    """MDB-4."""
    first = store.insert_one({"a": 1, "b": 2}, collection="p")
    assert store.insert_one({"b": 2, "a": 1}, collection="p") == first
    assert open_store().insert_one({"a": 1, "b": 2}, collection="p") == first
    assert store.insert_one({"a": 1, "b": 2.0}, collection="p") != first
    assert store.insert_one({"a": 1, "b": 2}, collection="q") != first
    assert store.count(collection="p") == 2


def test_the_unique_hash_decides(store: ResultsDB) -> None:
    first = store.insert_one({"unique_hash": "h", "a": 1}, collection="p")
    assert store.insert_one({"unique_hash": "h", "a": 2}, collection="p") == first
    assert [record["a"] for record in store.find_all(collection="p")] == [1]


def test_insert_many(store: ResultsDB) -> None:
    """MDB-1, MDB-2."""
    known = store.insert_one({"n": 1}, collection="p")
    ids = store.insert_many(({"n": n} for n in [0, 1, 2, 0]), collection="p")
    assert ids[1] == known
    assert ids[3] == ids[0]
    assert len(set(ids)) == 3
    found = {record["_id"]: record["n"] for record in store.find_all(collection="p")}
    assert [found[record_id] for record_id in ids] == [0, 1, 2, 0]
    assert store.insert_many([], collection="p") == []


def test_many_are_inserted_in_their_order(store: ResultsDB) -> None:
    ids = store.insert_many([{"n": n} for n in range(1203)], collection="p")
    assert [record["_id"] for record in store.find_all(collection="p")] == ids


def test_an_error_in_a_batch_leaves_what_came_before(store: ResultsDB) -> None:
    items = [{"n": n} for n in range(700)] + [{"n": object()}]
    with pytest.raises(EncodeError):
        store.insert_many(items, collection="p")
    assert len(store.insert_many(items[:700], collection="p")) == 700
    assert store.count(collection="p") == 700


@pytest.mark.parametrize(
    ("item", "error", "message"),
    [
        ({"a": {"b": [object()]}}, EncodeError, r'"b".*\[0\]: cannot store'),
        ({"_id": "x"}, ResultsDBError, "'_id', which the store uses itself"),
        ({"$type": "x"}, ResultsDBError, "'\\$type'"),
        ({1: 2}, ResultsDBError, "text keys"),
        ([1], ResultsDBError, "text keys"),
        ({"unique_hash": 3}, ResultsDBError, "not a text"),
        ({"unique_hash": ""}, ResultsDBError, "not a text"),
        ({"date_modified": "yesterday"}, ResultsDBError, "not a datetime"),
        ({"date_modified": datetime(2024, 1, 31)}, EncodeError, "time zone"),  # noqa: DTZ001
    ],
)
def test_what_cannot_be_stored_is_refused(
    store: ResultsDB, item: Any, error: type[Exception], message: str
) -> None:
    with pytest.raises(error, match=message):
        store.insert_one(item, collection="p")
    assert store.collections() == []


@pytest.mark.parametrize("collection", ["", None, 3])
def test_a_collection_has_a_name(store: ResultsDB, collection: Any) -> None:
    with pytest.raises(ResultsDBError, match="named by a text"):
        store.insert_one({"a": 1}, collection=collection)


def test_datetimes_are_in_utc(store: ResultsDB) -> None:
    """MDB-16, RES-19."""
    when = datetime(2024, 1, 31, 12, tzinfo=timezone(timedelta(hours=8)))
    store.insert_one({"date_modified": when}, collection="p")
    record = store.find_one(collection="p", query={"date_modified": {"$lte": when}})
    assert record is not None
    assert record["date_modified"] == when
    assert record["date_modified"].tzinfo is UTC


def test_a_big_array_is_read_by_slice(store: ResultsDB, open_store: Callable[[], ResultsDB]) -> None:
    """MDB-11: the predecessor refuses this one."""
    image = np.random.default_rng(1).normal(size=(3000, 1000))  # 24 MB
    store.insert_one({"outputs": {"image": image, "small": image[:5, :5]}}, collection="p")
    record = open_store().find_one(collection="p")
    assert record is not None
    stored = record["outputs"]["image"]
    assert isinstance(stored, LazyArray)
    assert (stored.shape, stored.dtype, stored.nbytes) == (image.shape, image.dtype, image.nbytes)
    assert np.array_equal(stored[1000:1010, ::7], image[1000:1010, ::7])
    assert not stored.loaded
    assert np.array_equal(stored, image)
    assert isinstance(record["outputs"]["small"], np.ndarray)


def test_blobs_that_are_not_arrays(store: ResultsDB) -> None:
    item = {
        "bytes": bytes(range(256)) * 1000,
        "table": pd.DataFrame({"x": np.arange(50_000.0), "name": ["abc"] * 50_000}),
        "list": [np.zeros(20_000), {"deep": np.ones(20_000, ">i4")}],
    }
    store.insert_one(item, collection="p")
    record = store.find_one(collection="p", fields=list(item))
    assert record is not None
    del record["_id"]
    assert same(record, item)


def test_the_threshold_of_blobs(open_store: Callable[..., ResultsDB]) -> None:
    """An array is found by an equal one, wherever it lies."""
    array = np.arange(1000.0)
    for threshold, kind in ((8000, LazyArray), (8001, np.ndarray)):
        store = open_store(blob_threshold=threshold)
        store.insert_one({"a": array, "threshold": threshold}, collection="p")
        [record] = store.find(collection="p", query={"threshold": threshold})
        assert type(record["a"]) is kind
    assert store.count(collection="p", query={"a": array}) == 2
    assert store.count(collection="p", query={"a": array + 1}) == 0


def test_an_array_bound_to_no_numpy_version(store: ResultsDB) -> None:
    """MDB-6, MDB-18: nothing stored is a pickle, and what looks like one is only bytes."""
    store.insert_one({"a": np.arange(3), "b": b"cos\nsystem\n(S'exit 1'\ntR."}, collection="p")
    record = store.find_one(collection="p")
    assert record is not None
    assert record["b"] == b"cos\nsystem\n(S'exit 1'\ntR."


def test_collections(store: ResultsDB) -> None:
    names = ["b", "a", "name with spaces, dots. and $", "émittance"]
    for name in names:
        store.insert_one({"n": name}, collection=name)
    assert store.collections() == sorted(names)
    assert [record["n"] for record in store.find_all(collection="a")] == ["a"]
    assert list(store.find_all(collection="none")) == []
    assert store.count(collection="none") == 0


def test_reindex_changes_no_result(store: ResultsDB) -> None:
    ids = store.insert_many(({"n": n, "array": np.arange(9000.0) + n % 2} for n in range(4)), collection="p")
    store.insert_one({"n": 4}, collection="q")
    store.configure({"p": ["n"]})
    assert store.delete(collection="p", query={"n": 3}) == 1
    service = ResultsDBService(lambda: store)
    for _ in range(2):
        assert service.reindex() == Reindexed()
        found = list(store.find(collection="p", query={"n": {"$gte": 1}}))
        assert [record["_id"] for record in found] == ids[1:3]
        assert all(np.array_equal(record["array"], np.arange(9000.0) + record["n"] % 2) for record in found)
        assert store.collections() == ["p", "q"]


def test_closing_and_using_again(store: ResultsDB) -> None:
    with store as entered:
        record_id = entered.insert_one({"a": 1}, collection="p")
    store.close()
    assert store.insert_one({"a": 1}, collection="p") == record_id
