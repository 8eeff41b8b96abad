"""Storing and loading results in the `hdf5` store, against h5py itself in the same run.

All write one file per result under another name and rename it; with durability "power" they flush file and
folder to the disk. "h5py" verifies nothing. "with digest" is h5py, too, and keeps a digest of each value
that is checked when it is read, as in the store. For an array in the system's cache the digest alone takes
half of the time that h5py takes to read it, so no store that verifies loads as fast as one that does not.
Nothing is asserted; run it with `python benchmarks/hdf5.py [COUNT]`: so many results are searched; the
default of 100 000 takes minutes.
"""

from __future__ import annotations

import hashlib
import os
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import h5py
import numpy as np
from common import compare, digest, heading, line, scalars

from lume_services.services.results.hdf5 import Hdf5ResultsDB

BULK = 10_000
ROUNDS = 2000


class RawHDF5:
    """What a program would do that writes a file per result by itself."""

    def __init__(self, folder: Path, durability: str, *, verified: bool = False) -> None:
        self.folder = folder
        self.folder.mkdir()
        self.verified = verified
        self.durable = durability == "power"

    def insert(self, name: str, item: dict[str, Any]) -> None:
        unfinished = self.folder / "unfinished"
        with h5py.File(unfinished, "x") as file:
            for key, value in item.items():
                file[key] = value
                if self.verified:
                    file[key].attrs["digest"] = np.void(digest(value))
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
            found = {key: file[key][()] for key in file}
            if self.verified:
                for key, value in found.items():
                    assert digest(value) == file[key].attrs["digest"].tobytes()
        return found


def small_and_large(durability: Any, what: str, items: list[dict[str, Any]]) -> None:
    with tempfile.TemporaryDirectory() as name:
        raw = RawHDF5(Path(name) / "raw", durability)
        verified = RawHDF5(Path(name) / "verified", durability, verified=True)
        store = Hdf5ResultsDB(Path(name) / "store", durability=durability)
        store.insert_one({"unique_hash": "0" * 63}, collection="p")  # makes the folders

        def insert(number: int) -> None:
            store.insert_one({**items[number], "unique_hash": f"{number:064x}"}, collection="p")

        def load(number: int) -> list[Any]:
            record = store.find_one(collection="p", query={"unique_hash": f"{number:064x}"})
            return [np.asarray(value) for value in (record or {}).values()]

        def raw_insert(number: int) -> None:
            raw.insert(str(number), items[number])

        def verified_insert(number: int) -> None:
            verified.insert(str(number), items[number])

        repeats = len(items)
        compare(f"{durability}: insert {what}", repeats, insert, raw_insert, verified_insert)
        compare(
            f"{durability}: load {what}",
            repeats,
            load,
            lambda n: raw.load(str(n)),
            lambda n: verified.load(str(n)),
        )
        store.close()


def many(count: int) -> None:
    with tempfile.TemporaryDirectory() as name:
        raw = RawHDF5(Path(name) / "raw", "process")
        store = Hdf5ResultsDB(Path(name) / "store")
        hashes = [hashlib.sha256(str(number).encode()).hexdigest() for number in range(count)]
        items = [{**scalars(number)["outputs"], "unique_hash": one} for number, one in enumerate(hashes)]
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
        compare(
            f"find by hash among {count} (raw: open the file)",
            min(ROUNDS, len(bulk)),
            lambda n: store.find_one(collection="p", query={"unique_hash": hashes[n]}),
            lambda n: raw.load(hashes[n]),
        )
        store.close()
        (store.path / "index.sqlite").unlink()
        start = time.perf_counter()
        found = store.reindex()
        print(f"reindex: {count / (time.perf_counter() - start):.0f} files per second. {found}")
        store.close()


def main() -> None:
    count = int(sys.argv[1]) if len(sys.argv) > 1 else 100_000
    print(__doc__)
    heading("h5py", "with digest")
    random = np.random.default_rng(1)
    for durability in ("process", "power"):
        small_and_large(durability, "10 scalars", [scalars(number)["outputs"] for number in range(300)])
        for what, shape, repeats in (
            ("50x50 doubles", (50, 50), 200),
            ("1e5 doubles", (100_000,), 60),
            ("1e6 doubles", (1_000_000,), 40),
        ):
            items = [{"a": random.normal(size=shape)} for _ in range(repeats)]
            small_and_large(durability, what, items)
    many(count)


if __name__ == "__main__":
    main()
