"""A disk that is full or fails: the process lives, what failed is not stored, and can be done again."""

from __future__ import annotations

import errno
import os
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from lume_services.errors import ResultsDBError
from lume_services.services.results import ResultsDB

FOLDER_STORES = ["file", "hdf5"]

# Each result is larger than the one before; what was told to be stored is printed.
FILL = """
import numpy as np
from lume_services.errors import ResultsDBError
failed = 0
for n in range(400):
    size = (n * 37) % 90 * 1000
    item = {"unique_hash": f"h{n}", "n": n, "text": "x" * (size // 20), "array": np.full(size // 8, n)}
    try:
        store.insert_one(item, collection="p")
    except ResultsDBError as error:
        assert "space" in str(error), error
        failed += 1
    else:
        print(n, flush=True)
    found = list(store.find(collection="p", fields=["n"]))  # where HDF5 ended the process
assert failed
list(store.find(collection="p"))
"""


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of 3 MiB."""
    folder = tmp_path / "small"
    folder.mkdir()
    command = ["mount", "-t", "tmpfs", "-o", "size=3m", "tmpfs", str(folder)]
    mounted = subprocess.run(command, capture_output=True, text=True, check=False)
    if mounted.returncode:
        pytest.skip(f"a small file system needs the right to mount: {mounted.stderr.strip()}")
    yield folder
    subprocess.run(["umount", "-l", str(folder)], check=True)


@pytest.fixture(params=FOLDER_STORES)
def store_settings(request: pytest.FixtureRequest, tmp_path: Path) -> dict[str, Any]:
    """The settings of a store in a folder; where a test has a small disk, on that."""
    place = tmp_path / "small" if "small_disk" in request.fixturenames else tmp_path
    return {"type": request.param, "path": str(place / "store"), "blob_threshold": 4096}


def test_a_disk_that_is_really_full(
    small_disk: Path, start_process: Callable[..., Any], open_store: Callable[[], ResultsDB]
) -> None:
    filler = small_disk / "filler"
    filler.write_bytes(b"x" * 1_000_000)
    process = start_process(FILL)
    output, _ = process.communicate(timeout=300)
    assert process.returncode == 0
    told = {int(line) for line in output.split()}
    assert told
    filler.unlink()
    store = open_store()
    records = list(store.find(collection="p"))
    assert {record["n"] for record in records} == told
    for record in records:
        assert np.array_equal(record["array"], np.full(len(record["array"]), record["n"]))
    reindexed = store.reindex()
    assert (reindexed.added, reindexed.forgotten, reindexed.damaged) == (0, 0, {})
    missing = next(n for n in range(400) if n not in told)
    record_id = store.insert_one({"unique_hash": f"h{missing}", "n": missing}, collection="p")
    assert store.count(collection="p") == len(told) + 1
    assert store.find_one(collection="p", query={"_id": record_id}) is not None


@pytest.mark.parametrize("call", ["write", "fsync"])
def test_a_disk_that_fails(
    open_store: Callable[..., ResultsDB], monkeypatch: pytest.MonkeyPatch, call: str
) -> None:
    """EIO when an array or a file is written, or flushed."""
    store = open_store(durability="power")
    store.insert_one({"n": 0, "array": np.arange(9000.0)}, collection="p")

    def fail(*_: Any) -> int:
        raise OSError(errno.EIO, os.strerror(errno.EIO))

    item = {"unique_hash": "h", "n": 1, "array": np.arange(9000.0) + 1}
    with monkeypatch.context() as patch:
        if call == "write":
            patch.setattr("lume_services.values.hdf5_sink._Sink._write", fail)
            patch.setattr("lume_services.services.results.folder.blobs.BlobFolder._write", fail)
        else:
            patch.setattr(os, "fsync", fail)
        with pytest.raises(ResultsDBError, match="Input/output error"):
            store.insert_one(item, collection="p")
    assert [record["n"] for record in store.find(collection="p")] == [0]
    assert store.reindex().removed == 0
    record_id = store.insert_one(item, collection="p")
    found = store.find_one(collection="p", query={"_id": record_id})
    assert found is not None
    assert np.array_equal(found["array"], item["array"])


def test_an_index_that_cannot_be_written(store: ResultsDB, monkeypatch: pytest.MonkeyPatch) -> None:
    """The arrays and files of an insert whose transaction failed are gone again."""
    store.insert_one({"n": 0, "array": np.arange(9000.0)}, collection="p")

    def fail(*_: Any) -> None:
        raise ResultsDBError("SQLite says: database or disk is full.")

    item = {"unique_hash": "h", "n": 1, "array": np.arange(9000.0) + 1}
    with monkeypatch.context() as patch:
        patch.setattr("lume_services.services.results.folder.tables.RecordTables.insert", fail)
        with pytest.raises(ResultsDBError, match="full"):
            store.insert_one(item, collection="p")
    reindexed = store.reindex()
    assert (reindexed.added, reindexed.removed) == (0, 0)
    assert [record["n"] for record in store.find(collection="p")] == [0]
    assert store.insert_one(item, collection="p")
    assert store.count(collection="p") == 2
