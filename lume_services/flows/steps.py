"""The run of one step, wherever its backend runs it."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Collection, Mapping
from typing import TYPE_CHECKING, Any

from lume_services.errors import Problem, RunConfigError
from lume_services.flows.plan import Edge
from lume_services.flows.spec import Spec, StepSpec
from lume_services.results import load_result
from lume_services.services.scheduling import Backend, RunConfig
from lume_services.values.select import select

if TYPE_CHECKING:
    from prefect import Flow

    from lume_services.services.scheduling import RunHandle

LOCAL = "local"


class StepRun(ABC):
    """A run of the flow of a step, as part of the flow run in which it is made."""

    run_id: str | None = None
    """The id of the flow run, once there is one."""

    @abstractmethod
    def run(self, parameters: Mapping[str, Any], key: str | None = None) -> Any:
        """Run the flow to its end and return its value; why it has none is raised.

        Args:
            parameters: All that goes in.
            key: What makes the run the same as one that a parent started which was killed meanwhile; None if
                it is always another one.
        """

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

    def run(self, parameters: Mapping[str, Any], key: str | None = None) -> Any:
        """Send the run, unless it was sent already, and wait for its end."""
        self._handle = self._backend.run(self._flow, parameters, self._run_config, idempotency_key=key)
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


def handed_over(edge: Edge, given: Any) -> Any:
    """Return what goes over an edge, of what the parent gave.

    Raises:
        LUMEServicesError: The part is not there, or the result that it is a part of.
    """
    if edge.map_type == "db" and edge.attribute_index:
        given = load_result(given)
    return select(given, edge.attribute_index, where=f"step {edge.parent!r}")


def step_backend(backend: Backend, spec: Spec, step: StepSpec) -> tuple[Backend, RunConfig]:
    """Return the backend of a step, and how it runs the step.

    Args:
        backend: The backend that is configured.
        spec: The whole.
        step: The step. `backend: local` in its run config has it run where the parent runs.

    Raises:
        RunConfigError: The run config is not one of the backend.
    """
    given = dict(step.run_config)
    place = given.pop("backend", None)
    if place not in (None, LOCAL):
        problem = Problem(
            f"{place!r} is no place for one step.", "backend", "Write `local`, or leave it out."
        )
        raise RunConfigError("the run config is not valid", [problem])
    chosen = backend.for_parents() if place == LOCAL else backend
    image = step.image or spec.image
    if image is not None and "image" in chosen.run_config_type.model_fields:
        given.setdefault("image", image)
    run_config = chosen.run_config_type.of(given)
    return chosen, run_config.model_copy(update={"labels": run_config.labels | spec.tags})


def step_run(
    backend: Backend, flow: Flow[..., Any], name: str, run_config: RunConfig, tasks: Collection[str]
) -> StepRun:
    """Return the run of a step: a subflow in this process, or one that the backend sends elsewhere.

    Args:
        backend: The backend of the step.
        flow: The flow of the step.
        name: The name of the step.
        run_config: How to run it.
        tasks: The tasks whose results are asked for later.
    """
    if not backend.in_process:
        return BackendStepRun(backend, flow, run_config)
    from lume_services.flows.subflow import Subflow

    return Subflow(flow, name, run_config.build(), tasks)
