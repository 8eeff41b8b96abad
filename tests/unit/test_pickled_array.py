"""Pickled NumPy arrays are read without unpickling, and nothing else is."""

from __future__ import annotations

import io
import os
import pickle
import struct
from pathlib import Path
from typing import Any

import hypothesis.extra.numpy as npst
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lume_services.errors import DecodeError
from lume_services.services.results.predecessor.pickled_array import read_pickled_array

PROTOCOLS = range(pickle.HIGHEST_PROTOCOL + 1)

ARRAYS = {
    "floats": np.array([[1.5, -0.0, np.nan], [np.inf, 5e-324, 1e308]]),
    "integers": np.arange(6, dtype="i4").reshape(1, 2, 3),
    "bytes without a sign": np.arange(250, 256, dtype="u1"),
    "half": np.array([1, 2], "f2"),
    "booleans": np.array([True, False]),
    "complex": np.array([1 + 2j, -3j]),
    "dates": np.array(["2024-01-31T12:00", "NaT"], "M8[ns]"),
    "dates in steps": np.array(["2024-01-31"], "M8[10ms]"),
    "days": np.array(["2024-01-31"], "M8[D]"),
    "spans": np.array([3, -4], "m8[s]"),
    "spans without a unit": np.array([3]).view("m8"),
    "text": np.array(["", "ab", "Größe", "🚀"]),
    "byte strings": np.array([b"a", b"bc"]),
    "of another machine": np.arange(3, dtype=">i2"),
    "dates of another machine": np.array(["2024"], ">M8[us]"),
    "no axes": np.array(2.5),
    "empty": np.array([]),
    "empty of two axes": np.zeros((0, 3), "i8"),
    "columns first": np.asfortranarray(np.arange(6.0).reshape(2, 3)),
    "a slice": np.arange(24.0).reshape(2, 3, 4)[:, ::2, ::-1],
    "many axes": np.zeros((1,) * 32),
    "every byte": np.frombuffer(bytes(range(256)), "u1"),
    "not small": np.random.default_rng(1).normal(size=100_000),
}


def check(found: Any, array: Any) -> None:
    assert type(found) is np.ndarray
    assert (found.dtype, found.shape, found.tobytes()) == (array.dtype, array.shape, array.tobytes())
    assert found.flags.writeable
    assert found.flags.owndata


@pytest.mark.parametrize("protocol", PROTOCOLS)
@pytest.mark.parametrize("array", ARRAYS.values(), ids=ARRAYS)
def test_arrays(array: Any, protocol: int) -> None:
    check(read_pickled_array(pickle.dumps(array, protocol)), array)
    if array.flags.fnc:
        assert read_pickled_array(pickle.dumps(array, protocol)).flags.f_contiguous


@settings(deadline=None)
@given(
    npst.arrays(
        npst.boolean_dtypes()
        | npst.integer_dtypes()
        | npst.floating_dtypes(sizes=(16, 32, 64))
        | npst.complex_number_dtypes(sizes=(64, 128))
        | npst.datetime64_dtypes()
        | npst.timedelta64_dtypes()
        | npst.unicode_string_dtypes(),
        npst.array_shapes(min_dims=0, max_dims=5, min_side=0),
    ),
    st.sampled_from(PROTOCOLS),
    st.booleans(),
)
def test_any_array(array: Any, protocol: int, transposed: bool) -> None:
    given_array = array.T if transposed else array
    check(read_pickled_array(pickle.dumps(given_array, protocol)), given_array)


@pytest.mark.parametrize("array", ARRAYS.values(), ids=ARRAYS)
def test_the_pickler_written_in_python_and_older_numpy_write_otherwise(array: Any) -> None:
    """MDB-18."""
    for protocol in PROTOCOLS:
        stream = io.BytesIO()
        pickle._Pickler(stream, protocol).dump(array)
        check(read_pickled_array(stream.getvalue()), array)
        if protocol < 4:
            check(read_pickled_array(stream.getvalue().replace(b"numpy._core", b"numpy.core")), array)


class Calls:
    """Pickles to a call of what it is given."""

    def __init__(self, called: Any, *arguments: Any) -> None:
        self._call = (called, arguments)

    def __reduce__(self) -> tuple[Any, ...]:
        return self._call


def mark(tmp_path: Path) -> str:
    return f"touch {tmp_path / 'ran'}"


GLOBAL_SYSTEM = b"cos\nsystem\n"
RECONSTRUCT = b"cnumpy.core.multiarray\n_reconstruct\n"


@pytest.mark.parametrize("protocol", PROTOCOLS)
@pytest.mark.parametrize(
    ("poison", "named"),
    [
        (lambda command: Calls(os.system, command), "system"),
        (lambda command: Calls(eval, f"__import__('os').system({command!r})"), "eval"),
        (lambda command: [np.zeros(2), Calls(os.system, command)], "EMPTY_LIST|LIST"),
        (lambda command: (np.zeros(2), Calls(os.system, command)), "system"),
        (lambda command: np.array([Calls(os.system, command)], object), "LIST"),
        (lambda command: Calls(getattr, Calls(__import__, "os"), "system"), "getattr|__import__"),
    ],
)
def test_a_poisoned_pickle_is_refused_by_name_and_runs_nothing(
    tmp_path: Path, poison: Any, named: str, protocol: int
) -> None:
    """MDB-6."""
    data = pickle.dumps(poison(mark(tmp_path)), protocol)
    with pytest.raises(DecodeError, match=named):
        read_pickled_array(data)
    assert not (tmp_path / "ran").exists()


REFUSED = {
    "nothing": b"",
    "no pickle": b"hello",
    "no end": b"K\x01",
    "an empty stack": b".",
    "a plain number": b"K\x01.",
    "bytes": pickle.dumps(b"data"),
    "a dict": pickle.dumps({"a": 1}),
    "records": pickle.dumps(np.zeros(2, [("a", "f8")]), 2),
    "objects": pickle.dumps(np.array([None, {}], object), 2),
    "long doubles": pickle.dumps(np.zeros(2, np.longdouble), 2),
    "raw bytes": pickle.dumps(np.zeros(2, "V4"), 2),
    "a matrix": RECONSTRUCT + b"cnumpy\nmatrix\n(I0\ntVb\ntR.",
    "a masked array": pickle.dumps(np.ma.array([1, 2]), 2),
    "a scalar": pickle.dumps(np.float64(1), 2),
    "a dtype alone": pickle.dumps(np.dtype("f8"), 2),
    "a name with an escape": b"c\\x6fs\nsystem\n(Vx\ntR.",
    "a name with an odd escape": b"c\\ys\nsystem\n(Vx\ntR.",
    "a name alone": b"cnumpy\nndarray\n.",
    "system": GLOBAL_SYSTEM + b"(S'true'\ntR.",
    "system, by an old instruction": b"(S'true'\nios\nsystem\n.",
    "system, put by parts": b"\x80\x04\x8c\x02os\x8c\x06system\x93\x8c\x04true\x85R.",
    "a name of another type": b"\x80\x04K\x01K\x02\x93.",
    "system in the memo": GLOBAL_SYSTEM + b"p0\n0" + RECONSTRUCT + b"g0\n.",
    "a memo that is not there": b"g7\n.",
    "put without a stack": b"p7\n.",
    "the array is called": RECONSTRUCT + b")R)R.",
    "a state for a number": b"K\x01)b.",
    "a state twice": RECONSTRUCT + b")R)b)b.",
    "a persistent id": b"P1\n.",
    "an extension": b"\x80\x02\x82\x01.",
    "codecs.decode": b"c_codecs\ndecode\n.",
    "codecs.encode of anything": b"c_codecs\nencode\n(Vx\nVrot13\ntR.",
    "giant bytes": b"\x80\x04\x8e" + struct.pack("<Q", 1 << 62) + b"x.",
    "giant text": b"\x80\x02X" + struct.pack("<I", (1 << 32) - 1) + b"x.",
    "a giant number": b"L" + b"9" * 100_000 + b"L\n.",
    "a long name": b"c" + b"a" * 100_000 + b"\n\x1b[31m\n.",
    "1000 tuples in each other": b")" + b"\x85" * 100_000 + b".",
    "1000 marks": b"(" * 100_000 + b".",
    "text that is no UTF-8": b"X\x01\x00\x00\x00\xff.",
}


@pytest.mark.parametrize("data", REFUSED.values(), ids=REFUSED)
def test_anything_else_is_refused(data: bytes) -> None:
    with pytest.raises(DecodeError, match="this is no pickled NumPy array") as caught:
        read_pickled_array(data)
    assert len(str(caught.value)) < 1000
    assert "\x1b" not in str(caught.value)


def changed(old: bytes, new: bytes) -> bytes:
    data = pickle.dumps(np.arange(3.0), 2)
    assert data.count(old) == 1
    return data.replace(old, new)


@pytest.mark.parametrize(
    ("old", "new"),
    [
        (b"K\x03\x85", b"K\x04\x85"),  # a shape that is larger than the data
        (b"K\x03\x85", b"K\x02\x85"),
        (b"K\x03\x85", b"J\xff\xff\xff\xff\x85"),
        (b"K\x03\x85", b"N\x85"),
        (b"K\x03\x85", b"K\x03"),
        (b"K\x03\x85", b"\x88K\x03\x86"),
        (b"f8", b"O8"),
        (b"f8", b"f9"),
        (b"f8", b"V8"),
        (b"X\x02\x00\x00\x00f8", b"X\x0b\x00\x00\x00f8,f8,f8,f8"),
        (b"X\x02\x00\x00\x00f8", b"X\x0a\x00\x00\x00U999999999"),
        (b"<", b"="),
        (b"<", b"?"),
        (b"latin1", b"rot_13"),
        (b"cnumpy\ndtype\n", b"cnumpy\nndarray\n"),
        (b"cnumpy\nndarray\n", b"cnumpy\ndtype\n"),
    ],
)
def test_a_changed_array_is_refused(old: bytes, new: bytes) -> None:
    with pytest.raises(DecodeError, match="this is no pickled NumPy array"):
        read_pickled_array(changed(old, new))


def test_a_truncated_array_is_refused() -> None:
    for protocol in PROTOCOLS:
        data = pickle.dumps(np.arange(20.0), protocol)
        for length in range(len(data)):
            with pytest.raises(DecodeError):
                read_pickled_array(data[:length])


@settings(deadline=None)
@given(st.binary(max_size=200), st.integers(0, 400))
def test_any_bytes_end_in_an_array_or_an_error(noise: bytes, place: int) -> None:
    data = pickle.dumps(np.arange(9.0), 2)
    for damaged in (noise, data[:place] + noise + data[place + len(noise) :]):
        try:
            found = read_pickled_array(damaged)
        except DecodeError:
            continue
        assert type(found) is np.ndarray
        assert found.dtype.kind in "biufcSUmM"
