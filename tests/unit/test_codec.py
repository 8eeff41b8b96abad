"""Values to documents and back: plain values, kinds of the standard library, models, registered types."""

from __future__ import annotations

import math
import pickle
import struct
from datetime import UTC, datetime, timedelta, timezone
from enum import Enum
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from memory_blobs import MemoryBlobs
from pydantic import BaseModel

from lume_services.errors import DecodeError, EncodeError
from lume_services.values import (
    decode,
    dumps,
    encode,
    fingerprint,
    loads,
)


def same(left, right):
    """Compare bit by bit: NaN equals NaN, -0.0 differs from 0.0, 1 from 1.0 and from True."""
    if type(left) is not type(right):
        return False
    if isinstance(left, float):
        return (math.isnan(left) and math.isnan(right)) or struct.pack("<d", left) == struct.pack("<d", right)
    if isinstance(left, complex):
        return same(left.real, right.real) and same(left.imag, right.imag)
    if isinstance(left, list | tuple):
        return len(left) == len(right) and all(map(same, left, right))
    if isinstance(left, dict):
        return same(list(left), list(right)) and same(list(left.values()), list(right.values()))
    return left == right


def round_trip(value):
    return decode(loads(dumps(encode(value))))


texts = st.text(st.characters(exclude_categories=["Cs"]), max_size=5)
hashables = st.recursive(
    st.one_of(
        st.none(),
        st.booleans(),
        st.integers(),
        st.floats(allow_nan=False),
        texts,
        st.sampled_from(["$type", "$types", "value", "$bytes"]),
        st.binary(max_size=5),
        st.dates(),
        st.timedeltas(),
        st.uuids(),
        st.datetimes(timezones=st.just(UTC)),
        st.complex_numbers(allow_nan=False),
        texts.map(Path),
    ),
    lambda parts: st.tuples(parts, parts) | st.frozensets(parts, max_size=3),
    max_leaves=5,
)
values = st.recursive(
    hashables | st.floats() | st.complex_numbers() | st.sets(hashables, max_size=3),
    lambda parts: st.one_of(
        st.lists(parts, max_size=4), st.tuples(parts), st.dictionaries(texts | hashables, parts, max_size=4)
    ),
)


@given(values)
def test_every_value_comes_back_equal_and_of_the_same_type(value):
    back = round_trip(value)
    assert same(back, value)
    assert fingerprint(back) == fingerprint(value)
    assert same(round_trip(back), back)


@given(values)
def test_so_it_does_with_blobs(value):
    blobs = MemoryBlobs()
    document = encode(value, sink=blobs, threshold=1)
    assert same(decode(loads(dumps(document)), source=blobs), value)


@pytest.mark.parametrize(
    "value",
    [
        '{"looks": "like json"}',
        "123",
        "true",
        "null",
        "007",
        "1_000",
        "nan",
        "inf",
        "[1, 2]",
        "44401823792180551970825257385824",
        pickle.dumps(print),
        b"\x80\x04.",
        True,
        2**60 + 1,
        [np.int64(3)],
        (1, 2),
        None,
    ],
)
def test_nothing_is_guessed_from_content_res_2_3_4_5_18(value):
    """RES-2, RES-3: bytes were unpickled. RES-4, RES-5b, RES-18: text was read as JSON or a number.

    RES-5: values were rewritten (True to 1.0, 2**60 + 1 rounded, a tuple to a list).
    """
    assert same(round_trip(value), value)
    assert same(round_trip({"x": value}), {"x": value})


def test_plain_values_are_stored_as_they_are():
    moment = datetime(2024, 1, 31, 12, 30, 0, 123000, tzinfo=UTC)
    value = {
        "y": 0.5,
        "n": 3,
        "ok": True,
        "name": "β",
        "none": None,
        "at": moment,
        "list": [1, {"a": 2}],
        "raw": b"\0",
    }
    assert same(encode(value), value)


def test_scalars_of_a_kind_stay_scalars_in_a_dict_so_that_queries_find_them():
    class Mode(Enum):
        FAST = 1

    value = {"y": np.float32(1.5), "n": np.int64(3), "mode": Mode.FAST, "path": Path("/a"), "z": 1j}
    document = encode(value)
    assert document["y"] == 1.5
    assert type(document["y"]) is float
    assert type(document["n"]) is int
    assert (document["mode"], document["path"]) == (1, "/a")
    assert document["$types"]["mode"]["name"] == "FAST"
    assert document["$types"]["y"] == {"$type": "numpy", "dtype": "<f4"}
    assert same(decode(document), value)
    assert decode({"y": document["y"]}) == {"y": 1.5}, "a part of a document is still readable"


def test_the_fields_of_a_model_can_be_queried():
    class Beam(BaseModel):
        charge: float

    document = encode({"beam": Beam(charge=1e-9)})
    assert document["beam"]["charge"] == 1e-9


def test_moments_keep_their_microseconds_and_come_in_utc_res_19():
    """RES-19: aware datetimes came back naive."""
    tokyo = datetime(2024, 7, 1, 12, 30, 0, 123456, tzinfo=timezone(timedelta(hours=9)))
    document = encode({"at": tokyo})
    assert document["at"] == datetime(2024, 7, 1, 3, 30, 0, 123000, tzinfo=UTC)
    back = decode(document)["at"]
    assert back == tokyo
    assert back.tzinfo is UTC
    with pytest.raises(EncodeError, match="not in the years 1 to 9999"):
        encode(datetime(1, 1, 1, tzinfo=timezone(timedelta(hours=1))))


@given(
    st.datetimes(
        min_value=datetime.fromisoformat("0001-01-02"),
        max_value=datetime.fromisoformat("9999-12-30"),
        timezones=st.timezones(),
    ),
)
def test_moments_of_any_time_zone_are_the_same_moment(moment):
    assert round_trip({"at": moment})["at"] == moment.astimezone(UTC)
    assert fingerprint(moment) == fingerprint(moment.astimezone(UTC))


def test_integers_of_any_size():
    for number in (2**63 - 1, -(2**63), 2**63, -(2**63) - 1, 10**5000, -(10**5000)):
        assert same(round_trip(number), number)


def test_dicts_of_any_keys_and_order():
    for value in (
        {"b": 1, "a": 2},
        {"$type": "ndarray", "dtype": "<f8"},
        {"$types": {"a": 1}, "a": 2},
        {"value": 1},
        {1: "a", "1": "b", None: "c", (1, 2): "d", 1.5: "e"},
        {True: 1},
        {"a.b": 1, "$where": 2, "": 3, "\0": 4},
    ):
        assert same(round_trip(value), value)


def test_large_bytes_go_beside_the_document():
    blobs = MemoryBlobs()
    value = {"raw": b"x" * 65_536, "small": b"x" * 65_535}
    document = encode(value, sink=blobs)
    assert len(blobs.kept) == 1
    assert len(dumps(document)) < 90_000
    assert decode(document, source=blobs) == value
    with pytest.raises(
        DecodeError, match=r'value\["raw"\]\["data"\]: its bytes lie in a blob\. Pass the store'
    ):
        decode(document)


def test_a_store_may_give_subclasses_of_plain_types():
    Int64, Binary = type("Int64", (int,), {}), type("Binary", (bytes,), {})
    assert same(decode([Int64(3), Binary(b"x"), np.float64(1.5)]), [3, b"x", 1.5])
