"""The scheduling service: flows run on whatever backend is configured."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import TYPE_CHECKING, Any

from lume_services.services.scheduling.base import DEFAULT_PROJECT, Backend, RunHandle
from lume_services.services.scheduling.run_configs import RunConfig

if TYPE_CHECKING:
    from prefect import Flow
    from prefect.schedules import Schedule


class SchedulingService:
    """Runs and registers flows on the configured backend.

    Args:
        backend: Gives the backend. It is called on each use, so that an override of the container's
            provider is seen at once.
    """

    def __init__(self, backend: Callable[[], Backend]) -> None:
        self._backend = backend

    def create_project(self, project_name: str) -> None:
        """Make a project known, see `Backend.create_project`."""
        self._backend().create_project(project_name)

    def register_flow(
        self,
        flow: Flow[..., Any],
        project_name: str = DEFAULT_PROJECT,
        labels: Iterable[str] = (),
        *,
        schedule: Schedule | None = None,
        version: str | None = None,
        description: str | None = None,
    ) -> str:
        """Register a flow and return its id, see `Backend.register_flow`."""
        return self._backend().register_flow(
            flow, project_name, labels, schedule=schedule, version=version, description=description
        )

    def load_flow(self, name: str, project_name: str | None = None) -> Flow[..., Any]:
        """Return a registered flow, see `Backend.load_flow`."""
        return self._backend().load_flow(name, project_name)

    def list_flows(self) -> list[str]:
        """Return the ids of all registered flows, sorted."""
        return self._backend().list_flows()

    def delete_flow(self, name: str, project_name: str | None = None) -> None:
        """Forget a registered flow, see `Backend.delete_flow`."""
        self._backend().delete_flow(name, project_name)

    def run(
        self,
        flow: Flow[..., Any] | str,
        parameters: Mapping[str, Any] | None = None,
        run_config: RunConfig | Mapping[str, Any] | None = None,
        *,
        idempotency_key: str | None = None,
    ) -> RunHandle:
        """Start a run and return its handle, see `Backend.run`."""
        return self._backend().run(flow, parameters, run_config, idempotency_key=idempotency_key)

    def find_run(self, run_id: str) -> RunHandle:
        """Return the handle on a run that was started before, see `Backend.find_run`."""
        return self._backend().find_run(run_id)

    def run_and_return(
        self,
        flow: Flow[..., Any] | str,
        parameters: Mapping[str, Any] | None = None,
        run_config: RunConfig | Mapping[str, Any] | None = None,
        *,
        task_name: str | None = None,
        timeout: float | None = None,
        cancel_on_timeout: bool = True,
    ) -> Any:
        """Run a flow to its end and return its value, see `Backend.run_and_return`."""
        return self._backend().run_and_return(
            flow,
            parameters,
            run_config,
            task_name=task_name,
            timeout=timeout,
            cancel_on_timeout=cancel_on_timeout,
        )

    async def arun_and_return(
        self,
        flow: Flow[..., Any] | str,
        parameters: Mapping[str, Any] | None = None,
        run_config: RunConfig | Mapping[str, Any] | None = None,
        *,
        task_name: str | None = None,
        timeout: float | None = None,
        cancel_on_timeout: bool = True,
    ) -> Any:
        """Run a flow to its end and return its value, for async code, see `Backend.arun_and_return`."""
        return await self._backend().arun_and_return(
            flow,
            parameters,
            run_config,
            task_name=task_name,
            timeout=timeout,
            cancel_on_timeout=cancel_on_timeout,
        )
