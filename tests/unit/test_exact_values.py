"""A value comes back equal and of the same type, or it is refused by name; nothing between."""

from __future__ import annotations

import datetime as dt
import io
import math
import threading
from typing import Any, Generic, TypeVar

import h5py
import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st
from memory_blobs import MemoryBlobs
from pandas.testing import assert_frame_equal, assert_series_equal
from pydantic import BaseModel, ConfigDict, PrivateAttr

from lume_services.errors import EncodeError
from lume_services.values import decode, dumps, encode, fingerprint, loads
from lume_services.values.hdf5 import read_value, write_value

T = TypeVar("T")


class Vector(np.ndarray):
    pass


class OwnFrame(pd.DataFrame):
    pass


class OwnColumn(pd.Series):
    pass


class Beam(BaseModel):
    energy: float = 1.0
    note: str = ""


class FastBeam(Beam):
    speed: float = 0.5


class Line(BaseModel):
    beam: Beam


class Counted(BaseModel):
    x: int = 1
    _count: Any = PrivateAttr(default=0)
    _unset: int = PrivateAttr()


class Open(BaseModel):
    model_config = ConfigDict(extra="allow")
    x: int = 1


class Box(BaseModel, Generic[T]):
    content: T


def by_document(value):
    blobs = MemoryBlobs()
    return decode(loads(dumps(encode(value, sink=blobs, threshold=1))), source=blobs, lazy=False)


def by_hdf5(value):
    content = io.BytesIO()
    with h5py.File(content, "w", track_order=True) as file:
        write_value(file, value)
    with h5py.File(content, "r") as file:
        return read_value(file)


WAYS = [by_document, by_hdf5]
ways = pytest.mark.parametrize("way", WAYS)


def refused(value, what):
    for take in (by_document, by_hdf5, fingerprint):
        with pytest.raises(EncodeError, match=what) as caught:
            take({"outputs": [value]})
        assert '["outputs"][0]' in str(caught.value)


RECORDS = np.rec.array([(1, 2.0)], dtype=[("a", int), ("b", float)])
REFUSED = {
    "masked": (np.ma.array([1, 2], mask=[False, True]), "MaskedArray"),
    "masked without a mask": (np.ma.array([1.5, 2.5]), "MaskedArray"),
    "the masked element": (np.ma.masked, "MaskedConstant"),
    "masked record": (np.ma.array([(1, 2)], mask=[(0, 1)], dtype="i4,i4")[0], "mvoid"),
    "recarray": (RECORDS, "recarray"),
    "record": (RECORDS[0], "record"),
    "array of records": (RECORDS.view(np.ndarray), "of records"),
    "subclass": (np.arange(3.0).view(Vector), "Vector"),
    "subclass without axes": (np.array(1.5).view(Vector), "Vector"),
    "long long": (np.longlong(1), "longlong"),
    "dtype with metadata": (np.zeros(2, np.dtype("f8", metadata={"unit": "m"})), "metadata"),
    "field with metadata": (np.zeros(2, [("a", np.dtype("f8", metadata={"unit": "m"}))]), "metadata"),
    "frame": (OwnFrame({"a": [1]}), "OwnFrame"),
    "column of a table": (OwnColumn([1]), "OwnColumn"),
    "column of bytes": (pd.Series(np.array([b"a", b"b"])), r"column cannot be of dtype \|S1"),
    "days": (
        pd.date_range("2024", periods=3, freq=pd.offsets.CustomBusinessDay(weekmask="Mon")),
        "frequency",
    ),
    "hours": (pd.date_range("2024", periods=3, freq=pd.offsets.BusinessHour(start="11:00")), "frequency"),
    "offset": (pd.date_range("2024", periods=3, freq=pd.DateOffset(days=1)), "frequency"),
}


@pytest.mark.parametrize(("value", "what"), REFUSED.values(), ids=REFUSED)
def test_what_would_lose_its_class_or_content_is_refused_by_name(value, what):
    refused(value, what)


@pytest.mark.filterwarnings("ignore:the matrix subclass:PendingDeprecationWarning")
def test_matrices_are_refused_by_name():
    refused(np.matrix([[1, 2]]), "matrix")


def test_memory_maps_are_refused_by_name(tmp_path):
    refused(np.memmap(tmp_path / "map", dtype="f8", shape=(3,), mode="w+"), "memmap")


def test_a_time_zone_is_not_taken_for_another_one_of_its_name():
    zone = dt.timezone(dt.timedelta(hours=5), "CET")
    refused(pd.Timestamp("2024", tz=zone), "time zone")
    refused(pd.Series(pd.date_range("2024", periods=2, tz=zone)), "time zone")


@ways
@pytest.mark.parametrize(
    "scalar",
    [np.bytes_(b"a\0"), np.bytes_(b"\0\0"), np.str_("a\0"), np.str_("\0"), np.bytes_(b""), np.str_("")],
)
def test_strings_of_numpy_keep_nuls_at_their_end(way, scalar):
    back = way(scalar)
    assert type(back) is type(scalar)
    assert (len(back), back[:]) == (len(scalar), scalar[:])
    assert fingerprint(back) == fingerprint(scalar)
    assert fingerprint(scalar) != fingerprint(type(scalar)(scalar[:-1])) or not len(scalar)


@ways
@given(text=st.text(st.sampled_from("a\0β"), max_size=4))
def test_any_string_of_numpy_comes_back(way, text):
    for scalar in (np.str_(text), np.bytes_(text.encode())):
        back = way({"x": scalar})["x"]
        assert (type(back), back[:], len(back)) == (type(scalar), scalar[:], len(scalar))


@ways
def test_an_aligned_dtype_stays_aligned(way):
    array = np.zeros(2, np.dtype([("a", "i1"), ("b", "f8")], align=True))
    back = way(array)
    assert back.dtype == array.dtype
    assert back.dtype.isalignedstruct
    assert fingerprint(back) == fingerprint(array)


def table():
    return pd.DataFrame({"x": [1.5, 2.5]})


@ways
def test_what_is_said_of_a_table_is_part_of_it(way):
    noted = table()
    noted.attrs = {"unit": "mm", "calibration": {"at": (1, 2)}}
    back = way(noted)
    assert back.attrs == noted.attrs
    assert_frame_equal(back, noted)
    column = noted["x"].copy()
    column.attrs = {"unit": "mm"}
    assert way(column).attrs == {"unit": "mm"}
    assert_series_equal(way(column), column)
    unique = noted.set_flags(allows_duplicate_labels=False)
    assert not way(unique).flags.allows_duplicate_labels
    prints = [fingerprint(item) for item in (table(), noted, unique, table()["x"], column)]
    assert len(set(prints)) == len(prints)
    assert fingerprint(way(unique)) == fingerprint(unique)


def test_what_cannot_be_stored_in_attrs_is_named():
    noted = table()
    noted.attrs["lock"] = threading.Lock()
    with pytest.raises(EncodeError, match=r'value\["attrs"\]\["lock"\]: cannot store a lock'):
        encode(noted)


@ways
def test_a_level_of_dates_keeps_its_frequency(way):
    rows = pd.MultiIndex.from_product([pd.date_range("2024", periods=2, freq="D"), [1, 2]])
    assert way(rows).levels[0].freq == rows.levels[0].freq


@ways
def test_private_attributes_of_models_are_kept_and_count(way):
    counted = Counted(x=2)
    counted._count = np.arange(3)
    back = way([counted])[0]
    np.testing.assert_array_equal(back._count, [0, 1, 2])
    assert not hasattr(back, "_unset")
    assert fingerprint(back) == fingerprint(counted) != fingerprint(Counted(x=2))
    assert way(Counted()) == Counted()


def test_a_private_attribute_that_cannot_be_stored_is_named():
    counted = Counted()
    counted._count = threading.Lock()
    refused(counted, r'\["\$private"\]\["_count"\]: cannot store a lock')


@ways
@pytest.mark.parametrize(
    "model",
    [
        Beam(),
        Beam(note="x"),
        Beam(energy=1.0, note=""),
        Line(beam=FastBeam(speed=0.9)),
        Box[int](content=1),
        Box[Beam](content=Beam(note="y")),
        Open(x=2, y=(1, 2)),
        Counted(),
    ],
    ids=repr,
)
def test_models_come_back_with_the_fields_that_were_set(way, model):
    back = way(model)
    assert back == model
    assert type(back) is type(model)
    assert back.model_fields_set == model.model_fields_set
    assert back.model_dump(exclude_unset=True) == model.model_dump(exclude_unset=True)
    assert fingerprint(back) == fingerprint(model)


def test_equal_models_have_one_fingerprint_whichever_fields_were_set():
    assert Beam() == Beam(energy=1.0, note="")
    assert fingerprint(Beam()) == fingerprint(Beam(energy=1.0, note=""))


def test_a_model_without_all_of_its_fields_is_refused():
    refused(Line.model_construct(), r"fields \['beam'\] have no value")


@ways
def test_keys_that_look_alike_stay_apart(way):
    for value in ({1: "int", "1": "text"}, {True: 1, 2: 2}, {1.0: 1}, {None: 1, "None": 2}, {(1, 2): 3}):
        back = way(value)
        assert [(type(key), key, item) for key, item in back.items()] == [
            (type(key), key, item) for key, item in value.items()
        ]


@ways
def test_long_doubles_come_back_to_the_last_bit(way):
    third = np.longdouble(1) / 3
    for value in (third, np.array([third, -third]), np.array([(1, third)], [("n", "i4"), ("x", "g")])):
        back = way(value)
        assert back.dtype == value.dtype
        assert np.array_equal(back, value)


@ways
def test_missing_values_in_a_column_of_objects_stay_what_they_are(way):
    column = pd.Series([None, math.nan, pd.NA, pd.NaT, "NA", 1], dtype=object)
    back = way(column)
    assert [type(item) for item in back] == [type(item) for item in column]
