"""The sections of the settings: one small model per swappable part.

The fields of a section, without its `type`, are the keyword arguments of the class that it chooses.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, SecretStr, field_validator

from lume_services.values.regular import expanded, valid_path
from lume_services.values.secret import masked
from lume_services.values.written import read_json

Port = Annotated[int, Field(ge=1, le=65535)]


def from_json(value: Any) -> Any:
    """Let an environment variable hold a list or a mapping as JSON text.

    Raises:
        ValueError: The text is not JSON.
    """
    return read_json(value) if isinstance(value, str) else value


FromJSON = BeforeValidator(from_json)
Options = Annotated[dict[str, Any], FromJSON]
ExpandedPath = Annotated[Path, BeforeValidator(expanded)]


def without_secrets(parts: Iterable[tuple[str | None, Any]]) -> Iterator[tuple[str | None, Any]]:
    """Yield the parts of a representation, with what may be a secret masked."""
    return ((name, masked(name or "", value)) for name, value in parts)


class Section(BaseModel):
    """Base of all sections: unknown names are refused, every default is checked."""

    model_config = ConfigDict(extra="forbid", validate_default=True, frozen=True, hide_input_in_errors=True)

    def __repr_args__(self) -> Iterator[tuple[str | None, Any]]:
        yield from without_secrets(super().__repr_args__())

    def arguments(self) -> dict[str, Any]:
        """Return the keyword arguments for the class that this section chooses."""
        return {name: getattr(self, name) for name in type(self).model_fields if name != "type"}


class PluginSection(Section):
    """A class of another package in the place of a packaged one."""

    type: str = Field(description="Name of an entry point, or `package.module:Class`.")
    options: Options = Field(default={}, description="Keyword arguments of the class, as JSON.")

    def arguments(self) -> dict[str, Any]:
        """Return the options."""
        return dict(self.options)


# results db ---------------------------------------------------------------------------------------


class FileResultsDBSection(Section):
    """Results in a folder; needs no server."""

    type: Literal["file"] = "file"
    path: ExpandedPath | None = Field(
        default=None, description="Folder of the store. Default: `results` in `LUME_HOME`."
    )
    blob_threshold: int = Field(
        default=65536, ge=0, description="Arrays of at least this many bytes are kept beside the record."
    )
    durability: Literal["process", "power"] = Field(
        default="process",
        description="What an acknowledged insert survives: a killed `process`, or also the loss of `power`, "
        "which is slower.",
    )


class Hdf5ResultsDBSection(Section):
    """Results in a folder, one HDF5 file for each; needs no server."""

    type: Literal["hdf5"] = "hdf5"
    path: ExpandedPath | None = Field(
        default=None, description="Folder of the store. Default: `results` in `LUME_HOME`."
    )
    blob_threshold: int = Field(
        default=65536, ge=0, description="Arrays of at least this many bytes are read when they are used."
    )
    durability: Literal["process", "power"] = Field(
        default="process",
        description="What an acknowledged insert survives: a killed `process`, or also the loss of `power`, "
        "which is slower.",
    )
    compression: Literal["none", "gzip", "lzf"] = Field(
        default="none", description="Compression of the arrays above `blob_threshold`."
    )
    compression_level: int = Field(default=4, ge=0, le=9, description="Of gzip: 0 is quick, 9 small.")
    shuffle: bool = Field(
        default=False, description="Sort the bytes of array elements by their place before compression."
    )
    chunk_bytes: int | None = Field(
        default=None,
        ge=1,
        description="About how many bytes a chunk of an array has. Default: one piece, or 1 MiB each if "
        "they are compressed.",
    )


class MongodbServerSection(Section):
    """A database on a MongoDB server."""

    uri: SecretStr | None = Field(
        default=None, description="Connection string; takes the place of host, port, username, password."
    )
    host: str = Field(default="localhost", description="Host name of the server.")
    port: Port = Field(default=27017, description="Port of the server.")
    username: str | None = Field(default=None, description="User name; none means no authentication.")
    password: SecretStr | None = Field(default=None, description="Password of the user.")
    database: str = Field(default="lume_services", min_length=1, description="Name of the database.")
    authmechanism: str = Field(default="DEFAULT", description="Authentication mechanism of the driver.")
    options: Options = Field(default={}, description="Further options of the driver, as JSON.")
    timeout_seconds: float = Field(
        default=10.0,
        gt=0,
        description="Seconds to wait for a server that is away, and for each of its answers.",
    )


class MongodbResultsDBSection(MongodbServerSection):
    """Results in MongoDB."""

    type: Literal["mongodb"] = "mongodb"
    blob_threshold: int = Field(
        default=65536, ge=0, description="Arrays of at least this many bytes are kept in GridFS."
    )


class PredecessorResultsDBSection(MongodbServerSection):
    """What SLAC's lume-services before this one has kept in MongoDB; for reading only."""

    type: Literal["predecessor"]


# filesystems --------------------------------------------------------------------------------------


class LocalFilesystemSection(Section):
    """Files on this machine."""

    type: Literal["local"] = "local"
    directory: ExpandedPath | None = Field(
        default=None, description="Folder that relative names are in. Default: `files` in `LUME_HOME`."
    )
    root: ExpandedPath | None = Field(
        default=None,
        description="No path may leave this folder. Default: none, absolute paths may lie anywhere.",
    )


class MountedFilesystemSection(Section):
    """Files in a folder that has another name inside a container."""

    type: Literal["mounted"] = "mounted"
    mount_path: ExpandedPath = Field(description="Absolute path of the folder on the host.")
    mount_alias: Annotated[Path, BeforeValidator(valid_path)] = Field(
        description="Absolute path of the folder inside the container."
    )
    mount_type: Literal["Directory", "DirectoryOrCreate"] = Field(
        default="DirectoryOrCreate", description="Whether a missing folder is created or an error."
    )

    @field_validator("mount_path", "mount_alias")
    @classmethod
    def _absolute(cls, path: Path) -> Path:
        if not path.is_absolute():
            raise ValueError(f"{str(path)!r} is not an absolute path")
        return path


class MountedFilesystemShorthand(MountedFilesystemSection):
    """The mounted filesystem of the predecessor's variables, with its identifier."""

    identifier: str = Field(default="mounted", description="Identifier of the filesystem.")


# Prefect ------------------------------------------------------------------------------------------


class PrefectSection(Section):
    """The Prefect API to use, and how. The local backend needs none; all others do."""

    api_url: str | None = Field(
        default=None,
        pattern=r"^https?://",
        description="URL of the API, as `http://localhost:4200/api`. Default: Prefect's `PREFECT_API_URL`.",
    )
    api_auth_string: SecretStr | None = Field(
        default=None, description="`user:password` of a server with basic authentication."
    )
    work_pool: str | None = Field(
        default=None,
        min_length=1,
        description="Work pool of the runs; made if it is not there. Default: `lume-` and the backend.",
    )
    result_filesystem: str = Field(
        default="local",
        min_length=1,
        description="Filesystem through which values come back from runs; jobs and callers share it.",
    )
    start_timeout_seconds: float = Field(
        default=60.0,
        gt=0,
        description="Seconds that a run may wait for its start until it is an error, which tells why.",
    )


class WorkerSection(Section):
    """How `lume-services worker start` takes runs from a work pool."""

    name: str | None = Field(default=None, description="Name. Default: host and number of the process.")
    queues: Annotated[list[str], FromJSON] = Field(
        default=[], description="Work queues to take runs from, as JSON list. Default: all."
    )
    limit: int | None = Field(default=None, ge=1, description="At most so many runs at the same time.")
    env: Annotated[dict[str, str], FromJSON] = Field(
        default={}, description="Environment variables of all jobs, as JSON."
    )
    labels: Annotated[dict[str, str], FromJSON] = Field(
        default={}, description="Labels of all containers and Kubernetes jobs, as JSON."
    )
    poll_seconds: float = Field(default=0.5, gt=0, description="Seconds between two looks for new runs.")
    health_port: int | None = Field(
        default=None,
        ge=1,
        le=65535,
        description="Port of this machine on which `/health` tells whether it polls. Default: none.",
    )
    reconcile_seconds: float = Field(
        default=60.0, gt=0, description="Seconds between two looks for runs that nobody carries on."
    )


def section_names(*sections: type[BaseModel]) -> list[str]:
    """Return the names of all fields of the sections."""
    return sorted({name for section in sections for name in section.model_fields})


def infer_type(section: Any, *, default: str, hints: Mapping[str, type[Section]]) -> Any:
    """Fill in the `type` of a section that leaves it out.

    Args:
        section: The raw section; anything but a mapping is returned as it is.
        default: The type where nothing hints at another.
        hints: Section class by type: a key that only this class has means this type.
    """
    if not isinstance(section, Mapping) or "type" in section:
        return section
    for kind, model in hints.items():
        others = section_names(*(other for name, other in hints.items() if name != kind))
        if any(key in model.model_fields and key not in others for key in section):
            return {"type": kind, **section}
    return {"type": default, **section}
