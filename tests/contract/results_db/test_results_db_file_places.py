"""The `file` store where it may only be read, where the disk is full, and on network file systems."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest
from file_store import blob_files, execute

from lume_services.services.results.file import FileResultsDB
from lume_services.services.results.folder import sqlite

ARRAY = np.arange(400_000.0)  # three chunks and a bit


@pytest.fixture
def store(tmp_path: Path) -> Iterator[FileResultsDB]:
    with FileResultsDB(tmp_path / "store") as store:
        yield store


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
        "from lume_services.services.results.folder import sqlite\n"
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
