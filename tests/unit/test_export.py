"""Results leave the store as files that other programs read."""

from __future__ import annotations

import csv
import json
import math
import sys
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pandas as pd
import pyarrow.parquet as pq
import pytest

from lume_services.errors import EncodeError, SerializationError
from lume_services.results import Result, export_results
from lume_services.services.results import ResultsDBService
from lume_services.services.results.columns import column_names, flatten
from lume_services.services.results.file import FileResultsDB

IMAGE = np.arange(20_000.0).reshape(100, 200)
NOON = datetime(2024, 1, 31, 12, tzinfo=UTC)


@pytest.fixture
def service(tmp_path: Path) -> Iterator[ResultsDBService]:
    with FileResultsDB(tmp_path / "store") as store:
        service = ResultsDBService(lambda: store)
        for n in range(3):
            Result(
                project_name="p",
                inputs={"x": n, "X.VAL": np.float32(0.5), "quad": "QE,04"},
                outputs={"x": n / 3, "image": IMAGE, "sizes": [n, n + 1], "nan": math.nan, "z": 3 + 4j},
                date_modified=NOON,
            ).insert(service)
        Result(project_name="p", outputs={"only": b"\x00", "table": pd.DataFrame({"a": [1, 2]})}).insert(
            service
        )
        yield service


FIELDS = ["inputs", "outputs", "date_modified"]


def export(service: ResultsDBService, path: Path, **options: Any) -> int:
    return export_results(service.find(collection="p", fields=FIELDS), path, **options)


def test_csv(service: ResultsDBService, tmp_path: Path) -> None:
    path = tmp_path / "out.csv"
    assert export(service, path) == 4
    with path.open(newline="") as stream:
        rows = list(csv.DictReader(stream))
    assert list(rows[0]) == [
        "_id", "inputs.x", "inputs.X.VAL", "inputs.quad", "outputs.x", "outputs.image", "outputs.sizes",
        "outputs.nan", "outputs.z", "date_modified", "outputs.only", "outputs.table",
    ]  # fmt: skip
    second = rows[1]
    assert second["inputs.x"] == "1"
    assert second["inputs.X.VAL"] == "0.5"
    assert second["inputs.quad"] == "QE,04"
    assert float(second["outputs.x"]) == 1 / 3
    assert second["outputs.image"] == "<array 100x200 float64>"
    assert second["outputs.sizes"] == "[1, 2]"
    assert second["outputs.nan"] == "nan"
    assert second["outputs.only"] == ""
    assert second["date_modified"] == "2024-01-31T12:00:00+00:00"
    assert rows[3]["outputs.table"] == "<table 2x1>"
    assert rows[3]["outputs.only"] == "AA=="
    assert rows[3]["inputs.x"] == ""


@pytest.mark.parametrize("name", ["out.json", "out.jsonl"])
def test_json(service: ResultsDBService, tmp_path: Path, name: str) -> None:
    path = tmp_path / name
    assert export(service, path) == 4
    text = path.read_text()
    records = json.loads(text) if name == "out.json" else [json.loads(line) for line in text.splitlines()]
    assert [record["inputs"].get("x") for record in records] == [0, 1, 2, None]
    outputs = records[1]["outputs"]
    assert outputs["x"] == 1 / 3
    assert np.array_equal(outputs["image"], IMAGE)
    assert (outputs["nan"], outputs["z"]) == (None, {"real": 3.0, "imag": 4.0})
    assert records[1]["inputs"]["X.VAL"] == 0.5
    assert records[3]["outputs"] == {"only": "AA==", "table": {"a": [1, 2]}}


def test_nothing_is_still_json(tmp_path: Path) -> None:
    assert export_results([], tmp_path / "out.json") == 0
    assert json.loads((tmp_path / "out.json").read_text()) == []
    assert export_results([], tmp_path / "out.csv") == 0


def test_parquet(service: ResultsDBService, tmp_path: Path) -> None:
    path = tmp_path / "out.parquet"
    assert export(service, path) == 4
    columns = pq.read_table(path).to_pydict()
    assert columns["inputs.x"] == [0, 1, 2, None]
    assert columns["outputs.x"][1] == 1 / 3
    assert np.array_equal(columns["outputs.image"][2], IMAGE)
    assert columns["date_modified"][0] == NOON
    assert math.isnan(columns["outputs.nan"][0])


def test_parquet_names_a_column_of_many_types(tmp_path: Path) -> None:
    records = [{"_id": "1", "a": 1}, {"_id": "2", "a": "text"}]
    with pytest.raises(SerializationError, match="the column 'a'"):
        export_results(records, tmp_path / "out.parquet")
    assert list(tmp_path.iterdir()) == []


def test_parquet_refuses_what_it_cannot_hold(tmp_path: Path) -> None:
    with pytest.raises(SerializationError, match="what Parquet cannot"):
        export_results([{"_id": "1", "a": [{}]}], tmp_path / "out.parquet")


def test_parquet_without_its_library(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "pyarrow", None)
    with pytest.raises(SerializationError, match=r"pip install 'lume-services\[parquet\]'"):
        export_results([], tmp_path / "out.parquet")


def test_hdf5(service: ResultsDBService, tmp_path: Path) -> None:
    path = tmp_path / "out.h5"
    assert export(service, path) == 4
    ids = [record["_id"] for record in service.find_all(collection="p")]
    with h5py.File(path) as file:
        assert list(file) == ids
        record = file[ids[1]]
        assert np.array_equal(record["outputs/image"], IMAGE)
        assert record["outputs/image"].dtype == np.float64
        assert record["inputs/x"][()] == 1
        assert record["inputs/X.VAL"].dtype == np.float32


def test_a_failed_export_leaves_the_old_file(service: ResultsDBService, tmp_path: Path) -> None:
    folder = tmp_path / "exports"
    folder.mkdir()
    for suffix in ("csv", "json", "jsonl", "parquet", "h5"):
        path = folder / f"out.{suffix}"
        path.write_text("old")

        def records() -> Iterator[dict[str, Any]]:
            yield {"_id": "1", "a": 1}
            raise EncodeError("damaged")

        with pytest.raises(EncodeError):
            export_results(records(), path)
        assert path.read_text() == "old"
    assert len(list(folder.iterdir())) == 5


@pytest.mark.parametrize(("name", "chosen"), [("out.cvs", None), ("out", None), ("out.csv", "excel")])
def test_an_unknown_format(tmp_path: Path, name: str, chosen: str | None) -> None:
    with pytest.raises(SerializationError, match="there is no export format") as caught:
        export_results([], tmp_path / name, file_format=chosen)
    assert "csv" in str(caught.value)


def test_the_format_may_be_given(service: ResultsDBService, tmp_path: Path) -> None:
    export(service, tmp_path / "out.txt", file_format="jsonl")
    assert len((tmp_path / "out.txt").read_text().splitlines()) == 4


# columns and tables -------------------------------------------------------------------------------


def test_columns_do_not_collide() -> None:
    """UTL-5."""
    assert flatten({"inputs": {"x": 1}, "outputs": {"x": 2}}) == {("inputs", "x"): 1, ("outputs", "x"): 2}
    keys = [("a", "x"), ("b", "x"), ("b", "c.d"), ("b", "c", "d"), ("b", "e.f")]
    assert list(column_names(keys).values()) == ["a.x", "b.x", "b.c\\.d", "b.c.d", "b.e.f"]
    for other in (["a.b", "c"], ["a", "b.c"]), (["a\\.b", "c"], ["a\\", "b.c"]):
        names = column_names(map(tuple, other)).values()
        assert len(set(names)) == 2


def test_to_dataframe(service: ResultsDBService) -> None:
    frame = service.to_dataframe(
        collection="p", query={"inputs.x": {"$gte": 1}}, fields=["inputs", "outputs.x"]
    )
    assert list(frame.columns) == ["_id", "inputs.x", "inputs.X.VAL", "inputs.quad", "outputs.x"]
    assert frame["inputs.x"].tolist() == [1, 2]
    assert frame["inputs.x"].dtype == np.int64
    assert frame["outputs.x"].tolist() == [1 / 3, 2 / 3]
    everything = service.to_dataframe(collection="p", sort="-outputs.x", limit=3)
    assert everything["outputs.image"][0].shape == (100, 200)
    assert not everything["outputs.image"][0].loaded
    assert everything["date_modified"][0] == NOON
    assert service.to_dataframe(collection="none").empty


def test_a_missing_value_in_a_table(service: ResultsDBService) -> None:
    frame = service.to_dataframe(collection="p", fields=["outputs.x"])
    assert frame["outputs.x"].isna().tolist() == [False, False, False, True]
