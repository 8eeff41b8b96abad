"""The `hdf5` store: files that stand alone, and an index made from them."""

from __future__ import annotations

import logging
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pandas as pd
import pytest

from lume_services.errors import BlobCorruptError, ResultCorruptError, ResultNotFoundError, ResultsDBError
from lume_services.services.results.hdf5 import Hdf5ResultsDB
from lume_services.services.results.hdf5.record import Storage, write_record
from lume_services.services.results.record import Record
from lume_services.values.lazy import LazyArray

ARRAY = np.arange(400_000.0)  # three chunks and a bit


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Hdf5ResultsDB]:
    with Hdf5ResultsDB(tmp_path / "store") as store:
        yield store


def files(store: Hdf5ResultsDB) -> list[Path]:
    """The files in the order of insertion."""
    return sorted(store.path.glob("*/*/*.h5"), key=lambda file: file.stat().st_mtime_ns)


def numbers(store: Hdf5ResultsDB) -> list[int]:
    return [record["n"] for record in store.find(collection="p")]


# files that stand alone ---------------------------------------------------------------------------


def test_a_file_is_read_with_h5py_alone(store: Hdf5ResultsDB) -> None:
    item = {
        "inputs": {"QUAD:LI20:X.VAL": 1.5, "name": "émittance", "steps": [1, 2, 3], "on": True},
        "outputs": {"image": ARRAY.reshape(1000, 400), "y": np.float32(0.5), "z": 3 + 4j},
    }
    table = pd.DataFrame({"x": [1.0, 2.0]})
    record_id = store.insert_one({**item, "table": table, "unique_hash": "abcd"}, collection="my project")
    code = (
        "import sys, h5py\n"
        "with h5py.File(sys.argv[1]) as file:\n"
        "    print(file.attrs['lume_id'].decode(), file.attrs['lume_collection'].decode())\n"
        "    print(file['inputs/QUAD:LI20:X.VAL'][()], file['inputs/name'][()].decode(), "
        "file['inputs/steps'][()])\n"
        "    print(file['outputs/image'].shape, file['outputs/image'][2, 3], file['outputs/y'][()])\n"
        "    print(sorted(file['outputs/z']), file['outputs/z'].attrs['lume_kind'].decode(), list(file))\n"
        "print('lume_services' in sys.modules)\n"
    )
    [file] = files(store)
    assert file == store.path / "my%20project" / "ab" / "abcd.h5"
    run = subprocess.run([sys.executable, "-c", code, file], check=True, capture_output=True, text=True)
    assert run.stdout.splitlines() == [
        f"{record_id} my project",
        "1.5 émittance [1 2 3]",
        "(1000, 400) 803.0 0.5",
        "['imag', 'real'] complex ['inputs', 'outputs', '%checksums', 'table', 'unique_hash']",
        "False",
    ]


@pytest.mark.parametrize(
    ("settings", "compression", "chunks"),
    [
        ({}, None, None),
        ({"chunk_bytes": 32_000}, None, (10, 400)),
        ({"compression": "gzip"}, "gzip", (327, 400)),
        ({"compression": "gzip", "compression_level": 9, "shuffle": True}, "gzip", (327, 400)),
        ({"compression": "lzf", "chunk_bytes": 3200}, "lzf", (1, 400)),
        ({"chunk_bytes": 800}, None, (1, 100)),
    ],
)
def test_compression_and_chunks(
    tmp_path: Path, settings: dict[str, Any], compression: str | None, chunks: tuple[int, ...] | None
) -> None:
    image = ARRAY.reshape(1000, 400)
    with Hdf5ResultsDB(tmp_path, **settings) as store:
        store.insert_one({"image": image, "bytes": bytes(100_000), "scalar": 1}, collection="p")
        [file] = files(store)
        with h5py.File(file) as stored:
            dataset = stored["image"]
            assert (dataset.compression, dataset.chunks) == (compression, chunks)
            assert dataset.shuffle == settings.get("shuffle", False)
            if compression == "gzip":
                assert dataset.compression_opts == settings.get("compression_level", 4)
        if compression:
            assert file.stat().st_size < image.nbytes / 1.5
        [record] = store.find(collection="p")
        assert np.array_equal(record["image"][123:456, 7], image[123:456, 7])
        assert not record["image"].loaded
        assert np.array_equal(record["image"], image)
        assert record["bytes"] == bytes(100_000)


def test_durable_to_the_loss_of_power(tmp_path: Path) -> None:
    with Hdf5ResultsDB(tmp_path, durability="power") as store:
        store.insert_one({"a": ARRAY}, collection="p")
        with store._index.database.reading() as connection:
            assert connection.execute("PRAGMA synchronous").fetchone() == (2,)
        assert store.delete(collection="p", query={}) == 1


# the index ----------------------------------------------------------------------------------------


def test_an_index_that_is_gone_is_made_from_the_files(
    store: Hdf5ResultsDB, caplog: pytest.LogCaptureFixture
) -> None:
    ids = store.insert_many(({"n": n, "array": ARRAY + n} for n in range(3)), collection="p")
    store.insert_one({"odd": pd.Timestamp("2024-01-31")}, collection="name with / and %")
    before = list(store.find(collection="name with / and %"))
    store.close()
    (store.path / "index.sqlite").unlink()
    with Hdf5ResultsDB(store.path) as other, caplog.at_level(logging.WARNING):
        found = list(other.find(collection="p"))
        assert "is gone. It is made anew from 4 files" in caplog.text
        assert [record["_id"] for record in found] == ids
        assert all(np.array_equal(record["array"], ARRAY + record["n"]) for record in found)
        assert other.collections() == ["name with / and %", "p"]
        assert list(other.find(collection="name with / and %")) == before
        assert other.insert_one({"n": 1, "array": ARRAY + 1}, collection="p") == ids[1]
    assert store.count(collection="p") == 3  # the one that was open sees the new index
    store.configure({"p": ["n"]})
    (store.path / "index.sqlite").unlink()
    reindexed = store.reindex()
    assert (reindexed.added, reindexed.forgotten, reindexed.removed, reindexed.damaged) == (4, 0, 0, {})
    assert str(reindexed).startswith("4 results added to the index")


@pytest.mark.parametrize("start", [0, 4000])
def test_a_damaged_index_is_made_anew(store: Hdf5ResultsDB, start: int) -> None:
    store.insert_many(({"n": n, "text": "x" * 500} for n in range(100)), collection="p")
    store.close()
    index = store.path / "index.sqlite"
    data = bytearray(index.read_bytes())
    data[start : start + 20_000] = os.urandom(20_000)
    index.write_bytes(data)
    with pytest.raises(ResultsDBError, match="Move it away" if start == 0 else "Call reindex") as caught:
        numbers(store)
    assert str(index) in str(caught.value)
    assert store.reindex().added == 100
    assert numbers(store) == list(range(100))
    assert (store.path / "index.sqlite.damaged").exists()


def test_files_that_come_and_go(store: Hdf5ResultsDB, tmp_path: Path) -> None:
    with Hdf5ResultsDB(tmp_path / "other") as other:
        id_before = other.insert_one({"n": 5}, collection="p")
        other.insert_one({"n": 6, "array": ARRAY}, collection="q")
    store.insert_many(({"n": n} for n in range(3)), collection="p")
    files(store)[1].unlink()
    assert numbers(store) == [0, 2]
    assert store.count(collection="p") == 2
    shutil.copytree(tmp_path / "other", store.path, dirs_exist_ok=True, ignore=lambda *_: ["index.sqlite"])
    unfinished = store.path / ".unfinished"
    for name, hours in (("old.h5", 2), ("young.h5", 0)):
        (unfinished / name).write_bytes(b"x")
        changed = time.time() - 3600 * hours
        os.utime(unfinished / name, (changed, changed))
    reindexed = store.reindex()
    assert (reindexed.added, reindexed.forgotten, reindexed.removed) == (2, 1, 1)
    assert numbers(store) == [0, 2, 5]
    assert [file.name for file in unfinished.iterdir()] == ["young.h5"]
    assert store.insert_one({"n": 5}, collection="p") == id_before
    [record] = store.find(collection="q")
    assert np.array_equal(record["array"], ARRAY)
    assert store.reindex() == type(reindexed)()
    for file in files(store):
        file.unlink()
    assert store.collections() == []


def test_a_deleted_file_can_be_inserted_again(store: Hdf5ResultsDB) -> None:
    first = store.insert_one({"n": 0}, collection="p")
    files(store)[0].unlink()
    again = store.insert_one({"n": 0}, collection="p")
    assert again != first
    assert numbers(store) == [0]


def test_a_writer_killed_before_it_told_the_index(store: Hdf5ResultsDB) -> None:
    """Its file is whole: the same result gets the id that is in it."""
    store.insert_one({"n": 0}, collection="p")
    unfinished = store.path / ".unfinished" / "a.h5"
    record = Record.of({"n": 1}, "b" * 64, threshold=1000)
    write_record(unfinished, record, "p", Storage())
    assert store._folder.link(unfinished, store._folder.name("p", record.unique_hash))
    assert numbers(store) == [0]
    items = [{"n": 2}, {"n": 1, "unique_hash": record.unique_hash}]
    assert store.insert_many(items, collection="p")[1] == record.id
    assert sorted(numbers(store)) == [0, 1, 2]


def test_a_file_that_was_touched_or_copied_is_read_again(store: Hdf5ResultsDB) -> None:
    store.insert_many([{"n": 0}, {"n": 1}], collection="p")
    os.utime(files(store)[0])
    assert numbers(store) == [0, 1]
    assert store.insert_one({"n": 0}, collection="p")
    assert store.count(collection="p") == 2


def test_a_file_in_the_place_of_another(store: Hdf5ResultsDB) -> None:
    ids = store.insert_many([{"n": 0}, {"n": 1}, {"n": 2}], collection="p")
    one, other, _ = files(store)
    shutil.copy(one, other)
    with pytest.raises(ResultCorruptError, match="holds another result"):
        numbers(store)
    [(place, message)] = store.reindex().damaged.items()
    assert place == str(other)
    assert "does not lie in its place" in message
    assert store.delete(collection="p", query={"_id": ids[1]}) == 1
    assert numbers(store) == [0, 2]


def test_two_files_of_the_same_id(store: Hdf5ResultsDB) -> None:
    record = Record.of({"n": 1}, "b" * 64, threshold=1000)
    for unique_hash in ("b" * 64, "c" * 64):
        changed = Record(**{**vars(Record.of({"n": 1}, unique_hash, threshold=1000)), "id": record.id})
        path = store.path / f"p/{unique_hash[:2]}/{unique_hash}.h5"
        path.parent.mkdir(parents=True)
        write_record(path, changed, "p", Storage())
    reindexed = store.reindex()
    assert reindexed.added == 1
    [message] = reindexed.damaged.values()
    assert f"its id {record.id} is that of the file" in message
    assert numbers(store) == [1]


# arrays -------------------------------------------------------------------------------------------


@pytest.mark.parametrize("settings", [{}, {"compression": "lzf"}])
def test_a_changed_array_is_an_error_never_wrong_numbers(tmp_path: Path, settings: dict[str, Any]) -> None:
    with Hdf5ResultsDB(tmp_path, **settings) as store:
        record_id = store.insert_one({"array": ARRAY}, collection="p")
        [file] = files(store)
        [before] = store.find(collection="p")
        with h5py.File(file, "r+") as stored:
            stored["array"][300_000] = -1.0
        [after] = store.find(collection="p")
        for record in (before, after):
            assert isinstance(record["array"], LazyArray)
            assert np.array_equal(record["array"][:1000], ARRAY[:1000])  # an undamaged chunk
            for read in (lambda r=record: np.asarray(r["array"]), lambda r=record: r["array"][300_000]):
                with pytest.raises(BlobCorruptError, match="chunk 2") as caught:
                    read()
                assert record_id in str(caught.value)
                assert str(file) in str(caught.value)


def test_a_file_damaged_after_its_array_was_found(store: Hdf5ResultsDB) -> None:
    store.insert_one({"array": ARRAY}, collection="p")
    [record] = store.find(collection="p")
    os.truncate(files(store)[0], 1_000_000)
    with pytest.raises(BlobCorruptError, match="missing in part"):
        record["array"].sum()
    files(store)[0].unlink()
    with pytest.raises(ResultNotFoundError, match="was deleted"):
        record["array"].sum()


def test_an_array_of_a_deleted_record_says_so(store: Hdf5ResultsDB) -> None:
    store.insert_one({"a": ARRAY}, collection="p")
    [record] = store.find(collection="p")
    store.delete(collection="p", query={})
    with pytest.raises(ResultNotFoundError, match="was deleted"):
        record["a"].sum()
