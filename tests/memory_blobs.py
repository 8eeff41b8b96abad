"""Blobs that the tests keep in memory."""

from __future__ import annotations

from collections.abc import Iterator

from lume_services.values.blobs import Blob, BlobReader, Fill


class MemoryBlobs:
    """Keeps blobs in memory: a sink and a source."""

    def __init__(self) -> None:
        self.kept: dict[str, tuple[int, bytes, bytes]] = {}

    def put(self, blob: Blob) -> None:
        self.kept[blob.digest] = (blob.nbytes, blob.chunks, bytes(blob.buffer))

    def open(self, digest: str) -> BlobReader:
        nbytes, chunks, raw = self.kept[digest]
        return BlobReader(digest, nbytes, chunks, fill_from(raw))


def fill_from(raw: bytes, step: int = 1 << 30, reads: list[tuple[int, int]] | None = None) -> Fill:
    """Return what fills buffers from some bytes, `step` at a time, and notes where it has read."""

    def fill(start: int, data: memoryview) -> Iterator[int]:
        if reads is not None:
            reads.append((start, start + len(data)))
        size = 0
        while part := raw[start + size : start + min(size + step, len(data))]:
            data[size : size + len(part)] = part
            size += len(part)
            yield size

    return fill
