"""Storing and loading results in the `mongodb` store, against the driver itself in the same run.

Both write to the same server with the same write concern. The server is SecantusDB, started here, or the one
that `LUME_TEST_MONGODB_URI` names; its own speed is in both columns. Nothing is asserted; run it with
`python benchmarks/mongodb.py`.
"""

from __future__ import annotations

import statistics
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from pymongo import MongoClient, WriteConcern

from lume_services.services.results.mongodb import MongodbResultsDB

sys.path.insert(0, str(Path(__file__).parent.parent / "tests"))
import servers_mongodb

MANY = 20_000
BULK = 10_000
ROUNDS = 3


def medians_ms(works: list[Callable[[int], Any]], repeats: int) -> list[float]:
    """Return the median time of each work; they take turns, so that both see the same server."""
    times: list[list[float]] = [[] for _ in works]
    for number in range(repeats):
        for work, durations in zip(works, times, strict=True):
            start = time.perf_counter()
            work(number)
            durations.append(1e3 * (time.perf_counter() - start))
    return [statistics.median(durations) for durations in times]


def compare(what: str, ours: Callable[[int], Any], raw: Callable[[int], Any], repeats: int) -> None:
    here, there = medians_ms([ours, raw], repeats)
    print(f"{what:<40} {here:9.3f} ms {there:9.3f} ms {here / there:7.2f}x")


def scalars(number: int) -> dict[str, Any]:
    return {"outputs": {f"x{k}": number + 0.1 * k for k in range(10)}, "unique_hash": f"{number:064x}"}


def small(store: MongodbResultsDB, raw: Any) -> None:
    repeats = 400
    items = [scalars(number) for number in range(repeats)]
    hashes = [item["unique_hash"] for item in items]
    compare(
        "insert 10 scalars",
        lambda n: store.insert_one(items[n], collection="small"),
        lambda n: raw.insert_one(dict(items[n])),
        repeats,
    )
    compare(
        "load 10 scalars by hash",
        lambda n: store.find_one(collection="small", query={"unique_hash": hashes[n]}),
        lambda n: raw.find_one({"unique_hash": hashes[n]}),
        repeats,
    )


def arrays(store: MongodbResultsDB, raw: Any, what: str, shape: tuple[int, ...], repeats: int) -> None:
    values = [np.random.default_rng(number).normal(size=shape) for number in range(repeats)]
    names = [f"{what}{number}" for number in range(repeats)]

    def load(n: int) -> None:
        record = store.find_one(collection="arrays", query={"unique_hash": names[n]})
        assert record is not None
        np.asarray(record["a"])

    compare(
        f"insert {what}",
        lambda n: store.insert_one({"unique_hash": names[n], "a": values[n]}, collection="arrays"),
        lambda n: raw.insert_one({"unique_hash": names[n], "a": values[n].tobytes(), "shape": shape}),
        repeats,
    )
    compare(
        f"load {what}",
        load,
        lambda n: np.frombuffer(raw.find_one({"unique_hash": names[n]})["a"]).reshape(shape),
        repeats,
    )


def many(store: MongodbResultsDB, raw: Any) -> None:
    items = [scalars(number) for number in range(MANY + ROUNDS * BULK)]
    for start in range(0, MANY, BULK):
        store.insert_many(items[start : start + BULK], collection="many")
        raw.insert_many([dict(item) for item in items[start : start + BULK]])

    def bulk(n: int) -> list[dict[str, Any]]:
        return items[MANY + n * BULK : MANY + (n + 1) * BULK]

    compare(
        f"insert_many of {BULK}",
        lambda n: store.insert_many(bulk(n), collection="many"),
        lambda n: raw.insert_many([dict(item) for item in bulk(n)], ordered=False),
        ROUNDS,
    )
    hashes = [items[(7919 * number) % MANY]["unique_hash"] for number in range(400)]
    compare(
        f"find by hash among {MANY + ROUNDS * BULK}",
        lambda n: store.find_one(collection="many", query={"unique_hash": hashes[n]}),
        lambda n: raw.find_one({"unique_hash": hashes[n]}),
        400,
    )


def main() -> None:
    settings = servers_mongodb.settings()
    settings.pop("type")
    client: MongoClient[dict[str, Any]] = MongoClient(settings["uri"])
    database = client.get_database(settings["database"], write_concern=WriteConcern(w="majority", j=True))
    for name in ("small", "arrays", "many"):
        database[name].create_index("unique_hash", unique=True)
    print(f"{'':<40} {'here':>12} {'driver':>12} {'ratio':>8}")
    with MongodbResultsDB(**settings) as store:
        for name in ("small", "arrays", "many"):
            store.configure({name: []})
        small(store, database["small"])
        arrays(store, database["arrays"], "50x50 doubles", (50, 50), 100)
        arrays(store, database["arrays"], "1e5 doubles", (100_000,), 30)
        arrays(store, database["arrays"], "1e6 doubles", (1_000_000,), 10)
        many(store, database["many"])
    client.drop_database(settings["database"])
    client.close()


if __name__ == "__main__":
    sys.exit(main())
