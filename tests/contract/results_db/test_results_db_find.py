"""Every store gives the same answers."""

from __future__ import annotations

import math
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import numpy as np
import pytest

from lume_services.errors import QueryError
from lume_services.services.results import ResultsDB

DAY = datetime(2024, 1, 1, tzinfo=UTC)


@pytest.fixture
def scan(store: ResultsDB) -> ResultsDB:
    """A store with a scan of ten results, one a day."""
    store.insert_many(
        (
            {
                "inputs": {"quad": f"QE0{n % 3}", "QUAD:LI20:X.VAL": float(n)},
                "outputs": {"y": np.float64(n * n), "sizes": [n, n + 1], "fit": {"ok": n % 2 == 0}},
                "date_modified": DAY + timedelta(days=n),
                "unique_hash": f"hash{n}",
            }
            for n in range(10)
        ),
        collection="scan",
    )
    return store


def found(store: ResultsDB, query: dict[str, Any] | None = None, **rest: Any) -> list[int]:
    records = store.find(collection="scan", query=query, **rest)
    return [int(record["unique_hash"].removeprefix("hash")) for record in records]


@pytest.mark.parametrize(
    ("query", "numbers"),
    [
        (None, range(10)),
        ({}, range(10)),
        ({"unique_hash": "hash3"}, [3]),
        ({"unique_hash": {"$in": ["hash7", "hash3", "none"]}}, [3, 7]),
        ({"unique_hash": "hash3", "outputs.y": 4}, []),
        ({"unique_hash": {"$regex": "[12]$"}}, [1, 2]),
        ({"outputs.y": {"$gt": 20, "$lt": 50}}, [5, 6, 7]),
        ({"outputs.sizes": 4}, [3, 4]),
        ({"inputs.quad": "QE00", "outputs.fit.ok": True}, [0, 6]),
        ({"inputs.QUAD:LI20:X.VAL": {"$gte": 8}}, [8, 9]),
        ({"inputs": {"QUAD:LI20:X.VAL": 3.0, "quad": "QE00"}}, [3]),
        ({"date_modified": {"$gte": DAY + timedelta(days=8)}}, [8, 9]),
        ({"date_modified": {"$gt": DAY, "$lt": DAY + timedelta(days=2)}}, [1]),
        ({"date_modified": DAY + timedelta(days=4)}, [4]),
        ({"date_modified": {"$in": [DAY, DAY + timedelta(days=9), 3]}}, [0, 9]),
        ({"date_modified": {"$gt": 5}}, []),
        ({"date_modified": None}, []),
        ({"$or": [{"unique_hash": "hash1"}, {"outputs.y": 0}]}, [0, 1]),
        ({"outputs.fit.ok": {"$not": {"$eq": True}}}, [1, 3, 5, 7, 9]),
        ({"nothing": {"$exists": True}}, []),
    ],
)
def test_queries(scan: ResultsDB, query: dict[str, Any] | None, numbers: Any) -> None:
    assert found(scan, query) == list(numbers)
    assert scan.count(collection="scan", query=query) == len(list(numbers))


def test_queries_with_indices(scan: ResultsDB) -> None:
    """An index changes no answer, neither for older records nor for new ones."""
    scan.configure({"scan": ["outputs.y", "outputs.sizes", "inputs.quad"], "other": ["a"]})
    scan.configure({"scan": ["outputs.y"]})
    scan.insert_one({"unique_hash": "hash10", "outputs": {"y": "text", "sizes": []}}, collection="scan")
    assert found(scan, {"outputs.y": {"$gt": 20, "$lt": 50}}) == [5, 6, 7]
    assert found(scan, {"outputs.y": 4, "inputs.quad": "QE02"}) == [2]
    assert found(scan, {"outputs.sizes": {"$gt": 9, "$lt": 1}}) == []
    assert found(scan, {"outputs.sizes": {"$gt": 3, "$lt": 4}}) == [3]  # by different elements
    assert found(scan, {"outputs.sizes": {"$in": [1, 10, []]}}) == [0, 1, 9, 10]
    assert found(scan, {"outputs.y": {"$gte": ""}}) == [10]
    assert found(scan, {"inputs.quad": None}) == [10]
    assert found(scan, {"outputs.y": {"$in": []}}) == []
    assert scan.delete(collection="scan", query={"outputs.y": {"$lt": 50}}) == 8
    assert found(scan, {"outputs.y": {"$gte": 0}}) == [8, 9]


@pytest.mark.parametrize(
    ("sort", "numbers"),
    [
        ("outputs.y", range(10)),
        ("-outputs.y", range(9, -1, -1)),
        ("-date_modified", range(9, -1, -1)),
        ("date_modified", range(10)),
        ([("date_modified", -1)], range(9, -1, -1)),
        (["inputs.quad", "-outputs.y"], [9, 6, 3, 0, 7, 4, 1, 8, 5, 2]),
        ([("inputs.quad", -1), ("date_modified", 1)], [2, 5, 8, 1, 4, 7, 0, 3, 6, 9]),
        ("inputs.quad", [0, 3, 6, 9, 1, 4, 7, 2, 5, 8]),
        ("-inputs.quad", [8, 5, 2, 7, 4, 1, 9, 6, 3, 0]),
        ("-nothing", range(9, -1, -1)),
    ],
)
def test_sort(scan: ResultsDB, sort: Any, numbers: Any) -> None:
    assert found(scan, sort=sort) == list(numbers)


def test_sort_follows_the_order_of_types(store: ResultsDB) -> None:
    values: list[Any] = [
        [], None, math.nan, -math.inf, -1, 0.5, 2**53, 2**53 + 1, "", "A", "a", {"a": 1}, b"", b"z", b"aa",
        False, True, DAY, DAY + timedelta(1),
    ]  # fmt: skip
    shuffled = values[::2] + values[1::2]
    store.insert_many(
        ({"unique_hash": f"hash{values.index(value)}", "a": value} for value in shuffled), collection="scan"
    )
    bytes_by_digest = {13, 14, 12}
    ascending = found(store, sort="a")
    assert [n for n in ascending if n not in bytes_by_digest] == [
        n for n in range(len(values)) if n not in bytes_by_digest
    ]
    assert ascending.index(12) < ascending.index(13) < ascending.index(14)
    assert found(store, sort="-a") == ascending[::-1]


def test_lists_sort_by_their_least_or_greatest(store: ResultsDB) -> None:
    for n, value in enumerate([[5, 1], 3, [2, 9], []]):
        store.insert_one({"unique_hash": f"hash{n}", "a": value}, collection="scan")
    assert found(store, sort="a") == [3, 0, 2, 1]
    assert found(store, sort="-a") == [2, 0, 1, 3]


def test_results_without_a_date_come_first(store: ResultsDB) -> None:
    for n, date in enumerate([DAY, None, DAY - timedelta(days=30_000)]):
        store.insert_one({"unique_hash": f"hash{n}", "date_modified": date}, collection="scan")
    store.insert_one({"unique_hash": "hash3"}, collection="scan")
    assert found(store, sort="date_modified") == [1, 3, 2, 0]
    assert found(store, sort="-date_modified") == [0, 2, 3, 1]
    assert found(store, {"date_modified": {"$lt": DAY}}) == [2]
    assert found(store, {"date_modified": None}) == [1, 3]


@pytest.mark.parametrize("sort", [None, "outputs.y", "date_modified"])
def test_limit_and_skip(scan: ResultsDB, sort: str | None) -> None:
    assert found(scan, sort=sort, limit=3) == [0, 1, 2]
    assert found(scan, sort=sort, skip=8) == [8, 9]
    assert found(scan, sort=sort, skip=2, limit=2) == [2, 3]
    assert found(scan, {"outputs.fit.ok": True}, sort=sort, skip=1, limit=2) == [2, 4]
    assert found(scan, sort=sort, skip=20) == []
    assert found(scan, sort=sort, limit=0) == []


def test_fields(scan: ResultsDB) -> None:
    query = {"unique_hash": "hash3"}

    def record(fields: list[str]) -> dict[str, Any]:
        [found] = scan.find(collection="scan", query=query, fields=fields)
        assert isinstance(found.pop("_id"), str)
        return found

    assert record(["outputs.y"]) == {"outputs": {"y": 9.0}}
    assert type(record(["outputs.y"])["outputs"]["y"]) is np.float64
    assert record(["inputs.QUAD:LI20:X.VAL", "outputs.fit"]) == {
        "inputs": {"QUAD:LI20:X.VAL": 3.0},
        "outputs": {"fit": {"ok": False}},
    }
    assert record(["outputs.sizes", "outputs.none", "none"]) == {"outputs": {"sizes": [3, 4]}}
    assert record(["outputs.y.none"]) == {"outputs": {}}
    assert record(["_id"]) == {}
    assert record([]) == {}


def test_fields_inside_of_lists_and_of_values_with_a_kind(store: ResultsDB) -> None:
    item = {"runs": [{"a": 1, "b": 2}, 3, {"b": 4}], "z": 3 + 4j, "image": np.zeros((200, 200))}
    store.insert_one(item, collection="p")
    [record] = store.find(collection="p", fields=["runs.a", "z.imag", "image.shape"])
    del record["_id"]
    assert record == {"runs": [{"a": 1}, {}], "z": {"imag": 4.0}, "image": {"shape": [200, 200]}}


@pytest.mark.parametrize(
    "arguments",
    [
        {"query": {"a": {"$gtt": 1}}},
        {"fields": "outputs"},
        {"fields": [1]},
        {"sort": [("a", 2)]},
        {"sort": [3]},
        {"limit": -1},
        {"limit": 2.5},
        {"skip": True},
    ],
)
def test_bad_arguments_are_refused_at_once(scan: ResultsDB, arguments: dict[str, Any]) -> None:
    with pytest.raises(QueryError):
        scan.find(collection="scan", **arguments)


def test_find_one(scan: ResultsDB) -> None:
    first = scan.find_one(collection="scan")
    last = scan.find_one(collection="scan", sort="-outputs.y", fields=["outputs.y"])
    assert first is not None
    assert first["unique_hash"] == "hash0"
    assert last is not None
    assert last["outputs"] == {"y": 81.0}
    assert scan.find_one(collection="scan", query={"outputs.y": -1}) is None


def test_a_stream_may_be_left_and_the_store_changed_meanwhile(
    scan: ResultsDB, open_store: Callable[[], ResultsDB]
) -> None:
    """MDB-14: nothing is held open, and nothing is read that is not asked for."""
    scan.insert_many(({"unique_hash": f"hash{n}"} for n in range(10, 2000)), collection="scan")
    stream = scan.find_all(collection="scan")
    assert next(stream)["unique_hash"] == "hash0"
    other = open_store()
    assert other.delete(collection="scan", query={"unique_hash": {"$ne": "hash1999"}}) == 1999
    other.insert_one({"unique_hash": "hash2000"}, collection="scan")
    seen = [record["unique_hash"] for record in stream]
    assert seen[-2:] == ["hash1999", "hash2000"]
    assert len(seen) < 1000
    scan.find_all(collection="scan")  # never begun


def test_delete(scan: ResultsDB) -> None:
    assert scan.delete(collection="scan", query={"outputs.y": {"$lt": 10}}) == 4
    assert found(scan) == [4, 5, 6, 7, 8, 9]
    assert scan.delete(collection="scan", query={"outputs.y": -1}) == 0
    assert scan.delete(collection="none", query={}) == 0
    [record] = scan.find(collection="scan", query={"unique_hash": "hash5"})
    assert scan.delete(collection="other", query={"_id": record["_id"]}) == 0
    assert scan.delete(collection="scan", query={"_id": record["_id"]}) == 1
    assert scan.delete(collection="scan", query={}) == 5
    assert scan.collections() == []
    with pytest.raises(QueryError):
        scan.delete(collection="scan", query={"a": {"$gtt": 1}})


def test_a_deleted_result_can_be_inserted_again(scan: ResultsDB) -> None:
    [record] = scan.find(collection="scan", query={"unique_hash": "hash5"})
    scan.delete(collection="scan", query={"unique_hash": "hash5"})
    again = scan.insert_one({"unique_hash": "hash5", "again": True}, collection="scan")
    assert again != record["_id"]
    assert found(scan, {"again": True}) == [5]


def test_equal_arrays_share_a_blob_until_the_last_is_deleted(store: ResultsDB) -> None:
    image = np.arange(40_000.0)
    for n in range(3):
        store.insert_one({"n": n, "image": image}, collection="p")
    store.insert_one({"image": image}, collection="q")
    assert store.delete(collection="p", query={"n": {"$lt": 2}}) == 2
    assert store.delete(collection="q", query={}) == 1
    [record] = store.find(collection="p")
    assert np.array_equal(record["image"], image)


def test_any_filter_gives_what_the_matcher_gives(store: ResultsDB) -> None:
    """A store may use indices and its own queries, but they must not show."""
    from lume_services.services.results.query.filter import compile_query
    from lume_services.values import encode

    values: list[Any] = [None, 0, 1, 1.0, True, "1", "x", [], [1], [1, "x"], {"b": 1}, {"b": [1]}, DAY, b"1"]
    items = [{"n": n, "a": value} for n, value in enumerate(values)] + [{"n": -1}]
    store.insert_many(items, collection="p")
    store.configure({"p": ["a", "a.b"]})
    for path in ("a", "a.b", "a.0"):
        for operand in values:
            for condition in ({"$eq": operand}, {"$ne": operand}, {"$gte": operand}, {"$in": [operand, 0]}):
                if operand == b"1" and "$gte" in condition:
                    continue  # bytes have no order
                query = {path: condition}
                matches = compile_query(query).matches
                expected = [item["n"] for item in items if matches(encode(item))]
                assert [record["n"] for record in store.find(collection="p", query=query)] == expected
