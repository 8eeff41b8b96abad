"""Queries by exact values, in one order over collections, in bounded time; all else is a clear error."""

from __future__ import annotations

import datetime as dt
import time
from enum import Enum, IntEnum
from typing import Any

import numpy as np
import pandas as pd
import pytest

from lume_services.errors import LUMEServicesError, QueryError, ResultsDBError
from lume_services.services.results import ResultsDB


class Level(IntEnum):
    low = 1
    high = 20


class Mode(Enum):
    fast = "f"


VALUES: list[Any] = [
    "abc",  # 0
    2**64,  # 1
    2**64 + 1,  # 2
    np.uint64(2**63 + 5),  # 3
    float(2**64),  # 4
    {"x", "y", "z"},  # 5
    dt.date(2024, 1, 31),  # 6
    pd.Timestamp("2024-01-31T12:00:00.000000001", tz="UTC"),  # 7
    dt.datetime(2024, 1, 31, 12, tzinfo=dt.UTC),  # 8
    Level.high,  # 9
    Mode.fast,  # 10
    {3: "c", 1: "a"},  # 11
    1j,  # 12
    b"ab",  # 13
    2**53 + 1,  # 14
    10**5000,  # 15
    True,  # 16
    "0x10000000000000000",  # 17
]
NOON = dt.datetime(2024, 1, 31, 12, tzinfo=dt.UTC)


@pytest.mark.parametrize("indexed", [False, True])
@pytest.mark.parametrize(
    ("condition", "expected"),
    [
        ({"$gt": 2**64}, [2, 15]),
        (2**64, [1, 4]),
        ({"$gte": np.uint64(2**63 + 5)}, [1, 2, 3, 4, 15]),
        ({"$lt": 10**5000, "$gt": 2**64}, [2]),
        (float(2**53), []),
        (2**53 + 1, [14]),
        ({"z", "y", "x"}, [5]),
        (frozenset({"z", "y", "x"}), [5]),
        ({"$in": [{"x", "z", "y"}, 1]}, [5]),
        (dt.date(2024, 1, 31), [6]),
        ({"$gte": dt.date(2024, 1, 31)}, [6, 7, 8]),
        ({"$gt": pd.Timestamp(NOON)}, [7]),
        ({"$lte": np.datetime64("2024-01-31T12:00")}, [6, 8]),
        (pd.Timestamp("2024-01-31T13:00", tz="Europe/Zurich"), [8]),
        (Level.high, [9]),
        (20, [9]),
        ({"$gt": 15, "$lt": 30}, [9]),
        (Mode.fast, [10]),
        ("f", [10]),
        ({"$eq": {1: "a", 3: "c"}}, [11]),
        (np.complex64(1j), [12]),
        (np.bytes_(b"ab"), [13]),
        (1, []),
        (np.bool_(True), [16]),
    ],
)
def test_by_the_right_value(store: ResultsDB, condition: Any, expected: list[int], indexed: bool) -> None:
    if indexed:
        store.configure({"p": ["v"]})
    store.insert_many([{"n": n, "v": value} for n, value in enumerate(VALUES)], collection="p")
    found = [record["n"] for record in store.find(collection="p", query={"v": condition}, fields=["n"])]
    assert found == expected
    assert store.count(collection="p", query={"v": condition}) == len(expected)


@pytest.mark.parametrize(
    "arguments",
    [
        {"limit": 2**70},
        {"limit": -1},
        {"limit": 1.5},
        {"limit": float("nan")},
        {"limit": True},
        {"limit": "5"},
        {"skip": -1},
        {"skip": 2**63},
        {"sort": 5},
        {"sort": [5]},
        {"sort": [("a", 2)]},
        {"sort": [("a", True)]},
        {"sort": "\ud800"},
        {"fields": 5},
        {"fields": "a"},
        {"fields": [5]},
        {"fields": ["\udfff"]},
        {"fields": {"a": 1}},
        {"query": 5},
        {"query": "a"},
        {"query": [("a", 1)]},
        {"query": {5: 1}},
        {"query": {"\ud800": 1}},
        {"query": {"a": "\ud800"}},
        {"query": {"a": {"$regex": "\ud800"}}},
        {"query": {"a": {"$size": -(10**5000)}}},
        {"query": {"a": {"$size": -1}}},
        {"query": {"a": {"$in": "text"}}},
        {"query": {"a": {"$exists": 1}}},
        {"query": {"a": {"$gt": 1j}}},
        {"query": {"a": {"$gt": b"a"}}},
        {"query": {"a": {"$gt": np.arange(3)}}},
        {"query": {"a": dt.datetime(2024, 1, 1)}},  # noqa: DTZ001 - no time zone
        {"query": {"a": object()}},
        {"query": {"$and": []}},
        {"query": {"a": {"$regex": "(?=a)b"}}},
        {"query": {"a": {"$regex": r"(a)\1"}}},
        {"query": {"a": {"$regex": "a", "$options": "x"}}},
        {"query": {"a": {"$regex": "(" * 5000}}},
        {"collection": ""},
        {"collection": 5},
        {"collection": "\ud800"},
        {"collection": "a\0b"},
        {"collection": "x" * 5000},
    ],
)
def test_what_is_not_valid_is_an_error_of_ours_at_once(store: ResultsDB, arguments: dict[str, Any]) -> None:
    with pytest.raises(LUMEServicesError) as caught:
        store.find(**{"collection": "p", **arguments})
    assert len(str(caught.value)) < 2000


def test_too_many_levels(store: ResultsDB) -> None:
    condition: Any = {"$gt": 1}
    for _ in range(2000):
        condition = {"$not": condition}
    query: Any = {"a": 1}
    for _ in range(2000):
        query = {"$and": [query]}
    for deep in ({"a": condition}, query):
        with pytest.raises(QueryError, match="levels"):
            store.find(collection="p", query=deep)


@pytest.mark.parametrize("name", ["..", "/", "a/../b", ".", " ", "a.b", "$a", "CON", "Ä", "x" * 128, "a\nb"])
def test_odd_names_of_collections(store: ResultsDB, name: str) -> None:
    store.insert_one({"n": 1}, collection=name)
    assert store.collections() == [name]
    assert [record["n"] for record in store.find(collection=name)] == [1]
    with pytest.raises(ResultsDBError, match="at most"):
        store.insert_one({"n": 1}, collection="x" * 300)


@pytest.mark.parametrize("pattern", ["^(a+)+$", "^(a|aa)+$", "(.*)*(.*)*b$", "^(([a-z])+.)+[A-Z]([a-z])+$"])
def test_no_regular_expression_runs_for_ever(store: ResultsDB, pattern: str) -> None:
    store.insert_one({"v": "a" * 20_000 + "!"}, collection="p")
    begun = time.process_time()
    assert store.count(collection="p", query={"v": {"$regex": pattern}}) == 0
    assert time.process_time() - begun < 30


def test_one_order_over_collections(store: ResultsDB) -> None:
    days = [dt.datetime(2024, 1, day, tzinfo=dt.UTC) for day in range(1, 10)]
    for n, day in enumerate(days):
        store.insert_one({"n": n, "v": n // 2, "date_modified": day}, collection="abc"[n % 3])

    def numbers(**arguments: Any) -> list[int]:
        return [record["n"] for record in store.find_in(["a", "b", "c"], fields=["n"], **arguments)]

    assert numbers(sort="-date_modified") == [8, 7, 6, 5, 4, 3, 2, 1, 0]
    assert numbers(sort="-date_modified", limit=3, skip=2) == [6, 5, 4]
    assert numbers(sort=[("v", -1), ("n", 1)]) == [8, 6, 7, 4, 5, 2, 3, 0, 1]
    assert numbers(sort="v", query={"n": {"$gt": 3}}) == [4, 5, 6, 7, 8]
    assert numbers() == [0, 3, 6, 1, 4, 7, 2, 5, 8]
    assert numbers(limit=4, skip=1) == [3, 6, 1, 4]
    assert numbers(limit=2**63 - 1, skip=8) == [8]
