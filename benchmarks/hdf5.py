"""Storing and loading results in the `hdf5` store, against h5py itself in the same run.

Both write one file per result under another name and rename it; with durability "power" both flush file and
folder to the disk. What h5py reads is not verified. What the store reads is: SHA-256 alone takes longer than
h5py takes to read an array from the system's cache. Nothing is asserted; run it with
`python benchmarks/hdf5.py [COUNT]`: so many results are searched; the default of 100 000 takes minutes.
"""

from __future__ import annotations

import hashlib
import os
import statistics
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import h5py
import numpy as np

from lume_services.services.results.hdf5 import Hdf5ResultsDB

BULK = 10_000
ROUNDS = 2000


class RawHDF5:
    """What a program would do that writes a file per result by itself."""

    def __init__(self, folder: Path, durability: str) -> None:
        self.folder = folder
        self.folder.mkdir()
        self.durable = durability == "power"

    def insert(self, name: str, item: dict[str, Any]) -> None:
        unfinished = self.folder / "unfinished"
        with h5py.File(unfinished, "x") as file:
            for key, value in item.items():
                file[key] = value
        self.flush(unfinished)
        unfinished.rename(self.folder / name)
        self.flush(self.folder)

    def flush(self, path: Path) -> None:
        if self.durable:
            descriptor = os.open(path, os.O_RDONLY)
            os.fsync(descriptor)
            os.close(descriptor)

    def load(self, name: str) -> dict[str, Any]:
        with h5py.File(self.folder / name) as file:
            return {key: file[key][()] for key in file}


def medians_ms(works: list[Callable[[int], Any]], repeats: int) -> list[float]:
    """Return the median time of each work; they take turns, so that both see the same disk."""
    times: list[list[float]] = [[] for _ in works]
    for number in range(repeats):
        for work, durations in zip(works, times, strict=True):
            start = time.perf_counter()
            work(number)
            durations.append(1e3 * (time.perf_counter() - start))
    return [statistics.median(durations) for durations in times]


def line(what: str, ours: float, raw: float) -> None:
    print(f"{what:<44} {ours:9.3f} ms {raw:9.3f} ms {ours / raw:7.2f}x")


def scalars(number: int) -> dict[str, Any]:
    return {f"x{k}": number + 0.1 * k for k in range(10)}


def small_and_large(durability: Any, what: str, items: list[dict[str, Any]]) -> None:
    with tempfile.TemporaryDirectory() as name:
        raw = RawHDF5(Path(name) / "raw", durability)
        store = Hdf5ResultsDB(Path(name) / "store", durability=durability)
        store.insert_one({"first": True}, collection="p")

        def insert(number: int) -> None:
            store.insert_one({**items[number], "unique_hash": str(number)}, collection="p")

        def load(number: int) -> list[Any]:
            record = store.find_one(collection="p", query={"unique_hash": str(number)})
            return [np.asarray(value) for value in (record or {}).values()]

        times = medians_ms([insert, lambda n: raw.insert(str(n), items[n])], len(items))
        line(f"{durability}: insert {what}", *times)
        times = medians_ms([load, lambda n: raw.load(str(n))], len(items))
        line(f"{durability}: load {what}", *times)
        store.close()


def many(count: int) -> None:
    with tempfile.TemporaryDirectory() as name:
        raw = RawHDF5(Path(name) / "raw", "process")
        store = Hdf5ResultsDB(Path(name) / "store")
        hashes = [hashlib.sha256(str(number).encode()).hexdigest() for number in range(count)]
        items = [{**scalars(number), "unique_hash": one} for number, one in enumerate(hashes)]
        bulk = items[:BULK]
        start = time.perf_counter()
        store.insert_many(bulk, collection="p")
        middle = time.perf_counter()
        for item in bulk:
            raw.insert(item["unique_hash"], item)
        end = time.perf_counter()
        each = 1e3 / len(bulk)
        line(f"insert_many of {len(bulk)}, each", each * (middle - start), each * (end - middle))
        store.insert_many(items[BULK:], collection="p")
        times = medians_ms(
            [
                lambda n: store.find_one(collection="p", query={"unique_hash": hashes[n]}),
                lambda n: raw.load(hashes[n]),
            ],
            min(ROUNDS, len(bulk)),
        )
        line(f"find by hash among {count} (raw: open the file)", *times)
        store.close()
        (store.path / "index.sqlite").unlink()
        start = time.perf_counter()
        found = store.reindex()
        print(f"reindex: {count / (time.perf_counter() - start):.0f} files per second. {found}")
        store.close()


def main() -> None:
    count = int(sys.argv[1]) if len(sys.argv) > 1 else 100_000
    print(f"{'':<44} {'here':>12} {'raw':>12} {'ratio':>8}")
    random = np.random.default_rng(1)
    for durability in ("process", "power"):
        small_and_large(durability, "10 scalars", [scalars(number) for number in range(300)])
        for what, shape, repeats in (
            ("50x50 doubles", (50, 50), 200),
            ("1e5 doubles", (100_000,), 60),
            ("1e6 doubles", (1_000_000,), 20),
        ):
            items = [{"a": random.normal(size=shape)} for _ in range(repeats)]
            small_and_large(durability, what, items)
    many(count)


if __name__ == "__main__":
    main()
