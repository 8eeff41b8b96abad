"""Arrays that stay in the store until they are needed."""

from __future__ import annotations

import copy
import pickle

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as npst
from memory_blobs import fill_from

from lume_services.errors import BlobCorruptError
from lume_services.values import LazyArray, fingerprint
from lume_services.values.blobs import CHUNK_BYTES, Blob, BlobReader


class Stored:
    """A stored array and the number of bytes read from it."""

    def __init__(self, array, flip=None):
        raw = bytearray(array.tobytes())
        blob = Blob.of(bytes(raw))
        if flip is not None:
            raw[flip] ^= 1
        self.nbytes_read = 0
        self._raw = bytes(raw)
        reader = BlobReader(blob.digest, blob.nbytes, blob.chunks, self._fill)
        self.lazy = LazyArray(reader, array.dtype, array.shape)

    def _fill(self, start, data):
        self.nbytes_read += len(data)
        return fill_from(self._raw)(start, data)


@pytest.fixture
def image():
    return np.random.default_rng(1).random((2000, 300))  # 4.6 MiB


def test_it_tells_its_shape_without_reading(image):
    stored = Stored(image)
    lazy = stored.lazy
    assert (lazy.shape, lazy.dtype, lazy.ndim) == ((2000, 300), np.float64, 2)
    assert (lazy.size, lazy.nbytes, len(lazy)) == (600_000, 4_800_000, 2000)
    assert repr(lazy) == "LazyArray(shape=(2000, 300), dtype=float64, not loaded)"
    assert stored.nbytes_read == 0


def test_a_slice_reads_only_its_rows_and_may_be_changed(image):
    stored = Stored(image)
    part = stored.lazy[10:20]
    np.testing.assert_array_equal(part, image[10:20])
    assert stored.nbytes_read == CHUNK_BYTES
    part[:] = 0
    np.testing.assert_array_equal(stored.lazy[10:20], image[10:20])
    assert not stored.lazy.loaded


@given(
    st.data(),
    npst.array_shapes(min_dims=0, max_dims=3, min_side=0, max_side=6),
)
def test_any_index_gives_what_numpy_gives(data, shape):
    array = np.arange(np.prod(shape, dtype=int), dtype=np.int32).reshape(shape)
    index = data.draw(npst.basic_indices(shape, allow_newaxis=True, allow_ellipsis=True))
    found, expected = Stored(array).lazy[index], array[index]
    np.testing.assert_array_equal(found, expected)
    assert type(found) is type(expected)
    assert found.shape == expected.shape


@pytest.mark.parametrize("index", [[1, 5], np.array([True, False] * 1000), np.int64(3), -1, (3, [1, 2])])
def test_other_indices_give_what_numpy_gives(image, index):
    np.testing.assert_array_equal(Stored(image).lazy[index], image[index])


@pytest.mark.parametrize("index", [2000, -2001, (0, 300), "x", (0, 0, 0)])
def test_a_wrong_index_is_an_index_error(image, index):
    with pytest.raises(IndexError):
        Stored(image).lazy[index]


def test_a_field_is_read_by_name():
    table = np.array([(1, 2.5), (3, 4.5)], dtype=[("n", "i4"), ("x", "f8")])
    np.testing.assert_array_equal(Stored(table).lazy["x"], [2.5, 4.5])


def test_it_acts_as_an_array_and_loads_once(image):
    stored = Stored(image)
    lazy = stored.lazy
    np.testing.assert_array_equal(lazy, image)
    np.testing.assert_array_equal(lazy + 1, image + 1)
    np.testing.assert_array_equal(2 * lazy, 2 * image)
    np.testing.assert_array_equal(lazy > 0.5, image > 0.5)
    np.testing.assert_array_equal(lazy == image, np.ones(image.shape, bool))
    np.testing.assert_array_equal(np.concatenate([lazy, lazy]), np.concatenate([image, image]))
    np.testing.assert_array_equal(lazy.T, image.T)
    np.testing.assert_array_equal(np.array(lazy, dtype="f4"), image.astype("f4"))
    assert np.sum(lazy) == image.sum()
    assert lazy.mean() == image.mean()
    assert np.add.reduce(lazy).shape == (300,)
    assert [row[0] for row in lazy] == image[:, 0].tolist()
    assert stored.nbytes_read == image.nbytes
    assert lazy.loaded
    assert repr(lazy).endswith("loaded)")


def test_it_is_read_only_and_says_how_to_change_a_copy(image):
    lazy = Stored(image).lazy
    with pytest.raises(TypeError, match=r"np\.array\(lazy\)"):
        lazy += 1
    with pytest.raises(ValueError, match="read-only"):
        np.asarray(lazy)[0] = 1
    changed = np.array(lazy)
    changed[0] = 1
    np.testing.assert_array_equal(lazy, image)


def test_truth_and_equality_are_as_numpy_has_them(image):
    with pytest.raises(ValueError, match="ambiguous"):
        bool(Stored(image).lazy)
    with pytest.raises(TypeError, match="unhashable"):
        hash(Stored(image).lazy)


def test_it_has_no_attributes_that_arrays_lack(image):
    stored = Stored(image)
    assert not hasattr(stored.lazy, "columns")
    assert not hasattr(stored.lazy, "_repr_html_")
    assert stored.nbytes_read == 0


def test_it_is_pickled_and_copied_as_the_array(image):
    for twin in (pickle.loads(pickle.dumps(Stored(image).lazy)), copy.deepcopy(Stored(image).lazy)):
        assert type(twin) is np.ndarray
        np.testing.assert_array_equal(twin, image)


def test_it_has_the_fingerprint_of_the_array_without_being_kept_in_memory(image):
    large = np.concatenate([image] * 8)  # 37 MiB
    lazy = Stored(large).lazy
    assert fingerprint(lazy) == fingerprint(large)
    assert not lazy.loaded
    for array in (image[0], np.array(1.5), np.zeros((0, 3)), np.zeros(3, "i4,f8")):
        assert fingerprint(Stored(array).lazy) == fingerprint(array)


def test_damage_is_found_by_the_slice_that_touches_it(image):
    lazy = Stored(image, flip=CHUNK_BYTES + 1).lazy
    np.testing.assert_array_equal(lazy[:10], image[:10])
    with pytest.raises(BlobCorruptError, match="chunk 1"):
        lazy[500]
    with pytest.raises(BlobCorruptError):
        lazy.mean()
