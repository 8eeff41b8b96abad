"""The `file` store when its files are damaged or foreign, and its blobs."""

from __future__ import annotations

import itertools
import os
import signal
import sqlite3
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from file_store import blob_files, execute

from lume_services.errors import (
    BlobCorruptError,
    DecodeError,
    ResultCorruptError,
    ResultNotFoundError,
    ResultsDBError,
)
from lume_services.services.results.file import FileResultsDB
from lume_services.values.lazy import LazyArray

ARRAY = np.arange(400_000.0)  # three chunks and a bit


@pytest.fixture
def store(tmp_path: Path) -> Iterator[FileResultsDB]:
    with FileResultsDB(tmp_path / "store") as store:
        yield store


# damage -------------------------------------------------------------------------------------------


def flip(path: Path, position: int) -> None:
    data = bytearray(path.read_bytes())
    data[position] ^= 1
    path.write_bytes(data)


def test_a_damaged_blob_is_an_error_never_wrong_numbers(store: FileResultsDB) -> None:
    record_id = store.insert_one({"array": ARRAY}, collection="p")
    store.insert_one({"other": ARRAY[::2]}, collection="p")
    [file] = [file for file in blob_files(store) if file.stat().st_size > ARRAY.nbytes]
    flip(file, 2 << 20)
    [record] = store.find(collection="p", query={"_id": record_id})
    assert np.array_equal(record["array"][:1000], ARRAY[:1000])  # an undamaged chunk
    for read in (lambda: np.asarray(record["array"]), lambda: record["array"][300_000]):
        with pytest.raises(BlobCorruptError, match="chunk 2") as caught:
            read()
        assert record_id in str(caught.value)
        assert str(file) in str(caught.value)
    [other] = store.find(collection="p", query={"_id": {"$ne": record_id}})
    assert np.array_equal(other["other"], ARRAY[::2])


@pytest.mark.parametrize("keep", [0, 10, 1 << 20, 3_199_999, 3_200_001])
def test_a_truncated_blob(store: FileResultsDB, keep: int) -> None:
    record_id = store.insert_one({"array": ARRAY}, collection="p")
    [file] = blob_files(store)
    os.truncate(file, keep)
    with pytest.raises(BlobCorruptError, match=record_id):
        list(store.find(collection="p"))


def test_a_blob_truncated_after_it_was_opened(store: FileResultsDB) -> None:
    store.insert_one({"array": ARRAY}, collection="p")
    [record] = store.find(collection="p")
    [file] = blob_files(store)
    os.truncate(file, 1000)
    with pytest.raises(BlobCorruptError, match="missing in part"):
        record["array"].sum()


def test_a_missing_blob_does_not_hide_the_other_records(store: FileResultsDB) -> None:
    store.insert_many([{"n": 0}, {"n": 1, "array": ARRAY}, {"n": 2}], collection="p")
    blob_files(store)[0].unlink()
    stream = store.find(collection="p")
    assert [next(stream)["n"], next(stream)["n"]] == [0, 2]
    with pytest.raises(BlobCorruptError, match="a blob is missing"):
        next(stream)
    assert [record["n"] for record in store.find(collection="p", fields=["n"])] == [0, 1, 2]


def test_storing_it_again_heals_a_truncated_blob(store: FileResultsDB) -> None:
    store.insert_one({"n": 0, "array": ARRAY}, collection="p")
    os.truncate(blob_files(store)[0], 1000)
    store.insert_one({"n": 1, "array": ARRAY}, collection="p")
    assert all(np.array_equal(record["array"], ARRAY) for record in store.find(collection="p"))


@pytest.mark.parametrize(
    "damage",
    [
        "document = replace(CAST(document AS TEXT), '\"y\":1', '\"y\":999')",  # MDB-17
        "document = substr(document, 1, 10)",
        "document = x'ff00'",
        "document = '[1]', digest = x'00'",
        "digest = x''",
    ],
)
def test_a_damaged_record_is_named_and_the_others_are_found(store: FileResultsDB, damage: str) -> None:
    ids = store.insert_many([{"n": 0}, {"n": 1, "outputs": {"y": 1}}, {"n": 2}], collection="p")
    execute(store, f"UPDATE records SET {damage} WHERE id = ?", ids[1])
    stream = store.find(collection="p")
    assert [next(stream)["n"], next(stream)["n"]] == [0, 2]
    with pytest.raises(ResultCorruptError, match=f"record {ids[1]} is damaged") as caught:
        next(stream)
    assert caught.value.ids == [ids[1]]
    assert str(store.path) in str(caught.value)
    for sort in ("n", "-date_modified"):
        with pytest.raises(ResultCorruptError):
            list(store.find(collection="p", sort=sort))
    with pytest.raises(ResultCorruptError):
        store.count(collection="p", query={"n": 0})
    with pytest.raises(ResultCorruptError):
        store.delete(collection="p", query={"n": {"$gte": 0}})
    assert store.count(collection="p") == 3
    assert list(store.reindex().damaged) == [ids[1]]
    store.configure({"p": ["n"]})
    found = store.find_one(collection="p", query={"_id": ids[2]})
    assert found is not None
    assert store.delete(collection="p", query={"_id": ids[1]}) == 1
    assert [record["n"] for record in store.find(collection="p")] == [0, 2]


def test_several_damaged_records_are_one_error(store: FileResultsDB) -> None:
    ids = store.insert_many([{"n": n} for n in range(4)], collection="p")
    execute(store, "UPDATE records SET digest = x'00' WHERE id <> ?", ids[0])
    with pytest.raises(ResultCorruptError, match="3 records cannot be read") as caught:
        list(store.find(collection="p"))
    assert caught.value.ids == ids[1:]
    assert store.delete(collection="p", query={}) == 4


def test_a_record_whose_type_is_not_known_here(store: FileResultsDB, tmp_path: Path) -> None:
    code = (
        "import sys\n"
        "from lume_services.services.results.file import FileResultsDB\n"
        "from lume_services.values import register_type\n"
        "class Odd: pass\n"
        "register_type('tests.Odd', Odd, lambda odd: {'x': 1}, lambda parts: Odd())\n"
        "print(FileResultsDB(sys.argv[1]).insert_many([{'n': 0, 'odd': Odd()}, {'n': 1}], collection='p')[0])"
    )
    run = subprocess.run([sys.executable, "-c", code, store.path], check=True, capture_output=True, text=True)
    stream = store.find(collection="p")
    assert next(stream)["n"] == 1
    with pytest.raises(DecodeError, match="'tests.Odd' is not registered") as caught:
        next(stream)
    assert run.stdout.strip() in str(caught.value)
    [record] = store.find(collection="p", query={"odd.x": 1}, fields=["n", "odd.x"])
    assert (record["n"], record["odd"]) == (0, {"x": 1})


@pytest.mark.parametrize("position", [0, 100, 3000, 5000, 9000, 20_000])
def test_a_damaged_database_never_gives_wrong_records(store: FileResultsDB, position: int) -> None:
    items = [{"n": n, "text": "x" * 500} for n in range(200)]
    store.insert_many(items, collection="p")
    store.close()
    file = store.path / "results.sqlite"
    data = bytearray(file.read_bytes())
    data[position : position + 200] = bytes(200)
    file.write_bytes(data)
    found: list[int] = []
    errors: list[str] = []
    try:
        found += [record["n"] for record in store.find(collection="p")]
    except ResultsDBError as error:
        errors.append(str(error))
    assert found == list(range(200)) or str(store.path) in errors[0]


def test_a_document_that_asks_for_a_path(store: FileResultsDB) -> None:
    """A document written by hand does not lead out of the folder."""
    with pytest.raises(BlobCorruptError, match="is not the digest of a blob"):
        store._open_blob("../results.sqlite", "x")


# what the store does not own ----------------------------------------------------------------------


def test_the_path_is_a_file(tmp_path: Path) -> None:
    path = tmp_path / "file"
    path.write_text("mine")
    for store in (FileResultsDB(path), FileResultsDB(path / "below")):
        with pytest.raises(ResultsDBError, match="is a folder that you may write in") as caught:
            store.insert_one({"a": 1}, collection="p")
        assert str(path) in str(caught.value)
    assert path.read_text() == "mine"


@pytest.mark.parametrize("content", ["not a database, but long enough to be one " * 100, None])
def test_a_foreign_file_is_left_alone(tmp_path: Path, content: str | None) -> None:
    file = tmp_path / "results.sqlite"
    if content is None:
        connection = sqlite3.connect(file)
        connection.execute("CREATE TABLE records (mine TEXT)")
        connection.close()
    else:
        file.write_text(content)
    before = file.read_bytes()
    store = FileResultsDB(tmp_path)
    for use in (lambda: store.insert_one({"a": 1}, collection="p"), store.collections):
        with pytest.raises(ResultsDBError, match="Move it away") as caught:
            use()
        assert str(file) in str(caught.value)
    assert file.read_bytes() == before


def test_another_version_of_the_format(store: FileResultsDB) -> None:
    store.insert_one({"a": 1}, collection="p")
    store.close()
    connection = sqlite3.connect(store.path / "results.sqlite")
    connection.execute("PRAGMA user_version = 2")
    connection.close()
    with pytest.raises(ResultsDBError, match="has format 2; this version of LUME-services knows format 1"):
        store.insert_one({"a": 1}, collection="p")


# blobs without a record ---------------------------------------------------------------------------


def test_reindex_removes_what_no_record_refers_to(store: FileResultsDB) -> None:
    store.insert_one({"array": ARRAY}, collection="p")
    store.insert_one({"array": ARRAY + 1}, collection="p")
    execute(store, "DELETE FROM blobs WHERE sequence = 2")
    execute(store, "DELETE FROM records WHERE sequence = 2")
    unfinished = store.path / "blobs" / "unfinished"
    for name, hours in (("old", 2), ("young", 0)):
        (unfinished / name).write_bytes(b"x")
        changed = time.time() - 3600 * hours
        os.utime(unfinished / name, (changed, changed))
    assert store.reindex().removed == 2
    assert [file.name for file in blob_files(store)][-1] == "young"
    assert len(blob_files(store)) == 2
    [record] = store.find(collection="p")
    assert np.array_equal(record["array"], ARRAY)
    assert store.reindex().removed == 0


def test_kill_9_leaves_no_blob_that_reindex_does_not_remove(store: FileResultsDB) -> None:
    for kill in range(8):
        receive, send = os.pipe()
        child = os.fork()
        if not child:
            for n in itertools.count():
                store.insert_one({"array": ARRAY + 1000 * kill + n}, collection="p")
                os.write(send, b".")
        os.read(receive, 1)
        time.sleep(kill * 0.007)
        os.kill(child, signal.SIGKILL)
        os.waitpid(child, 0)
        os.close(receive)
        os.close(send)
    for file in (store.path / "blobs" / "unfinished").iterdir():
        os.utime(file, (0, 0))
    store.reindex()
    records = list(store.find(collection="p"))
    assert len(records) >= 8
    for record in records:
        assert np.array_equal(record["array"] - record["array"][0], ARRAY)
    assert len(blob_files(store)) == len(records)


def test_reindexing_while_others_insert(store: FileResultsDB) -> None:
    stop = threading.Event()

    def keep_reindexing() -> None:
        with FileResultsDB(store.path) as other:
            while not stop.is_set():
                other.reindex()

    reindexer = threading.Thread(target=keep_reindexing)
    reindexer.start()
    try:
        for n in range(100):
            store.insert_one({"n": n, "array": ARRAY[:9000] + n}, collection="p")
    finally:
        stop.set()
        reindexer.join()
    for record in store.find(collection="p"):
        assert np.array_equal(record["array"], ARRAY[:9000] + record["n"])


def test_delete_removes_the_blobs(store: FileResultsDB) -> None:
    store.insert_one({"a": ARRAY, "b": ARRAY + 1, "c": ARRAY}, collection="p")
    assert len(blob_files(store)) == 2
    store.delete(collection="p", query={})
    assert blob_files(store) == []


def test_an_array_takes_its_own_size(store: FileResultsDB) -> None:
    """RES-15: the predecessor stored 1.56 times the size."""
    random = np.random.default_rng(1).normal(size=400_000)
    store.insert_one({"a": random}, collection="p")
    assert blob_files(store)[0].stat().st_size == random.nbytes + 4 * 32


def test_an_array_of_a_deleted_record_says_so(store: FileResultsDB) -> None:
    store.insert_one({"a": ARRAY}, collection="p")
    [record] = store.find(collection="p")
    store.delete(collection="p", query={})
    assert isinstance(record["a"], LazyArray)
    with pytest.raises(ResultNotFoundError, match="was deleted"):
        record["a"].sum()
