"""Documents whose parts would make a constructor of NumPy, pandas or Python do harm: refused, and by name."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from beamphysics import ParticleGroup

from lume_services.errors import DecodeError
from lume_services.values import decode, dumps, encode, loads

LONG = 1 << 40


def bytes_of(count):
    return encode(np.frombuffer(bytes(count), np.uint8))


def index_of(values):
    return {"$type": "pandas.Index", "values": encode(np.array(values)), "name": None}


def endless():
    return {"$type": "pandas.Index", "start": 0, "stop": LONG, "step": 1, "name": None}


def changed(value, **parts):
    return {**encode(value), **parts}


PERIODS = pd.period_range("2024", periods=3, freq="M").array
MOMENTS = pd.to_datetime([0, 1]).array
INTERVALS = pd.arrays.IntervalArray.from_breaks([0.0, 1.0, 2.0])
LEVELS = pd.MultiIndex.from_tuples([(1, "a"), (2, "b")])
BEAM = ParticleGroup(
    data={name: np.arange(3.0) for name in ("x", "px", "y", "py", "z", "pz", "t", "status", "weight")}
    | {"species": "electron"}
)
FIELD = {"names": ["a"], "formats": ["<f8"], "offsets": [0], "itemsize": 8}
TEXTS = pd.Series(["a", None], dtype=object)
STRINGS = encode(TEXTS)["data"]

HOSTILE = {
    "periods of bytes": changed(PERIODS, ordinals=bytes_of(3)),
    "periods of floats": changed(PERIODS, ordinals=encode(np.zeros(3))),
    "periods of int32": changed(PERIODS, ordinals=encode(np.zeros(3, "i4"))),
    "periods of two axes": changed(PERIODS, ordinals=encode(np.zeros((3, 3), "i8"))),
    "periods of a list": changed(PERIODS, ordinals=[1, 2, 3]),
    "periods of no frequency": changed(PERIODS, freq=["M"]),
    "periods of a huge frequency": changed(PERIODS, freq="9" * 5000 + "D"),
    "moments of texts": changed(MOMENTS, utc=encode(np.array(["now", "now"]))),
    "moments of two axes": changed(MOMENTS, utc=encode(np.zeros((2, 2), "M8[ns]"))),
    "moments of years": changed(MOMENTS, utc=encode(np.zeros(2, "M8[Y]"))),
    "categories out of range": changed(pd.Categorical(["a"]), codes=encode(np.array([-7]))),
    "categories of floats": changed(pd.Categorical(["a"]), codes=encode(np.array([0.0]))),
    "categories of levels": changed(pd.Categorical(["a"]), categories=encode(LEVELS)),
    "intervals of ranges": changed(INTERVALS, left=endless(), right=endless()),
    "intervals of two lengths": changed(INTERVALS, left=index_of([0.0])),
    "intervals of two dtypes": changed(INTERVALS, left=index_of([0, 1])),
    "intervals closed by a list": changed(INTERVALS, closed=["left"]),
    "masked by numbers": changed(pd.array([1, None]), missing=bytes_of(2)),
    "masked, of two axes": changed(pd.array([1, None]), data=encode(np.zeros((2, 1), "i8"))),
    "masked, of objects": changed(pd.array([1, None]), data=[1, 2]),
    "masked, of floats": changed(pd.array([1, None]), data=encode(np.zeros(2))),
    "levels as ranges": changed(LEVELS, levels=[endless(), endless()]),
    "levels of one code": changed(LEVELS, codes=[encode(np.zeros(2, "i8"))]),
    "levels of codes of two lengths": changed(
        LEVELS, codes=[encode(np.zeros(2, "i8")), encode(np.zeros(1, "i8"))]
    ),
    "levels of codes out of range": changed(
        LEVELS, codes=[encode(np.array([0, 9])), encode(np.array([0, 0]))]
    ),
    "a column that is a range": changed(pd.Series([1]), data=endless(), index=endless()),
    "a column of records": changed(pd.Series([1]), data=encode(np.zeros(1, [("a", "f8")]))),
    "a column of texts of NumPy": changed(pd.Series([1]), data=encode(np.array(["a"]))),
    "columns of two lengths": changed(
        pd.DataFrame({"a": [1], "b": [2]}), data=[encode(np.arange(1)), encode(np.arange(2))]
    ),
    "a table without an index": changed(pd.DataFrame({"a": [1]}), index=[0]),
    "a range too long": {**endless(), "start": -(1 << 63), "stop": (1 << 63) - 1},
    "a range by steps of zero": {**endless(), "step": 0},
    "a range of truths": {**endless(), "step": True},
    "strings beyond their bytes": changed(TEXTS, data={**STRINGS, "ends": encode(np.array([9, LONG]))}),
    "strings that go back": changed(TEXTS, data={**STRINGS, "ends": encode(np.array([1, -1]))}),
    "strings, a missing one before": changed(TEXTS, data={**STRINGS, "missing": encode(np.array([-1]))}),
    "strings, missing but there": changed(TEXTS, data={**STRINGS, "missing": encode(np.array([0]))}),
    "a moment that is now": {"$type": "pandas.Timestamp", "utc": "now", "zone": None},
    "a span that is a text": {"$type": "pandas.Timedelta", "value": "1 day"},
    "bytes of a number": {"$type": "bytes", "data": LONG},
    "a tuple of a text": {"$type": "tuple", "value": "abc"},
    "a tuple of a range": {"$type": "tuple", "value": endless()},
    "a set of an array": {"$type": "set", "value": bytes_of(3)},
    "a dict of a dict": {"$type": "dict", "value": {"a": 1}},
    "a dict of an array": {"$type": "dict", "value": encode(np.zeros((2, 2)))},
    "a complex of texts": {"$type": "complex", "real": "1", "imag": "2"},
    "a complex of a complex": {"$type": "complex", "real": encode(1j), "imag": 0.0},
    "a path of a list": {"$type": "Path", "value": ["a"]},
    "an int in another form": {"$type": "int", "value": " 0X_f "},
    "a moment of an array": {"$type": "datetime", "value": encode(np.zeros(1, "M8[ns]")), "microseconds": 1},
    "a moment of too much": {"$type": "datetime", "value": encode(1.5), "microseconds": 10**6},
    "an array of a list": {**encode(np.zeros(3, "u1")), "data": [1, 2, 3]},
    "an array of an array": {**encode(np.zeros(3, "u1")), "data": bytes_of(3)},
    "an array of strings with bytes": {
        "$type": "ndarray", "dtype": {"coerce": True, "missing": None}, "shape": [1], "data": bytes(16),
    },
    "an array of numbers with strings": {
        "$type": "ndarray", "dtype": "<f8", "shape": [2], "strings": STRINGS,
    },
    "rows without elements": {"$type": "ndarray", "dtype": "<f8", "shape": [LONG, 0], "data": b""},
    "elements without bytes": {"$type": "ndarray", "dtype": "|V0", "shape": [LONG], "data": b""},
    "a shape beyond memory": {"$type": "ndarray", "dtype": "<f8", "shape": [0, LONG, LONG], "data": b""},
    "a scalar that is rounded": {"$type": "numpy", "dtype": "<f2", "value": 1e300},
    "a scalar out of range": {"$type": "numpy", "dtype": "|i1", "value": 300},
    "a scalar cut off": {"$type": "numpy", "dtype": "<U1", "value": "abc"},
    "particles of two lengths": changed(BEAM, x=encode(np.zeros(2))),
    "particles of texts": changed(BEAM, x=encode(np.array(["a"] * 3))),
    "particles of one number": changed(BEAM, x=1.0),
    "particles of no species": changed(BEAM, species=3),
    "particles with more": changed(BEAM, more=encode(np.zeros(3))),
}  # fmt: skip


def field_document(dtype, nbytes):
    return {"$type": "ndarray", "dtype": dtype, "shape": [1], "data": bytes(nbytes)}


DTYPES = {
    "addresses as a field": {**FIELD, "formats": [{"coerce": True, "missing": None}], "itemsize": 16},
    "addresses in a field": {
        **FIELD, "formats": [{"base": {"coerce": True, "missing": None}, "shape": [1]}], "itemsize": 16,
    },
    "a field outside": {**FIELD, "offsets": [4]},
    "a field before": {**FIELD, "offsets": [-8]},
    "a field far off": {**FIELD, "offsets": [1 << 40], "itemsize": (1 << 40) + 8},
    "fields over each other": {
        "names": [f"f{n}" for n in range(100)], "formats": ["|S8"] * 100, "offsets": [0] * 100, "itemsize": 8,
    },
    "a field of many nothings": {**FIELD, "formats": [{"base": "<f8", "shape": [1 << 30, 0]}]},
    "more names than fields": {**FIELD, "names": ["a", "b"]},
    "names of one text": {**FIELD, "names": "a"},
    "a title that is a number": {**FIELD, "titles": [3]},
    "Python objects": "|O8",
    "an unknown dtype": "bfloat16",
}  # fmt: skip


@pytest.mark.parametrize("name", HOSTILE)
def test_hostile_parts_are_refused(name):
    with pytest.raises(DecodeError, match=r'record\["x"\].*this is not a stored'):
        decode(loads(dumps({"x": HOSTILE[name]})), where="record")


@pytest.mark.parametrize("name", DTYPES)
def test_hostile_dtypes_are_refused(name):
    with pytest.raises(DecodeError, match="not a stored ndarray"):
        decode(field_document(DTYPES[name], 16))
    with pytest.raises(DecodeError, match="not a stored ndarray"):
        decode(field_document(DTYPES[name], 8))


def test_what_is_made_is_of_the_kind_that_is_named():
    """A load that gives something else is noticed, whatever parts brought it about."""
    document = {"$type": "numpy", "dtype": {"coerce": True, "missing": None}, "strings": STRINGS}
    with pytest.raises(DecodeError, match="not a stored numpy"):
        decode(document)


@pytest.mark.parametrize("depth", [400, 5_000, 100_000])
def test_tags_within_tags_are_as_deep_as_anything_else(depth):
    text = '{"$type":"tuple","value":' * depth + "[]" + "}" * depth
    with pytest.raises(DecodeError, match=r"nested more than 250 levels|not a stored document"):
        decode(loads(text))
    tagged = []
    for _ in range(400):
        tagged = {"$type": "tuple", "value": tagged}
    with pytest.raises(DecodeError, match="nested more than 250 levels"):
        decode(tagged)


def test_the_depth_of_a_text_is_bounded():
    for text in ("[" * 300 + "]" * 300, '{"a":' * 300 + "1" + "}" * 300):
        with pytest.raises(DecodeError, match="nested more than 250 levels"):
            loads(text)
    flat = "[" + ",".join(["[]"] * 1000) + "]"
    assert loads(flat) == [[] for _ in range(1000)]


def test_a_value_that_is_read_too_deep_within_a_program_is_refused_by_name():
    document = []
    for _ in range(200):
        document = [document]

    def from_within(calls):
        return from_within(calls - 1) if calls else decode(document)

    assert from_within(1) == document
    with pytest.raises(DecodeError, match="nested too deep to be read from within so many calls"):
        from_within(600)
