"""pandas tables, columns and indexes: to documents and blobs, and back."""

from __future__ import annotations

import datetime as dt
import sys

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st
from memory_blobs import MemoryBlobs
from pandas.testing import assert_frame_equal, assert_index_equal, assert_series_equal

from lume_services.errors import DecodeError, EncodeError
from lume_services.values import decode, dumps, encode, fingerprint, loads


def round_trip(value, threshold=65_536):
    blobs = MemoryBlobs()
    back = decode(loads(dumps(encode(value, sink=blobs, threshold=threshold))), source=blobs)
    assert fingerprint(back) == fingerprint(value)
    assert type(back) is type(value)
    return back


COLUMNS = {
    "int8": np.array([1, -2, 3], "i1"),
    "float": [1 / 3, np.nan, np.inf],
    "float32": np.array([0.1, 0.2, 0.3], "f4"),
    "complex": [1j, 2, 3],
    "bool": [True, False, True],
    "str": ["a", "β", None],
    "Int64": pd.array([1, None, 3], dtype="Int64"),
    "UInt8": pd.array([1, None, 3], dtype="UInt8"),
    "Float32": pd.array([1.5, None, 3], dtype="Float32"),
    "boolean": pd.array([True, None, False], dtype="boolean"),
    "string": pd.array(["a", None, ""], dtype="string"),
    "string[python]": pd.array(["a", None, ""], dtype=pd.StringDtype("python")),
    "category": pd.Categorical(["a", None, "a"], categories=["b", "a"], ordered=True),
    "category of numbers": pd.Categorical([1.5, 2.5, 1.5]),
    "datetime": pd.to_datetime(["2024-01-31", None, "1700-01-01T00:00:00.000001"], format="ISO8601"),
    "datetime[ns]": np.array([1, 2, "NaT"], "M8[ns]"),
    "datetime[s]": np.array([1, 2, "NaT"], "M8[s]"),
    "Berlin": pd.to_datetime([0, 1, None]).tz_localize("Europe/Berlin"),
    "offset": pd.to_datetime([0, 1, None]).tz_localize(dt.timezone(dt.timedelta(hours=2))),
    "timedelta": pd.to_timedelta([1, None, 3]),
    "period": pd.period_range("2024-01", periods=3, freq="M"),
    "interval": pd.interval_range(0.0, 3.0),
    "cut": pd.cut([1, 2, 3], 2),
    "text objects": pd.Series(["a", None, "c"], dtype=object),
    "objects": pd.Series([1, "x", {"a": [(1, 2), None]}], dtype=object),
    "numbers as objects": pd.Series([1, 2**70, 2.5], dtype=object),
    "dates": pd.Series([dt.date(2024, 1, 31)] * 3, dtype=object),
    "missing": pd.Series([None, np.nan, pd.NA], dtype=object),
}
HASHABLE = [name for name in COLUMNS if name != "objects"]


@pytest.mark.parametrize("threshold", [65_536, 1])
@pytest.mark.parametrize("name", COLUMNS)
def test_columns_of_every_dtype_res_11(name, threshold):
    """RES-11: precision, dtypes, datetimes and the index type were lost."""
    series = pd.Series(COLUMNS[name], name=name)
    assert_series_equal(round_trip(series, threshold), series)
    frame = pd.DataFrame({"before": [1, 2, 3], name: COLUMNS[name]}, index=[10, 20, 30])
    assert_frame_equal(round_trip(frame, threshold), frame)
    empty = frame.iloc[:0]
    assert_frame_equal(round_trip(empty, threshold), empty)


@pytest.mark.parametrize("threshold", [65_536, 1])
@pytest.mark.parametrize("name", HASHABLE)
def test_indexes_of_every_dtype(name, threshold):
    index = pd.Index(COLUMNS[name], name=("the", "name"))
    assert_index_equal(round_trip(index, threshold), index)
    rows = pd.MultiIndex.from_arrays([index, [1, 2, 2]], names=["a", None])
    assert_index_equal(round_trip(rows, threshold), rows)
    series = pd.Series([1.0, 2.0, 3.0], index=index)
    assert_series_equal(round_trip(series, threshold), series)


@pytest.mark.parametrize(
    "index",
    [
        pd.RangeIndex(2, 20, 3, name="x"),
        pd.Index([]),
        pd.Index([], dtype="int8"),
        pd.date_range("2024-01-31", periods=3, freq="D", tz="Europe/Berlin"),
        pd.timedelta_range("1h", periods=3, freq="30min"),
        pd.MultiIndex.from_product([["b", "a"], [1.5, None]], names=["x", ("y", 1)]),
        pd.MultiIndex.from_product([["b", "a"], [1, 2]])[1:2],
        pd.MultiIndex.from_arrays([[], []]),
    ],
    ids=repr,
)
def test_other_indexes(index):
    back = round_trip(index)
    assert_index_equal(back, index, exact=True)
    assert getattr(back, "freq", None) == getattr(index, "freq", None)


def test_duplicate_labels_res_12():
    """RES-12: a table with a duplicate index, as after concat, could not be stored."""
    part = pd.DataFrame([[1, 2.5], [3, 4.5]], columns=["a", "a"])
    frame = pd.concat([part, part])
    assert_frame_equal(round_trip(frame), frame)
    assert_series_equal(round_trip(frame.iloc[:, 0]), frame.iloc[:, 0])


@pytest.mark.parametrize(
    "frame",
    [
        pd.DataFrame(),
        pd.DataFrame(index=[1, 2]),
        pd.DataFrame(columns=["a", 1]),
        pd.DataFrame(columns=pd.RangeIndex(3)),
        pd.DataFrame({1: [1], "1": [2], None: [3], (1, 2): [4]}),
        pd.DataFrame({"$type": [1], "value": [2]}),
        pd.DataFrame(np.arange(6.0).reshape(2, 3)),
        pd.DataFrame([[1, 2]], columns=pd.MultiIndex.from_tuples([("a", 1), ("b", None)])),
        pd.DataFrame([[1, 2]], columns=pd.Index(["a", "b"], name="quantity")),
    ],
    ids=repr,
)
def test_tables_of_every_shape(frame):
    assert_frame_equal(round_trip(frame), frame)


@given(
    st.lists(
        st.floats() | st.none() | st.integers(0, 9) | st.text(st.characters(exclude_categories=["Cs"])),
        max_size=6,
    ),
    st.sampled_from([object, None]),
)
def test_any_objects(items, dtype):
    series = pd.Series(items, dtype=dtype)
    assert_series_equal(round_trip(series), series)


@pytest.mark.parametrize(
    "scalar",
    [
        pd.Timestamp("2024-01-31T12:00:00.123456789"),
        pd.Timestamp("2024-07-31T12:00", tz="Europe/Berlin"),
        pd.Timestamp(0, unit="s"),
        pd.Timedelta(1, "ns"),
        pd.Timedelta("3 days 00:00:01"),
    ],
    ids=repr,
)
def test_scalars(scalar):
    back = round_trip(scalar)
    assert back == scalar
    assert back.unit == scalar.unit
    assert getattr(back, "tz", None) == getattr(scalar, "tz", None)


def test_missing_scalars():
    for missing in (pd.NaT, pd.NA):
        assert round_trip(missing) is missing
        assert round_trip({"x": missing})["x"] is missing


def test_large_columns_are_blobs_and_tables_can_be_changed():
    frame = pd.DataFrame(
        {"x": np.random.default_rng(0).random(10_000), "n": range(10_000), "s": ["text"] * 10_000}
    )
    blobs = MemoryBlobs()
    document = encode(frame, sink=blobs)
    assert len(blobs.kept) == 3, "x, n, and the ends of the strings; their text is small"
    assert len(dumps(document)) < 60_000
    back = decode(document, source=blobs)
    assert_frame_equal(back, frame)
    back["x"] += 1
    back.iloc[0, 0] = 7
    assert back.iloc[0, 0] == 7


def test_strings_do_not_need_pyarrow(monkeypatch):
    series = pd.Series(["a", None], dtype=pd.StringDtype("pyarrow"))
    document = encode(series)
    real = pd.StringDtype

    def without_pyarrow(storage=None, **options):
        if storage == "pyarrow":
            raise ImportError("pyarrow is required for PyArrow backed ArrowStringArray")
        return real(storage, **options)

    monkeypatch.setattr(pd, "StringDtype", without_pyarrow)
    back = decode(document)
    assert back.dtype == real("python")
    assert fingerprint(back) == fingerprint(series)


@pytest.mark.parametrize(
    ("column", "message"),
    [
        (
            pd.arrays.SparseArray([0, 1]),
            "cannot store a SparseArray; convert it to a NumPy array or to plain",
        ),
        (pd.array([1, 2], dtype="int64[pyarrow]"), "cannot store an ArrowExtensionArray; convert it"),
        (pd.Series([1, object()]), r"\[1\]: cannot store an object"),
    ],
)
def test_columns_that_cannot_be_stored_are_named(column, message):
    with pytest.raises(EncodeError, match=r'outputs\["data"\]\[1\].*' + message):
        encode(pd.DataFrame({"a": [1, 2], "b": column}), where="outputs")


def test_a_time_zone_without_a_name_is_refused():
    class Zone(dt.tzinfo):
        def utcoffset(self, moment):
            return dt.timedelta(hours=1)

        def dst(self, moment):
            return dt.timedelta(0)

        def __str__(self):
            return "somewhere"

    with pytest.raises(EncodeError, match="cannot store this pandas.Timestamp"):
        encode(pd.Timestamp("2024-01-31", tz=Zone()))


def zone_document(name):
    document = encode(pd.Series(pd.to_datetime([0]).tz_localize("UTC")))
    document["data"]["zone"] = name
    return document


@pytest.mark.parametrize(
    "document",
    [
        zone_document("dateutil//etc/passwd"),
        zone_document("../../etc/passwd"),
        zone_document("/etc/localtime"),
        zone_document("Nowhere/Land"),
        zone_document(3),
        {**encode(pd.Series([1])), "data": 3},
        {**encode(pd.Series([1])), "data": {"a": 1}},
        {
            **encode(pd.Series([1])),
            "index": {"$type": "pandas.Index", "start": 0, "stop": 10**12, "step": 1, "name": None},
        },
        {**encode(pd.Series([1])), "data": encode(np.array(1)), "index": encode(pd.RangeIndex(10**12))},
        {**encode(pd.Series([1])), "data": encode(np.zeros((1, 1)))},
        {**encode(pd.Series([1])), "index": 3},
        {**encode(pd.DataFrame({"a": [1]})), "data": [encode(np.arange(2))]},
        {**encode(pd.DataFrame({"a": [1]})), "data": []},
        {**encode(pd.DataFrame({"a": [1]})), "columns": encode(pd.Index([1, 2]))},
        {**encode(pd.Categorical(["a"])), "codes": encode(np.array([7]))},
        {
            **encode(pd.MultiIndex.from_tuples([(1, 2)])),
            "codes": [encode(np.array([7])), encode(np.array([0]))],
        },
        {**encode(pd.array([1, None])), "missing": encode(np.array([1, 2]))},
        {**encode(pd.array([1, None])), "missing": encode(np.array([True]))},
        {**encode(pd.period_range("2024", periods=1, freq="M").array), "freq": "__import__('os')"},
        {**encode(pd.date_range("2024", periods=2, freq="D")), "freq": "ME"},
        {"$type": "pandas.Index"},
        {"$type": "pandas.DataFrame"},
        {"$type": "pandas.Timestamp", "utc": 3, "zone": "x"},
        {"$type": "pandas.Nonsense"},
    ],
    ids=range(24),
)
def test_a_hostile_table_is_refused(document):
    with pytest.raises(DecodeError, match="not a stored pandas|not registered"):
        decode(document)


def test_a_table_is_found_by_its_module_only_when_needed():
    assert "pandas" in sys.modules
    assert decode({"$type": "pandas.NaT", "value": None}) is pd.NaT
