"""Blobs as files, named by their digest: equal ones are one file."""

from __future__ import annotations

import os
import re
import secrets
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from lume_services.errors import BlobCorruptError
from lume_services.services.results.folder.durable import explain_os_error, fill, remove_abandoned, sync
from lume_services.values.blobs import CHUNK_BYTES, Blob, BlobReader

_DIGEST = re.compile(r"[0-9a-f]{64}")
_DIGEST_BYTES = 32


class BlobFolder:
    """A folder of blobs. A file `ab/ab34…` holds the bytes, then the digests of their chunks.

    A file appears under its name when it is complete. Nothing here is remembered, so that any number of
    processes may use the same folder.

    Args:
        path: The folder; made when it is first used.
        durable: Whether a stored blob survives the loss of power, not only the end of the process.
    """

    def __init__(self, path: Path, *, durable: bool) -> None:
        self.path = path
        self._durable = durable

    def put(self, blob: Blob) -> None:
        """Store a blob, unless it is there; then its file is as new as if it had been stored now.

        Raises:
            ResultsDBError: It cannot be written.
        """
        if self.has(blob) and self._renewed(blob):
            return
        file = self._file(blob.digest)
        unfinished = self._unfinished / secrets.token_hex(16)
        try:
            try:
                self._write(unfinished, blob)
                file.parent.mkdir(exist_ok=True)
                unfinished.replace(file)
            finally:
                unfinished.unlink(missing_ok=True)
            if self._durable:
                for folder in (file.parent, self.path):
                    sync(folder)
        except OSError as error:
            raise explain_os_error(error, self.path) from error

    def has(self, blob: Blob) -> bool:
        """Tell whether a blob is there in its full length."""
        try:
            return self._file(blob.digest).stat().st_size == blob.nbytes + len(blob.chunks)
        except FileNotFoundError:
            return False

    def _renewed(self, blob: Blob) -> bool:
        """Give a blob the present time; return whether it is still there."""
        try:
            os.utime(self._file(blob.digest))
        except FileNotFoundError:
            return False
        except OSError:  # the file is one of another user
            return True
        return True

    def open(self, digest: str, record_id: str) -> BlobReader:
        """Return a reader of a blob. It opens the file for each read, so that many may be held.

        Args:
            digest: Of the blob.
            record_id: The record that refers to it, for errors.

        Raises:
            BlobCorruptError: The blob is missing or damaged.
            ResultsDBError: It cannot be read.
        """
        return _FileReader(digest, self._file(digest), record_id)

    def remove(self, digest: str) -> bool:
        """Remove a blob; return whether it was there."""
        try:
            self._file(digest).unlink()
        except FileNotFoundError:
            return False
        except OSError as error:
            raise explain_os_error(error, self.path) from error
        return True

    def digests(self) -> Iterator[str]:
        """Yield the digests of the blobs that are there."""
        for file in self.path.glob("??/*"):
            if _DIGEST.fullmatch(file.name):
                yield file.name

    def remove_abandoned(self) -> int:
        """Remove what writers left that were killed; return how many files."""
        return remove_abandoned(self._unfinished)

    @property
    def _unfinished(self) -> Path:
        return self.path / "unfinished"

    def _file(self, digest: str) -> Path:
        if not _DIGEST.fullmatch(digest):
            raise BlobCorruptError(f"{digest!r} is not the digest of a blob.", where=str(self.path))
        return self.path / digest[:2] / digest

    def _write(self, file: Path, blob: Blob) -> None:
        file.parent.mkdir(parents=True, exist_ok=True)
        with file.open("xb") as stream:
            stream.write(blob.buffer)
            stream.write(blob.chunks)
            if self._durable:
                stream.flush()
                os.fsync(stream.fileno())


class _FileReader(BlobReader):
    """Reads a blob from its file, and names the file and the record in errors."""

    def __init__(self, digest: str, file: Path, record_id: str) -> None:
        self._file = file
        self._record_id = record_id
        with self._explained():
            with file.open("rb") as stream:
                size = os.fstat(stream.fileno()).st_size
                nbytes = size - _DIGEST_BYTES * -(-size // (CHUNK_BYTES + _DIGEST_BYTES))
                stream.seek(max(nbytes, 0))
                chunks = stream.read()
            super().__init__(digest, nbytes, chunks, self._bytes)

    def read(self, start: int = 0, stop: int | None = None) -> memoryview:
        with self._explained():
            return super().read(start, stop)

    def _bytes(self, start: int, data: memoryview) -> Iterator[int]:
        return fill(data, self._file, start)

    @contextmanager
    def _explained(self) -> Iterator[None]:
        try:
            yield
        except FileNotFoundError as error:
            raise self._damaged("a blob is missing.") from error
        except OSError as error:
            raise explain_os_error(error, self._file) from error
        except BlobCorruptError as error:
            raise self._damaged(error.message) from error

    def _damaged(self, what: str) -> BlobCorruptError:
        return BlobCorruptError(
            what,
            where=f"record {self._record_id}, {self._file}",
            remedy="Restore the file from a backup, or run the calculation again.",
            digest=self._file.name,
            record_id=self._record_id,
        )
