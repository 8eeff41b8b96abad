"""Results go from store to store, exactly, and only once."""

from datetime import UTC, datetime

import numpy as np
import pandas as pd
import pytest

from lume_services.errors import BlobCorruptError, DecodeError, ResultCorruptError
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
