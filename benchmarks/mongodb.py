"""Storing and loading results in the `mongodb` store, against the driver itself in the same run.

All write to the same server with the same write concern. The server is SecantusDB, started here, or the one
that `LUME_TEST_MONGODB_URI` names; its own speed is in all columns. "driver" stores the values and nothing
else. "with digest" is the driver, too, and keeps a digest that is checked when it is read, as in the store.

What the store does more: it keeps the exact text beside a copy that can be searched, an index by date, and
one that finds what a copy left out and who uses an array. An array of 64 kB and more is a file of GridFS,
which is pinned while its record is inserted: four requests to insert and three to load, where the driver has
one. So an array of 100 000 doubles costs most. Nothing is asserted; run it with `python benchmarks/mongodb.py
[COUNT]`: so many results are searched; the default of 100 000 takes minutes.
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import numpy as np
from common import compare, digest, heading, scalars
from pymongo import MongoClient, WriteConcern

from lume_services.services.results.mongodb import MongodbResultsDB

sys.path.insert(0, str(Path(__file__).parent.parent / "tests"))
import servers_mongodb

MANY = 100_000
BULK = 10_000
ROUNDS = 3


def small(store: MongodbResultsDB, raw: Any, verified: Any) -> None:
    repeats = 400
    items = [scalars(number) for number in range(repeats)]
    hashes = [item["unique_hash"] for item in items]

    def load(n: int) -> None:
        found = verified.find_one({"unique_hash": hashes[n]})
        assert digest(found["outputs"]) == found["digest"]

    compare(
        "insert 10 scalars",
        repeats,
        lambda n: store.insert_one(items[n], collection="small"),
        lambda n: raw.insert_one(dict(items[n])),
        lambda n: verified.insert_one({**items[n], "digest": digest(items[n]["outputs"])}),
    )
    compare(
        "load 10 scalars by hash",
        repeats,
        lambda n: store.find_one(collection="small", query={"unique_hash": hashes[n]}),
        lambda n: raw.find_one({"unique_hash": hashes[n]}),
        load,
    )


def arrays(store: MongodbResultsDB, raw: Any, verified: Any, shape: tuple[int, ...], repeats: int) -> None:
    what = f"{'x'.join(map(str, shape))} doubles"
    values = [np.random.default_rng(number).normal(size=shape) for number in range(repeats)]
    names = [f"{what}{number}" for number in range(repeats)]

    def load(n: int) -> None:
        record = store.find_one(collection="arrays", query={"unique_hash": names[n]})
        assert record is not None
        np.asarray(record["a"])

    def document(n: int) -> dict[str, Any]:
        return {"unique_hash": names[n], "a": values[n].tobytes(), "shape": shape}

    def load_verified(n: int) -> None:
        found = verified.find_one({"unique_hash": names[n]})
        assert digest(np.frombuffer(found["a"]).reshape(shape)) == found["digest"]

    compare(
        f"insert {what}",
        repeats,
        lambda n: store.insert_one({"unique_hash": names[n], "a": values[n]}, collection="arrays"),
        lambda n: raw.insert_one(document(n)),
        lambda n: verified.insert_one({**document(n), "digest": digest(values[n])}),
    )
    compare(
        f"load {what}",
        repeats,
        load,
        lambda n: np.frombuffer(raw.find_one({"unique_hash": names[n]})["a"]).reshape(shape),
        load_verified,
    )


def many(store: MongodbResultsDB, raw: Any, count: int) -> None:
    items = [scalars(number) for number in range(count + ROUNDS * BULK)]

    def bulk(n: int) -> list[dict[str, Any]]:
        return items[count + n * BULK : count + (n + 1) * BULK]

    compare(
        f"insert_many of {BULK}",
        ROUNDS,
        lambda n: store.insert_many(bulk(n), collection="many"),
        lambda n: raw.insert_many([dict(item) for item in bulk(n)], ordered=False),
    )
    for start in range(0, count, BULK):
        store.insert_many(items[start : min(start + BULK, count)], collection="many")
        raw.insert_many([dict(item) for item in items[start : min(start + BULK, count)]])
    hashes = [items[(7919 * number) % count]["unique_hash"] for number in range(400)]
    compare(
        f"find by hash among {count + ROUNDS * BULK}",
        400,
        lambda n: store.find_one(collection="many", query={"unique_hash": hashes[n]}),
        lambda n: raw.find_one({"unique_hash": hashes[n]}),
    )


def main() -> None:
    count = int(sys.argv[1]) if len(sys.argv) > 1 else MANY
    settings = servers_mongodb.settings()
    settings.pop("type")
    # Each way has a client of its own: a connection that was just used by another way answers sooner.
    clients: list[MongoClient[dict[str, Any]]] = [MongoClient(settings["uri"]) for _ in range(2)]
    raw, verified = (
        client.get_database(settings["database"], write_concern=WriteConcern(w="majority", j=True))[name]
        for client, name in zip(clients, ("raw", "verified"), strict=True)
    )
    for collection in (raw, verified):
        collection.create_index("unique_hash", unique=True)
    print(__doc__)
    heading("driver", "with digest")
    with MongodbResultsDB(**settings) as store:
        store.configure({name: [] for name in ("small", "arrays", "many")})
        small(store, raw, verified)
        raw.drop()
        raw.create_index("unique_hash", unique=True)
        arrays(store, raw, verified, (50, 50), 100)
        arrays(store, raw, verified, (100_000,), 40)
        arrays(store, raw, verified, (1_000_000,), 25)
        many(store, raw, count)
    clients[0].drop_database(settings["database"])
    for client in clients:
        client.close()


if __name__ == "__main__":
    main()
