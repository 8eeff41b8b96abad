"""Save files and load them by reference."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from prefect import task
from prefect.cache_policies import NO_CACHE

from lume_services.files import File, FileResult, TextFile, load_reference


@task(cache_policy=NO_CACHE)
def save_file(
    obj: Any,
    filename: str | Path,
    filesystem_identifier: str = "local",
    file_type: type[File[Any]] = TextFile,
) -> dict[str, Any]:
    """Write an object to a file and return the reference to it.

    Args:
        obj: What to write; it must fit the file type.
        filename: Where to. A relative name lies in the filesystem's own folder.
        filesystem_identifier: Name of a configured filesystem.
        file_type: `TextFile`, `HDF5File`, … or any `File[Serializer]`.

    Returns:
        Plain values that JSON can hold: name, filesystem, type, checksum, size.

    Raises:
        SerializationError: The object does not fit the file type.
        FilesystemNotConfigured: No filesystem has that identifier.
        PathNotInFilesystem: The name leads out of the filesystem.
    """
    file = file_type(filename=str(filename), filesystem_identifier=filesystem_identifier)
    return file.write(obj).jsonable_dict()


def _load(reference: Mapping[str, Any] | FileResult[Any]) -> Any:
    result = reference if isinstance(reference, FileResult) else load_reference(reference)
    return result.read()


@task(cache_policy=NO_CACHE)
def load_file(file_rep: Mapping[str, Any] | FileResult[Any]) -> Any:
    """Return the object that a file holds.

    Args:
        file_rep: The reference that `save_file` returned, or a file handle.

    Raises:
        FileNotFoundError: The file is not there.
        FileChangedError: It is not the file that was saved.
        FileTypeNotRegistered: This process does not know its type.
    """
    return _load(file_rep)


@task(cache_policy=NO_CACHE)
def get_file_result(file_rep: Mapping[str, Any] | FileResult[Any]) -> Any:
    """Return the object of a file result, of any packaged or registered type; as `load_file` does."""
    return _load(file_rep)
