"""The `hdf5` store: files that stand alone, an index made from them, and files that must not be trusted."""

from __future__ import annotations

import logging
import os
import shutil
import sqlite3
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pandas as pd
import pytest

from lume_services.errors import BlobCorruptError, DecodeError, ResultCorruptError, ResultsDBError
from lume_services.services.results.hdf5 import Hdf5ResultsDB
from lume_services.services.results.hdf5_record import Storage, write_record
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
    with pytest.raises(BlobCorruptError, match="the file of the record is missing"):
        record["array"].sum()


def test_an_array_of_a_deleted_record_says_so(store: Hdf5ResultsDB) -> None:
    store.insert_one({"a": ARRAY}, collection="p")
    [record] = store.find(collection="p")
    store.delete(collection="p", query={})
    with pytest.raises(BlobCorruptError, match="is missing"):
        record["a"].sum()


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
    "lazy bomb": (_edit(_lazy_bomb), "claim to be 1099511627776"),
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
