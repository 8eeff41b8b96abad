"""Records as HDF5 files: exact, whatever they hold."""

from __future__ import annotations

import tempfile
from contextlib import suppress
from datetime import UTC
from pathlib import Path
from typing import Any

import hypothesis.extra.numpy as npst
import numpy as np
from hypothesis import example, given
from hypothesis import strategies as st

from lume_services.errors import BlobCorruptError, ResultsDBError
from lume_services.services.results.hdf5.arrays import ArrayReader
from lume_services.services.results.hdf5.record import Storage, read_record, write_record
from lume_services.services.results.record import Record
from lume_services.values import decode, fingerprint

texts = st.text(st.characters(exclude_categories=["Cs"]), max_size=5) | st.sampled_from(
    ["", ".", "..", "a/b", "%", "%checksums", "\0", "a\0", "$type", "$types", "value", "\\", "é" * 40]
)
scalars = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(),
    st.floats(),
    texts,
    st.binary(max_size=5),
    st.dates(),
    st.uuids(),
    st.datetimes(timezones=st.just(UTC)),
    st.complex_numbers(),
)
dtypes = st.one_of(
    npst.boolean_dtypes(),
    npst.integer_dtypes(endianness="<"),
    npst.unsigned_integer_dtypes(endianness="<"),
    npst.floating_dtypes(),
    npst.complex_number_dtypes(),
    npst.unicode_string_dtypes(max_len=5),
    npst.byte_string_dtypes(max_len=5),
    npst.datetime64_dtypes(),
    npst.timedelta64_dtypes(),
)
structures = npst.array_dtypes(dtypes, max_size=3, allow_subarrays=True)
shapes = npst.array_shapes(min_dims=0, max_dims=3, min_side=0, max_side=4)
arrays = npst.arrays(dtypes | structures, shapes) | npst.arrays(dtypes, ()).map(lambda array: array[()])
values = st.recursive(
    scalars | arrays,
    lambda parts: st.one_of(
        st.lists(parts, max_size=4),
        st.lists(st.integers(), max_size=4),
        st.tuples(parts),
        st.dictionaries(texts | st.integers(), parts, max_size=4),
    ),
    max_leaves=8,
)
storages = st.sampled_from(
    [Storage(), Storage("gzip", 1, shuffle=True), Storage("lzf"), Storage(chunk_bytes=16)]
)


class Blobs:
    """The blobs of a file."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def open(self, digest: str) -> ArrayReader:
        return ArrayReader(digest, self.path, "an id")


items = st.dictionaries(texts.filter(lambda key: key not in ("$type", "$types")), values, max_size=4)


@given(items, st.sampled_from([0, 8, 1 << 16]), storages)
@example({"a": np.zeros((0, 3)), "b": np.array(1.5), "c": b"", "d": [np.float32(1), [1, 2]]}, 0, Storage())
@example({"%checksums": 1, "a": {"%checksums": np.arange(20)}}, 8, Storage())
def test_a_record_comes_back_exactly(item: dict[str, Any], threshold: int, storage: Storage) -> None:
    record = Record.of(item, "hash", threshold=threshold)
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "a.h5"
        write_record(path, record, "a collection", storage)
        collection, found = read_record(path)
        assert collection == "a collection"
        assert found.text == record.text
        assert (found.id, found.unique_hash, found.digest) == (record.id, "hash", record.digest)
        value = {key: decode(part, source=Blobs(path)) for key, part in found.document.items()}
        assert fingerprint(value) == fingerprint({**item, "unique_hash": "hash"})


changes_of_bytes = st.lists(
    st.tuples(st.floats(0, 1, exclude_max=True), st.integers(0, 255)), min_size=1, max_size=9
)


@given(changes_of_bytes, storages)
def test_changed_bytes_never_give_another_record(changes: list[tuple[float, int]], storage: Storage) -> None:
    item = {"n": 1, "text": ["a", None], "z": 3j, "small": np.arange(9.0), "large": np.arange(1500.0)}
    record = Record.of(item, "hash", threshold=4000)
    [digest] = record.blobs
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "a.h5"
        write_record(path, record, "p", storage)
        data = bytearray(path.read_bytes())
        for place, byte in changes:
            data[int(place * len(data))] = byte
        path.write_bytes(data)
        with suppress(ResultsDBError):
            collection, found = read_record(path)
            assert (collection, found.id, found.text) == ("p", record.id, record.text)
        with suppress(ResultsDBError, BlobCorruptError):
            assert bytes(Blobs(path).open(digest).read()) == bytes(record.blobs[digest].buffer)
