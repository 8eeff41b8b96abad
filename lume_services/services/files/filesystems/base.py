"""What every filesystem can do, and the rules that none may break."""

from __future__ import annotations

import hashlib
from abc import ABC, abstractmethod
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path, PurePath
from typing import Any, Protocol

from lume_services.errors import PathNotInFilesystem, SerializationError
from lume_services.services.files.atomic import atomic_path


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
        self.resolve(path).mkdir(parents=True, exist_ok=True)

    def read(self, path: str | Path, serializer: Serializer | type[Serializer]) -> Any:
        """Return the object that a file holds.

        Raises:
            FileNotFoundError: There is no such file.
            SerializationError: The serializer cannot read it.
        """
        place = self.resolve(path)
        if not place.is_file():
            raise FileNotFoundError(2, f"no such file on filesystem {self.identifier!r}", str(place))
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
            place.parent.mkdir(parents=True, exist_ok=True)
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
        return file_info(self.resolve(path))

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
    place = path.resolve()
    if not place.is_relative_to(root.resolve()):
        raise PathNotInFilesystem(
            f"{str(path)!r} leads out of {str(root)!r}.",
            where=f"filesystem {identifier!r}",
            remedy="Name a file inside it.",
            path=str(path),
        )
    return place
