"""Large byte strings that lie beside a document, and their digests.

A blob is hashed in chunks of 1 MiB, so that a reader can verify the part it reads without reading
the rest. The digest of the blob is the BLAKE3 of its length and of the digests of its chunks.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol, TypeAlias

from blake3 import blake3

from lume_services.errors import BlobCorruptError

if TYPE_CHECKING:
    from typing_extensions import Buffer

Fill: TypeAlias = Callable[[int, memoryview], Iterable[int]]

CHUNK_BYTES = 1 << 20
_DIGEST_BYTES = 32


def _digest(nbytes: int, chunks: bytes) -> str:
    return blake3(nbytes.to_bytes(8, "little") + chunks).hexdigest()


def _chunk_digests(view: memoryview, filled: Iterable[int]) -> list[bytes]:
    """Return the digests of the chunks of a buffer; each is hashed as soon as it is filled.

    Args:
        view: The buffer.
        filled: Gives, as it is filled, how many of its bytes are.
    """
    digests: list[bytes] = []
    for size in filled:
        whole = size if size == len(view) else size - size % CHUNK_BYTES
        begins = range(len(digests) * CHUNK_BYTES, whole, CHUNK_BYTES)
        digests += [blake3(view[begin : begin + CHUNK_BYTES]).digest() for begin in begins]
    return digests


@dataclass(frozen=True, repr=False)
class Blob:
    """Bytes on their way into a store.

    Attributes:
        digest: Identifies the content, in hex.
        nbytes: The length.
        buffer: The bytes themselves; an array is in C order and little endian. Not a copy.
        chunks: The BLAKE3 digests of the chunks of 1 MiB, one after the other.
    """

    digest: str
    nbytes: int
    buffer: memoryview
    chunks: bytes

    @classmethod
    def of(cls, data: Buffer) -> Blob:
        """Return the blob of contiguous `data`, which is neither copied nor changed."""
        view = memoryview(data).cast("B")
        chunks = b"".join(_chunk_digests(view, [len(view)]))
        return cls(_digest(len(view), chunks), len(view), view, chunks)

    def __repr__(self) -> str:
        return f"Blob({self.digest[:12]}…, {self.nbytes} bytes)"


class BlobReader:
    """Reads parts of a stored blob and verifies each chunk it touches.

    Args:
        digest: The digest from the document.
        nbytes: The stored length.
        chunks: The stored digests of the chunks.
        fill: Fills a buffer with the bytes from a start; both its ends lie on chunk boundaries or at the
            end of the blob. Yields from time to time how many bytes of the buffer it has filled.

    Raises:
        BlobCorruptError: Length and chunk digests are not those of `digest`.
    """

    def __init__(self, digest: str, nbytes: int, chunks: bytes, fill: Fill) -> None:
        expected = -(-nbytes // CHUNK_BYTES) * _DIGEST_BYTES
        if nbytes < 0 or len(chunks) != expected or _digest(nbytes, chunks) != digest:
            raise _corrupt(digest, "its list of chunks is damaged")
        self.digest = digest
        self.nbytes = nbytes
        self._chunks = chunks
        self._fill = fill

    def read(self, start: int = 0, stop: int | None = None) -> memoryview:
        """Return the bytes from `start` to `stop` (default: all), verified.

        Raises:
            BlobCorruptError: The stored bytes are not those that were written.
            ValueError: The range is not within the blob.
        """
        import numpy as np  # whoever reads arrays has it, but stores are configured without it

        stop = self.nbytes if stop is None else stop
        if not 0 <= start <= stop <= self.nbytes:
            raise ValueError(f"bytes {start} to {stop} are not within a blob of {self.nbytes} bytes")
        first = start // CHUNK_BYTES
        begin, end = first * CHUNK_BYTES, min(-(-stop // CHUNK_BYTES) * CHUNK_BYTES, self.nbytes)
        view = np.empty(end - begin, np.uint8).data
        found = _chunk_digests(view, self._fill(begin, view))
        if len(found) * CHUNK_BYTES < len(view):
            raise _corrupt(self.digest, f"bytes {begin} to {end} are missing in part")
        for number, digest in enumerate(found, start=first):
            if digest != self._chunks[number * _DIGEST_BYTES : (number + 1) * _DIGEST_BYTES]:
                raise _corrupt(self.digest, f"chunk {number} (of {CHUNK_BYTES} bytes) is damaged")
        return view[start - begin : stop - begin]

    def __repr__(self) -> str:
        return f"BlobReader({self.digest[:12]}…, {self.nbytes} bytes)"


class BlobSink(Protocol):
    """Where `encode` puts the blobs of a document."""

    def put(self, blob: Blob) -> None:
        """Keep a blob. The same digest may come again: it is the same content."""


class BlobSource(Protocol):
    """Where `decode` finds the blobs of a document."""

    def open(self, digest: str) -> BlobReader:
        """Return a reader of the blob of that digest; nothing need be read yet."""


def _corrupt(digest: str, what: str) -> BlobCorruptError:
    return BlobCorruptError(
        f"Blob {digest} is damaged: {what}.",
        remedy="Restore it from a backup, or run the calculation again.",
        digest=digest,
    )
