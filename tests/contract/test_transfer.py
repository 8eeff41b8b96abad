"""Results go from store to store, exactly, and only once."""

import os
from datetime import UTC, datetime

import h5py
import numpy as np
import pandas as pd
import pytest

from lume_services.errors import BlobCorruptError, DecodeError, ResultCorruptError, SerializationError
from lume_services.files import HDF5File
from lume_services.results import Result, copy_results, export_results, import_results, transfer
from lume_services.services.results import ResultsDBService
from lume_services.services.results.file import FileResultsDB
from lume_services.values import fingerprint


@pytest.fixture
def stores(tmp_path):
    opened = [FileResultsDB(tmp_path / name) for name in ("a", "b")]
    yield [ResultsDBService(lambda store=store: store) for store in opened]
    for store in opened:
        store.close()


def fill(service, count=5):
    for number in range(count):
        Result(
            project_name="p",
            inputs={"n": number, "X:Y.VAL": (1, 2)},
            outputs={
                "big": np.full((200, 100), number, "f8"),
                "table": pd.DataFrame({"x": [1.5, number]}),
                "when": datetime(2026, 1, 1, tzinfo=UTC),
            },
        ).insert(service)


def content(service):
    records = service.find(collection="p", sort="inputs.n")
    return [fingerprint({key: value for key, value in record.items() if key != "_id"}) for record in records]


def test_copy_is_exact_and_resumed_by_doing_it_again(stores):
    source, target = stores
    fill(source)
    seen = []
    first = copy_results(source, target, "p", {"inputs.n": {"$lt": 2}})
    second = copy_results(source, target, "p", advance=seen.append)
    assert (first.copied, first.present) == (2, 0)
    assert (second.copied, second.present) == (3, 2)
    assert sum(seen) == 5
    assert content(target) == content(source)


def test_by_way_of_an_export(stores, tmp_path):
    source, target = stores
    fill(source)
    export_results(source.find(collection="p"), tmp_path / "out.h5")
    (first,) = import_results(tmp_path / "out.h5", target)
    (again,) = import_results(tmp_path / "out.h5", target)
    assert (first.copied, first.present) == (5, 0)
    assert (again.copied, again.present) == (0, 5)
    assert content(target) == content(source)


def test_what_is_no_export_is_refused(stores, tmp_path, lume_context):
    HDF5File(filename=tmp_path / "other.h5").write({"a": {"x": 1}})
    with pytest.raises(DecodeError, match="no exported result"):
        import_results(tmp_path / "other.h5", stores[1])


def test_a_target_that_changes_what_it_stores_is_noticed(stores):
    source, _ = stores
    fill(source, 1)

    class Forgetful:
        def insert_many(self, items, **_):
            self.items = list(items)

        def find(self, **_):
            return iter([{"_id": "id", "unique_hash": item["unique_hash"]} for item in self.items])

        items = ()

    with pytest.raises(ResultCorruptError, match="reads back otherwise"):
        copy_results(source, Forgetful(), "p")


def test_many_are_copied_in_batches_of_bounded_size(stores, monkeypatch):
    source, target = stores
    fill(source, 7)
    monkeypatch.setattr(transfer, "_BATCH_BYTES", 2 * 160_000)
    seen = []
    copy_results(source, target, "p", advance=seen.append)
    assert seen == [2, 2, 2, 1]
    assert content(target) == content(source)


@pytest.mark.parametrize("damage", [b"", b"\xff"])
def test_a_result_that_cannot_be_read_does_not_hide_the_others(stores, damage):
    source, target = stores
    fill(source, 3)
    blob = next(source._results_db().path.glob("blobs/??/*"))
    blob.write_bytes(damage + blob.read_bytes()[1:] if damage else b"")
    with pytest.raises(BlobCorruptError, match=blob.name):
        copy_results(source, target, "p")
    assert len(content(target)) == 2


def forge(path, change):
    """Change the one record of an HDF5 export."""
    with h5py.File(path, "r+") as file:
        [record] = file.values()
        change(record)


def replaced(name, value):
    def change(record):
        del record[name]
        record[name] = value

    return change


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (replaced("unique_hash", "0" * 64), "its content gives"),
        (replaced("outputs/y", 8.0), "its content gives"),
        (replaced("flow_id", "another"), "its content gives"),
        (replaced("unique_on", "inputs"), "cannot be checked: its unique_on is not a list of names"),
        (lambda record: record.pop("unique_on"), "cannot be checked: its unique_on is not a list"),
        (lambda record: record.pop("outputs"), "cannot be checked: unique_on names 'outputs'"),
        (lambda record: record.pop("result_type_string"), "its content gives"),
    ],
)
def test_a_forged_hash_does_not_hide_an_honest_result(stores, tmp_path, change, message):
    """The content must give the hash, as it does in JSON; the message names file and record."""
    source, target = stores
    honest = Result(project_name="p", inputs={"x": 1}, outputs={"y": 7.0}, flow_id="f")
    honest.insert(source)
    path = tmp_path / "out.h5"
    export_results(source.find(collection="p"), path)
    forge(path, change)
    with pytest.raises(DecodeError, match=message) as caught:
        import_results(path, target)
    assert str(path) in str(caught.value)
    assert content(target) == []
    honest.insert(target)
    assert Result.load_from_query("p", {}, target).outputs == {"y": 7.0}


def test_unique_on_may_name_any_part(stores, tmp_path):
    source, target = stores
    names = ["outputs.a.b", "provenance", "date_modified", "inputs.X:Y\\.VAL"]
    Result(
        project_name="p",
        inputs={"X:Y.VAL": (1, np.float32(2))},
        outputs={"a": {"b": {1, 2}}},
        unique_on=names,
    ).insert(source)
    export_results(source.find(collection="p"), tmp_path / "out.h5")
    assert [done.copied for done in import_results(tmp_path / "out.h5", target)] == [1]
    assert content(target) == content(source)


def test_items_that_are_no_results_come_with_their_own_fingerprint(stores, tmp_path):
    source, target = stores
    source.insert_one({"project_name": "p", "x": 1}, collection="p")
    export_results(source.find(collection="p"), tmp_path / "out.h5")
    assert [done.copied for done in import_results(tmp_path / "out.h5", target)] == [1]
    source.insert_one({"project_name": "p", "x": 2, "unique_hash": "mine"}, collection="p")
    export_results(source.find(collection="p"), tmp_path / "mine.h5")
    with pytest.raises(DecodeError, match="its unique_hash is 'mine', but its content gives"):
        import_results(tmp_path / "mine.h5", target)


def test_a_forged_hash_is_not_copied_from_another_store(stores):
    source, target = stores
    record = Result(project_name="p", inputs={"x": 1}).as_record()
    source.insert_one({**record, "unique_hash": "0" * 64}, collection="p")
    with pytest.raises(ResultCorruptError, match="gives another hash"):
        copy_results(source, target, "p")
    assert content(target) == []


def test_only_a_regular_file_is_imported(stores, tmp_path):
    os.mkfifo(tmp_path / "out.h5")
    for path, file_format in ((tmp_path / "out.h5", None), ("/dev/zero", "json"), (tmp_path, "hdf5")):
        with pytest.raises(SerializationError, match="not a regular file"):
            import_results(path, stores[1], file_format=file_format)


@pytest.mark.parametrize("digits", [20, 4_301, 20_000])
def test_an_int_of_any_length_is_kept_exactly(stores, tmp_path, digits):
    source, target = stores
    number = 10**digits + 7
    Result(project_name="p", inputs={"n": number}).insert(source)
    [found] = source.find(collection="p")
    assert found["inputs"]["n"] == number
    export_results(source.find(collection="p"), tmp_path / "out.h5")
    import_results(tmp_path / "out.h5", target)
    assert content(target) == content(source)
