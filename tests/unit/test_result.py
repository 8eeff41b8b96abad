"""`Result` keeps what it is given, knows its own, and comes back whole."""

from __future__ import annotations

import json
import math
import time
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta, timezone
from enum import Enum
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from pydantic import BaseModel, ValidationError

from lume_services.errors import (
    EncodeError,
    MultipleResultsError,
    ResultCorruptError,
    ResultNotFoundError,
    ResultTypeNotRegistered,
)
from lume_services.results import (
    Result,
    load_result,
)
from lume_services.services.results import ResultsDBService
from lume_services.services.results.file import FileResultsDB
from lume_services.values import fingerprint


class Plane(Enum):
    X = "horizontal"


class Beam(BaseModel):
    energy: float
    plane: Plane


class BeamResult(Result):
    beam: Beam
    note: str | None = None

    class Detail(Result):
        level: int = 1


@pytest.fixture
def service(tmp_path: Path) -> Iterator[ResultsDBService]:
    with FileResultsDB(tmp_path / "store") as store:
        yield ResultsDBService(lambda: store)


# what is given is kept ----------------------------------------------------------------------------

AWKWARD: dict[str, Any] = {
    "bool": True,  # RES-5
    "one-element array": np.array([3.0]),
    "big": 2**60 + 1,
    "tuple": (1, 2),
    "run": "007",  # RES-5b
    "underscore": "1_000",
    "nan as text": "nan",
    "json": '{"a": 1}',  # RES-4
    "digits": "123",
    "true": "true",
    "nested": {"a": {"b": [np.zeros(2), pd.Series([1.5])]}},  # RES-6, RES-13
    "none": None,
    "when": datetime(2024, 1, 31, tzinfo=timezone(timedelta(hours=8))),
    "bytes": b"\x80\x04cos\nsystem\n",  # RES-2, RES-3
    "infinite": [math.nan, math.inf],
    "table": pd.DataFrame(  # RES-11, RES-12
        {
            "x": [1 / 3, 2 / 3],
            "n": np.array([1, 2], "int8"),
            "t": pd.to_datetime(["2020-01-01", "2021-01-01"]),
        },
        index=[10, 10],
    ),
}


def test_values_are_kept_exactly(service: ResultsDBService) -> None:
    result = Result(project_name="p", inputs=AWKWARD, outputs={"x": AWKWARD})
    assert all(result.inputs[key] is value for key, value in AWKWARD.items())
    result.insert(service)
    loaded = Result.load_from_query("p", {"unique_hash": result.unique_hash}, service)
    assert fingerprint(loaded.inputs) == fingerprint(AWKWARD)
    assert type(loaded.inputs["bool"]) is bool
    assert loaded.inputs["table"].dtypes.equals(AWKWARD["table"].dtypes)
    assert loaded.inputs["table"].index.equals(AWKWARD["table"].index)
    assert loaded == result


@pytest.mark.parametrize("text", ["123", "true", "null", "[1]", '"x"', "44401823792180551970825257385824"])
def test_text_is_never_taken_for_json(service: ResultsDBService, text: str) -> None:
    """RES-4, RES-18, RES-18b, MDB-5."""
    Result(project_name=text, flow_id=text, inputs={"x": text}).insert(service)
    loaded = Result.load_from_query(text, {"flow_id": text}, service)
    assert (loaded.flow_id, loaded.inputs["x"]) == (text, text)


def test_nothing_runs_when_bytes_are_stored_and_loaded(service: ResultsDBService, tmp_path: Path) -> None:
    """RES-2, MDB-6."""
    touched = tmp_path / "touched"
    pickled = b"cposix\nsystem\n(S'touch " + str(touched).encode() + b"'\ntR."
    Result(project_name="p", inputs={"x": pickled}).insert(service)
    assert Result.load_from_query("p", {}, service).inputs["x"] == pickled
    assert not touched.exists()


def test_json_and_back() -> None:
    """RES-14."""
    result = Result(inputs=AWKWARD, outputs={"image": np.arange(6).reshape(2, 3)})
    text = result.model_dump_json()
    assert json.loads(text)["inputs"]["run"] == "007"
    again = Result.model_validate_json(text)
    assert again == result
    assert type(again.outputs["image"]) is np.ndarray
    assert Result.model_validate(result.model_dump()) == result


def test_inputs_and_outputs_may_be_left_out(service: ResultsDBService) -> None:
    """RES-7."""
    result = Result(project_name="p")
    assert (result.inputs, result.outputs) == ({}, {})
    assert result.insert(service)


def test_each_result_has_its_own_date() -> None:
    """RES-1, RES-19, MDB-16."""
    first = Result()
    time.sleep(0.002)
    second = Result()
    assert first.date_modified < second.date_modified
    assert datetime.now(UTC) - second.date_modified < timedelta(seconds=10)
    assert second.date_modified.tzinfo is UTC
    assert second.date_modified.microsecond % 1000 == 0
    eight = datetime(2024, 1, 31, 8, 0, 0, 123999, timezone(timedelta(hours=8)))
    assert Result(date_modified=eight).date_modified == datetime(2024, 1, 31, 0, 0, 0, 123000, UTC)
    with pytest.raises(ValidationError, match="timezone"):
        Result(date_modified=datetime(2024, 1, 31))  # noqa: DTZ001


def test_unknown_fields_are_refused() -> None:
    with pytest.raises(ValidationError, match="outptus"):
        Result(outptus={})


def test_the_predecessors_names_are_taken() -> None:
    result = Result(collection="p", index=["inputs.x"], inputs={"x": 1})
    assert (result.project_name, result.unique_on) == ("p", ["inputs.x"])


# the unique hash ----------------------------------------------------------------------------------


def test_equal_content_has_one_hash() -> None:
    """RES-9, RES-16."""
    image = np.arange(6.0).reshape(2, 3)
    one = Result(inputs={"a": 1, "b": {"x": 1, "y": 2}}, outputs={"image": image})
    other = Result(inputs={"b": {"y": 2, "x": 1}, "a": 1}, outputs={"image": np.asfortranarray(image)})
    assert one.unique_hash == other.unique_hash
    for different in (
        Result(inputs={"a": 1.0, "b": {"x": 1, "y": 2}}, outputs={"image": image}),
        Result(inputs=one.inputs, outputs={"image": image.T}),
        Result(inputs=one.inputs, outputs={"image": image}, flow_id="f"),
    ):
        assert different.unique_hash != one.unique_hash
    assert Result(inputs=one.inputs, outputs=one.outputs, project_name="q").unique_hash == one.unique_hash


def test_unique_on_is_of_the_instance() -> None:
    """RES-8."""

    def make(**values: Any) -> Result:
        return Result(**{"inputs": {"a": 1, "X.VAL": 2}, "outputs": {"y": 1}, **values})

    assert make().unique_hash != make(outputs={"y": 2}).unique_hash
    on_inputs = make(unique_on=["inputs"])
    assert on_inputs.unique_hash == make(unique_on=["inputs"], outputs={"y": 2}).unique_hash
    assert on_inputs.unique_hash != make(unique_on=["inputs.a"]).unique_hash
    by_path = make(unique_on=["inputs.X.VAL"])
    assert by_path.unique_hash == make(unique_on=["inputs.X.VAL"], inputs={"a": 3, "X.VAL": 2}).unique_hash
    assert by_path.unique_hash != make(unique_on=["inputs.X.VAL"], inputs={"a": 3, "X.VAL": 3}).unique_hash


@pytest.mark.parametrize(
    ("unique_on", "message"),
    [(["input"], "'inputs'"), (["inputs.b"], "Choose one of: a"), ([], "at least 1")],
)
def test_unique_on_names_what_is_there(unique_on: list[str], message: str) -> None:
    with pytest.raises(ValidationError, match=message):
        Result(inputs={"a": 1}, unique_on=unique_on)


def test_a_given_hash_is_verified() -> None:
    """RES-10."""
    right = Result(inputs={"a": 1}).unique_hash
    assert Result(inputs={"a": 1}, unique_hash=right).unique_hash == right
    with pytest.raises(ValidationError, match="the content gives"):
        Result(inputs={"a": 2}, unique_hash=right)


def test_the_hash_follows_the_content(service: ResultsDBService) -> None:
    result = Result(project_name="p", outputs={"y": np.zeros(3)})
    before = result.unique_hash
    first = result.insert(service)
    result.outputs["y"][1] = 1
    assert result.unique_hash != before
    assert result.insert(service) != first
    assert Result.load_from_query("p", {"unique_hash": result.unique_hash}, service) == result


def test_a_value_that_cannot_be_stored_is_named(service: ResultsDBService) -> None:
    result = Result(outputs={"beam": [1, 2, 3, (n for n in range(3))]})
    with pytest.raises(EncodeError, match=r'outputs\["beam"\]\[3\]: cannot store a generator'):
        result.insert(service)


# storing and loading ------------------------------------------------------------------------------


def test_insert_is_exactly_once(service: ResultsDBService) -> None:
    """MDB-4."""
    first = Result(project_name="p", inputs={"a": 1})
    again = Result(project_name="p", inputs={"a": 1})
    record_id = first.insert(service)
    assert again.insert(service) == first.insert(service) == first.id == again.id == record_id
    assert service.count(collection="p") == 1


def test_unique_rep_refers_to_the_result(service: ResultsDBService) -> None:
    """UTL-14: the reference holds the hash, for JSON."""
    result = BeamResult(project_name="p", beam=Beam(energy=6.0, plane=Plane.X), outputs={"y": 1})
    result.insert(service)
    reference = json.loads(json.dumps(result.unique_rep()))
    assert reference == {
        "project_name": "p",
        "query": {"unique_hash": result.unique_hash},
        "result_type_string": f"{BeamResult.__module__}:BeamResult",
    }
    assert load_result(reference, service) == result
    with pytest.raises(ResultNotFoundError, match="lacks query"):
        load_result({"project_name": "p", "result_type_string": ""}, service)


def test_a_subclass_comes_back_as_it_is(service: ResultsDBService) -> None:
    result = BeamResult(project_name="p", beam=Beam(energy=6.0, plane=Plane.X), note="first")
    result.insert(service)
    for loaded in (
        Result.load_from_query("p", {"beam.energy": {"$gt": 5}}, service),
        BeamResult.latest("p", results_db_service=service),
        next(Result.find("p", results_db_service=service)),
    ):
        assert type(loaded) is BeamResult
        assert loaded == result
        assert loaded.beam.plane is Plane.X
        assert loaded.id == result.id


def test_a_subclass_finds_its_own(service: ResultsDBService) -> None:
    Result(project_name="p", inputs={"n": 0}).insert(service)
    BeamResult(project_name="p", inputs={"n": 1}, beam=Beam(energy=6.0, plane=Plane.X)).insert(service)
    BeamResult.Detail(project_name="p", inputs={"n": 2}).insert(service)
    assert [r.inputs["n"] for r in Result.find("p", results_db_service=service)] == [0, 1, 2]
    assert [r.inputs["n"] for r in BeamResult.find("p", results_db_service=service)] == [1]
    assert [r.inputs["n"] for r in BeamResult.Detail.find("p", results_db_service=service)] == [2]
    assert BeamResult.load_from_query("p", {}, service).inputs == {"n": 1}


def test_queries_by_content(service: ResultsDBService) -> None:
    """MDB-7, MDB-8, MDB-9, MDB-10."""
    image = np.arange(6.0).reshape(2, 3)
    result = Result(project_name="p", inputs={"c": 2.0, "a": 1.0, "X.VAL": 3}, outputs={"image": image})
    result.insert(service)
    for query in (
        {"inputs": {"a": 1.0, "X.VAL": 3, "c": 2.0}},
        {"outputs.image": np.asfortranarray(image)},
        {"inputs.X.VAL": {"$gt": 2}},
    ):
        assert Result.load_from_query("p", query, service) == result


def test_none_and_several(service: ResultsDBService) -> None:
    with pytest.raises(ResultNotFoundError, match="no such project"):
        Result.load_from_query("p", {}, service)
    hashes = []
    for n in range(3):
        result = Result(project_name="project", inputs={"n": n})
        result.insert(service)
        hashes.append(result.unique_hash)
    with pytest.raises(ResultNotFoundError, match="Did you mean 'project'"):
        Result.load_from_query("projekt", {"inputs.n": 1}, service)
    with pytest.raises(ResultNotFoundError, match="The project has 3 results"):
        Result.latest("project", {"inputs.n": 7}, service)
    with pytest.raises(MultipleResultsError, match=hashes[2]) as caught:
        Result.load_from_query("project", {"inputs.n": {"$gt": 0}}, service)
    assert caught.value.hashes == hashes[1:]


def test_latest_is_by_date(service: ResultsDBService) -> None:
    for n in (1, 3, 2):
        Result(project_name="p", inputs={"n": n}, date_modified=datetime(2024, 1, n, tzinfo=UTC)).insert(
            service
        )
    assert Result.latest("p", results_db_service=service).inputs == {"n": 3}
    assert Result.latest("p", {"inputs.n": {"$lt": 3}}, service).inputs == {"n": 2}
    found = Result.find("p", sort="-date_modified", limit=2, skip=1, results_db_service=service)
    assert [result.inputs["n"] for result in found] == [2, 1]


def test_a_big_array_is_loaded_when_it_is_used(service: ResultsDBService) -> None:
    image = np.random.default_rng(1).normal(size=(1000, 500))
    result = Result(project_name="p", outputs={"image": image})
    result.insert(service)
    loaded = Result.load_from_query("p", {"unique_hash": result.unique_hash}, service)
    assert np.array_equal(loaded.outputs["image"][10:20], image[10:20])
    assert not loaded.outputs["image"].loaded
    assert loaded.outputs["image"].mean() == image.mean()
    assert loaded.unique_hash == result.unique_hash


def test_records_that_are_no_results(service: ResultsDBService) -> None:
    record_id = service.insert_one({"a": 1}, collection="p")
    with pytest.raises(ResultCorruptError, match="this is no Result"):
        Result.load_from_query("p", {}, service)
    service.delete(collection="p", query={"_id": record_id})
    item = {"result_type_string": "lume_services.results.result:Result", "project_name": "p", "colour": 1}
    service.insert_one(item, collection="p")
    with pytest.raises(ResultCorruptError, match="colour"):
        Result.load_from_query("p", {}, service)


def test_a_result_that_cannot_be_loaded_does_not_hide_the_others(service: ResultsDBService) -> None:
    first = Result(project_name="p", outputs={"n": 0}).insert(service)
    unknown = service.insert_one({"result_type_string": "not.here:R"}, collection="p")
    foreign = service.insert_one({"a": 1}, collection="p")
    last = Result(project_name="p", outputs={"n": 1}).insert(service)
    stream = Result.find("p", results_db_service=service)
    assert [next(stream).id, next(stream).id] == [first, last]
    with pytest.raises(ResultCorruptError, match="2 records cannot be read") as caught:
        next(stream)
    assert caught.value.ids == [unknown, foreign]
    service.delete(collection="p", query={"_id": foreign})
    with pytest.raises(ResultTypeNotRegistered, match=f"record {unknown}: .*'not.here:R'"):
        list(Result.find("p", results_db_service=service))
