"""The run of one step, wherever its backend runs it."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Collection, Mapping
from typing import TYPE_CHECKING, Any

from lume_services.services.scheduling import Backend, RunConfig

if TYPE_CHECKING:
    from prefect import Flow

    from lume_services.services.scheduling import RunHandle


class StepRun(ABC):
    """A run of the flow of a step, as part of the flow run in which it is made."""

    run_id: str | None = None
    """The id of the flow run, once there is one."""

    @abstractmethod
    def run(self, parameters: Mapping[str, Any]) -> Any:
        """Run the flow to its end and return its value; why it has none is raised."""

    @abstractmethod
    def task_result(self, name: str) -> Any:
        """Return what a task of the flow returned; a list, if it was called more than once.

        Raises:
            TaskNotInFlowError: No task of that name ran.
            TaskNotCompletedError: The task, or one of its calls, did not complete.
        """

    @abstractmethod
    def cancel(self) -> None:
        """Ask the flow to stop, and return at once."""


class BackendStepRun(StepRun):
    """A step whose run a backend sends to infrastructure of its own.

    Args:
        backend: The backend.
        flow: The flow.
        run_config: How to run it.
    """

    def __init__(self, backend: Backend, flow: Flow[..., Any], run_config: RunConfig) -> None:
        self._backend = backend
        self._flow = flow
        self._run_config = run_config
        self._handle: RunHandle | None = None
        self._cancelled = False

    def run(self, parameters: Mapping[str, Any]) -> Any:
        """Send the run, and wait for its end."""
        self._handle = self._backend.run(self._flow, parameters, self._run_config)
        self.run_id = self._handle.run_id
        if self._cancelled:
            self._handle.cancel()
        return self._handle.result()

    def task_result(self, name: str) -> Any:
        """Return what a task of the flow returned, from where the job kept it."""
        if self._handle is None:
            raise RuntimeError("the run of the step was not sent")
        return self._handle.task_result(name)

    def cancel(self) -> None:
        """Cancel the run, or have it cancelled as soon as it is sent."""
        self._cancelled = True
        if self._handle is not None:
            self._handle.cancel()


def step_run(
    backend: Backend, flow: Flow[..., Any], name: str, run_config: RunConfig, tasks: Collection[str]
) -> StepRun:
    """Return the run of a step: a subflow in this process, or one that the backend sends elsewhere.

    Args:
        backend: The backend that is configured.
        flow: The flow of the step.
        name: The name of the step.
        run_config: How to run it.
        tasks: The tasks whose results are asked for later.
    """
    if not backend.in_process:
        return BackendStepRun(backend, flow, run_config)
    from lume_services.flows.subflow import Subflow

    return Subflow(flow, name, run_config.build(), tasks)
