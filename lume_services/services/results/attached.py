"""The blobs of one record, as the codec reads them."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager

from typing_extensions import override

from lume_services.errors import BlobCorruptError, ResultNotFoundError
from lume_services.values.blobs import BlobReader


class BlobsOfRecord:
    """Opens the blobs of a record, and tells one that went with its record from one that is damaged.

    Args:
        open_blob: Opens the blob of a digest.
        holds: Tells whether the store still holds the record.
        where: The record, for errors.
    """

    def __init__(self, open_blob: Callable[[str], BlobReader], holds: Callable[[], bool], where: str) -> None:
        self._open = open_blob
        self._holds = holds
        self._where = where

    def open(self, digest: str) -> BlobReader:
        """Return a reader of a blob.

        Raises:
            ResultNotFoundError: The record was deleted.
            BlobCorruptError: The blob is missing or damaged.
        """
        with self.there():
            return _ReaderOfRecord(self._open(digest), self)

    @contextmanager
    def there(self) -> Iterator[None]:
        """Say of a blob that went with its record that the record was deleted."""
        try:
            yield
        except BlobCorruptError as error:
            if self._holds():
                raise
            raise ResultNotFoundError(
                "the record was deleted after it had been found, and its arrays with it.",
                where=self._where,
                remedy="Copy the arrays that you need, np.array(array), before you delete the record.",
            ) from error


class _ReaderOfRecord(BlobReader):
    """Reads a blob; if it is gone, says whether the record is, too."""

    def __init__(self, reader: BlobReader, blobs: BlobsOfRecord) -> None:  # the reader has checked itself
        self.digest = reader.digest
        self.nbytes = reader.nbytes
        self._reader = reader
        self._blobs = blobs

    @override
    def read(self, start: int = 0, stop: int | None = None) -> memoryview:
        with self._blobs.there():
            return self._reader.read(start, stop)
