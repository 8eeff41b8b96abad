"""`LUMEServicesSettings`: everything that can be configured, and where it is read from."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, Any

from platformdirs import user_data_path
from pydantic import Discriminator, Field, Tag, field_validator, model_validator
from pydantic_settings import BaseSettings, PydanticBaseSettingsSource, SettingsConfigDict

from lume_services.config.plugins import known_choice, known_type
from lume_services.config.retired import RETIRED_SECTIONS, translate_prefect, warn_retired
from lume_services.config.sections import (
    ExpandedPath,
    FileResultsDBSection,
    FromJSON,
    Hdf5ResultsDBSection,
    LocalFilesystemSection,
    MongodbResultsDBSection,
    MountedFilesystemSection,
    MountedFilesystemShorthand,
    Options,
    PluginSection,
    PredecessorResultsDBSection,
    PrefectSection,
    Section,
    WorkerSection,
    from_json,
    infer_type,
    without_secrets,
)
from lume_services.config.sources import config_file_source, dotenv_source, environment_source

_BACKENDS = "lume_services.services.scheduling.backends"
BACKENDS = {
    "local": f"{_BACKENDS}.local:LocalBackend",
    "process": f"{_BACKENDS}.process:ProcessBackend",
    "docker": f"{_BACKENDS}.docker:DockerBackend",
    "kubernetes": f"{_BACKENDS}.kubernetes:KubernetesBackend",
}
RESULTS_DB_SECTIONS: dict[str, type[Section]] = {
    "file": FileResultsDBSection,
    "hdf5": Hdf5ResultsDBSection,
    "mongodb": MongodbResultsDBSection,
    "predecessor": PredecessorResultsDBSection,
}
_INFERRED_RESULTS_DB = {
    kind: section for kind, section in RESULTS_DB_SECTIONS.items() if kind != "predecessor"
}
FILESYSTEM_SECTIONS: dict[str, type[Section]] = {
    "local": LocalFilesystemSection,
    "mounted": MountedFilesystemSection,
}


def _kind(section: Any, packaged: dict[str, Any]) -> str:
    kind = section.get("type") if isinstance(section, dict) else getattr(section, "type", None)
    return kind if isinstance(kind, str) and kind in packaged else "plugin"


ResultsDBSection = Annotated[
    Annotated[FileResultsDBSection, Tag("file")]
    | Annotated[Hdf5ResultsDBSection, Tag("hdf5")]
    | Annotated[MongodbResultsDBSection, Tag("mongodb")]
    | Annotated[PredecessorResultsDBSection, Tag("predecessor")]
    | Annotated[PluginSection, Tag("plugin")],
    Discriminator(lambda section: _kind(section, RESULTS_DB_SECTIONS)),
]
FilesystemSection = Annotated[
    Annotated[LocalFilesystemSection, Tag("local")]
    | Annotated[MountedFilesystemSection, Tag("mounted")]
    | Annotated[PluginSection, Tag("plugin")],
    Discriminator(lambda section: _kind(section, FILESYSTEM_SECTIONS)),
]


class LUMEServicesSettings(BaseSettings):
    """All settings of LUME-services.

    Sources, strongest first: arguments, environment variables (prefix `LUME_`, nesting `__`), the
    file `.env`, the file that `LUME_CONFIG_FILE` names (YAML or TOML), defaults. With nothing set
    at all it works: local backend, local files, results in a folder.
    """

    model_config = SettingsConfigDict(
        env_prefix="LUME_",
        env_nested_delimiter="__",
        env_file=(),  # it is `.env`, which we read: pydantic-settings would wait for a pipe
        env_ignore_empty=True,
        enable_decoding=False,  # JSON is parsed by the fields, so that a bad one is a problem among others
        extra="forbid",
        frozen=True,
        validate_default=True,
        hide_input_in_errors=True,
    )

    home: ExpandedPath = Field(
        default_factory=lambda: user_data_path("lume-services", appauthor=False),
        description="Folder for everything that has no place of its own.",
    )
    config_file: ExpandedPath | None = Field(
        default=None, description="YAML or TOML file with further settings; the environment is stronger."
    )
    backend: str = Field(
        default="local",
        description="Where flows run: `local`, `process`, `docker`, `kubernetes`, an entry point of "
        "`lume_services.backends`, or `package.module:Class`.",
    )
    results_db: ResultsDBSection = Field(
        default=FileResultsDBSection(), description="Where results are kept."
    )
    filesystems: dict[str, FilesystemSection] = Field(
        default={}, description="Where files are kept, by identifier. `local` is always there."
    )
    mounted_filesystem: Annotated[MountedFilesystemShorthand | None, FromJSON] = Field(
        default=None, description="A filesystem mounted under another name in containers."
    )
    serializers: Annotated[list[str], FromJSON] = Field(
        default=[],
        description="Further serializers that file references may name, each as `package.module:Class`; "
        "a JSON list in the environment.",
    )
    prefect: PrefectSection = Field(default=PrefectSection(), description="The Prefect API to use.")
    run_config: Options = Field(
        default={},
        description="What all runs have that do not say otherwise: fields of the backend's run config, as "
        "JSON, or each as a variable, as `LUME_RUN_CONFIG__IMAGE`. They are part of deployments: no secrets.",
    )
    worker: Annotated[WorkerSection, FromJSON] = Field(
        default=WorkerSection(), description="How `lume-services worker start` works."
    )

    @model_validator(mode="before")
    @classmethod
    def _drop_retired(cls, values: dict[str, Any]) -> dict[str, Any]:
        warn_retired([name for name in values if name in RETIRED_SECTIONS])
        return {name: value for name, value in values.items() if name not in RETIRED_SECTIONS}

    @field_validator("backend")
    @classmethod
    def _backend_is_known(cls, name: str) -> str:
        return known_choice(name, group="lume_services.backends", packaged=BACKENDS)

    @field_validator("results_db", mode="before")
    @classmethod
    def _results_db_type(cls, section: Any) -> Any:
        section = infer_type(from_json(section), default="file", hints=_INFERRED_RESULTS_DB)
        return known_type(section, group="lume_services.results_db", packaged=RESULTS_DB_SECTIONS)

    @field_validator("filesystems", mode="before")
    @classmethod
    def _filesystem_types(cls, sections: Any) -> Any:
        sections = from_json(sections)
        if not isinstance(sections, dict):
            return sections
        inferred = {
            name: infer_type(section, default="local", hints=FILESYSTEM_SECTIONS)
            for name, section in sections.items()
        }
        return {
            name: known_type(section, group="lume_services.filesystems", packaged=FILESYSTEM_SECTIONS)
            for name, section in inferred.items()
        }

    @field_validator("filesystems")
    @classmethod
    def _local_is_always_there(cls, sections: dict[str, Any]) -> dict[str, Any]:
        return {"local": LocalFilesystemSection(), **sections}

    @field_validator("prefect", mode="before")
    @classmethod
    def _prefect_of_the_predecessor(cls, section: Any) -> Any:
        return translate_prefect(from_json(section))

    @field_validator("run_config", mode="before")
    @classmethod
    def _variables_may_hold_json(cls, fields: Any) -> Any:
        fields = from_json(fields)
        if not isinstance(fields, dict):
            return fields
        return {
            name: from_json(value) if str(value).startswith(("[", "{")) else value
            for name, value in fields.items()
        }

    @field_validator("filesystems")
    @classmethod
    def _names_differ_by_more_than_capitals(cls, sections: dict[str, Any]) -> dict[str, Any]:
        seen: dict[str, str] = {}
        for name in sections:
            other = seen.setdefault(name.casefold(), name)
            if other != name:
                raise ValueError(
                    f"{other!r} and {name!r} differ by their capitals alone; give one of them another name. "
                    "In a variable, a name in capitals stands for the same in small letters"
                )
        return sections

    @model_validator(mode="after")
    def _identifiers_are_unique(self) -> LUMEServicesSettings:
        shorthand = self.mounted_filesystem
        if shorthand and shorthand.identifier in self.filesystems:
            raise ValueError(
                f"mounted_filesystem and filesystems both define {shorthand.identifier!r}; "
                "give one of them another identifier"
            )
        return self

    def __repr_args__(self) -> Iterator[tuple[str | None, Any]]:
        yield from without_secrets(super().__repr_args__())

    @property
    def results_path(self) -> Path:
        """Folder of an embedded results store that names none."""
        return self.home / "results"

    @property
    def files_path(self) -> Path:
        """Folder of relative file names on a local filesystem that names none."""
        return self.home / "files"

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,  # noqa: ARG003
        dotenv_settings: PydanticBaseSettingsSource,
        file_secret_settings: PydanticBaseSettingsSource,
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        """Order the sources; the configuration file is the weakest."""
        env_file = getattr(dotenv_settings, "env_file", None)
        dotenv = dotenv_source(settings_cls) if env_file == () else dotenv_source(settings_cls, env_file)
        stronger = (init_settings, environment_source(settings_cls), dotenv)
        return (*stronger, config_file_source(settings_cls, stronger), file_secret_settings)
