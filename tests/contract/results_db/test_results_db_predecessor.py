"""Results that the predecessor has kept in MongoDB are read in place, and copied to any store."""

from __future__ import annotations

import hashlib
import json
import os
import pickle
import subprocess
import sys
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import servers_mongodb
from bson import Binary, Code, ObjectId
from pymongo import MongoClient
from pymongo.database import Database

from lume_services.config import build_context
from lume_services.errors import QueryError, ResultCorruptError, ResultsDBError, StoreUnavailableError
from lume_services.files import HDF5File, ImageFile
from lume_services.results import ImpactResult, Result, copy_results
from lume_services.services.results import ResultsDBService
from lume_services.services.results.file import FileResultsDB
from lume_services.services.results.predecessor import PredecessorResultsDB
from lume_services.values import fingerprint

NOON = datetime(2023, 5, 4, 12, 0, 0, 123000, tzinfo=UTC)
IMAGE = np.arange(12.0).reshape(3, 4)
TABLE = pd.DataFrame({"x": [1.5, 2.5]})


def as_stored(values: dict[str, Any]) -> dict[str, Any]:
    """Return values as the predecessor made them fit for BSON."""
    found: dict[str, Any] = {}
    for key, value in values.items():
        if isinstance(value, np.ndarray):
            found[key] = Binary(pickle.dumps(value, protocol=2))
        elif isinstance(value, pd.DataFrame):
            found[key] = value.to_json()
        else:
            found[key] = as_stored(value) if isinstance(value, dict) else value
    return found


def old_result(**changed: Any) -> dict[str, Any]:
    """Return a document as the predecessor's `Result.insert` stored it."""
    document = {
        "flow_id": "9f8c1c1e-flow",
        "inputs": {"SOLN:IN20:121:BDES": 0.45, "mode": "fast", "distribution": IMAGE},
        "outputs": {"sigma_x": 1.5, "image": np.asfortranarray(IMAGE), "table": TABLE, "list": [1, 2.5]},
        "date_modified": NOON.replace(tzinfo=None),
        "result_type_string": "lume_services.results.generic.Result",
        **changed,
    }
    stored = as_stored(document)
    return {**stored, "unique_hash": hashlib.md5(repr(stored).encode()).hexdigest()}


@pytest.fixture
def settings() -> dict[str, Any]:
    return {**servers_mongodb.settings(), "type": "predecessor"}


@pytest.fixture
def database(settings: dict[str, Any]) -> Iterator[Database[dict[str, Any]]]:
    with MongoClient(settings["uri"]) as client:
        yield client[settings["database"]]


@pytest.fixture
def store(settings: dict[str, Any]) -> Iterator[PredecessorResultsDB]:
    store = build_context({"results_db": settings}).results_db()
    assert isinstance(store, PredecessorResultsDB)
    yield store
    store.close()


@pytest.fixture
def service(store: PredecessorResultsDB) -> ResultsDBService:
    return ResultsDBService(lambda: store)


def test_a_result_is_read_in_place(service: ResultsDBService, database: Database[Any]) -> None:
    old = old_result()
    inserted = database["injector"].insert_one(old).inserted_id
    assert service.collections() == ["injector"]
    result = Result.load_from_query("injector", {"inputs.SOLN:IN20:121:BDES": 0.45}, service)
    assert result.id == str(inserted)
    assert result.project_name == "injector"
    assert result.flow_id == "9f8c1c1e-flow"
    assert result.inputs["mode"] == "fast"
    for found, image in ((result.inputs["distribution"], IMAGE), (result.outputs["image"], IMAGE)):
        assert type(found) is np.ndarray
        assert found.dtype == image.dtype
        np.testing.assert_array_equal(found, image)
    assert result.outputs["list"] == [1, 2.5]
    assert pd.DataFrame(json.loads(result.outputs["table"]))["x"].tolist() == [1.5, 2.5]
    assert result.date_modified == NOON
    before = {"id": str(inserted), "unique_hash": old["unique_hash"]}
    assert result.provenance.model_extra == {"predecessor": before}


def test_queries(service: ResultsDBService, database: Database[Any]) -> None:
    for day in (3, 1, 2):
        moment = NOON.replace(day=day, tzinfo=None)
        database["p"].insert_one(old_result(outputs={"y": day, "a": IMAGE * day}, date_modified=moment))
    ids = [record["_id"] for record in service.find_all(collection="p")]
    assert len(ids) == service.count(collection="p") == 3
    found = service.find(
        collection="p", query={"outputs.y": {"$gte": 2}}, fields=["outputs.y"], sort="outputs.y"
    )
    assert [record["outputs"] for record in found] == [{"y": 2}, {"y": 3}]
    assert service.find_one(collection="p", query={"_id": ids[1]})["outputs"]["y"] == 1
    assert Result.latest("p", results_db_service=service).outputs["y"] == 3
    unique_hash = Result.latest("p", results_db_service=service).unique_hash
    assert service.count(collection="p", query={"unique_hash": unique_hash}) == 1
    assert service.count(collection="p", query={"outputs.a": IMAGE * 2}) == 1
    assert service.stats(collection="p").results == 3
    with pytest.raises(QueryError):
        service.find(collection="p", query={"$where": "sleep(1000)"})


def test_copied_to_another_store(service: ResultsDBService, database: Database[Any], tmp_path: Path) -> None:
    for number in range(20):
        database["p"].insert_one(old_result(outputs={"y": number, "big": np.full((100, 100), number, "f8")}))
    database["p"].insert_one(old_result(outputs={"y": 0, "big": np.zeros((100, 100))}))  # MDB-4
    with FileResultsDB(tmp_path / "new") as new:
        target = ResultsDBService(lambda: new)
        first = copy_results(service, target, "p")
        assert (first.copied, first.present) == (20, 1)
        assert copy_results(service, target, "p").present == 21
        for result in Result.find("p", results_db_service=target):
            assert np.array_equal(result.outputs["big"], np.full((100, 100), result.outputs["y"]))
            assert Result.load_from_query("p", result.unique_rep()["query"], target) == result


def test_by_the_command_line(settings: dict[str, Any], database: Database[Any], tmp_path: Path) -> None:
    database["p"].insert_one(old_result())
    (tmp_path / "predecessor.yaml").write_text(json.dumps({"results_db": settings}))
    command = ["results", "copy", "--from", "predecessor.yaml", "--to", "file:new"]
    environment = {"PATH": os.environ["PATH"], "HOME": str(tmp_path)}
    done = subprocess.run(
        [sys.executable, "-m", "lume_services", *command],
        capture_output=True,
        text=True,
        cwd=tmp_path,
        env=environment,
    )
    assert done.stdout == "p: 1 copied, 0 were there already\n", done.stderr
    with FileResultsDB(tmp_path / "new") as new:
        np.testing.assert_array_equal(new.find_one(collection="p")["outputs"]["image"], IMAGE)


def test_the_result_of_an_impact_run(service: ResultsDBService, database: Database[Any]) -> None:
    archive = {"filename": "/data/a.h5", "filesystem_identifier": "mounted"}
    plot = {"filename": "/data/a.png", "filesystem_identifier": "local"}
    database["p"].insert_one(
        old_result(
            result_type_string="lume_services.results.impact.ImpactResult",
            archive={**archive, "file_type_string": "lume.serializers.hdf5:HDF5Serializer"},
            plot_file={**plot, "file_type_string": "lume_services.files.serializers.image:ImageSerializer"},
            pv_collection_isotime=NOON.replace(tzinfo=None),
            config={"n_particle": 1000},
        )
    )
    result = ImpactResult.load_from_query("p", {}, service)
    assert isinstance(result.archive, HDF5File)
    assert result.archive.filename == "/data/a.h5"
    assert isinstance(result.plot_file, ImageFile)
    assert result.pv_collection_isotime == NOON
    assert result.config == {"n_particle": 1000}


def test_documents_of_older_versions(service: ResultsDBService, database: Database[Any]) -> None:
    database["generic"].insert_one(
        old_result(
            collection="generic",
            model_type="generic",
            date_modified="2022-09-01T10:00:00.250",
            result_type_string="lume_services.results.generic:Result",
        )
    )
    result = Result.load_from_query("generic", {}, service)
    assert result.date_modified == datetime(2022, 9, 1, 10, tzinfo=UTC) + timedelta(milliseconds=250)


def test_text_stays_text(service: ResultsDBService, database: Database[Any]) -> None:
    """MDB-5, RES-18."""
    texts = {"a": "123", "b": "true", "c": '{"x": 1}', "d": "null"}
    database["p"].insert_one(old_result(flow_id="44401823", inputs=texts))
    result = Result.load_from_query("p", {"inputs.a": "123"}, service)
    assert result.inputs == texts
    assert result.flow_id == "44401823"


def test_nothing_is_written(
    store: PredecessorResultsDB, service: ResultsDBService, database: Database[Any]
) -> None:
    database["p"].insert_one(old_result())
    for write in (
        lambda: service.insert_one({"a": 1}, collection="p"),
        lambda: service.delete(collection="p", query={}),
        lambda: service.configure({"p": ["outputs.y"]}),
        lambda: Result(project_name="p").insert(service),
    ):
        with pytest.raises(ResultsDBError, match="can only be read"):
            write()
    assert database["p"].count_documents({}) == 1
    assert database.list_collection_names() == ["p"]


def test_what_is_not_the_predecessors_is_left_out(
    store: PredecessorResultsDB, settings: dict[str, Any], database: Database[Any]
) -> None:
    """The new store may be in the same database."""
    database["old"].insert_one(old_result())
    database["other"].insert_one({"inputs": 1, "note": "of another program"})
    new = build_context({"results_db": {**settings, "type": "mongodb"}}).results_db()
    with new:
        target, source = ResultsDBService(lambda: new), ResultsDBService(lambda: store)
        copy_results(source, target, "old")
        assert new.collections() == store.collections() == ["old"]
        item, copied = store.find_one(collection="old"), new.find_one(collection="old")
        for record in (item, copied):
            record.pop("_id")
        assert fingerprint(item) == fingerprint(copied)


class Boom:
    def __reduce__(self) -> tuple[Any, ...]:
        return os._exit, (66,)


DAMAGED: dict[str, tuple[dict[str, Any], str]] = {
    "a call in an input": (
        {"inputs": {"x": {"y": Binary(pickle.dumps(Boom(), 2))}}},
        r'inputs\["x"\]\["y"\].*_exit',
    ),
    "a call in an output": ({"outputs": {"x": Binary(pickle.dumps(Boom(), 4))}}, "_exit"),
    "a call in a list": ({"outputs": {"x": [Binary(pickle.dumps(Boom(), 2))]}}, "_exit"),
    "a call elsewhere": ({"other": Binary(pickle.dumps(Boom(), 2))}, r"other: .*_exit"),
    "other bytes": ({"outputs": {"x": Binary(b"\x00")}}, "no pickled NumPy array"),
    "a truncated array": ({"outputs": {"x": Binary(pickle.dumps(IMAGE, 2)[:-9])}}, "no pickled NumPy array"),
    "code": ({"outputs": {"x": Code("while (1);")}}, "Code"),
    "a date that is none": ({"date_modified": "yesterday"}, "yesterday"),
    "a date of another type": ({"date_modified": 5}, "int"),
    "a class that is no text": ({"result_type_string": 5}, "int"),
    "a file of an unknown type": (
        {"archive": {"filename": "a", "filesystem_identifier": "local", "file_type_string": "os:system"}},
        "os:system",
    ),
}


@pytest.mark.parametrize(("changed", "message"), DAMAGED.values(), ids=DAMAGED)
def test_a_damaged_document_is_named_and_the_others_are_read(
    service: ResultsDBService, database: Database[Any], tmp_path: Path, changed: dict[str, Any], message: str
) -> None:
    """MDB-6."""
    database["p"].insert_one(old_result(outputs={"y": 1}))
    bad = database["p"].insert_one({**old_result(), **changed}).inserted_id
    database["p"].insert_one(old_result(outputs={"y": 2}))
    found = []
    with pytest.raises(ResultCorruptError, match=message) as caught:
        found.extend(record["outputs"].get("y") for record in service.find(collection="p"))
    assert str(bad) in str(caught.value)
    with FileResultsDB(tmp_path / "new") as new:
        target = ResultsDBService(lambda: new)
        with pytest.raises(ResultCorruptError, match=message):
            copy_results(service, target, "p")
        assert sorted(record["outputs"]["y"] for record in new.find_all(collection="p")) == [1, 2]


def test_a_document_that_is_no_result(service: ResultsDBService, database: Database[Any]) -> None:
    database["p"].insert_many([old_result(), {"_id": ObjectId(), "note": 1}, {"_id": "text", "inputs": {}}])
    with pytest.raises(ResultCorruptError, match="2 records cannot be read.* it has no") as caught:
        list(service.find(collection="p"))
    assert "text" in caught.value.ids


def test_a_server_that_is_away() -> None:
    store = PredecessorResultsDB(port=1, username="u", password="secret-word", timeout_seconds=0.3)
    with pytest.raises(StoreUnavailableError, match="127.0.0.1:1|localhost:1") as caught:
        store.collections()
    assert "secret-word" not in f"{caught.value!r}{store!r}"
