"""`Context`: the container that wires everything from the settings, as a bill of materials."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from dependency_injector import containers, providers

from lume_services.config.plugins import import_object, load_class
from lume_services.config.settings import (
    BACKENDS,
    RESULTS_DB_SECTIONS,
    FilesystemSection,
    LUMEServicesSettings,
)
from lume_services.services.files import FileService, Filesystem
from lume_services.services.files.folders import make_home

FILESYSTEMS = {
    "local": "lume_services.services.files:LocalFilesystem",
    "mounted": "lume_services.services.files:MountedFilesystem",
}


def _filesystem(identifier: str, section: FilesystemSection, settings: LUMEServicesSettings) -> Filesystem:
    where = f"filesystems.{identifier}.type"
    chosen = load_class(
        section.type, group="lume_services.filesystems", packaged=FILESYSTEMS, base=Filesystem, where=where
    )
    arguments = {"identifier": identifier, **section.arguments()}
    if section.type == "local" and arguments["directory"] is None and arguments["root"] is None:
        arguments |= {"directory": settings.files_path, "home": settings.home}
    filesystem: Filesystem = chosen(**arguments)
    return filesystem


def _filesystems(settings: LUMEServicesSettings) -> Mapping[str, Filesystem]:
    sections = dict(settings.filesystems)
    if settings.mounted_filesystem:
        sections[settings.mounted_filesystem.identifier] = settings.mounted_filesystem
    return {name: _filesystem(name, section, settings) for name, section in sections.items()}


def _serializers(settings: LUMEServicesSettings) -> list[type]:
    return [import_object(name, where="serializers") for name in settings.serializers]


def uses_plugin_results_db(settings: LUMEServicesSettings) -> bool:
    """Tell whether the results store is a class of another package."""
    return settings.results_db.type not in RESULTS_DB_SECTIONS


def uses_plugin_backend(settings: LUMEServicesSettings) -> bool:
    """Tell whether the backend is a class of another package."""
    return settings.backend not in BACKENDS


def _results_db_choice(settings: LUMEServicesSettings) -> str:
    return "plugin" if uses_plugin_results_db(settings) else settings.results_db.type


def _with_folder(settings: LUMEServicesSettings) -> dict[str, Any]:
    arguments = settings.results_db.arguments()
    if arguments["path"] is None:
        make_home(settings.home)
        arguments["path"] = settings.results_path
    return arguments


def _file_results_db(settings: LUMEServicesSettings) -> Any:
    from lume_services.services.results.file import FileResultsDB

    return FileResultsDB(**_with_folder(settings))


def _hdf5_results_db(settings: LUMEServicesSettings) -> Any:
    from lume_services.services.results.hdf5 import Hdf5ResultsDB

    return Hdf5ResultsDB(**_with_folder(settings))


def _mongodb_results_db(settings: LUMEServicesSettings) -> Any:
    from lume_services.services.results.mongodb import MongodbResultsDB

    return MongodbResultsDB(**settings.results_db.arguments())


def _predecessor_results_db(settings: LUMEServicesSettings) -> Any:
    from lume_services.services.results.predecessor import PredecessorResultsDB

    return PredecessorResultsDB(**settings.results_db.arguments())


def _plugin_results_db(settings: LUMEServicesSettings) -> Any:
    from lume_services.services.results import ResultsDB

    section = settings.results_db
    chosen = load_class(
        section.type,
        group="lume_services.results_db",
        packaged={},
        base=ResultsDB,
        where="results_db.type",
    )
    return chosen(**section.arguments())


def _closed_at_the_end(opened: Any) -> Iterator[Any]:
    yield opened
    opened.close()


def _results_db_service(results_db: providers.Provider[Any]) -> Any:
    from lume_services.services.results import ResultsDBService

    return ResultsDBService(results_db)


def _local_backend(settings: LUMEServicesSettings) -> Any:
    from lume_services.services.scheduling.backends.local import LocalBackend

    return LocalBackend(settings.prefect.api_url, settings.prefect.api_auth_string, settings.run_config)


def _server_backend(settings: LUMEServicesSettings) -> Any:
    from lume_services.services.scheduling import Backend

    chosen = load_class(
        settings.backend, group="lume_services.backends", packaged=BACKENDS, base=Backend, where="backend"
    )
    return chosen(**settings.prefect.arguments(), run_config=settings.run_config)


def _plugin_backend(settings: LUMEServicesSettings) -> Any:
    from lume_services.services.scheduling import Backend

    return load_class(
        settings.backend, group="lume_services.backends", packaged={}, base=Backend, where="backend"
    )()


def _backend_choice(settings: LUMEServicesSettings) -> str:
    if uses_plugin_backend(settings):
        return "plugin"
    return "local" if settings.backend == "local" else "server"


def _scheduling_service(backend: providers.Provider[Any]) -> Any:
    from lume_services.services.scheduling import SchedulingService

    return SchedulingService(backend)


class Context(containers.DeclarativeContainer):
    """What a process has: settings, and the services that they choose.

    Services get the *provider* of what they use and ask it at every call. So an override, as in
    `with context.results_db.override(fake):`, is seen at once by services already built, and ends
    with its block. An implementation is imported when it is first used.
    """

    settings: providers.Provider[LUMEServicesSettings] = providers.Dependency(
        instance_of=LUMEServicesSettings
    )

    serializers = providers.ThreadSafeSingleton(_serializers, settings)
    filesystems = providers.ThreadSafeSingleton(_filesystems, settings)
    file_service = providers.ThreadSafeSingleton(FileService, filesystems.provider)

    results_db = providers.Selector(
        providers.Callable(_results_db_choice, settings),
        file=providers.Resource(
            _closed_at_the_end, providers.ThreadSafeSingleton(_file_results_db, settings)
        ),
        hdf5=providers.Resource(
            _closed_at_the_end, providers.ThreadSafeSingleton(_hdf5_results_db, settings)
        ),
        mongodb=providers.Resource(
            _closed_at_the_end, providers.ThreadSafeSingleton(_mongodb_results_db, settings)
        ),
        predecessor=providers.Resource(
            _closed_at_the_end, providers.ThreadSafeSingleton(_predecessor_results_db, settings)
        ),
        plugin=providers.Resource(
            _closed_at_the_end, providers.ThreadSafeSingleton(_plugin_results_db, settings)
        ),
    )
    results_db_service = providers.ThreadSafeSingleton(_results_db_service, results_db.provider)

    scheduling_backend = providers.Selector(
        providers.Callable(_backend_choice, settings),
        local=providers.Resource(_closed_at_the_end, providers.ThreadSafeSingleton(_local_backend, settings)),
        server=providers.Resource(
            _closed_at_the_end, providers.ThreadSafeSingleton(_server_backend, settings)
        ),
        plugin=providers.Resource(
            _closed_at_the_end, providers.ThreadSafeSingleton(_plugin_backend, settings)
        ),
    )
    scheduling_service = providers.ThreadSafeSingleton(_scheduling_service, scheduling_backend.provider)
