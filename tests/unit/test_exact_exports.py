"""No number is rounded and nothing is told falsely on the way out of a store, and back into one."""

from __future__ import annotations

import json
import math
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow.parquet as pq
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from lume_services.errors import DecodeError
from lume_services.results import Result, export_results, import_results
from lume_services.results.plain import plain
from lume_services.services.results import ResultsDBService
from lume_services.services.results.columns import MISSING, column_of
from lume_services.services.results.file import FileResultsDB
from lume_services.values import fingerprint

NANOSECONDS = 1_700_000_000_123_456_789


@pytest.fixture
def service(tmp_path: Path) -> Iterator[ResultsDBService]:
    with FileResultsDB(tmp_path / "store") as store:
        yield ResultsDBService(lambda: store)


@pytest.fixture
def other(tmp_path: Path) -> Iterator[ResultsDBService]:
    with FileResultsDB(tmp_path / "other") as store:
        yield ResultsDBService(lambda: store)


# JSON, there and back -----------------------------------------------------------------------------

CHANGED_BY_JSON = {
    "NaN": math.nan,
    "tuple": (1, 2),
    "moment": datetime(2024, 1, 31, tzinfo=UTC),
    "keys alike": {1: "int", "1": "text"},
    "key": {1: 2},
    "array": np.arange(3),
    "scalar": np.float32(0.5),
    "long double": np.longdouble(1) / 3,
    "array of long doubles": np.array([1, 2], np.longdouble) / 3,
    "records": np.array([(1, 2)], [("a", "g"), ("b", "i4")]),
    "bytes": b"x",
    "set": {1},
    "table": pd.DataFrame([[1, 2]], columns=["a", "a"]),
    "columns alike": pd.DataFrame([[1, 2]], columns=[1, "1"]),
}


def there_and_back(service: ResultsDBService, other: ResultsDBService, path: Path, value: Any) -> bool:
    """Return whether a result came back, and exactly; otherwise it was refused."""
    result = Result(project_name="p", inputs={"n": 1}, outputs={"y": value}, unique_on=["inputs"])
    result.insert(service)
    export_results(service.find_all(collection="p"), path)
    try:
        import_results(path, other)
    except DecodeError as error:
        refusal = str(error)
    else:
        refusal = ""
    if refusal:
        assert path.name in refusal
        assert other.count(collection="p") == 0
        return False
    [record] = other.find_all(collection="p")
    assert fingerprint(record["outputs"]) == fingerprint({"y": value})
    assert record["unique_hash"] == result.unique_hash
    return True


@pytest.mark.parametrize("value", CHANGED_BY_JSON.values(), ids=CHANGED_BY_JSON)
@pytest.mark.parametrize("suffix", ["json", "jsonl"])
def test_what_json_changes_is_not_imported_where_the_hash_leaves_it_out(
    service: ResultsDBService, other: ResultsDBService, tmp_path: Path, value: Any, suffix: str
) -> None:
    assert not there_and_back(service, other, tmp_path / f"out.{suffix}", value)


@pytest.mark.parametrize("value", CHANGED_BY_JSON.values(), ids=CHANGED_BY_JSON)
def test_hdf5_keeps_it(
    service: ResultsDBService, other: ResultsDBService, tmp_path: Path, value: Any
) -> None:
    assert there_and_back(service, other, tmp_path / "out.h5", value)


@settings(deadline=None, max_examples=30, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    value=st.recursive(
        st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=3) | st.just((1,)),
        lambda inner: st.lists(inner, max_size=2) | st.dictionaries(st.text(max_size=2), inner, max_size=2),
    )
)
def test_json_gives_back_what_was_exported_or_refuses(value: Any, tmp_path_factory: Any) -> None:
    folder = tmp_path_factory.mktemp("stores")
    with FileResultsDB(folder / "a") as first, FileResultsDB(folder / "b") as second:
        services = [ResultsDBService(lambda: first), ResultsDBService(lambda: second)]
        there_and_back(*services, folder / "out.json", value)


def test_json_without_a_fingerprint_is_not_believed(
    service: ResultsDBService, other: ResultsDBService, tmp_path: Path
) -> None:
    path = tmp_path / "out.json"
    assert there_and_back(service, other, path, [1, {"a": "b"}])
    other.delete(collection="p", query={})
    records = json.loads(path.read_text())
    records[0]["outputs"]["y"] = [1]
    path.write_text(json.dumps(records))
    with pytest.raises(DecodeError, match="it has another content"):
        import_results(path, other)
    del records[0]["_fingerprint"]
    path.write_text(json.dumps(records))
    with pytest.raises(DecodeError, match="it is not known whether JSON has kept all of it"):
        import_results(path, other)


def test_what_other_programs_read_loses_no_digit_and_no_key() -> None:
    third = np.longdouble(1) / 3
    assert plain({1: "int", "1": "text"}) == [["1", "int"], ["1", "text"]]
    assert plain(pd.DataFrame([[1, 2]], columns=["a", "a"])) == [["a", [1]], ["a", [2]]]
    assert plain([third, np.array([third])]) == [str(third), [str(third)]]
    assert np.longdouble(plain(third)) == third
    assert plain(np.array([(1, third)], [("n", "i4"), ("x", "g")])) == [[1, str(third)]]
    assert plain(pd.Timestamp(NANOSECONDS, tz="UTC")) == "2023-11-14T22:13:20.123456789+00:00"


# tables -------------------------------------------------------------------------------------------


def test_integers_stay_integers_where_a_record_lacks_them(service: ResultsDBService) -> None:
    service.insert_many(
        [{"t": NANOSECONDS, "on": True, "s": "a", "x": 1.5}, {"t": None}, {"other": 1}, {"big": 2**70}],
        collection="p",
    )
    table = service.to_dataframe(collection="p")
    assert table.dtypes.drop(["_id", "unique_hash"], errors="ignore").astype(str).to_dict() == {
        "t": "Int64",
        "on": "boolean",
        "s": "str",
        "x": "float64",
        "other": "Int64",
        "big": "object",
    }
    assert table["t"][0] == NANOSECONDS
    assert table["t"].isna().tolist() == [False, True, True, True]
    assert table["big"][3] == 2**70


@pytest.mark.parametrize(
    ("values", "dtype"),
    [
        ([1, 2], "int64"),
        ([1, MISSING], "Int64"),
        ([np.int8(1), None], "Int64"),
        ([2**63, MISSING], "UInt64"),
        ([2**63, 1], "uint64"),
        ([2**63, -1], "object"),
        ([2**70, MISSING], "object"),
        ([True, False], "bool"),
        ([np.True_, MISSING], "boolean"),
        ([True, 1], "object"),
        ([2**60 + 1, 1.5], "object"),
        ([2**60, 1.5, MISSING], "float64"),
        ([2**2000, 1.5], "object"),
        ([np.longdouble(1) / 3, MISSING], "object"),
        ([pd.Timestamp(NANOSECONDS), MISSING], "datetime64[ns]"),
    ],
)
def test_the_dtype_of_a_column(values: list[Any], dtype: str) -> None:
    column = column_of(values)
    assert str(column.dtype) == dtype
    for cell, value in zip(column, values, strict=True):
        assert pd.isna(cell) if value is MISSING or value is None else cell == value


@given(
    st.lists(
        st.integers(-(2**70), 2**70) | st.floats(allow_nan=False) | st.none() | st.booleans(), min_size=1
    )
)
def test_no_column_changes_a_number(values: list[Any]) -> None:
    for cell, value in zip(column_of(values), values, strict=True):
        assert pd.isna(cell) if value is None else cell == value


def test_parquet_keeps_integers_nan_and_nanoseconds(tmp_path: Path) -> None:
    path = tmp_path / "out.parquet"
    moment = pd.Timestamp(NANOSECONDS, tz="UTC")
    export_results(
        [{"_id": "1", "n": NANOSECONDS, "y": np.array([1.5, math.nan]), "t": moment}, {"_id": "2"}], path
    )
    columns = pq.read_table(path).to_pydict()
    assert columns["n"] == [NANOSECONDS, None]
    assert math.isnan(columns["y"][0][1])
    assert columns["t"] == ["2023-11-14T22:13:20.123456789+00:00", None]
