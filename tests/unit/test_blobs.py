"""Blobs: their digests, and reading parts of them verified."""

from __future__ import annotations

import tracemalloc

import numpy as np
import pytest
from blake3 import blake3
from hypothesis import given
from hypothesis import strategies as st
from memory_blobs import fill_from

from lume_services.errors import BlobCorruptError
from lume_services.values.blobs import CHUNK_BYTES, Blob, BlobReader


def reader_of(blob, stored=None, **how):
    stored = bytes(blob.buffer) if stored is None else stored
    return BlobReader(blob.digest, blob.nbytes, blob.chunks, fill_from(stored, **how))


def content(nbytes):
    return np.random.default_rng(nbytes).bytes(nbytes)


def test_the_digest_is_that_of_the_length_and_the_chunk_digests():
    data = content(CHUNK_BYTES + 5)
    chunks = blake3(data[:CHUNK_BYTES]).digest() + blake3(data[CHUNK_BYTES:]).digest()
    blob = Blob.of(data)
    assert blob.nbytes == len(data)
    assert blob.chunks == chunks
    assert blob.digest == blake3(len(data).to_bytes(8, "little") + chunks).hexdigest()


def test_a_blob_does_not_copy_its_bytes():
    array = np.zeros(20 * CHUNK_BYTES, np.uint8)
    tracemalloc.start()
    blob = Blob.of(array)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < CHUNK_BYTES // 4
    array[0] = 7
    assert blob.buffer[0] == 7


@given(st.data())
def test_any_range_is_read_and_only_its_chunks(data):
    sizes = [0, 1, CHUNK_BYTES - 1, CHUNK_BYTES, 2 * CHUNK_BYTES, 2 * CHUNK_BYTES + 9]
    nbytes = data.draw(st.sampled_from(sizes))
    start = data.draw(st.integers(0, nbytes))
    stop = data.draw(st.integers(start, nbytes))
    raw = content(nbytes)
    reads: list[tuple[int, int]] = []
    reader = reader_of(Blob.of(raw), step=data.draw(st.sampled_from([1000, CHUNK_BYTES + 7])), reads=reads)
    assert bytes(reader.read(start, stop)) == raw[start:stop]
    [(begin, end)] = reads
    assert begin <= start <= stop <= end
    assert start - begin < CHUNK_BYTES
    assert end - stop < CHUNK_BYTES


@pytest.mark.parametrize(("start", "stop"), [(-1, 1), (2, 1), (0, 11)])
def test_a_range_outside_is_an_error(start, stop):
    with pytest.raises(ValueError, match="not within a blob of 10 bytes"):
        reader_of(Blob.of(content(10))).read(start, stop)


def test_a_damaged_chunk_is_found_where_it_is_read_and_named_by_digest():
    raw = content(3 * CHUNK_BYTES)
    blob = Blob.of(raw)
    damaged = bytearray(raw)
    damaged[CHUNK_BYTES + 3] ^= 1
    reader = reader_of(blob, bytes(damaged))
    assert bytes(reader.read(0, CHUNK_BYTES)) == raw[:CHUNK_BYTES]
    with pytest.raises(BlobCorruptError, match=rf"{blob.digest} is damaged: chunk 1 ") as caught:
        reader.read(CHUNK_BYTES + 100, CHUNK_BYTES + 101)
    assert caught.value.digest == blob.digest


@pytest.mark.parametrize("missing", [1, 10, 11, 2 * CHUNK_BYTES])
@pytest.mark.parametrize("chunks", [2, 6])  # hashed one after the other, and by threads
def test_missing_bytes_are_found(missing, chunks):
    raw = content(chunks * CHUNK_BYTES + 10)
    with pytest.raises(BlobCorruptError, match="missing in part"):
        reader_of(Blob.of(raw), raw[:-missing], step=CHUNK_BYTES).read()


@pytest.mark.parametrize("step", [100_000, CHUNK_BYTES, 5 * CHUNK_BYTES])
def test_chunks_are_hashed_while_others_are_read(step):
    raw = content(6 * CHUNK_BYTES + 10)
    assert bytes(reader_of(Blob.of(raw), step=step).read()) == raw
    damaged = bytearray(raw)
    damaged[-1] ^= 1
    with pytest.raises(BlobCorruptError, match="chunk 6 "):
        reader_of(Blob.of(raw), bytes(damaged), step=step).read()


def test_an_error_of_the_store_comes_through():
    def fill(start, data):
        yield CHUNK_BYTES
        raise OSError("disk on fire")

    blob = Blob.of(content(6 * CHUNK_BYTES))
    with pytest.raises(OSError, match="disk on fire"):
        BlobReader(blob.digest, blob.nbytes, blob.chunks, fill).read()


@pytest.mark.parametrize("fault", ["digest", "nbytes", "chunks", "no chunks"])
def test_a_damaged_directory_is_found_before_anything_is_read(fault):
    blob = Blob.of(content(CHUNK_BYTES + 10))
    facts = {
        "digest": (blob.digest.replace(blob.digest[0], "g"), blob.nbytes, blob.chunks),
        "nbytes": (blob.digest, blob.nbytes + 1, blob.chunks),
        "chunks": (blob.digest, blob.nbytes, blob.chunks[:-1] + b"x"),
        "no chunks": (blob.digest, blob.nbytes, b""),
    }
    with pytest.raises(BlobCorruptError, match="list of chunks"):
        BlobReader(*facts[fault], fill_from(b""))
