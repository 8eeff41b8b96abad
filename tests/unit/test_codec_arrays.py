"""NumPy arrays and scalars: to documents and blobs, and back."""

from __future__ import annotations

import math
import tracemalloc

import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st
from hypothesis.extra import numpy as npst
from memory_blobs import MemoryBlobs

from lume_services.errors import BlobCorruptError, DecodeError, EncodeError
from lume_services.values import LazyArray, decode, dumps, encode, fingerprint, loads


def round_trip(value, threshold=None):
    blobs = MemoryBlobs()
    options = {} if threshold is None else {"sink": blobs, "threshold": threshold}
    return decode(loads(dumps(encode(value, **options))), source=blobs)


simple_dtypes = st.one_of(
    npst.boolean_dtypes(),
    npst.integer_dtypes(endianness="<"),
    npst.unsigned_integer_dtypes(endianness="<"),
    npst.floating_dtypes(endianness="<"),
    npst.complex_number_dtypes(endianness="<"),
    npst.unicode_string_dtypes(endianness="<", max_len=5),
    npst.byte_string_dtypes(endianness="<", max_len=5),
    npst.datetime64_dtypes(endianness="<"),
    npst.timedelta64_dtypes(endianness="<"),
)
structured_dtypes = npst.array_dtypes(simple_dtypes, max_size=3, allow_subarrays=True) | npst.nested_dtypes(
    simple_dtypes, max_leaves=4, max_itemsize=200
)
shapes = npst.array_shapes(min_dims=0, max_dims=3, min_side=0, max_side=4)


@given(npst.arrays(simple_dtypes | structured_dtypes, shapes), st.sampled_from([None, 1]))
def test_an_array_of_any_dtype_comes_back_bit_by_bit(array, threshold):
    back = round_trip(array, threshold)
    assert back.dtype == array.dtype
    assert back.shape == array.shape
    assert np.asarray(back).tobytes() == array.tobytes()
    assert fingerprint(back) == fingerprint(array)
    if threshold is None or not array.nbytes:
        assert type(back) is np.ndarray
        assert back.flags.writeable
    else:
        assert type(back) is LazyArray


@given(npst.arrays(simple_dtypes, ()))
def test_a_scalar_of_any_dtype_comes_back_of_its_type(array):
    scalar = array[()]
    assume(
        not isinstance(scalar, str) or scalar.encode("utf-8", "ignore").decode() == scalar
    )  # a lone surrogate is no text
    for back in (round_trip(scalar), round_trip({"x": scalar})["x"], round_trip([scalar], 1)[0]):
        assert type(back) is type(scalar)
        assert back.dtype == scalar.dtype
        np.testing.assert_array_equal(back, scalar)
        assert fingerprint(back) == fingerprint(scalar)


@pytest.mark.parametrize("dtype", [np.longdouble, np.clongdouble])
def test_long_doubles_are_exact_and_name_their_precision(dtype):
    number = dtype(1) / 3
    assert round_trip(number) == number
    assert type(round_trip(number)) is dtype
    array = np.array([number, 2], dtype)
    np.testing.assert_array_equal(round_trip(array), array)
    document = encode(array)
    if np.dtype(dtype) != np.dtype(dtype(0).real.astype("f8").dtype):
        document["dtype"] = document["dtype"].replace(str(np.finfo(dtype).nmant), "51")
        with pytest.raises(DecodeError, match="not a dtype that this machine can hold"):
            decode(document)


def test_structured_arrays_keep_their_layout_and_padding_is_zero():
    aligned = np.dtype([("flag", "i1"), ("inner", [("a", "u1"), ("b", "g")]), ("x", "f8", (2,))], align=True)
    array = np.frombuffer(b"\xaa" * 3 * aligned.itemsize, aligned).copy()
    array["flag"], array["x"] = 1, [2, 3]
    array["inner"]["a"], array["inner"]["b"] = 7, np.longdouble(1) / 3
    back = round_trip(array)
    assert back.dtype == aligned
    np.testing.assert_array_equal(back["inner"]["b"], array["inner"]["b"])
    np.testing.assert_array_equal(back["x"], array["x"])
    assert encode(array) == encode(back), "equal values give equal documents, whatever lay in the padding"
    record = array[1]
    assert round_trip(record)["x"].tolist() == [2, 3]
    assert type(round_trip(record)) is np.void


@pytest.mark.parametrize(
    "dtype",
    [
        np.dtypes.StringDType(),
        np.dtypes.StringDType(coerce=False),
        np.dtypes.StringDType(na_object=None),
        np.dtypes.StringDType(na_object=math.nan),
    ],
)
def test_arrays_of_strings_of_any_length(dtype):
    missing = getattr(dtype, "na_object", "")
    array = np.array([["a", "", "β" * 1000], ["x", missing, "z"]], dtype)
    for threshold in (None, 1):
        back = round_trip(array, threshold)
        assert back.dtype == dtype
        assert back.tolist()[0] == array.tolist()[0]
        assert str(back[1, 1]) == str(array[1, 1])
        assert fingerprint(back) == fingerprint(array)
    with pytest.raises(EncodeError, match="marks missing strings by 'NA'"):
        encode(np.array(["a"], np.dtypes.StringDType(na_object="NA")))


def test_byte_order_and_layout_are_not_kept_but_the_values_are():
    array = np.arange(6, dtype=">i4").reshape(2, 3).T
    back = round_trip(array)
    np.testing.assert_array_equal(back, array)
    assert back.dtype == np.dtype("<i4")
    assert back.flags.c_contiguous


def test_lists_of_arrays_res_13():
    """RES-13: lists of arrays could not be stored."""
    value = {"screens": [np.zeros(2), (np.ones(3), np.arange(2))]}
    back = round_trip(value)
    np.testing.assert_array_equal(back["screens"][1][0], np.ones(3))
    assert fingerprint(back) == fingerprint(value)


def test_an_array_stays_an_array_res_14():
    """RES-14: a result read back from its text had tables in place of arrays."""
    assert type(round_trip(np.zeros((2, 2)))) is np.ndarray
    assert round_trip(np.array([3.0])).shape == (1,)


def test_bytes_are_stored_as_bytes_res_15():
    """RES-15: an array took 1.56 times its size."""
    blobs = MemoryBlobs()
    encode(np.random.default_rng(0).random(100_000), sink=blobs)
    [(nbytes, _, raw)] = blobs.kept.values()
    assert nbytes == len(raw) == 800_000


def test_equal_arrays_have_equal_documents_res_16():
    """RES-16: equal arrays in C and Fortran order were stored as different bytes."""
    array = np.arange(6.0).reshape(2, 3)
    assert encode(np.asfortranarray(array)) == encode(array) == encode(array.astype(">f8"))


def test_a_large_array_is_a_blob_read_by_slices():
    blobs = MemoryBlobs()
    image = np.random.default_rng(0).random((1000, 300))
    document = encode({"image": image, "small": np.arange(3)}, sink=blobs)
    [digest] = blobs.kept
    assert document["image"] == {
        "$type": "ndarray",
        "dtype": "<f8",
        "shape": [1000, 300],
        "data": {"$type": "blob", "digest": digest, "nbytes": 2_400_000},
    }
    assert document["small"]["data"] == np.arange(3).tobytes()
    lazy = decode(document, source=blobs)["image"]
    np.testing.assert_array_equal(lazy[10:20], image[10:20])
    assert not lazy.loaded
    again = MemoryBlobs()
    assert encode(lazy, sink=again) == document["image"]
    assert again.kept == blobs.kept


def test_a_contiguous_array_is_not_copied():
    array = np.ones(4_000_000)
    array.flags.writeable = False
    taken = []

    class Sink:
        def put(self, blob):
            taken.append(np.shares_memory(np.asarray(blob.buffer), array))

    tracemalloc.start()
    encode({"a": array}, sink=Sink())
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert taken == [True]
    assert peak < 1_000_000


def test_a_whole_blob_is_loaded_without_a_copy():
    blobs = MemoryBlobs()
    document = encode(np.ones(4_000_000), sink=blobs)
    lazy = decode(document, source=blobs)
    tracemalloc.start()
    array = np.asarray(lazy)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert array.sum() == 4_000_000
    [(_, _, raw)] = blobs.kept.values()
    assert peak < 33_000_000, "the slice of the bytes in this test's store is the one copy"
    assert len(raw) == 32_000_000


def test_a_damaged_blob_is_found():
    blobs = MemoryBlobs()
    document = encode(np.ones(10_000), sink=blobs)
    [(digest, (nbytes, chunks, raw))] = blobs.kept.items()
    blobs.kept[digest] = (nbytes, chunks, raw[:-1] + b"x")
    lazy = decode(document, source=blobs)
    with pytest.raises(BlobCorruptError, match=digest):
        lazy.sum()
    blobs.kept[digest] = (nbytes - 1, chunks, raw[:-1])
    with pytest.raises(BlobCorruptError, match=digest):
        decode(document, source=blobs)


def test_a_blob_of_another_size_is_refused():
    blobs = MemoryBlobs()
    document = encode(np.ones(10_000), sink=blobs)
    document["data"]["nbytes"] = 8
    with pytest.raises(DecodeError, match=r'value\["data"\]: the blob has 80000 bytes, not 8'):
        decode(document, source=blobs)


@pytest.mark.parametrize(
    "change",
    [
        {"dtype": "O"},
        {"dtype": "|O"},
        {"dtype": ">f8"},
        {"dtype": "f8,f8"},
        {"dtype": "<f8,<f8"},
        {"dtype": "(2,)<f8"},
        {"dtype": "float"},
        {"dtype": "<f16"},
        {"dtype": "<U9999999999"},
        {"dtype": "<M8[0s]"},
        {"dtype": "|V0"},
        {"dtype": 8},
        {"dtype": None},
        {"dtype": ["<f8"]},
        {"dtype": {"names": ["a"], "formats": ["O"], "offsets": [0], "itemsize": 8}},
        {"dtype": {"names": ["a"], "formats": ["<f8"], "offsets": [4], "itemsize": 8}},
        {"dtype": {"names": ["a"], "formats": ["<f8"], "offsets": [-8], "itemsize": 8}},
        {"dtype": {"names": ["a"], "formats": ["<f8"], "offsets": [0], "itemsize": 8, "more": [7]}},
        {"dtype": {"names": [1], "formats": ["<f8"], "offsets": [0], "itemsize": 8}},
        {"dtype": {"base": "<f8", "shape": [10**12]}},
        {"dtype": {"base": "<f8", "shape": [1]}},
        {"dtype": {"coerce": True, "missing": None}},
        {"shape": [2]},
        {"shape": [4]},
        {"shape": [-3]},
        {"shape": [10**30]},
        {"shape": [10**12]},
        {"shape": [3.0]},
        {"shape": [True, 3]},
        {"shape": [1] * 65},
        {"shape": "3"},
        {"shape": 3},
        {"data": b""},
        {"data": b"x" * 23},
        {"data": "x" * 24},
        {"data": 24},
        {"data": [0] * 24},
        {"data": b"", "shape": [0, 10**30]},
        {"data": b"", "shape": [10**12], "dtype": "|V0"},
        {"strings": 1, "data": None},
    ],
    ids=str,
)
def test_a_hostile_array_is_refused_before_memory_is_taken(change):
    document = {**encode(np.zeros(3)), **change}
    tracemalloc.start()
    try:
        with pytest.raises(DecodeError, match=r"value\[0\]: this is not a stored ndarray"):
            decode([document])
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert peak < 1_000_000


@pytest.mark.parametrize(
    "change",
    [
        {"value": "1.5"},
        {"value": [1.0, 2.0]},
        {"value": 1},
        {"value": None},
        {"dtype": "O"},
        {"dtype": "<c8"},
    ],
    ids=str,
)
def test_a_hostile_scalar_is_refused(change):
    with pytest.raises(DecodeError, match="this is not a stored numpy"):
        decode({**encode(np.float32(1.5)), **change})


def test_hostile_strings_are_refused():
    document = encode(np.array(["a", "bc"], np.dtypes.StringDType()))
    for change in (
        {"ends": encode(np.array([1, 9]))},
        {"ends": encode(np.array([2, 1, 3]))},
        {"ends": encode(np.array([-1, 3]))},
        {"missing": encode(np.array([5]))},
        {"utf8": b"\xff\xff\xff"},
    ):
        damaged = {**document, "strings": {**document["strings"], **change}}
        with pytest.raises(DecodeError, match="this is not a stored ndarray"):
            decode(damaged)


def test_dtypes_that_cannot_be_stored_say_so():
    with pytest.raises(EncodeError, match="have no bytes"):
        encode(np.zeros(2, "V0"))
