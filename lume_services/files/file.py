"""`File`, the handle of a file, and `FileResult`, the reference to one."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any, ClassVar, Generic, Self, TypeVar

from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator, model_validator

from lume_services.config import current_context
from lume_services.errors import FileChangedError, FileReferenceError
from lume_services.files.registry import get_serializer, register_serializer, type_string
from lume_services.services.files import FileService, Serializer
from lume_services.values import register_type
from lume_services.values.parts import exactly, members

S = TypeVar("S")
"""A serializer class."""

_NOTHING: Any = object()


class FileResult(BaseModel, Generic[S]):
    """The reference to a written file, as a task returns it.

    It is made of plain values and survives JSON. `FileResult[SomeSerializer]` is the reference to
    files of that type.

    Attributes:
        filename: Name on its filesystem.
        filesystem_identifier: Name of the filesystem.
        file_type_string: The serializer, as `module:Class`; filled in from the type.
        checksum: SHA-256 of the content when it was written, or None.
        size: In bytes when it was written, or None.
    """

    model_config = ConfigDict(extra="forbid", arbitrary_types_allowed=True, validate_default=True)

    serializer: ClassVar[type[Serializer] | None] = None

    filename: str
    filesystem_identifier: str = "local"
    file_type_string: str = ""
    checksum: str | None = None
    size: int | None = None

    @classmethod
    def __pydantic_init_subclass__(cls, **kwargs: Any) -> None:
        super().__pydantic_init_subclass__(**kwargs)
        arguments = cls.__pydantic_generic_metadata__["args"]
        if arguments and not isinstance(arguments[0], TypeVar):
            register_serializer(arguments[0])
            cls.serializer = arguments[0]

    @field_validator("filename", mode="before")
    @classmethod
    def _path_as_text(cls, filename: Any) -> Any:
        return str(filename) if isinstance(filename, Path) else filename

    @model_validator(mode="after")
    def _is_of_this_type(self) -> Self:
        own = type_string(self.serializer) if self.serializer else ""
        if not (own or self.file_type_string):
            raise ValueError(
                f"{type(self).__name__} has no serializer: write {type(self).__name__}[Serializer]"
            )
        if own and self.file_type_string not in ("", own):
            raise ValueError(f"the file is of type {self.file_type_string!r}, not {own!r}")
        if not self.file_type_string:
            self.file_type_string = own
        return self

    def jsonable_dict(self) -> dict[str, Any]:
        """Return the reference as plain values for JSON; `load_reference` takes it back."""
        return {name: getattr(self, name) for name in FileResult.model_fields}

    def path(self, file_service: FileService | None = None) -> Path:
        """Return where the file lies on this machine."""
        return _service(file_service).resolve(self.filesystem_identifier, self.filename)

    def read(self, *, file_service: FileService | None = None) -> Any:
        """Return the object that the file holds.

        Raises:
            FileNotFoundError: The file is not there.
            FileChangedError: It is not the file that was written: the checksum differs.
            SerializationError: It cannot be read.
        """
        service = _service(file_service)
        if self.checksum is not None:
            self.verify(file_service=service)
        serializer = get_serializer(self.file_type_string)
        return service.read(self.filesystem_identifier, self.filename, serializer)

    def verify(self, *, file_service: FileService | None = None) -> None:
        """Look whether the file is there, and is the one that was written where that is known.

        Raises:
            FileNotFoundError: The file is not there.
            FileChangedError: The checksum differs.
        """
        found = _service(file_service).info(self.filesystem_identifier, self.filename).checksum
        if self.checksum not in (None, found):
            raise FileChangedError(
                f"file {self.filename!r} is not the one that was written: its SHA-256 is {found[:12]}…, "
                f"the reference has {str(self.checksum)[:12]}….",
                where=f"filesystem {self.filesystem_identifier!r}",
                remedy="Give every run its own file name. To read it anyway, drop 'checksum' from the "
                "reference.",
                filename=self.filename,
            )


class File(FileResult[S], Generic[S]):
    """A typed handle of a file: its name, its filesystem, and how it is read and written.

    `CSVFile = File[CSVSerializer]` makes a file type of any lume-base `SerializerBase`.

    Attributes:
        obj: The object, once it is given or loaded.
    """

    obj: Any = Field(default=_NOTHING, exclude=True, repr=False)

    def write(
        self, obj: Any = _NOTHING, *, file_service: FileService | None = None, create_dir: bool = True
    ) -> Self:
        """Write an object, or the one that the handle has, in one step.

        Args:
            obj: What to write.
            file_service: Where to; default: the current context's.
            create_dir: Whether to create missing folders.

        Raises:
            ValueError: There is no object.
            SerializationError: The object does not fit the file type; an old file is left.
        """
        obj = self.obj if obj is _NOTHING else obj
        if obj is _NOTHING:
            raise ValueError(f"no object to write to {self.filename!r}: give one to write() or to the handle")
        serializer = get_serializer(self.file_type_string)
        info = _service(file_service).write(
            self.filesystem_identifier, self.filename, obj, serializer, create_dir=create_dir
        )
        self.obj, self.checksum, self.size = obj, info.checksum, info.size
        return self

    def load_file(self, *, file_service: FileService | None = None) -> Self:
        """Read the file and keep its object in `obj`."""
        self.obj = self.read(file_service=file_service)
        return self


def _service(file_service: FileService | None) -> FileService:
    return file_service or current_context().file_service()


def load_reference(reference: Mapping[str, Any]) -> FileResult[Any]:
    """Return the file result that a reference describes.

    Args:
        reference: What `jsonable_dict()` gave, also after a round trip through JSON.

    Raises:
        FileReferenceError: It is not a file reference.
        FileTypeNotRegistered: This process does not know its type.
    """
    return _bound(FileResult, reference)


def _bound(kind: type[FileResult[Any]], reference: Any) -> FileResult[Any]:
    if not isinstance(reference, Mapping):
        raise _no_reference(f"it is of type {type(reference).__name__}")
    try:
        unbound: FileResult[Any] = FileResult.model_validate(dict(reference))
        serializer: Any = get_serializer(unbound.file_type_string)
        generic: Any = kind
        found: FileResult[Any] = generic[serializer].model_validate(dict(reference))
    except ValidationError as error:
        problems = [f"{'.'.join(map(str, part['loc']))}: {part['msg']}" for part in error.errors()]
        raise _no_reference("; ".join(problems)) from error
    return found


def _no_reference(why: str) -> FileReferenceError:
    return FileReferenceError(
        f"this is no reference to a file: {why}.",
        remedy="Pass what save_file or jsonable_dict() returned.",
    )


def _dump(file: FileResult[Any]) -> dict[str, Any]:
    return {"handle": isinstance(file, File), **file.jsonable_dict()}


def _load(parts: Any) -> FileResult[Any]:
    handle, *_ = members(parts, "handle", *FileResult.model_fields)
    reference = {name: parts[name] for name in FileResult.model_fields}
    return _bound(File if exactly(handle, bool) else FileResult, reference)


register_type("lume_services.files.File", FileResult, _dump, _load, subclasses=True)
