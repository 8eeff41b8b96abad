"""The `file` store when its folder is damaged, full, foreign or out of reach: one clear error, no more."""

from __future__ import annotations

import itertools
import os
import shutil
import signal
import sqlite3
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from lume_services.errors import BlobCorruptError, DecodeError, ResultCorruptError, ResultsDBError
from lume_services.services.results import sqlite
from lume_services.services.results.file import FileResultsDB
from lume_services.values.lazy import LazyArray

ARRAY = np.arange(400_000.0)  # three chunks and a bit


@pytest.fixture
def store(tmp_path: Path) -> Iterator[FileResultsDB]:
    with FileResultsDB(tmp_path / "store") as store:
        yield store


def blob_files(store: FileResultsDB) -> list[Path]:
    return sorted(path for path in (store.path / "blobs").rglob("*") if path.is_file())


def execute(store: FileResultsDB, statement: str, *parameters: Any) -> None:
    store.close()
    connection = sqlite3.connect(store.path / "results.sqlite")
    with connection:
        assert connection.execute(statement, parameters).rowcount
    connection.close()


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


# out of reach, full -------------------------------------------------------------------------------


def test_a_read_only_folder(open_folder: Path, in_a_child: Callable[..., str]) -> None:
    path = open_folder / "store"
    array = np.arange(9000.0)
    with FileResultsDB(path) as store:
        store.insert_one({"a": 1}, collection="p")
    for folder in (path, open_folder):
        folder.chmod(0o555)
    uses = {
        "insert": lambda: FileResultsDB(path).insert_one({"a": 2}, collection="p"),
        "insert a blob": lambda: FileResultsDB(path).insert_one({"a": array}, collection="p"),
        "new": lambda: FileResultsDB(open_folder / "new").insert_one({"a": 2}, collection="p"),
    }
    for name, use in uses.items():
        message = in_a_child(lambda use=use: use())
        assert message.startswith("ResultsDBError"), name
        assert str(open_folder) in message
        assert "write" in message
    path.chmod(0o755)
    assert FileResultsDB(path).count(collection="p") == 1


@pytest.mark.parametrize("writer", ["none", "open", "killed", "rollback journal"])
def test_a_folder_that_may_be_read_only(
    open_folder: Path, in_a_child: Callable[..., str], writer: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = open_folder / "store"
    monkeypatch.setattr(sqlite, "is_shared", lambda _: writer == "rollback journal")
    code = (
        "import sys, os\n"
        "import numpy as np\n"
        "from lume_services.services.results import sqlite\n"
        "from lume_services.services.results.file import FileResultsDB\n"
        "sqlite.is_shared = lambda _: sys.argv[2] == 'rollback journal'\n"
        "store = FileResultsDB(sys.argv[1])\n"
        "store.insert_many([{'n': n, 'array': np.arange(9000.0) + n} for n in range(5)], collection='p')\n"
        "if sys.argv[2] in ('none', 'rollback journal'): store.close()\n"
        "if sys.argv[2] == 'killed': os.kill(os.getpid(), 9)\n"
        "print('ready', flush=True)\n"
        "sys.stdin.read()\n"
    )
    with subprocess.Popen(
        [sys.executable, "-c", code, path, writer], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == ("" if writer == "killed" else "ready\n")
        for place in (*path.rglob("*"), path):
            place.chmod(0o555 if place.is_dir() else 0o444)

        def read() -> None:
            store = FileResultsDB(path)
            found = store.find(collection="p", query={"n": {"$gte": 1}}, sort="-n")
            sums = [(record["n"], float(record["array"][0])) for record in found]
            assert sums == [(n, n) for n in (4, 3, 2, 1)]
            assert store.collections() == ["p"]

        assert in_a_child(read) == ""
        message = in_a_child(lambda: FileResultsDB(path).delete(collection="p", query={"n": 1}))
        process.kill()
    assert message.startswith("ResultsDBError")
    assert str(path) in message
    assert "Ask for the permission to read and write it and its folder" in message


def test_a_reader_who_may_not_write_sees_what_others_write(
    open_folder: Path, in_a_child: Callable[..., str]
) -> None:
    path = open_folder / "store"
    with FileResultsDB(path) as store:
        store.insert_one({"n": 0}, collection="p")
    path.chmod(0o755)
    (path / "results.sqlite").chmod(0o644)
    ask, answer = os.pipe(), os.pipe()

    def read() -> None:
        with FileResultsDB(path) as reader:
            for count in (1, 2, 3):
                os.read(ask[0], 1)
                assert reader.count(collection="p") == count, count
                os.write(answer[1], b".")

    with ThreadPoolExecutor(1) as threads:
        message = threads.submit(in_a_child, read)
        for count in (1, 2, 3):
            os.write(ask[1], b".")
            assert os.read(answer[0], 1)
            with FileResultsDB(path) as writer:
                writer.insert_one({"n": count}, collection="p")
        assert message.result(timeout=30) == ""


def test_files_that_may_not_be_read(open_folder: Path, in_a_child: Callable[..., str]) -> None:
    path = open_folder / "store"
    with FileResultsDB(path) as store:
        store.insert_one({"n": 0, "array": ARRAY}, collection="p")
        store.insert_one({"n": 1}, collection="p")
    for place in (open_folder, *path.rglob("*"), path):
        place.chmod(0o777 if place.is_dir() else 0o666)
    (blob,) = blob_files(store)

    def read_others() -> None:
        found = FileResultsDB(path).find(collection="p", fields=["n"], sort="n")
        assert [record["n"] for record in found] == [0, 1]
        list(FileResultsDB(path).find(collection="p"))

    uses = {blob: read_others, path / "results.sqlite": FileResultsDB(path).collections, path: read_others}
    for place, use in uses.items():
        mode = place.stat().st_mode
        place.chmod(0)
        message = in_a_child(use)
        place.chmod(mode)
        assert message.startswith("ResultsDBError"), message
        assert str(path) in message
        assert "write" in message
    assert in_a_child(read_others) == ""


def test_an_index_that_is_gone_is_made_again(store: FileResultsDB) -> None:
    store.insert_many([{"n": n} for n in range(20)], collection="p")
    store.configure({"p": ["n"]})
    execute(store, "DELETE FROM keys")
    execute(store, "DROP INDEX records_in_time")
    assert [record["n"] for record in store.find(collection="p", sort="-date_modified")] == list(range(20))[
        ::-1
    ]
    store.reindex()
    assert [record["n"] for record in store.find(collection="p", query={"n": {"$gte": 18}})] == [18, 19]


def test_a_full_disk(open_folder: Path, in_a_child: Callable[..., str]) -> None:
    path = open_folder / "store"
    open_folder.chmod(0o777)

    def fill() -> None:
        store = FileResultsDB(path)
        for n in range(2000):
            store.insert_one({"n": n, "text": "x" * 500}, collection="p")

    message = in_a_child(fill, limit=200_000)
    assert message.startswith("ResultsDBError")
    assert str(path / "results.sqlite") in message
    assert "space" in message

    def blob() -> None:
        FileResultsDB(path).insert_one({"array": ARRAY}, collection="p")

    message = in_a_child(blob, limit=1_000_000)
    assert message.startswith("ResultsDBError")
    assert str(path / "blobs") in message
    assert "space" in message
    # What was stored before is there, and with space again all goes on.
    store = FileResultsDB(path)
    before = [record["n"] for record in store.find(collection="p")]
    assert before == list(range(len(before)))
    assert not [file for file in (path / "blobs").rglob("*") if file.is_file()]
    store.insert_one({"array": ARRAY}, collection="q")
    store.close()


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
    with pytest.raises(BlobCorruptError, match="a blob is missing"):
        record["a"].sum()


# durability and file systems ----------------------------------------------------------------------


def test_durable_to_the_loss_of_power(tmp_path: Path) -> None:
    with FileResultsDB(tmp_path, durability="power") as store:
        store.insert_one({"a": ARRAY}, collection="p")
        with store._tables.database.reading() as connection:
            assert connection.execute("PRAGMA synchronous").fetchone() == (2,)
            assert connection.execute("PRAGMA journal_mode").fetchone() == ("wal",)
    with FileResultsDB(tmp_path) as store:
        [record] = store.find(collection="p")
        assert np.array_equal(record["a"], ARRAY)


@pytest.mark.parametrize(
    ("folder", "shared"),
    [
        ("/home/me/results", False),
        ("/sdf/data/results", True),
        ("/sdf", True),
        ("/sdf/scratch/x", False),
        ("/my disk/x", True),
        ("/laptop/x", True),
        ("/", False),
    ],
)
def test_file_systems_of_several_machines_are_known(tmp_path: Path, folder: str, shared: bool) -> None:
    mounts = tmp_path / "mounts"
    mounts.write_text(
        "/dev/sda1 / ext4 rw 0 0\n"
        "server:/sdf /sdf nfs4 rw,vers=4.2 0 0\n"
        "tmpfs /sdf/scratch tmpfs rw 0 0\n"
        "lustre@o2ib:/x /my\\040disk lustre rw,flock 0 0\n"
        "sshfs#host: /laptop fuse.sshfs rw 0 0\n"
    )
    assert sqlite.is_shared(Path(folder), mounts) is shared
    assert sqlite.is_shared(Path(folder), tmp_path / "none") is False


def test_a_store_on_a_network_file_system_uses_no_shared_memory(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with FileResultsDB(tmp_path / "moved") as store:
        store.insert_one({"n": 0}, collection="p")
    monkeypatch.setattr(sqlite, "is_shared", lambda _: True)
    for name, count in (("new", 1), ("moved", 2)):
        with FileResultsDB(tmp_path / name) as one, FileResultsDB(tmp_path / name) as other:
            one.insert_one({"n": 1}, collection="p")
            assert other.count(collection="p") == count
            assert not (one.path / "results.sqlite-shm").exists()
            assert one.delete(collection="p", query={"n": 1}) == 1


def test_a_store_that_is_removed_or_replaced_while_it_is_open(store: FileResultsDB, tmp_path: Path) -> None:
    with FileResultsDB(tmp_path / "other") as other:
        other.insert_one({"b": 1}, collection="q")
    store.insert_one({"a": 1}, collection="p")
    shutil.rmtree(store.path)
    assert store.count(collection="p") == 0
    assert store.insert_one({"a": 1}, collection="p")
    shutil.rmtree(store.path)
    other.path.rename(store.path)
    assert store.collections() == ["q"]
    store.insert_one({"a": 1}, collection="p")
    (store.path / "results.sqlite").unlink()  # without the log of SQLite that belongs to it
    assert store.collections() == []
    assert store.insert_one({"a": 2}, collection="r")
    assert FileResultsDB(store.path).collections() == ["r"]
