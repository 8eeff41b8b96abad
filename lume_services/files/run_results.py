"""How values and exceptions come back from flow runs in other processes: as files, never pickled.

Prefect keeps what a flow or a task returned in a result storage, by a serializer. These are ours: the
storage writes through the file service, and the serializer writes a document and its blobs. Whoever has the
configuration reads them. Prefect finds them by its entry points of type `prefect.collections`.
"""

from __future__ import annotations

import hashlib
import re
import traceback
from datetime import datetime
from typing import Any, Literal

import prefect.serializers
from prefect.filesystems import WritableFileSystem
from pydantic import Field

from lume_services.config import current_context
from lume_services.errors import EmptyResultError, EncodeError, RunException
from lume_services.services.results.folder.blobs import BlobFolder
from lume_services.values import decode, encode
from lume_services.values.document import Document, dumps, loads

FOLDER = "run_results"
_BLOBS = f"{FOLDER}/blobs"
_PARAMETERS, _REFERENCE = "parameters", "$lume_parameter"
_NAME = re.compile(r"[0-9a-f]{64}")
_VALUE, _EXCEPTION, _REFUSED = "value", "exception", "refused"


class RunResultSerializer(prefect.serializers.Serializer):
    """Writes a value as a document, with large arrays as blobs beside it.

    A value that cannot be stored leaves the reason in its place, which is raised when it is asked for; the
    run itself goes on.
    """

    type: Literal["lume-services"] = "lume-services"

    def dumps(self, obj: Any) -> bytes:
        """Return the document of a value, or the description of an exception."""
        if isinstance(obj, BaseException):
            return dumps({_EXCEPTION: _described(obj)}).encode()
        try:
            return dumps({_VALUE: encode(obj, sink=_blobs())}).encode()
        except EncodeError as error:
            return dumps({_REFUSED: str(error)}).encode()

    def loads(self, blob: bytes) -> Any:
        """Return the value, or a `RunException`.

        Raises:
            EmptyResultError: The value could not be stored; the message says why.
        """
        document: Any = loads(blob.decode())
        if _EXCEPTION in document:
            return RunException(**document[_EXCEPTION])
        if _REFUSED in document:
            raise EmptyResultError(f"it completed, but its value could not be kept: {document[_REFUSED]}")
        return decode(document[_VALUE], source=_Source(_blobs()), lazy=False)


class RunResultStorage(WritableFileSystem):
    """Prefect's result storage over one of the configured filesystems.

    As a block it holds a name only, so that it means the same filesystem wherever it is configured.
    """

    _block_type_name = "LUME-services run results"
    _block_type_slug = "lume-services-run-results"

    filesystem_identifier: str = Field(default="local", description="Name of a configured filesystem.")

    def read_path(self, path: str, **_: Any) -> bytes:  # type: ignore[override]  # it is called both ways
        """Return the content of a file."""
        service = current_context().file_service()
        content: bytes = service.read(self.filesystem_identifier, f"{FOLDER}/{path}", _Bytes)
        return content

    def write_path(self, path: str, content: bytes, **_: Any) -> str:  # type: ignore[override]
        """Write a file in one step and return its name."""
        service = current_context().file_service()
        service.write(self.filesystem_identifier, f"{FOLDER}/{path}", content, _Bytes())
        return path

    def keep_parameter(self, value: Any) -> dict[str, str]:
        """Keep a value for a job, and return the reference that is sent in its place.

        Raises:
            EncodeError: The value cannot be stored.
        """
        content = dumps({_VALUE: encode(value, sink=_blobs())}).encode()
        name = hashlib.sha256(content).hexdigest()
        self.write_path(f"{_PARAMETERS}/{name}", content)
        return {_REFERENCE: name}

    def parameter(self, value: Any) -> Any:
        """Return the value that a reference stands for; anything else as it is."""
        if not (isinstance(value, dict) and value.keys() == {_REFERENCE}):
            return value
        if not _NAME.fullmatch(str(value[_REFERENCE])):  # it would be a path, wherever it leads
            raise EmptyResultError(f"{value[_REFERENCE]!r} is not the name of a value that was kept.")
        return RunResultSerializer().loads(self.read_path(f"{_PARAMETERS}/{value[_REFERENCE]}"))

    async def aread_path(self, path: str, **_: Any) -> bytes:
        """Return the content of a file."""
        return self.read_path(path)

    async def awrite_path(self, path: str, content: bytes, **_: Any) -> str:
        """Write a file in one step and return its name."""
        return self.write_path(path, content)

    def _resolve_path(self, path: str) -> None:
        """Tell Prefect that a key is no path of this machine."""


def remove_run_results(before: datetime) -> int:
    """Remove the values of runs that were kept before a moment, with those of parameters and tasks.

    An array that a later run gave again stays.

    Returns:
        How many files were removed.
    """
    context = current_context()
    folder = context.file_service().resolve(context.settings().prefect.result_filesystem, FOLDER)
    old = [file for file in folder.rglob("*") if file.is_file() and file.stat().st_mtime < before.timestamp()]
    for file in old:
        file.unlink(missing_ok=True)
    return len(old)


class _Bytes:
    """The serializer of bytes as they are."""

    def serialize(self, filename: str, content: bytes, /) -> None:
        with open(filename, "wb") as file:  # noqa: PTH123 - of the form that all serializers have
            file.write(content)

    @classmethod
    def deserialize(cls, filename: str, /) -> bytes:
        with open(filename, "rb") as file:  # noqa: PTH123
            return file.read()


class _Source:
    """The blobs, as the codec reads them."""

    def __init__(self, blobs: BlobFolder) -> None:
        self._blobs = blobs

    def open(self, digest: str) -> Any:
        return self._blobs.open(digest, "of a flow run")


def _blobs() -> BlobFolder:
    context = current_context()
    identifier = context.settings().prefect.result_filesystem
    return BlobFolder(context.file_service().resolve(identifier, _BLOBS), durable=False)


def _described(error: BaseException) -> dict[str, Document]:
    return {
        "type_name": type(error).__name__,
        "message": str(error),
        "traceback": "".join(traceback.format_exception(error)),
    }
