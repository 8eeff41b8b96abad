"""Any table comes back from a document and from HDF5 as it was: labels, dtypes, missing values, notes."""

from __future__ import annotations

import io
import math
from decimal import Decimal

import h5py
import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from memory_blobs import MemoryBlobs
from pandas.testing import assert_frame_equal

from lume_services.errors import EncodeError
from lume_services.values import decode, dumps, encode, fingerprint, loads
from lume_services.values.hdf5 import read_value, write_value


def by_document(value):
    return decode(loads(dumps(encode(value))))


def by_blobs(value):
    blobs = MemoryBlobs()
    return decode(loads(dumps(encode(value, sink=blobs, threshold=1))), source=blobs)


def by_hdf5(value):
    content = io.BytesIO()
    with h5py.File(content, "w", track_order=True) as file:
        write_value(file, value)
    with h5py.File(content, "r") as file:
        return read_value(file)


ROWS = 3
TEXT = st.text(st.sampled_from("aβ\0\x85 "), max_size=3)
MISSING = st.sampled_from([None, math.nan, pd.NA, pd.NaT])
OBJECTS = TEXT | st.integers() | st.floats() | st.booleans() | MISSING | st.tuples(TEXT, st.floats())
NUMBERS = {
    "i1": st.integers(-128, 127),
    "u8": st.integers(0, 2**64 - 1),
    "f2": st.floats(width=16),
    "f4": st.floats(width=32),
    "f8": st.floats(),
    "c16": st.complex_numbers(),
    "g": st.floats(),
    "?": st.booleans(),
    "M8[s]": st.integers(-(2**40), 2**40),
    "m8[ms]": st.integers(-(2**40), 2**40),
}
NULLABLE = {
    "Int64": st.integers(-(2**63), 2**63 - 1) | st.none(),
    "UInt8": st.integers(0, 255) | st.none(),
    "boolean": st.booleans() | st.none(),
    "string": TEXT | st.none(),
    "str": TEXT | st.none(),
    "category": TEXT | st.none(),
}


def three(strategy):
    return st.lists(strategy, min_size=ROWS, max_size=ROWS)


COLUMNS = st.one_of(
    *(
        three(values).map(lambda items, dtype=dtype: pd.Series(np.array(items, dtype)))
        for dtype, values in NUMBERS.items()
    ),
    *(
        three(values).map(lambda items, dtype=dtype: pd.Series(items, dtype=dtype))
        for dtype, values in NULLABLE.items()
    ),
    three(OBJECTS).map(lambda items: pd.Series(items, dtype=object)),
    st.sampled_from(["UTC", "Europe/Berlin", "+02:00"]).map(
        lambda zone: pd.Series(pd.date_range("2024-10-27", periods=ROWS, freq="h", tz=zone))
    ),
    st.sampled_from(["M", "D", "Q-NOV"]).map(
        lambda freq: pd.Series(pd.period_range("2024", periods=ROWS, freq=freq))
    ),
    st.just(pd.Series(pd.interval_range(0, ROWS))),
)
LABELS = TEXT | st.integers(-(2**63), 2**63 - 1) | st.none() | st.tuples(TEXT, st.integers(0, 3))
INDEXES = st.one_of(
    st.builds(lambda start, name: pd.RangeIndex(start, start + ROWS, name=name), st.integers(-9, 9), LABELS),
    three(LABELS).map(lambda labels: pd.Index(labels, dtype=object, tupleize_cols=False)),
    st.sampled_from(["D", "2h", "W-WED", "ME", "-1D"]).map(
        lambda freq: pd.date_range("2024", periods=ROWS, freq=freq)
    ),
    three(st.tuples(TEXT, st.integers(0, 3))).map(
        lambda pairs: pd.MultiIndex.from_tuples(pairs, names=["a", None])
    ),
)


@st.composite
def tables(draw):
    columns = draw(st.lists(COLUMNS, max_size=3))
    names = draw(st.lists(LABELS, min_size=len(columns), max_size=len(columns)))
    frame = pd.DataFrame(dict(enumerate(columns)), index=range(ROWS))
    frame.columns = pd.Index(names, dtype=object, tupleize_cols=False, name=draw(LABELS))
    frame.index = draw(INDEXES)
    frame.attrs = draw(st.dictionaries(TEXT | st.integers(), OBJECTS, max_size=2))
    if frame.index.is_unique and frame.columns.is_unique and draw(st.booleans()):
        frame = frame.set_flags(allows_duplicate_labels=False)
    return frame


@pytest.mark.parametrize("way", [by_document, by_blobs, by_hdf5])
@settings(deadline=None)
@given(frame=tables())
def test_any_table(way, frame):
    back = way({"table": frame})["table"]
    assert_frame_equal(back, frame, check_freq=True, check_flags=True)
    assert repr(back.attrs) == repr(frame.attrs)
    assert repr(back.columns) == repr(frame.columns)
    for place in range(frame.shape[1]):
        old, new = frame.iloc[:, place], back.iloc[:, place]
        assert [type(item) for item in new] == [type(item) for item in old]
    assert fingerprint(back) == fingerprint(frame)


@settings(deadline=None)
@given(frame=tables(), other=tables())
def test_tables_with_one_fingerprint_are_equal(frame, other):
    if fingerprint(frame) == fingerprint(other):
        assert_frame_equal(frame, other, check_flags=True)
        assert repr(frame.attrs) == repr(other.attrs)


@pytest.mark.parametrize(
    ("column", "what"),
    [
        (pd.Series(pd.arrays.SparseArray([0, 0, 1])), "SparseArray"),
        (pd.Series([1, None], dtype="int64[pyarrow]"), "ArrowExtensionArray"),
        (pd.Series([Decimal(1)], dtype=object), "Decimal"),
    ],
)
def test_other_columns_are_refused_by_name(column, what):
    for take in (encode, fingerprint, by_hdf5):
        with pytest.raises(EncodeError, match=what):
            take(column)
