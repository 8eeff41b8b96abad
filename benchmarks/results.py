"""Storing and loading results in the `file` store, against the raw libraries in the same run.

Small results are compared with SQLite itself: one commit each, JSON text with its SHA-256 beside it, found by
an indexed hash and checked when it is read, as the store does it. What the store does more is that values
keep their types, that all processes of a machine may use it, and that an insert is exactly-once. Arrays are
compared with `numpy.save` and `numpy.load`, which compute no digest. Nothing is asserted; run it with
`python benchmarks/results.py`.
"""

from __future__ import annotations

import hashlib
import json
import sqlite3
import statistics
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from lume_services.results import Result
from lume_services.services.results import ResultsDBService
from lume_services.services.results.file import FileResultsDB

MANY = 100_000


def median_ms(work: Callable[[int], Any], repeats: int) -> float:
    times = []
    for number in range(repeats):
        start = time.perf_counter()
        work(number)
        times.append(1e3 * (time.perf_counter() - start))
    return statistics.median(times)


def line(what: str, ours: float, raw: float) -> None:
    print(f"{what:<44} {ours:9.3f} ms {raw:9.3f} ms {ours / raw:7.2f}x {1e3 / ours:9.0f} /s")


class RawSQLite:
    """What a program would do that stores JSON text in SQLite by itself."""

    def __init__(self, folder: Path) -> None:
        self.connection = sqlite3.connect(folder / "raw.sqlite", isolation_level=None)
        self.connection.execute("PRAGMA journal_mode = WAL")
        self.connection.execute("PRAGMA synchronous = NORMAL")
        self.connection.execute("CREATE TABLE results (hash TEXT PRIMARY KEY, document BLOB, digest BLOB)")

    def insert(self, item: dict[str, Any]) -> None:
        text = json.dumps(item).encode()
        row = (item["unique_hash"], text, hashlib.sha256(text).digest())
        self.connection.execute("INSERT OR IGNORE INTO results VALUES (?, ?, ?)", row)

    def find(self, unique_hash: str) -> Any:
        statement = "SELECT document, digest FROM results WHERE hash = ?"
        text, digest = self.connection.execute(statement, (unique_hash,)).fetchone()
        assert hashlib.sha256(text).digest() == digest
        return json.loads(text.decode())


def scalars(number: int) -> dict[str, Any]:
    return {"outputs": {f"x{k}": number + 0.1 * k for k in range(10)}, "unique_hash": f"{number:064x}"}


def small(folder: Path) -> None:
    store, raw = FileResultsDB(folder / "small"), RawSQLite(folder)
    items = [scalars(number) for number in range(3000)]
    line(
        "insert 10 scalars",
        median_ms(lambda n: store.insert_one(items[n], collection="p"), 3000),
        median_ms(lambda n: raw.insert(items[n]), 3000),
    )
    find = {"collection": "p"}
    line(
        "load 10 scalars by hash",
        median_ms(lambda n: store.find_one(query={"unique_hash": items[n]["unique_hash"]}, **find), 1000),
        median_ms(lambda n: raw.find(items[n]["unique_hash"]), 1000),
    )
    service = ResultsDBService(lambda: store)
    line(
        "Result(10 scalars): make and insert",
        median_ms(lambda n: Result(project_name="r", outputs=items[n]["outputs"]).insert(service), 1000),
        median_ms(lambda n: raw.insert({**items[n], "unique_hash": f"r{n}"}), 1000),
    )
    store.close()


def arrays(folder: Path, what: str, shape: tuple[int, ...], repeats: int) -> None:
    store, service = FileResultsDB(folder / what), None
    service = ResultsDBService(lambda: store)
    values = [np.random.default_rng(number).normal(size=shape) for number in range(repeats)]
    saved = [folder / f"{what}{number}.npy" for number in range(repeats)]
    line(
        f"insert {what}",
        median_ms(
            lambda n: store.insert_one({"unique_hash": str(n), "a": values[n]}, collection="p"), repeats
        ),
        median_ms(lambda n: np.save(saved[n], values[n]), repeats),
    )
    line(
        f"load {what}",
        median_ms(
            lambda n: np.asarray(store.find_one(collection="p", query={"unique_hash": str(n)})["a"]), repeats
        ),
        median_ms(lambda n: np.load(saved[n]), repeats),
    )
    line(
        f"Result({what}): make and insert",
        median_ms(lambda n: Result(project_name="r", outputs={"a": values[n]}).insert(service), repeats),
        median_ms(lambda n: np.save(saved[n], values[n]), repeats),
    )
    store.close()


def many(folder: Path) -> None:
    store, raw = FileResultsDB(folder / "many"), RawSQLite(folder / "many")
    items = [scalars(number) for number in range(MANY)]
    start = time.perf_counter()
    store.insert_many(items, collection="p")
    ours = time.perf_counter() - start
    start = time.perf_counter()
    with raw.connection:
        raw.connection.execute("BEGIN")
        for item in items:
            raw.insert(item)
    line(f"insert_many of {MANY}, each", 1e3 * ours / MANY, 1e3 * (time.perf_counter() - start) / MANY)
    hashes = [items[(7919 * number) % MANY]["unique_hash"] for number in range(2000)]
    line(
        f"find by hash among {MANY}",
        median_ms(lambda n: store.find_one(collection="p", query={"unique_hash": hashes[n]}), 2000),
        median_ms(lambda n: raw.find(hashes[n]), 2000),
    )
    query = {"outputs.x3": {"$gt": 50_000.0, "$lt": 50_100.0}}
    everything = median_ms(
        lambda _: [json.loads(text) for (text,) in raw.connection.execute("SELECT document FROM results")], 1
    )
    line(
        "find a range, no index (raw: read all)",
        median_ms(lambda _: list(store.find(collection="p", query=query)), 3),
        everything,
    )
    store.configure({"p": ["outputs.x3"]})
    line(
        "find a range, with an index (raw: read all)",
        median_ms(lambda _: list(store.find(collection="p", query=query)), 20),
        everything,
    )
    store.close()


def main() -> None:
    print(f"{'':<44} {'here':>12} {'raw':>12} {'ratio':>8} {'rate':>12}")
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        (folder / "many").mkdir()
        small(folder)
        arrays(folder, "50x50 doubles", (50, 50), 200)
        arrays(folder, "1e6 doubles", (1_000_000,), 12)
        many(folder)


if __name__ == "__main__":
    main()
