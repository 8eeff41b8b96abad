"""The values that come back from jobs: where they are, and how Prefect is told.

The classes of storage and serializer live above this floor, in `lume_services.files.run_results`; here they
are known by the names under which Prefect finds them, as plug-ins of ours.
"""

from __future__ import annotations

import json
from importlib.metadata import entry_points
from typing import TYPE_CHECKING, Any

from prefect.blocks.core import Block
from prefect.client.orchestration import get_client
from prefect.exceptions import ObjectNotFound
from prefect.results import ResultStore, resolve_result_storage
from prefect.serializers import Serializer
from prefect.utilities.dispatch import lookup_type

from lume_services.errors import (
    EmptyResultError,
    RunException,
    TaskNotCompletedError,
    TaskNotInFlowError,
    choose_from,
)

if TYPE_CHECKING:
    from prefect.client.orchestration import SyncPrefectClient

_SERIALIZER = "lume-services"
_STORAGE = "lume-services-run-results"


class RunResults:
    """The values of runs, in one filesystem.

    Args:
        filesystem_identifier: Its name, the same for jobs and their callers.
    """

    def __init__(self, filesystem_identifier: str) -> None:
        self._filesystem = filesystem_identifier
        self._servers: set[str] = set()
        _import_ours()

    def ensure_known(self, client: SyncPrefectClient) -> None:
        """Make the storage known to a server, so that a state can refer to it."""
        server = str(client.api_url)
        if server in self._servers:
            return
        try:
            client.read_block_document_by_name(self._filesystem, _STORAGE)
        except ObjectNotFound:
            block: Any = self._storage()
            block.save(self._filesystem, overwrite=True, _sync=True)
        self._servers.add(server)

    def keep_parameter(self, value: Any) -> dict[str, str]:
        """Keep the value of a parameter for a job, and return the reference to it.

        Raises:
            EncodeError: The value cannot be stored.
        """
        reference: dict[str, str] = self._storage().keep_parameter(value)
        return reference

    def of_task(self, run_id: str, name: str) -> Any:
        """Return what the task of exactly this name returned in a run that has ended; several calls, a list.

        Raises:
            EmptyResultError: The job did not live to keep the values of its tasks.
            TaskNotInFlowError: No task of that name ran.
            TaskNotCompletedError: The task, or one of its calls, did not complete.
        """
        where = f"run {run_id}"
        try:
            kept: dict[str, list[str]] = json.loads(self._storage().read_path(f"tasks/{run_id}"))
        except FileNotFoundError as error:
            raise EmptyResultError(
                "the job did not keep the values of its tasks.",
                where=where,
                remedy="If it did not crash, configure the same LUME_PREFECT__RESULT_FILESYSTEM, in the same "
                "place, for the worker and here.",
                task_name=name,
            ) from error
        if name not in kept:
            raise TaskNotInFlowError(
                f"no task named {name!r} ran.", where=where, remedy=choose_from(name, kept), task_name=name
            )
        values = [self._task_value(text, name, where) for text in kept[name]]
        if not values:
            raise TaskNotCompletedError(f"task {name!r} did not start.", where=where, task_name=name)
        return values[0] if len(values) == 1 else values

    def _task_value(self, text: str, name: str, where: str) -> Any:
        value = Serializer(type=_SERIALIZER).loads(text.encode())
        if isinstance(value, RunException):
            raise TaskNotCompletedError(value.message, where=where, task_name=name) from value
        return value

    def _storage(self) -> Any:
        storage: Any = lookup_type(Block, _STORAGE)
        return storage(filesystem_identifier=self._filesystem)


def kept_value(data: Any) -> Any:
    """Return what the data of a state refer to, in whatever storage.

    By Prefect's synchronous functions only: `State.result` works in a thread with an event loop of its own,
    whose connections stay open.
    """
    block_id = getattr(data, "storage_block_id", None)
    if block_id is None:
        return data
    storage = _storage_of(block_id)
    return ResultStore(result_storage=storage, serializer=data.serializer).read(data.storage_key).result


def _storage_of(block_id: Any) -> Any:
    with get_client(sync_client=True) as client:
        document = client.read_block_document(block_id)
    if document.block_type is not None and document.block_type.slug == _STORAGE:
        ours: Any = lookup_type(Block, _STORAGE)
        return ours._from_block_document(document)  # noqa: SLF001 - as Prefect itself, but for one known class
    return resolve_result_storage(block_id, _sync=True)  # type: ignore[call-arg]


def _import_ours() -> None:
    """Let Prefect know our plug-in. It would import those of all packages, which takes as long as itself."""
    for found in entry_points(group="prefect.collections", name="lume_services"):
        found.load()
