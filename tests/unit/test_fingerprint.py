"""The canonical fingerprint: what it does not depend on, and what it tells apart."""

from __future__ import annotations

import math
import os
import random
import subprocess
import sys
import tracemalloc
import uuid
from datetime import UTC, date, datetime, timedelta
from enum import Enum, IntEnum
from pathlib import Path
from zoneinfo import ZoneInfo

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as npst
from pydantic import BaseModel

from lume_services.errors import EncodeError
from lume_services.values import fingerprint, register_type
from lume_services.values.trail import MAX_DEPTH

texts = st.text(st.characters(exclude_categories=["Cs"]), max_size=5)
hashables = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | texts | st.binary(max_size=5),
    lambda parts: st.tuples(parts, parts) | st.frozensets(parts, max_size=3),
    max_leaves=5,
)
values = st.recursive(
    hashables | st.complex_numbers() | st.dates() | st.timedeltas() | st.uuids(),
    lambda parts: st.lists(parts, max_size=4) | st.dictionaries(hashables, parts, max_size=4),
)
dtypes = st.one_of(
    npst.boolean_dtypes(),
    npst.integer_dtypes(),
    npst.unsigned_integer_dtypes(),
    npst.floating_dtypes(),
    npst.complex_number_dtypes(),
    npst.unicode_string_dtypes(max_len=5),
    npst.byte_string_dtypes(max_len=5),
    npst.datetime64_dtypes(),
    npst.timedelta64_dtypes(),
)
arrays = npst.arrays(dtypes, npst.array_shapes(min_dims=0, min_side=0, max_side=5))

NAIVE = datetime(2024, 1, 1)  # noqa: DTZ001 - a moment without a time zone


def shuffled(value, order):
    """Return an equal value whose dicts and sets were filled in another order."""
    match value:
        case dict():
            items = list(value.items())
            order.shuffle(items)
            return {shuffled(key, order): shuffled(item, order) for key, item in items}
        case list():
            return [shuffled(item, order) for item in value]
        case frozenset():
            items = list(value)
            order.shuffle(items)
            return frozenset(items)
    return value


@given(values, st.integers())
def test_the_order_of_dicts_and_sets_does_not_count_utl_2(value, seed):
    """UTL-2: the predecessor's fingerprint depended on key order."""
    assert fingerprint(shuffled(value, random.Random(seed))) == fingerprint(value)


@given(values, values)
def test_equal_fingerprints_mean_equal_values(left, right):
    if fingerprint(left) == fingerprint(right):
        assert repr(left) == repr(right) or left == right


def variants(array):
    """Yield the same array in other memory layouts and byte orders."""
    yield np.array(array, order="F")
    yield array.astype(array.dtype.newbyteorder(">"))
    yield np.array(array, copy=True)
    if array.ndim:
        yield np.ascontiguousarray(array[::-1])[::-1]
        yield np.repeat(array, 2, axis=0)[::2]
        padded = np.zeros((*array.shape[:-1], array.shape[-1] + 3), array.dtype)
        padded[..., 1:-2] = array
        yield padded[..., 1:-2]
    readonly = array.view()
    readonly.flags.writeable = False
    yield readonly


@given(arrays)
def test_memory_layout_and_byte_order_do_not_count_res_16(array):
    """RES-16: the predecessor told equal arrays in C and Fortran order apart."""
    for variant in variants(array):
        assert fingerprint(variant) == fingerprint(array)


def test_large_arrays_in_any_layout_have_one_fingerprint():
    array = np.random.default_rng(0).random((300, 7, 100))
    array[5, 3] = math.nan
    assert len({fingerprint(variant) for variant in variants(array)}) == 1
    column = np.broadcast_to(np.arange(100.0), (1000, 100))
    assert fingerprint(column) == fingerprint(column.copy())


@pytest.mark.parametrize("dtype", ["f2", "f4", "f8", "g", "c8", "c16", "G"])
def test_every_nan_is_the_one_nan_and_minus_zero_is_not_zero(dtype):
    number = np.full(70_000, math.nan, dtype)
    other = np.array(-np.abs(number.real), dtype)  # the sign bit set
    assert fingerprint(number) == fingerprint(other)
    zeros = np.zeros(3, dtype)
    assert fingerprint(-zeros) != fingerprint(zeros)
    odd = np.frombuffer((0x7FF8_0000_0000_0001).to_bytes(8, "little"), "<f8")[0]
    assert fingerprint(float(odd)) == fingerprint(math.nan) == fingerprint(-math.nan)
    assert fingerprint(odd) == fingerprint(np.float64(math.nan))


def test_padding_does_not_count():
    aligned = np.dtype([("flag", "i1"), ("x", "f8"), ("pair", "i2", (3,))], align=True)
    clean = np.zeros(4, aligned)
    dirty = np.frombuffer(b"\xaa" * clean.nbytes, aligned).copy()
    packed = np.zeros(4, [("flag", ">i1"), ("x", ">f8"), ("pair", ">i2", (3,))])
    for name in aligned.names:
        dirty[name] = clean[name] = packed[name] = 3
    assert fingerprint(dirty) == fingerprint(clean) == fingerprint(packed)
    long = np.frombuffer(b"\xaa" * 160, np.longdouble).copy()
    long[:] = np.longdouble(1) / 3
    for number in long:
        assert fingerprint(number) == fingerprint(np.longdouble(1) / 3)
    assert fingerprint(long) == fingerprint(np.full(10, np.longdouble(1) / 3))


def test_every_true_is_the_one_true():
    assert fingerprint(np.frombuffer(b"\x02\x00", bool)) == fingerprint(np.array([True, False]))


class Colour(Enum):
    RED = 1
    BLUE = 2


class Number(IntEnum):
    ONE = 1


class Beam(BaseModel):
    charge: float
    tags: list = []


class Bunch(BaseModel):
    charge: float
    tags: list = []


different = [
    None, False, True, 0, 1, -1, 2**63, -(2**63), 2**64, 10**400, 0.0, -0.0, 1.0, math.nan, math.inf,
    -math.inf, 0j, 1j, complex(1), complex(math.nan, 0), complex(0, math.nan), "", "1", "ab", "é",
    "e\u0301", b"", b"ab", b"1", [], [None], [[]], ["ab", "c"], ["a", "bc"], ["abc"], [1, 2], [2, 1],
    [[1], 2], [[1, 2]], (), (None,), (1, 2), ([],), {}, {"a": 1}, {"a": 1.0}, {"b": 1}, {1: "a"},
    {"1": "a"}, {"a": {"b": 1}}, {"a": {}, "b": 1}, {("a", 1): 1}, [["a", 1]], set(), frozenset(), {1},
    {1, 2}, {(1, 2)}, frozenset({1}), frozenset({frozenset()}), datetime(2024, 1, 1, tzinfo=UTC),
    datetime(2024, 1, 1, 0, 0, 0, 1, tzinfo=UTC), "2024-01-01", date(2024, 1, 1), timedelta(1),
    timedelta(0), timedelta(0, 0, 1), uuid.UUID(int=1), str(uuid.UUID(int=1)), Path("a"), Path("a/b"),
    "a", Colour.RED, Colour.BLUE, "RED", Number.ONE, Beam(charge=1), Beam(charge=2), Bunch(charge=1),
    {"charge": 1.0, "tags": []}, np.float64(1), np.float32(1), np.float16(1), np.longdouble(1),
    np.int64(1), np.int32(1), np.uint64(1), np.bool(True), np.complex64(1), np.complex128(1),
    np.str_("1"), np.bytes_(b"1"), np.datetime64(1, "s"), np.datetime64(1, "ms"), np.timedelta64(1, "s"),
    np.datetime64("NaT", "s"), np.void(b"1"), np.array(1.0), np.array([1.0]), np.array([[1.0]]),
    np.array([1]), np.array([1], "i4"), np.array([1], "u8"), np.array([True]), np.array([1], "S1"),
    np.array(["1"]), np.array(["1"], "U2"), np.array([1], "M8[s]"), np.array([1], "M8[ms]"),
    np.array([1], "m8[s]"), np.array([0.0]), np.array([-0.0]), np.array([math.nan]),
    np.array(["1"], np.dtypes.StringDType()), np.array([]), np.zeros((0, 2)), np.zeros((2, 0)),
    np.zeros(2, "i4,i4"), np.zeros(2, "i4,u4"), np.zeros(2, [("a", "i4"), ("b", "i4")]),
    np.zeros(2, [("a", "i4", 2)]), np.zeros((2, 3)), np.zeros((3, 2)), np.zeros(6),
    np.arange(6).reshape(2, 3), np.arange(6).reshape(2, 3).T, pd.Series([1.0]),
    pd.Series([1.0], name="x"), pd.Series([1.0], index=["0"]), pd.DataFrame({"x": [1.0]}),
    pd.DataFrame({"x": [1]}), pd.DataFrame({"y": [1]}), pd.DataFrame({"x": [1, 2]}),
    pd.DataFrame({"x": [1, 2]}, index=[1, 2]), pd.DataFrame({"x": [1], "y": [1]}),
    pd.DataFrame({"y": [1], "x": [1]}), pd.DataFrame(), pd.DataFrame(index=[1]),
    pd.Series(["1"], dtype="category"), pd.Series(["1"], dtype="string"), pd.Series(["1"], dtype=object),
    pd.Series(["1"], dtype=pd.CategoricalDtype(["1", "2"])), pd.Series([1], dtype="Int64"),
    pd.Series([None], dtype="Int64"), pd.Series([0], dtype="Int64"), pd.Series(pd.to_datetime([0])),
    pd.Series(pd.to_datetime([0], utc=True)), pd.Index([1.0]), pd.RangeIndex(1), pd.NaT, pd.NA,
    pd.Timestamp(0), pd.Timestamp(0, tz="UTC"), pd.Timedelta(1),
]  # fmt: skip


def test_different_values_have_different_fingerprints():
    found = {}
    for value in different:
        print_ = fingerprint(value)
        assert print_ not in found, (value, found[print_])
        found[print_] = value


def test_one_changed_element_changes_the_fingerprint():
    array = np.zeros(200_000)
    prints = {fingerprint(array)}
    for position in (0, 65_535, 65_536, 131_072, 199_999):
        changed = array.copy()
        changed[position] = 5e-324
        prints.add(fingerprint(changed))
    assert len(prints) == 6


@pytest.mark.parametrize(
    "value",
    [
        np.float32(1),
        np.int64(1),
        np.bool(False),
        [np.arange(3), np.arange(2)],
        (np.arange(3),),
        np.array([1j]),
        datetime(2024, 1, 1, tzinfo=UTC),
        {"nested": {1: [{2.5}]}},
    ],
)
def test_what_the_predecessor_could_not_hash_utl_3(value):
    """UTL-3: the predecessor crashed on NumPy scalars, arrays in lists, complex arrays, datetimes."""
    assert len(bytes.fromhex(fingerprint(value))) == 32


def test_tables_that_differ_in_the_last_digit_differ_utl_4():
    """UTL-4: the predecessor hashed tables as text of ten digits."""
    table = pd.DataFrame({"x": [1 / 3]})
    other = pd.DataFrame({"x": [np.nextafter(1 / 3, 1)]})
    assert fingerprint(table) != fingerprint(other)
    assert fingerprint(table) == fingerprint(pd.DataFrame(np.array([[1 / 3]]), columns=["x"]))


def test_equal_tables_have_equal_fingerprints():
    rows = pd.MultiIndex.from_product([["b", "a"], [1, 2]])
    table = pd.DataFrame({"x": range(4)}, index=rows)
    assert fingerprint(table.iloc[:2]) == fingerprint(
        pd.DataFrame({"x": [0, 1]}, index=pd.MultiIndex.from_tuples([("b", 1), ("b", 2)]))
    )
    packed, plain = (pd.Series(["a", None], dtype=pd.StringDtype(kind)) for kind in ("pyarrow", "python"))
    assert fingerprint(packed) == fingerprint(plain)


def test_a_moment_is_one_in_every_time_zone():
    moment = datetime(2024, 7, 1, 12, 30, 0, 123456, tzinfo=UTC)
    assert fingerprint(moment.astimezone(ZoneInfo("Asia/Tokyo"))) == fingerprint(moment)


def test_registered_types_are_hashed_by_name_and_parts():
    class Kicker:
        def __init__(self, angle):
            self.angle = angle

    register_type("tests.Kicker", Kicker, vars, lambda parts: Kicker(**parts))
    assert fingerprint(Kicker(1)) == fingerprint(Kicker(1))
    assert len({fingerprint(value) for value in (Kicker(1), Kicker(2), {"angle": 1})}) == 3


def test_a_large_array_is_hashed_without_a_copy():
    array = np.zeros(10_000_000)
    array[-1] = math.nan
    frame = pd.DataFrame({"x": array, "y": array})
    tracemalloc.start()
    for value in (array, array.reshape(1000, -1).T, array.astype(">f8"), frame):
        tracemalloc.reset_peak()
        before, _ = tracemalloc.get_traced_memory()
        fingerprint(value)
        _, peak = tracemalloc.get_traced_memory()
        assert peak - before < 2_000_000
    tracemalloc.stop()


@pytest.mark.parametrize("seed", ["0", "1", "random"])
def test_another_process_finds_the_same(seed):
    program = (
        "import datetime, sys\n"
        "from lume_services.values import fingerprint\n"
        "value = {'b': {'x', 'y', 'z', 3}, 'a': [1, 2.5, None, (True, b'raw')], 7: frozenset('abc'),\n"
        "         'at': datetime.datetime(2024, 1, 1, tzinfo=datetime.timezone.utc)}\n"
        "print(fingerprint(value))\n"
        "assert not {'numpy', 'pandas', 'pydantic', 'h5py'} & set(sys.modules), 'not lazy'\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", program],
        env={**os.environ, "PYTHONHASHSEED": seed},
        capture_output=True,
        text=True,
        check=True,
    )
    value = {
        7: frozenset("abc"),
        "at": datetime(2024, 1, 1, tzinfo=UTC),
        "a": [1, 2.5, None, (True, b"raw")],
        "b": {3, "z", "y", "x"},
    }
    assert done.stdout.strip() == fingerprint(value)


@pytest.mark.parametrize(
    ("value", "message"),
    [
        (
            {"beam": [1, 2, 3, (n for n in [])]},
            r'outputs\["beam"\]\[3\]: cannot store a generator; .*list\(value\)',
        ),
        ({"t": NAIVE}, r'outputs\["t"\]: .* without a time zone; .*tzinfo=timezone\.utc'),
        ([np.array([1, "a"], object)], r"outputs\[0\]: .* Python objects\. .*tolist"),
        ([np.zeros(2, [("a", object)])], r"outputs\[0\]: .* Python objects"),
        (["\ud800"], r"outputs\[0\]: .* lone surrogate"),
        ({"\udfff": 1}, r"lone surrogate"),
        ({math.nan: 1, -math.nan: 2}, "two keys that are both NaN"),
    ],
)
def test_what_has_no_fingerprint_is_named_by_its_path(value, message):
    with pytest.raises(EncodeError, match=message):
        fingerprint(value, where="outputs")


def test_depth_is_bounded_and_a_cycle_is_named():
    deep: object = 1
    for _ in range(MAX_DEPTH):
        deep = [deep]
    assert fingerprint(deep) != fingerprint([deep[0][0]])
    with pytest.raises(EncodeError, match=r"\[0\]: it is nested more than 200 levels deep"):
        fingerprint([deep])
    cycle: dict = {"a": 1}
    cycle["self"] = (cycle,)
    with pytest.raises(EncodeError, match=r'value\["self"\]\[0\]: it contains itself'):
        fingerprint(cycle)
