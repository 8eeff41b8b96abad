"""What every filesystem can do, and the rules that none may break."""

from __future__ import annotations

import hashlib
import os
from abc import ABC, abstractmethod
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path, PurePath
from typing import Any, Protocol

from lume_services.errors import PathNotInFilesystem, SerializationError
from lume_services.services.files.atomic import atomic_path
from lume_services.values.regular import expanded, valid_path


class Serializer(Protocol):
    """What lume-base's `SerializerBase` asks of a serializer."""

    def serialize(self, filename: str, obj: Any, /) -> None:
        """Write the object to a file."""

    @classmethod
    def deserialize(cls, filename: str, /) -> Any:
        """Read the object from a file."""


@dataclass(frozen=True)
class FileInfo:
    """What a file is known by.

    Attributes:
        checksum: SHA-256 of the content, in hexadecimal.
        size: In bytes.
    """

    checksum: str
    size: int


class Filesystem(ABC):
    """A named place for files.

    A path never leaves its filesystem: `..` is refused, and so is a symbolic link that leads out. A
    write is atomic: a reader sees the old file or the new one, and a write that fails leaves the old
    one.

    Attributes:
        identifier: The name that file references use.
    """

    def __init__(self, *, identifier: str) -> None:
        self.identifier = identifier

    def __repr__(self) -> str:
        return f"{type(self).__name__}(identifier={self.identifier!r})"

    @abstractmethod
    def resolve(self, path: str | Path) -> Path:
        """Return where a path lies on this machine, absolute and free of symbolic links.

        Raises:
            PathNotInFilesystem: The path leads out.
        """

    def file_exists(self, path: str | Path) -> bool:
        """Tell whether the path is a file."""
        return self.resolve(path).is_file()

    def dir_exists(self, path: str | Path) -> bool:
        """Tell whether the path is a folder; never creates one."""
        return self.resolve(path).is_dir()

    def create_dir(self, path: str | Path) -> None:
        """Create a folder and its parents; an existing one is left as it is."""
        self.make_folder(self.resolve(path))

    def make_folder(self, place: Path) -> None:
        """Make a folder of this machine with those above it, unless it is there."""
        place.mkdir(parents=True, exist_ok=True)

    def read(self, path: str | Path, serializer: Serializer | type[Serializer]) -> Any:
        """Return the object that a file holds.

        Raises:
            FileNotFoundError: There is no such file.
            SerializationError: The serializer cannot read it.
        """
        place = self._file(path)
        with self._explained(place, "read", serializer):
            return serializer.deserialize(str(place))

    def write(
        self,
        path: str | Path,
        obj: Any,
        serializer: Serializer | type[Serializer],
        *,
        create_dir: bool = True,
    ) -> FileInfo:
        """Write an object to a file, in one step.

        Args:
            path: Where to.
            obj: What.
            serializer: How.
            create_dir: Whether to create missing folders.

        Raises:
            FileNotFoundError: The folder is missing and is not to be created.
            SerializationError: The serializer cannot write the object; the old file is left.
        """
        place = self.resolve(path)
        if create_dir:
            self.make_folder(place.parent)
        elif not place.parent.is_dir():
            raise FileNotFoundError(2, f"no such folder on filesystem {self.identifier!r}", str(place.parent))
        writer = serializer() if isinstance(serializer, type) else serializer
        with atomic_path(place) as temporary:
            with self._explained(place, "written", writer):
                writer.serialize(str(temporary), obj)
            return file_info(temporary)

    def info(self, path: str | Path) -> FileInfo:
        """Return checksum and size of a file.

        Raises:
            FileNotFoundError: There is no such file.
        """
        return file_info(self._file(path))

    def _file(self, path: str | Path) -> Path:
        """Return where a file lies. A folder, a pipe or a device is none: reading one may never end."""
        place = self.resolve(path)
        if place.is_file():
            return place
        if place.exists() and not place.is_dir():
            raise FileNotFoundError(
                2, f"on filesystem {self.identifier!r} this is a pipe, a device or a socket", str(place)
            )
        raise FileNotFoundError(2, f"no such file on filesystem {self.identifier!r}", str(place))

    @contextmanager
    def _explained(self, place: Path, verb: str, serializer: Serializer | type[Serializer]) -> Iterator[None]:
        name = serializer.__name__ if isinstance(serializer, type) else type(serializer).__name__
        try:
            yield
        except Exception as error:
            if isinstance(error, OSError) and error.errno is not None:
                raise
            raise SerializationError(
                f"cannot be {verb} by {name}: {type(error).__name__}: {error}",
                where=str(place),
                remedy="Choose the file type that fits the object.",
                path=str(place),
            ) from error


def file_info(place: Path) -> FileInfo:
    """Return checksum and size of a file."""
    with place.open("rb") as file:
        checksum = hashlib.file_digest(file, "sha256").hexdigest()
    return FileInfo(checksum, place.stat().st_size)


_LONGEST_NAME = 255  # bytes, on every file system in use


def named(path: str | Path, identifier: str, *, with_homes: bool = False) -> Path:
    """Return a path as it was named.

    Args:
        path: The path.
        identifier: Of the filesystem.
        with_homes: Replace `~` at its beginning.

    Raises:
        PathNotInFilesystem: No file can have it, as with a NUL character or with a name that is too long; or
            it has `..` in it.
    """
    try:
        found = expanded(path) if with_homes else valid_path(path)
        if any(len(os.fsencode(part)) > _LONGEST_NAME for part in found.parts):
            raise ValueError(f"a name has at most {_LONGEST_NAME} bytes")
    except ValueError as error:
        raise _no_path(str(path)[:_LONGEST_NAME], str(error), identifier) from error
    refuse_parent_parts(found, identifier)
    return found


def _no_path(path: str, why: str, identifier: str) -> PathNotInFilesystem:
    return PathNotInFilesystem(
        f"{path!r} is no path of a file: {why}.",
        where=f"filesystem {identifier!r}",
        remedy="Correct the name.",
        path=path,
    )


def resolved(path: Path, identifier: str) -> Path:
    """Return a path free of symbolic links.

    Raises:
        PathNotInFilesystem: The links lead round in a circle.
    """
    try:
        return path.resolve()
    except (RuntimeError, OSError) as error:
        raise _no_path(str(path), "its symbolic links lead nowhere", identifier) from error


def refuse_parent_parts(path: PurePath, identifier: str) -> None:
    """Refuse a path that has `..` in it.

    Raises:
        PathNotInFilesystem: It has.
    """
    if ".." in path.parts:
        raise PathNotInFilesystem(
            f"{str(path)!r} has '..' in it.",
            where=f"filesystem {identifier!r}",
            remedy="Name the file by a path without '..'.",
            path=str(path),
        )


def contained(path: Path, root: Path, identifier: str) -> Path:
    """Return the path free of symbolic links, if it lies below the root.

    Raises:
        PathNotInFilesystem: It lies elsewhere.
    """
    place = resolved(path, identifier)
    if not place.is_relative_to(resolved(root, identifier)):
        raise PathNotInFilesystem(
            f"{str(path)!r} leads out of {str(root)!r}.",
            where=f"filesystem {identifier!r}",
            remedy="Name a file inside it.",
            path=str(path),
        )
    return place
