"""The `hdf5` store: files that must not be trusted, are foreign or out of reach."""

from __future__ import annotations

import os
import sqlite3
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest

from lume_services.errors import BlobCorruptError, DecodeError, ResultCorruptError, ResultsDBError
from lume_services.services.results.hdf5 import Hdf5ResultsDB
from lume_services.services.results.hdf5.record import Storage, write_record
from lume_services.services.results.record import Record

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


# what is not trusted ------------------------------------------------------------------------------


def _edit(change: Callable[[h5py.File], Any]) -> Callable[[Path], None]:
    def poison(path: Path) -> None:
        with h5py.File(path, "r+") as file:
            change(file)

    return poison


def _replace(name: str, value: Any) -> Callable[[Path], None]:
    def change(file: h5py.File) -> None:
        del file[name]
        file[name] = value

    return _edit(change)


def _foreign(path: Path) -> None:
    path.unlink()
    with h5py.File(path, "x") as file:
        file["mine"] = 1


def _external_storage(file: h5py.File) -> None:
    file.create_dataset("stolen", (8,), np.uint8, external=[("/etc/hostname", 0, 8)])


def _virtual(file: h5py.File) -> None:
    layout = h5py.VirtualLayout((8,), np.uint8)
    layout[:] = h5py.VirtualSource("/etc/hostname", "x", (8,))
    file.create_virtual_dataset("stolen", layout)


def _objects(file: h5py.File) -> None:
    file.create_dataset("objects", (2,), h5py.vlen_dtype(np.int32))


def _long_texts(file: h5py.File) -> None:
    file.create_dataset("texts", data=["x" * 1000] * 10, dtype=h5py.string_dtype())


def _bomb(file: h5py.File) -> None:
    file.create_dataset("bomb", (1 << 27,), np.uint8, chunks=(1 << 20,), compression="gzip")


def _lazy_bomb(file: h5py.File) -> None:
    bomb = file.create_dataset("bomb", (1 << 40,), np.uint8, chunks=(1 << 20,), compression="gzip")
    bomb.attrs["lume_digest"] = "0" * 64


def _deep(file: h5py.File) -> None:
    group = file
    for _ in range(1000):
        group = group.create_group("a")


def _loop(file: h5py.File) -> None:
    file["outputs/again"] = file["outputs"]


def _named_type(file: h5py.File) -> None:
    file["type"] = np.dtype("f8")


POISONS: dict[str, tuple[Callable[[Path], Any], str]] = {
    "text": (lambda path: path.write_text("not HDF5"), "HDF5 says"),
    "empty": (lambda path: path.write_bytes(b""), "HDF5 says"),
    "truncated": (lambda path: os.truncate(path, path.stat().st_size // 2), "HDF5 says"),
    "foreign": (_foreign, "not a result of LUME-services"),
    "newer": (_edit(lambda file: file.attrs.modify("lume_format", "result 2")), "has format 'result 2'"),
    "other id": (_edit(lambda file: file.attrs.modify("lume_id", "x")), "does not match its digest"),
    "changed value": (_replace("n", 99), "does not match its digest"),
    "other collection": (_edit(lambda file: file.attrs.modify("lume_collection", "q")), "does not match its"),
    "another member": (_replace("n", np.zeros(3)), "does not match its digest"),
    "no digest": (_edit(lambda file: file.attrs.pop("lume_digest")), "does not match its digest"),
    "external link": (_replace("outputs", h5py.ExternalLink("/etc/hostname", "/")), "a link that leads"),
    "soft link": (_replace("n", h5py.SoftLink("/outputs")), "a link that leads"),
    "external data": (_edit(_external_storage), "lie in another file"),
    "virtual data": (_edit(_virtual), "lie in another file"),
    "objects": (_edit(_objects), "elements of type object"),
    "texts elsewhere": (_edit(_long_texts), "elements of type object"),
    "bomb": (_edit(_bomb), "larger than the file"),
    "lazy bomb": (_edit(_lazy_bomb), "claims to be 1099511627776"),
    "deep": (_edit(_deep), "nested more than"),
    "loop": (_edit(_loop), "contains itself"),
    "named type": (_edit(_named_type), "neither a group nor a dataset"),
    "a list with holes": (
        _edit(lambda file: file["outputs"].attrs.create("lume_kind", "list")),
        "not laid out as a result",
    ),
}


@pytest.mark.parametrize("poison", POISONS)
def test_a_poisoned_file_is_named_and_the_others_are_found(store: Hdf5ResultsDB, poison: str) -> None:
    items = [{"n": n, "outputs": {"y": [n, "a"], "array": ARRAY + n}} for n in range(3)]
    ids = store.insert_many(items, collection="p")
    path = files(store)[1]
    change, message = POISONS[poison]
    change(path)
    stream = store.find(collection="p")
    assert [next(stream)["n"], next(stream)["n"]] == [0, 2]
    with pytest.raises(ResultCorruptError, match=message) as caught:
        next(stream)
    assert caught.value.ids == [ids[1]]
    assert str(path) in str(caught.value)
    with pytest.raises(ResultCorruptError, match=message) as caught:
        store.insert_one(items[1], collection="p")
    assert str(path) in str(caught.value)
    damaged = store.reindex().damaged
    assert list(damaged) == [str(path)]
    store.close()
    (store.path / "index.sqlite").unlink()
    assert numbers(store) == [0, 2]
    path.rename(store.path / "elsewhere")
    assert store.insert_one(items[1], collection="p") != ids[1]
    assert sorted(numbers(store)) == [0, 1, 2]


def test_a_poisoned_array(store: Hdf5ResultsDB) -> None:
    """The parts that are read with the array only."""

    def no_checksums(file: h5py.File) -> None:
        del file["%checksums"]

    def checksums_elsewhere(file: h5py.File) -> None:
        del file["%checksums"]
        file["%checksums"] = h5py.ExternalLink("/etc/hostname", "/")

    def other_array(file: h5py.File) -> None:
        [checksums] = file["%checksums"].values()
        checksums.attrs["array"] = file["n"].ref

    def no_reference(file: h5py.File) -> None:
        [checksums] = file["%checksums"].values()
        checksums.attrs["array"] = "array"

    for n, change in enumerate([no_checksums, checksums_elsewhere, other_array, no_reference]):
        store.insert_one({"n": n, "array": ARRAY}, collection="p")
        path = files(store)[-1]
        _edit(change)(path)
        assert [record["n"] for record in store.find(collection="p", fields=["n"])] == [n]
        with pytest.raises(BlobCorruptError) as caught:
            list(store.find(collection="p"))
        assert str(path) in str(caught.value)
        store.delete(collection="p", query={})


def test_a_type_that_is_not_registered_is_not_imported(store: Hdf5ResultsDB, tmp_path: Path) -> None:
    """A file whose digest is right, but which asks for code."""
    store.insert_one({"n": 0}, collection="p")
    record = Record.of({"n": 1}, "b" * 64, threshold=1000)
    mark = tmp_path / "mark"
    document = {**record.document, "x": {"$type": "os.system", "value": f"touch {mark}"}}
    poisoned = Record.of({"n": 1, "x": {}}, "b" * 64, threshold=1000)
    from lume_services.values.document import dumps

    text = dumps(document).encode()
    path = store._folder.file(store._folder.name("p", "b" * 64))
    path.parent.mkdir(parents=True)
    changed = Record(**{**vars(poisoned), "document": document, "text": text})
    write_record(path, changed, "p", Storage())
    assert store.reindex().added == 1
    with pytest.raises(DecodeError, match=r"'os\.system' is not registered"):
        numbers(store)
    assert [record["n"] for record in store.find(collection="p", fields=["n"])] == [0, 1]
    assert not mark.exists()


# what the store does not own, out of reach, full --------------------------------------------------


def test_the_path_is_a_file(tmp_path: Path) -> None:
    path = tmp_path / "file"
    path.write_text("mine")
    for store in (Hdf5ResultsDB(path), Hdf5ResultsDB(path / "below")):
        for use in (lambda s=store: s.insert_one({"a": 1}, collection="p"), store.collections, store.reindex):
            with pytest.raises(ResultsDBError, match="is a folder that you may write in") as caught:
                use()
            assert str(path) in str(caught.value)
    assert path.read_text() == "mine"


def test_a_foreign_index_is_left_alone(tmp_path: Path) -> None:
    connection = sqlite3.connect(tmp_path / "index.sqlite")
    connection.execute("CREATE TABLE records (mine TEXT)")
    connection.close()
    before = (tmp_path / "index.sqlite").read_bytes()
    store = Hdf5ResultsDB(tmp_path)
    for use in (lambda: store.insert_one({"a": 1}, collection="p"), store.collections, store.reindex):
        with pytest.raises(ResultsDBError, match="Move it away"):
            use()
    assert (tmp_path / "index.sqlite").read_bytes() == before


def test_another_version_of_the_index(store: Hdf5ResultsDB) -> None:
    store.insert_one({"n": 1}, collection="p")
    store.close()
    connection = sqlite3.connect(store.path / "index.sqlite")
    connection.execute("PRAGMA user_version = 2")
    connection.close()
    with pytest.raises(ResultsDBError, match="has format 2; this version of LUME-services knows format 1"):
        numbers(store)


def test_a_read_only_folder(open_folder: Path, in_a_child: Callable[..., str]) -> None:
    path = open_folder / "store"
    with Hdf5ResultsDB(path) as store:
        store.insert_one({"n": 1, "array": ARRAY}, collection="p")
    for folder in (*path.rglob("*"), path, open_folder):
        if folder.is_dir():
            folder.chmod(0o555)
    uses = {
        "insert": lambda: Hdf5ResultsDB(path).insert_one({"n": 2}, collection="p"),
        "new": lambda: Hdf5ResultsDB(open_folder / "new").insert_one({"n": 2}, collection="p"),
        "delete": lambda: Hdf5ResultsDB(path).delete(collection="p", query={}),
        "reindex": lambda: Hdf5ResultsDB(path).reindex(),
    }
    for name, use in uses.items():
        message = in_a_child(use)
        assert message.startswith("ResultsDBError"), (name, message)
        assert str(open_folder) in message
        assert "write" in message
    path.chmod(0o755)
    assert Hdf5ResultsDB(path).count(collection="p") == 1


def test_a_file_that_may_not_be_read(open_folder: Path, in_a_child: Callable[..., str]) -> None:
    path = open_folder / "store"
    with Hdf5ResultsDB(path) as store:
        store.insert_many([{"n": 0}, {"n": 1, "array": ARRAY}], collection="p")
        secret = files(store)[1]
    for folder in (path, *path.rglob("*")):
        folder.chmod(0o777)
    secret.chmod(0)
    message = in_a_child(lambda: list(Hdf5ResultsDB(path).find(collection="p")))
    assert str(secret) in message
    assert "Permission denied" in message
    assert in_a_child(lambda: list(Hdf5ResultsDB(path).find(collection="p", fields=["n"]))) == ""


def test_a_full_disk(open_folder: Path, in_a_child: Callable[..., str]) -> None:
    path = open_folder / "store"
    open_folder.chmod(0o777)

    def fill() -> None:
        store = Hdf5ResultsDB(path)
        for n in range(2000):
            store.insert_one({"n": n, "text": "x" * 500}, collection="p")

    message = in_a_child(fill, limit=200_000)
    assert message.startswith("ResultsDBError")
    assert str(path / "index.sqlite") in message
    assert "space" in message

    def array() -> None:
        Hdf5ResultsDB(path).insert_one({"array": ARRAY}, collection="p")

    message = in_a_child(array, limit=1_000_000)
    assert message.startswith("ResultsDBError")
    assert str(path / ".unfinished") in message
    assert "space" in message
    # What was stored before is there, and with space again all goes on.
    store = Hdf5ResultsDB(path)
    before = numbers(store)
    assert before == list(range(len(before)))
    assert not list((path / ".unfinished").iterdir())
    reindexed = store.reindex()
    assert reindexed.added <= 1  # the last, whose file was there
    assert reindexed.damaged == {}
    store.insert_one({"array": ARRAY}, collection="q")
    store.close()
