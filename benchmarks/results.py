"""Storing and loading results in the `file` store, against the raw libraries in the same run.

Small results are compared with SQLite itself: one commit each, JSON text with its SHA-256 beside it, found by
an indexed hash and checked when it is read, as in the store. What the store does more is that values keep
their types, that all processes of a machine may use it, and that an insert is exactly-once. To find a result
it also looks whether its file is still the one it opened, and gives each value its type: 5 to 10 µs, where
SQLite and JSON take 10 µs.

Arrays are compared with `numpy.save` and `numpy.load`: "raw" verifies nothing, and "with digest" writes a
digest beside the file and checks it. A `Result` is hashed a second time, for its `unique_hash`. Nothing is
asserted; run it with `python benchmarks/results.py`.
"""

from __future__ import annotations

import hashlib
import json
import sqlite3
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np
from common import compare, digest, heading, line, scalars

from lume_services.results import Result
from lume_services.services.results import ResultsDBService
from lume_services.services.results.file import FileResultsDB

MANY = 100_000


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


class RawArrays:
    """What a program would do that saves arrays in files by itself."""

    def __init__(self, folder: Path, *, verified: bool = False) -> None:
        self.folder = folder
        self.folder.mkdir()
        self.verified = verified

    def insert(self, name: str, array: Any) -> None:
        np.save(self.folder / f"{name}.npy", array)
        if self.verified:
            (self.folder / name).write_bytes(digest(array))

    def load(self, name: str) -> Any:
        array = np.load(self.folder / f"{name}.npy")
        assert not self.verified or digest(array) == (self.folder / name).read_bytes()
        return array


def small(folder: Path) -> None:
    store, raw = FileResultsDB(folder / "small"), RawSQLite(folder)
    items = [scalars(number) for number in range(3000)]
    heading("raw")
    compare(
        "insert 10 scalars",
        3000,
        lambda n: store.insert_one(items[n], collection="p"),
        lambda n: raw.insert(items[n]),
    )
    compare(
        "load 10 scalars by hash",
        1000,
        lambda n: store.find_one(collection="p", query={"unique_hash": items[n]["unique_hash"]}),
        lambda n: raw.find(items[n]["unique_hash"]),
    )
    service = ResultsDBService(lambda: store)
    compare(
        "Result(10 scalars): make and insert",
        1000,
        lambda n: Result(project_name="r", outputs=items[n]["outputs"]).insert(service),
        lambda n: raw.insert({**items[n], "unique_hash": f"r{n}"}),
    )
    store.close()


def arrays(folder: Path, what: str, shape: tuple[int, ...], repeats: int) -> None:
    store = FileResultsDB(folder / what)
    service = ResultsDBService(lambda: store)
    values = [np.random.default_rng(number).normal(size=shape) for number in range(repeats)]
    raw, verified = (RawArrays(folder / f"{what} {one}", verified=one) for one in (False, True))

    def load(n: int) -> None:
        record = store.find_one(collection="p", query={"unique_hash": str(n)})
        assert record is not None
        np.asarray(record["a"])

    compare(
        f"insert {what}",
        repeats,
        lambda n: store.insert_one({"unique_hash": str(n), "a": values[n]}, collection="p"),
        lambda n: raw.insert(str(n), values[n]),
        lambda n: verified.insert(str(n), values[n]),
    )
    compare(
        f"load {what}",
        repeats,
        load,
        lambda n: raw.load(str(n)),
        lambda n: verified.load(str(n)),
    )
    compare(
        f"Result({what}): make and insert",
        repeats,
        lambda n: Result(project_name="r", outputs={"a": values[n]}).insert(service),
        lambda n: raw.insert(f"r{n}", values[n]),
        lambda n: verified.insert(f"r{n}", values[n]),
    )
    store.close()


def many(folder: Path) -> None:
    store, raw = FileResultsDB(folder / "many"), RawSQLite(folder / "many")
    items = [scalars(number) for number in range(MANY)]
    heading("raw")
    start = time.perf_counter()
    store.insert_many(items, collection="p")
    ours = time.perf_counter() - start
    start = time.perf_counter()
    with raw.connection:
        raw.connection.execute("BEGIN")
        for item in items:
            raw.insert(item)
    line(f"insert_many of {MANY}, each", 1e3 * ours / MANY, 1e3 * (time.perf_counter() - start) / MANY)
    hashes = [items[(7919 * number) % MANY]["unique_hash"] for number in range(4000)]
    compare(
        f"find by hash among {MANY}",
        len(hashes),
        lambda n: store.find_one(collection="p", query={"unique_hash": hashes[n]}),
        lambda n: raw.find(hashes[n]),
    )
    query = {"outputs.x3": {"$gt": 50_000.0, "$lt": 50_100.0}}

    def read_all(_: int) -> None:
        for (text,) in raw.connection.execute("SELECT document FROM results"):
            json.loads(text)

    def find(_: int) -> None:
        assert len(list(store.find(collection="p", query=query))) == 100

    compare("find a range, no index (raw: read all)", 3, find, read_all)
    store.configure({"p": ["outputs.x3"]})
    compare("find a range, with an index (raw: read all)", 3, find, read_all)
    store.close()


def main() -> None:
    print(__doc__)
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        (folder / "many").mkdir()
        small(folder)
        heading("raw", "with digest")
        arrays(folder, "50x50 doubles", (50, 50), 200)
        arrays(folder, "1e6 doubles", (1_000_000,), 40)
        many(folder)


if __name__ == "__main__":
    main()
